// SPDX-License-Identifier: GPL-3.0-or-later
#include "source_run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "child.h"
#include "collect/input.h"
#include "collect/live.h"

static volatile sig_atomic_t sj_stop_signal;

static void on_signal(int number)
{
    sj_stop_signal = number;
}

/* The first SIGINT or SIGTERM ends the measurement in good order; a second one ends the program. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

struct run {
    struct sj_child child;
};

static int on_ready(void *ctx, struct sj_err *err)
{
    struct run *r = ctx;
    (void)err;
    fputs("measuring\n", stderr);
    if (r->child.pid)
        sj_child_start(&r->child);
    return 0;
}

static bool on_over(void *ctx)
{
    return sj_stop_signal || sj_child_ended(&((struct run *)ctx)->child);
}

static int run_live(const struct sj_measure_options *opts, const struct sj_sink *sink, int *child_status,
                    struct sj_err *err)
{
    struct run r = {.child = SJ_CHILD_NONE};
    struct sj_live_control control = {.ctx = &r, .rights = SJ_RIGHTS_MEASURE, .ready = on_ready, .over = on_over};
    if (opts->child && sj_child_prepare(&r.child, opts->child, err))
        return -1;
    struct sj_err left = {0};
    int status = sj_live_run(opts, sink, &control, err);
    if (sj_child_stop(&r.child, &left))
        sj_complain(0, "%s", left.text);
    *child_status = r.child.status;
    return status;
}

int sj_source_run(const struct sj_measure_options *opts, const struct sj_sink *sink, int *child_status,
                  struct sj_err *err)
{
    *child_status = -1;
    watch_signals();
    if (!opts->from)
        return run_live(opts, sink, child_status, err);
    int status = sj_input_run(opts->from, &opts->filter, sink, err);
    if (status > 0) {
        sj_complain(0, "%s", err->text);
        return 0;
    }
    return status;
}
