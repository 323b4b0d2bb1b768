// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include "clk.h"
#include "cmds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Connections being opened at one time while all connect first: less than any backlog. */
#define OPENING 256

static volatile sig_atomic_t stop_flag;

static void on_stop(int signal)
{
    (void)signal;
    stop_flag = 1;
}

bool sj_lane_has_work(const struct sj_lane *lane)
{
    const struct sj_run *run = lane->run;
    if (lane->taken >= lane->quota || *run->stop)
        return false;
    return !run->opts.duration || sj_clk_now() < run->t0 + run->opts.duration;
}

/* Number of the lane's k-th request, from 0 on: the lanes take turns. */
static uint64_t number(const struct sj_lane *lane, uint64_t k)
{
    return lane->index + k * lane->run->opts.threads;
}

static uint64_t intended(const struct sj_lane *lane, uint64_t k)
{
    const struct sj_run *run = lane->run;
    uint64_t n = number(lane, k);
    return run->t0 + (run->schedule ? run->schedule[n] : (uint64_t)((double)n * 1e9 / run->opts.rate));
}

struct sj_flight sj_lane_take(struct sj_lane *lane)
{
    struct sj_flight f = {.n = number(lane, lane->taken) + 1};
    if (lane->run->opts.rate > 0)
        f.intended_ns = intended(lane, lane->taken);
    lane->taken++;
    return f;
}

void sj_lane_push_idle(struct sj_lane *lane, struct sj_slot *slot)
{
    slot->idle = true;
    slot->next_idle = NULL;
    if (lane->first_idle)
        lane->last_idle->next_idle = slot;
    else
        lane->first_idle = slot;
    lane->last_idle = slot;
    if (slot->state != SJ_SLOT_CLOSED)
        lane->ready++;
}

struct sj_slot *sj_lane_pop_idle(struct sj_lane *lane)
{
    struct sj_slot *slot = lane->first_idle;
    if (!slot)
        return NULL;
    lane->first_idle = slot->next_idle;
    slot->idle = false;
    if (slot->state != SJ_SLOT_CLOSED)
        lane->ready--;
    return slot;
}

void sj_lane_check_end(struct sj_lane *lane)
{
    struct sj_slot *spare;
    while (!lane->run->opts.idle_after && (spare = sj_lane_pop_idle(lane)))
        sj_slot_hang_up(spare);
    if (lane->busy || lane->ending)
        return;
    lane->ending = true;
    sj_loop_arm(&lane->loop, &lane->timer, sj_clk_now() + lane->run->opts.idle_after);
}

static void arrive(struct sj_lane *lane)
{
    uint64_t now = sj_clk_now();
    while (lane->arrived < lane->quota && intended(lane, lane->arrived) <= now)
        lane->arrived++;
    if (lane->arrived < lane->quota)
        sj_loop_arm(&lane->loop, &lane->timer, intended(lane, lane->arrived));
    while (lane->arrived > lane->taken && lane->first_idle && sj_lane_has_work(lane))
        sj_slot_ask(sj_lane_pop_idle(lane));
    if (!sj_lane_has_work(lane))
        sj_lane_check_end(lane);
}

static void begin(struct sj_lane *lane)
{
    lane->gathering = false;
    for (uint64_t i = 0; i < lane->n_slots; i++)
        sj_slot_next(&lane->slots[i]);
    if (lane->run->opts.rate > 0)
        arrive(lane);
}

/* All lanes meet here twice; in between the first one sets the time that all count from. */
static void start_together(struct sj_lane *lane)
{
    struct sj_run *run = lane->run;
    pthread_barrier_wait(&run->together);
    if (lane->index == 0) {
        run->t0 = sj_clk_now();
        if (run->opts.align)
            run->t0 += run->opts.align - run->t0 % run->opts.align;
    }
    pthread_barrier_wait(&run->together);
    sj_loop_arm(&lane->loop, &lane->timer, run->t0);
}

static void open_more(struct sj_lane *lane)
{
    while (lane->opening < lane->n_slots && lane->opening - lane->gathered < OPENING)
        sj_slot_connect(&lane->slots[lane->opening++]);
}

void sj_lane_gathered(struct sj_lane *lane)
{
    lane->gathered++;
    if (lane->gathered == lane->n_slots)
        start_together(lane);
    else if (lane->opening - lane->gathered == OPENING / 2)
        open_more(lane);
}

static void on_timer(void *arg)
{
    struct sj_lane *lane = arg;
    if (lane->ending)
        lane->loop.stop = true;
    else if (lane->gathering)
        begin(lane);
    else
        arrive(lane);
}

static int lane_open(struct sj_lane *lane, struct sj_run *run, uint64_t index, struct sj_err *err)
{
    const struct sj_client_opts *o = &run->opts;
    *lane = (struct sj_lane){.run = run, .index = index, .loop = {.ep = -1, .timer_fd = -1}, .io.pipe = {-1, -1}};
    lane->quota = o->requests / o->threads + (index < o->requests % o->threads);
    lane->n_slots = o->connections / o->threads + (index < o->connections % o->threads);
    lane->timer = (struct sj_timer){.fire = on_timer, .arg = lane};
    lane->gathering = true;
    lane->slots = calloc(lane->n_slots, sizeof(*lane->slots));
    if (!lane->slots)
        return sj_fail(err, EX_OSERR, "out of memory");
    for (uint64_t i = 0; i < lane->n_slots; i++) {
        sj_slot_init(&lane->slots[i], lane, index + i * o->threads);
        if (!lane->slots[i].flights)
            return sj_fail(err, EX_OSERR, "out of memory");
    }
    if (run->log_fd >= 0 && sj_out_init(&lane->log, run->log_fd, "the log", err))
        return -1;
    if (sj_loop_open(&lane->loop, err))
        return -1;
    return sj_io_open(&lane->io, (enum sj_io_mode)o->io, o->timeout, err);
}

static void lane_close(struct sj_lane *lane)
{
    for (uint64_t i = 0; lane->slots && i < lane->n_slots; i++)
        sj_slot_free(&lane->slots[i]);
    free(lane->slots);
    sj_loop_close(&lane->loop);
    sj_io_close(&lane->io);
    sj_tally_free(&lane->tally);
    sj_buf_free(&lane->path);
    if (lane->log.buf)
        sj_out_fini(&lane->log);
}

static void *lane_run(void *arg)
{
    struct sj_lane *lane = arg;
    const struct sj_client_opts *o = &lane->run->opts;
    if (o->connect_first || o->rate > 0)
        open_more(lane);
    else
        start_together(lane);
    sj_loop_run(&lane->loop);
    return NULL;
}

static int run_lanes(struct sj_run *run, struct sj_lane *lanes, struct sj_err *err)
{
    const struct sj_client_opts *o = &run->opts;
    for (uint64_t i = 0; i < o->threads; i++)
        if (lane_open(&lanes[i], run, i, err))
            return -1;
    if (pthread_barrier_init(&run->together, NULL, (unsigned int)o->threads))
        return sj_fail(err, EX_OSERR, "cannot make a barrier");
    for (uint64_t i = 1; i < o->threads; i++) {
        if (pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i])) {
            /* The others wait at the barrier for this one. */
            fputs("load client: cannot start a thread\n", stderr);
            exit(EX_OSERR);
        }
    }
    lane_run(&lanes[0]);
    for (uint64_t i = 1; i < o->threads; i++)
        pthread_join(lanes[i].thread, NULL);
    pthread_barrier_destroy(&run->together);
    return 0;
}

/* Prints the result; the exit status says whether all requests went as they should. */
static int report(const struct sj_run *run, const struct sj_lane *lanes, struct sj_err *err)
{
    struct sj_tally *total = calloc(1, sizeof(*total));
    struct sj_out out;
    if (!total)
        return sj_fail(err, EX_OSERR, "out of memory");
    for (uint64_t i = 0; i < run->opts.threads; i++)
        sj_tally_merge(total, &lanes[i].tally);
    uint64_t end = sj_clk_now() - run->opts.idle_after;
    int rc = sj_out_init(&out, STDOUT_FILENO, "standard output", err);
    if (!rc) {
        sj_tally_json(total, end > run->t0 ? (double)(end - run->t0) / 1e9 : 0, &out);
        rc = sj_out_flush(&out, err);
        sj_out_fini(&out);
    }
    if (!rc && total->errors)
        rc = 1;
    sj_tally_free(total);
    free(total);
    return rc;
}

static int open_log(struct sj_run *run, struct sj_err *err)
{
    run->log_fd = -1;
    if (!run->opts.log)
        return 0;
    run->log_fd = open(run->opts.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    return run->log_fd < 0 ? sj_fail(err, EX_CANTCREAT, "cannot write %s: %s", run->opts.log, strerror(errno)) : 0;
}

static int flush_logs(const struct sj_run *run, struct sj_lane *lanes, struct sj_err *err)
{
    for (uint64_t i = 0; run->log_fd >= 0 && i < run->opts.threads; i++)
        if (lanes[i].log.len && sj_out_flush(&lanes[i].log, err))
            return -1;
    return 0;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int sj_cmd_client(int argc, char *const *argv, struct sj_err *err)
{
    struct sj_run run;
    if (sj_client_options(&run, argc, argv, err))
        return -1;
    if (run.opts.help)
        return 0;
    run.stop = &stop_flag;
    if (run.opts.name)
        prctl(PR_SET_NAME, run.opts.name);
    prctl(PR_SET_TIMERSLACK, 1UL);
    catch_signals();
    sj_addr_many_files();
    int rc = -1;
    struct sj_lane *lanes = calloc(run.opts.threads, sizeof(*lanes));
    if (!lanes)
        sj_fail(err, EX_OSERR, "out of memory");
    else if (!open_log(&run, err) && !run_lanes(&run, lanes, err) && !flush_logs(&run, lanes, err))
        rc = report(&run, lanes, err);
    if (run.log_fd >= 0)
        close(run.log_fd);
    for (uint64_t i = 0; lanes && i < run.opts.threads; i++)
        if (lanes[i].run)
            lane_close(&lanes[i]);
    free(lanes);
    free(run.schedule);
    return rc;
}
