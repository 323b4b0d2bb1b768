// SPDX-License-Identifier: GPL-3.0-or-later
#include "source_run.h"

#include <signal.h>
#include <string.h>

#include "collect/input.h"
#include "collect/live.h"

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = number;
}

/* The first SIGINT or SIGTERM ends the measurement in good order; a second one ends the program. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int sj_source_run(const struct sj_measure_options *opts, const struct sj_sink *sink, int *child_status,
                  struct sj_err *err)
{
    *child_status = -1;
    watch_signals();
    if (!opts->from)
        return sj_live_run(opts, sink, &stop, child_status, err);
    int status = sj_input_run(opts->from, &opts->filter, sink, err);
    if (status > 0) {
        sj_complain(0, "%s", err->text);
        return 0;
    }
    return status;
}
