// SPDX-License-Identifier: GPL-3.0-or-later
#include "serve/serve.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/live.h"
#include "command.h"
#include "courier/courier.h"
#include "probe/rights.h"
#include "serve/daemon.h"
#include "serve/manager.h"

#define MS 1000000ULL
#define RESTORE_NS (10 * SJ_SECOND_NS)
#define STOP_NS (5 * SJ_SECOND_NS)
#define LARGE (128 << 10) /* bytes of a block that is given back to the system when it is freed */

static volatile sig_atomic_t sj_stop_serving;
static volatile sig_atomic_t sj_stop_reload;

static void on_signal(int number)
{
    if (number == SIGHUP)
        sj_stop_reload = 1;
    else
        sj_stop_serving = 1;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- what the courier says ---- */

static int on_message(void *ctx, const struct sj_message *head, const void *data, struct sj_err *err)
{
    struct sj_daemon *d = ctx;
    struct sj_err why;
    switch (head->type) {
    case SJ_MSG_RESTORE:
        if (d->restored)
            break;
        d->restored = true;
        if (head->length && sj_watch_restore(d->watch, data, head->length, sj_daemon_now(), &why))
            sj_complain(0, "the saved state of the rules is not used: %s", why.text);
        return 0;
    case SJ_MSG_CONFIG:
        if (sj_daemon_configure(d, data, head->length, &why))
            sj_complain(0, "the new configuration is not used: %s", why.text);
        sj_manager_tell(d->manager, "READY=1");
        return 0;
    case SJ_MSG_SCRAPE:
        if (head->length != sizeof(struct sj_scrape))
            break;
        return sj_daemon_asked(d, head->id, data, err);
    case SJ_MSG_COURIER: {
        uint64_t failed = d->courier.reloads_failed;
        if (head->length != sizeof(d->courier))
            break;
        memcpy(&d->courier, data, sizeof(d->courier));
        d->courier_known = true;
        if (d->courier.reloads_failed != failed)
            sj_manager_tell(d->manager, "READY=1"); /* reading again is over, and what was there goes on */
        return 0;
    }
    default:
        break;
    }
    return sj_fail(err, EX_SOFTWARE, "the courier said something out of place");
}

/* Waits at most ns for the courier, and listens to it. */
static int attend(struct sj_daemon *d, uint64_t ns, struct sj_err *err)
{
    if (sj_channel_flush(d->channel, err) < 0 || sj_daemon_answer(d, err))
        return -1;
    short more = sj_channel_backlog(d->channel) ? POLLOUT : 0;
    struct pollfd p = {.fd = sj_channel_fd(d->channel), .events = (short)(POLLIN | more)};
    struct timespec t = {.tv_sec = (time_t)(ns / SJ_SECOND_NS), .tv_nsec = (long)(ns % SJ_SECOND_NS)};
    int n = ppoll(&p, 1, &t, NULL);
    if (n <= 0)
        return 0;
    int status = p.revents & ~POLLOUT ? sj_channel_receive(d->channel, on_message, d, err) : 0;
    if (status > 0)
        return sj_fail(err, EX_SOFTWARE, "the courier, which speaks to the world, has ended");
    return status ? status : sj_daemon_answer(d, err);
}

/* ---- the measurement ---- */

static int out_of_memory(struct sj_err *err)
{
    return sj_fail(err, EX_OSERR, "out of memory");
}

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct sj_daemon *d = ctx;
    d->measurement = *m;
    d->evaluated_ns = m->start_mono_ns;
    sj_watch_begin(d->watch, (struct sj_now){.mono_ns = m->start_mono_ns, .real_ns = m->start_real_ns});
    return sj_series_tick(d->series, m->start_mono_ns) < 0 ? out_of_memory(err) : 0;
}

static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    return sj_series_add(((struct sj_daemon *)ctx)->series, req) < 0 ? out_of_memory(err) : 0;
}

static int on_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    return sj_series_add_counted(((struct sj_daemon *)ctx)->series, counted) < 0 ? out_of_memory(err) : 0;
}

static int on_tick(void *ctx, uint64_t mono_ns, struct sj_err *err)
{
    struct sj_daemon *d = ctx;
    if (sj_series_tick(d->series, mono_ns) < 0 || sj_fits_tick(d->fits, d->series, mono_ns) < 0)
        return out_of_memory(err);
    if (sj_stop_reload) {
        sj_stop_reload = 0;
        sj_manager_reloading(d->manager, mono_ns);
        if (sj_channel_send(d->channel, SJ_MSG_RELOAD, 0, 0, NULL, 0, err))
            return -1;
    }
    return sj_daemon_evaluate(d, err);
}

static int on_ready(void *ctx, struct sj_err *err)
{
    struct sj_daemon *d = ctx;
    static const char line[] = "measuring";
    d->ready = true;
    fprintf(stderr, "%s\n", line);
    sj_manager_tell(d->manager, "READY=1");
    return sj_channel_send(d->channel, SJ_MSG_READY, 0, 0, line, sizeof(line) - 1, err) || sj_daemon_tell_alerts(d, err)
               ? -1
               : 0;
}

static bool on_over(void *ctx)
{
    (void)ctx;
    return sj_stop_serving;
}

static int on_wait(void *ctx, uint64_t ns, struct sj_err *err)
{
    return attend(ctx, ns, err);
}

static int on_status(void *ctx, const struct sj_live_status *status, struct sj_err *err)
{
    struct sj_daemon *d = ctx;
    struct sj_live_gauge *gauges = calloc(status->n_gauges + 1, sizeof(*gauges));
    if (!gauges)
        return out_of_memory(err);
    if (status->n_gauges)
        memcpy(gauges, status->gauges, status->n_gauges * sizeof(*gauges));
    free(d->gauges);
    d->gauges = gauges;
    d->status = *status;
    d->status.gauges = gauges;
    sj_manager_alive(d->manager);
    return 0;
}

static struct sj_measure_options options_of(const struct sj_daemon *d)
{
    static const enum sj_stages_mode stages[] = {[SJ_CONFIG_STAGES_ALL] = SJ_STAGES_ALL,
                                                 [SJ_CONFIG_STAGES_QUEUE] = SJ_STAGES_QUEUE,
                                                 [SJ_CONFIG_STAGES_NONE] = SJ_STAGES_NONE};
    static const char *const sets[] = {[SJ_CONFIG_SET_SOCKET] = "socket", [SJ_CONFIG_SET_SYSCALL] = "syscall"};
    const struct sj_config *c = d->config;
    return (struct sj_measure_options){.filter.protocol = -1,
                                       .stages = stages[c->stages],
                                       .payload = !c->payload_off,
                                       .ring_bytes = c->ring_bytes ? c->ring_bytes : SJ_RING_BYTES_DEFAULT,
                                       .probe_set = sets[c->probe_set],
                                       .companion = (uint32_t)d->child};
}

static int run(struct sj_daemon *d, struct sj_err *err)
{
    const struct sj_sink sink = {
        .ctx = d, .begin = on_begin, .request = on_request, .tick = on_tick, .counted = on_counted};
    const struct sj_live_control control = {.ctx = d,
                                            .rights = SJ_RIGHTS_COLLECTOR,
                                            .ready = on_ready,
                                            .over = on_over,
                                            .wait = on_wait,
                                            .status = on_status};
    const struct sj_measure_options opts = options_of(d);
    for (uint64_t end = sj_daemon_now().mono_ns + RESTORE_NS; !d->restored;) {
        uint64_t now = sj_daemon_now().mono_ns;
        if (now >= end)
            return sj_fail(err, EX_SOFTWARE, "the courier does not say what was saved");
        if (sj_stop_serving)
            return 0;
        if (attend(d, end - now, err))
            return -1;
    }
    return sj_live_run(&opts, &sink, &control, err);
}

/* ---- start and end ---- */

/* The courier ends with the channel; it is for the process that measures to hear of signals. */
static _Noreturn void be_courier(int fd, int listen_fd, const char *config_path, struct sj_config *config)
{
    const struct sj_courier_options options = {.config_path = config_path, .listen_fd = listen_fd};
    struct sj_channel *channel = sj_channel_new(fd);
    struct sj_err err;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (!channel)
        _exit(sj_complain(EX_OSERR, "out of memory"));
    if (sj_rights_drop(SJ_RIGHTS_COURIER, NULL, NULL, NULL, &err))
        _exit(sj_complain(err.status, "%s", err.text));
    _exit(sj_courier_run(channel, config, &options));
}

static int start_courier(struct sj_daemon *d, const char *config_path, struct sj_err *err)
{
    int fd[2];
    int listen_fd = sj_courier_bind(d->config, err);
    if (listen_fd < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0) {
        close(listen_fd);
        return sj_fail(err, EX_OSERR, "cannot make a pair of sockets: %s", strerror(errno));
    }
    d->child = fork();
    if (d->child == 0) {
        close(fd[0]);
        be_courier(fd[1], listen_fd, config_path, d->config);
    }
    close(fd[1]);
    close(listen_fd);
    d->channel = sj_channel_new(fd[0]);
    if (d->child < 0 || !d->channel)
        return sj_fail(err, EX_OSERR, "cannot start the courier: %s", strerror(errno));
    return 0;
}

/*
 * What is left to be told, then the end of the other process, by force if need be. Returns the status it ended with, 0
 * when it has none of its own.
 */
static int stop_courier(struct sj_daemon *d)
{
    struct sj_err err;
    struct timespec pause = {.tv_nsec = (long)(20 * MS)};
    int status = 0;
    sj_manager_tell(d->manager, "STOPPING=1");
    if (d->channel) {
        if (d->restored)
            sj_daemon_save(d, &err);
        sj_channel_send(d->channel, SJ_MSG_STOP, 0, 0, NULL, 0, &err);
    }
    for (uint64_t end = sj_daemon_now().mono_ns + STOP_NS; d->child > 0;) {
        if (waitpid(d->child, &status, WNOHANG) != 0)
            break;
        if (sj_daemon_now().mono_ns >= end)
            kill(d->child, SIGKILL);
        if (d->channel)
            sj_channel_flush(d->channel, &err);
        nanosleep(&pause, NULL);
    }
    sj_channel_free(d->channel);
    if (d->manager >= 0)
        close(d->manager);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

int sj_serve(const char *config_path, struct sj_config *config, struct sj_err *err)
{
    struct sj_daemon d = {.config = config, .manager = -1};
    const struct sj_series_limits limits = {.rows = config->max_series,
                                            .bytes = SJ_SERIES_BYTES,
                                            .idle_ns = config->forget_ns,
                                            .series = config->max_series};
    /* Otherwise the library keeps what the first large answer took, in either process, for the next one. */
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
    int status = start_courier(&d, config_path, err);
    if (!status) {
        handle_signals();
        d.manager = sj_manager_open();
        d.series = sj_series_new(&limits);
        d.watch = sj_watch_new(config, sj_daemon_now());
        status = d.series && d.watch ? 0 : out_of_memory(err);
        if (!status && !(d.fits = sj_fits_new(err)))
            status = -1;
        if (!status)
            sj_daemon_watch(&d);
        status = status ? status : run(&d, err);
    }
    int courier_status = stop_courier(&d);
    if (status && courier_status)
        err->status = courier_status; /* it has said why it ended */
    sj_fits_free(d.fits);
    sj_watch_free(d.watch);
    sj_series_free(d.series);
    sj_daemon_forget_answers(&d);
    free(d.gauges);
    sj_config_free(d.config);
    return status;
}
