// SPDX-License-Identifier: GPL-3.0-or-later
#include "courier/courier.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "command.h"
#include "courier/courier_state.h"

#define STOP_S 2 /* how long deliveries may take when the program ends */

int sj_courier_tell(struct courier *c, enum sj_message_type type, uint32_t id, const void *data, size_t n)
{
    struct sj_err err;
    int left = sj_channel_send(c->channel, type, 0, id, data, n, &err);
    if (left == 0)
        left = sj_channel_flush(c->channel, &err);
    if (left > 0)
        event_add(c->writable, NULL);
    if (left >= 0)
        return 0;
    if (!c->stopping)
        c->status = sj_complain(err.status, "the collector: %s", err.text);
    c->stopping = true;
    event_base_loopbreak(c->base);
    return -1;
}

static int ask(void *ctx, uint32_t id, const struct sj_scrape *scrape)
{
    return sj_courier_tell(ctx, SJ_MSG_SCRAPE, id, scrape, sizeof(*scrape));
}

/* ---- the state ---- */

static void make_state(void *ctx, enum sj_state_kind kind, struct sj_out *out)
{
    struct courier *c = ctx;
    if (kind == SJ_STATE_DELIVERIES)
        sj_deliveries_write(c->deliveries, out);
    else
        sj_out_write(out, c->watch, c->watch_length);
}

static void state_saved(void *ctx, enum sj_state_kind kind, bool ok)
{
    struct courier *c = ctx;
    if (kind == SJ_STATE_DELIVERIES && !c->ended)
        sj_deliveries_saved(c->deliveries, ok);
}

static void deliveries_changed(void *ctx)
{
    struct courier *c = ctx;
    if (c->saver)
        sj_saver_touch(c->saver, SJ_STATE_DELIVERIES);
}

static struct sj_now read_clocks(void *ctx)
{
    (void)ctx;
    return (struct sj_now){.mono_ns = sj_mono_ns(), .real_ns = sj_real_ns()};
}

static int keep_watch(struct courier *c, const void *data, size_t n, struct sj_err *err)
{
    char *copy = malloc(n ? n : 1);
    if (!copy)
        return sj_fail(err, EX_OSERR, "out of memory");
    memcpy(copy, data, n);
    free(c->watch);
    c->watch = copy;
    c->watch_length = n;
    sj_saver_touch(c->saver, SJ_STATE_WATCH);
    return 0;
}

/* What was saved of the deliveries is taken in, and of the watch handed to the collector. */
static int restore(struct courier *c, struct sj_state_dir *dir, bool usable)
{
    struct sj_err err;
    char *data = NULL;
    size_t n = 0;
    if (usable && sj_state_load(dir, SJ_STATE_DELIVERIES, &data, &n, &err) < 0)
        sj_complain(err.status, "%s", err.text);
    if (data && sj_deliveries_read(c->deliveries, data, n, &err) < 0)
        sj_complain(err.status, "%s; going on without them", err.text);
    free(data);
    data = NULL;
    n = 0;
    if (usable && sj_state_load(dir, SJ_STATE_WATCH, &data, &n, &err) < 0)
        sj_complain(err.status, "%s", err.text);
    if (n > SJ_MESSAGE_MAX)
        n = 0;
    int rc = sj_courier_tell(c, SJ_MSG_RESTORE, 0, data ? data : "", data ? n : 0);
    free(data);
    return rc;
}

/* ---- what the collector says ---- */

static int on_message(void *ctx, const struct sj_message *head, const void *data, struct sj_err *err)
{
    struct courier *c = ctx;
    switch (head->type) {
    case SJ_MSG_READY:
        sj_api_ready(c->api, true);
        sj_deliveries_ready(c->deliveries);
        return 0;
    case SJ_MSG_BODY:
        sj_api_body(c->api, head, data);
        return 0;
    case SJ_MSG_ALERT:
        return sj_deliveries_alert(c->deliveries, data, head->length, err);
    case SJ_MSG_STATE:
        return keep_watch(c, data, head->length, err);
    case SJ_MSG_RELOAD:
        sj_courier_reload(c);
        return 0;
    case SJ_MSG_STOP:
        if (!c->stopping)
            event_add(c->stop, &(struct timeval){.tv_sec = STOP_S});
        c->stopping = true;
        return 0;
    default:
        return sj_fail(err, EX_SOFTWARE, "a message of type %u, which is not its to send", head->type);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct sj_err err;
    (void)fd;
    (void)what;
    int rc = sj_channel_receive(c->channel, on_message, c, &err);
    if (rc == 0 && !(c->stopping && !sj_deliveries_busy(c->deliveries)))
        return;
    if (rc < 0 && !c->stopping)
        c->status = sj_complain(err.status, "the collector: %s", err.text);
    if (rc > 0 && !c->stopping) {
        /* It is gone without a word: killed. What has to survive that is saved below. */
        sj_complain(EX_SOFTWARE, "the collector is gone; ending");
        c->status = EX_SOFTWARE;
    }
    event_base_loopbreak(c->base);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    struct sj_err err;
    (void)fd;
    (void)what;
    int left = sj_channel_flush(c->channel, &err);
    if (left > 0)
        event_add(c->writable, NULL);
    else if (left < 0)
        event_base_loopbreak(c->base);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    (void)fd;
    (void)what;
    event_base_loopbreak(c->base);
}

/* ---- once a second ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    sj_autofree char *text = NULL;
    size_t n;
    if (sj_file_read("/proc/self/statm", 256, &text, &n, NULL) == 0 && strchr(text, ' '))
        pages = strtoull(strchr(text, ' '), NULL, 10);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void tell_status(struct courier *c)
{
    struct rusage used;
    struct sj_web_counts web = sj_web_counts(c->web);
    struct sj_courier_status status = {.rss_bytes = resident_bytes(),
                                       .requests = web.requests,
                                       .requests_denied = web.denied,
                                       .connections = web.connections,
                                       .state_errors = sj_saver_errors(c->saver),
                                       .reloads_failed = c->reloads_failed,
                                       .last_reload_ok = c->last_reload_ok};
    getrusage(RUSAGE_SELF, &used);
    status.cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    sj_deliveries_status(c->deliveries, status.notifiers);
    sj_courier_tell(c, SJ_MSG_COURIER, 0, &status, sizeof(status));
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct courier *c = arg;
    (void)fd;
    (void)what;
    sj_resolver_refresh(c->resolver);
    sj_saver_tick(c->saver);
    sj_deliveries_tick(c->deliveries);
    if (!c->stopping)
        tell_status(c);
    else if (!sj_deliveries_busy(c->deliveries))
        event_base_loopbreak(c->base);
}

/* ---- beginning and end ---- */

static int start_loop(struct courier *c, struct sj_err *err)
{
    int fd = sj_channel_fd(c->channel);
    evutil_make_socket_closeonexec(fd);
    evutil_make_socket_nonblocking(fd);
    c->base = event_base_new();
    if (!c->base)
        return sj_fail(err, EX_OSERR, "there is no event loop to be had");
    c->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(c->base, fd, EV_WRITE, on_writable, c);
    c->tick = event_new(c->base, -1, EV_PERSIST, on_tick, c);
    c->stop = evtimer_new(c->base, on_stop, c);
    if (!c->readable || !c->writable || !c->tick || !c->stop || event_add(c->readable, NULL) < 0 ||
        event_add(c->tick, &(struct timeval){.tv_sec = 1}) < 0)
        return sj_fail(err, EX_OSERR, "out of memory");
    c->resolver = sj_resolver_new(c->base);
    if (!c->resolver)
        return sj_fail(err, EX_OSERR, "out of memory");
    gethostname(c->host, sizeof(c->host) - 1);
    c->env = (struct sj_notify_env){.base = c->base,
                                    .dns = sj_resolver_dns(c->resolver),
                                    .config_path = c->config_path,
                                    .host = c->host,
                                    .resend_ns = sj_setup_resend_ns(c->start_config)};
    return 0;
}

static int start_web(struct courier *c, int listen_fd, struct sj_err *err)
{
    int fd = listen_fd >= 0 ? listen_fd : sj_courier_bind(c->start_config, err);
    if (fd < 0)
        return -1;
    c->hasher = sj_worker_new(c->base, err);
    c->api = sj_api_new(ask, c);
    if (!c->hasher || !c->api) {
        close(fd);
        return c->hasher ? sj_fail(err, EX_OSERR, "out of memory") : -1;
    }
    struct sj_web_hooks hooks = sj_api_hooks(c->api);
    c->web = sj_web_new(c->base, fd, c->hasher, &hooks, err);
    return c->web ? 0 : -1;
}

static int start(struct courier *c, int listen_fd, struct sj_err *err)
{
    struct sj_setup setup = {0};
    struct sj_state_dir *dir;
    if (sj_file_check(c->config_path, err) < 0) /* who started had more rights than this process */
        sj_complain(err->status, "%s; until then SIGHUP changes nothing", err->text);
    if (start_loop(c, err) < 0 || start_web(c, listen_fd, err) < 0)
        return -1;
    c->deliveries = sj_deliveries_new(
        &c->env, &(struct sj_deliveries_hooks){.changed = deliveries_changed, .now = read_clocks, .ctx = c});
    if (!c->deliveries)
        return sj_fail(err, EX_OSERR, "out of memory");
    if (sj_setup_make(c->start_config, &c->env, &setup, err) < 0)
        return -1;
    if (sj_setup_secrets(c->start_config, &c->env, &setup, err) < 0)
        sj_complain(err->status, "%s; alerts for that receiver wait until it is mended", err->text);
    if (sj_setup_apply(c, &setup, err) < 0) {
        sj_setup_free(&setup);
        return -1;
    }
    sj_autofree char *path = sj_file_beside(c->config_path, c->start_config->state_dir);
    int opened = path ? sj_state_open(path, &dir, err) : sj_fail(err, EX_OSERR, "out of memory");
    if (opened < 0)
        return -1;
    if (opened > 0)
        sj_complain(err->status, "%s; alerts do not survive a restart until that is mended", err->text);
    const struct sj_saver_hooks hooks = {.make = make_state, .saved = state_saved, .ctx = c};
    restore(c, dir, opened == 0);
    c->saver = sj_saver_new(c->base, dir, &hooks, err);
    if (!c->saver) {
        sj_state_close(dir);
        return -1;
    }
    if (opened > 0)
        sj_saver_cannot(c->saver);
    return 0;
}

static void finish(struct courier *c)
{
    c->ended = true;         /* what could be sent from here on would be called off, and perhaps told again */
    sj_saver_free(c->saver); /* writes what is not on disk yet */
    c->saver = NULL;
    sj_web_free(c->web);
    sj_worker_free(c->hasher);
    sj_api_free(c->api);
    sj_deliveries_free(c->deliveries);
    sj_resolver_free(c->resolver);
    struct event *const events[] = {c->readable, c->writable, c->tick, c->stop};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i])
            event_free(events[i]);
    if (c->base)
        event_base_free(c->base);
    sj_channel_free(c->channel);
    sj_config_free(c->start_config);
    free(c->watch);
}

int sj_courier_run(struct sj_channel *channel, struct sj_config *config, const struct sj_courier_options *options)
{
    struct courier c = {.channel = channel,
                        .start_config = config,
                        .config_path = options->config_path,
                        .last_reload_ok = true,
                        .status = EX_OK};
    struct sj_err err = {.status = EX_SOFTWARE};
    /* Signals are the collector's, which tells: a terminal or a service manager sends them to both. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is a disk that is full */
    if (start(&c, options->listen_fd, &err) < 0)
        c.status = sj_complain(err.status, "%s", err.text);
    else if (!c.stopping)
        event_base_dispatch(c.base);
    finish(&c);
    return c.status;
}
