// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "base/clock.h"
#include "serve/daemon.h"

#define TELL_AGAIN_NS (60 * SJ_SECOND_NS)

struct sj_now sj_daemon_now(void)
{
    return (struct sj_now){.mono_ns = sj_clock_ns(CLOCK_MONOTONIC), .real_ns = sj_clock_ns(CLOCK_REALTIME)};
}

static bool wanted(void *ctx, const struct sj_series_id *id)
{
    return sj_watch_wants(ctx, id);
}

static int on_slice(void *ctx, const struct sj_series_id *id, const struct sj_cell *cell, const struct sj_hist *counted)
{
    const struct sj_slice slice = {.id = *id, .cell = cell, .counted = counted};
    return sj_watch_slice(ctx, &slice);
}

struct teller {
    struct sj_daemon *daemon;
    struct sj_err *err;
};

static int on_alert(void *ctx, const struct sj_alert *alert)
{
    struct teller *t = ctx;
    struct sj_out out;
    if (sj_out_init(&out, -1, "an alert", t->err))
        return -1;
    sj_message_put_alert(&out, alert);
    int status = out.error ? sj_fail(t->err, EX_OSERR, "out of memory")
                           : sj_channel_send(t->daemon->channel, SJ_MSG_ALERT, 0, 0, out.buf, out.len, t->err);
    sj_out_fini(&out);
    t->daemon->state_changed = true;
    return status;
}

/* What the watch returns: -1 is on_alert's, which has told why. */
static int outcome(int rc, struct sj_err *err)
{
    return rc == -ENOMEM ? sj_fail(err, EX_OSERR, "out of memory") : rc;
}

int sj_daemon_tell_alerts(struct sj_daemon *d, struct sj_err *err)
{
    struct teller t = {d, err};
    d->told_ns = sj_daemon_now().mono_ns;
    return outcome(sj_watch_alerts(d->watch, on_alert, &t), err);
}

int sj_daemon_save(struct sj_daemon *d, struct sj_err *err)
{
    struct sj_now now = sj_daemon_now();
    struct sj_out out;
    if (sj_out_init(&out, -1, "the state", err))
        return -1;
    sj_watch_save(d->watch, now, &out);
    int status = out.error ? sj_fail(err, EX_OSERR, "out of memory")
                           : sj_channel_send(d->channel, SJ_MSG_STATE, 0, 0, out.buf, out.len, err);
    sj_out_fini(&out);
    d->saved_ns = now.mono_ns;
    d->state_changed = false;
    return status;
}

int sj_daemon_evaluate(struct sj_daemon *d, struct sj_err *err)
{
    struct sj_now now = sj_daemon_now();
    struct teller t = {d, err};
    if (now.mono_ns - d->evaluated_ns < d->config->interval_ns)
        return 0;
    d->evaluated_ns = now.mono_ns;
    if (outcome(sj_series_drain(d->series, on_slice, d->watch), err) ||
        outcome(sj_watch_evaluate(d->watch, now, on_alert, &t), err))
        return -1;
    if (now.mono_ns - d->told_ns >= TELL_AGAIN_NS && sj_daemon_tell_alerts(d, err))
        return -1;
    bool due =
        d->state_changed ? now.mono_ns - d->saved_ns >= SJ_SECOND_NS : now.mono_ns - d->saved_ns >= TELL_AGAIN_NS;
    int left = due ? sj_channel_flush(d->channel, err) : 1;
    /* What does not get through would only be old when it does. */
    return left > 0 ? 0 : left < 0 ? -1 : sj_daemon_save(d, err);
}

void sj_daemon_watch(struct sj_daemon *d)
{
    sj_series_watch(d->series, wanted, d->watch);
}

int sj_daemon_configure(struct sj_daemon *d, const char *text, size_t n, struct sj_err *err)
{
    struct sj_config *config;
    if (sj_config_parse(text, n, "the new configuration", &config, err))
        return -1;
    if (sj_watch_reload(d->watch, config) < 0) {
        sj_config_free(config);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    sj_config_free(d->config);
    d->config = config;
    sj_daemon_watch(d);
    d->state_changed = true;
    return sj_daemon_tell_alerts(d, err);
}
