// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "courier/deliveries.h"
#include "serve/message.h"

/*
 * A world for the deliveries whose time and disk the test makes, and whose receivers it plays: the functions of
 * notify/notify.h are defined here, and an attempt stays under way until the test answers it.
 */

#define DAY_NS (86400 * SJ_SECOND_NS)
#define WORLD_START_NS (1795636800 * SJ_SECOND_NS) /* of the day, when mono is 1000 s */

struct sj_notify {
    unsigned refs;
    enum sj_notifier_kind kind;
    char key[33]; /* begins with the name */
    size_t batch, parallel;
    uint64_t resend_ns;
    const char *only; /* the alert's name; NULL: all */
};

struct sj_attempt {
    struct sj_attempt *next;
    struct sj_notify *notify;
    sj_send_fn fn;
    void *ctx;
    size_t n;
    struct {
        char id[SJ_ALERT_ID_SIZE];
        bool firing;
        uint64_t starts_ns;
    } of[64];
};

static struct sj_attempt *world_attempts; /* under way, the oldest first */
static char world_log[8192];              /* "NAME:ID+ NAME:ID- ...": what was sent and not looked at yet */
static unsigned world_receivers;          /* that there are */

void sj_notify_unref(struct sj_notify *n)
{
    if (n && --n->refs == 0) {
        world_receivers--;
        free(n);
    }
}

const char *sj_notify_name(const struct sj_notify *n)
{
    return n->key;
}

const char *sj_notify_key(const struct sj_notify *n)
{
    return n->key;
}

enum sj_notifier_kind sj_notify_kind(const struct sj_notify *n)
{
    return n->kind;
}

size_t sj_notify_batch(const struct sj_notify *n)
{
    return n->batch;
}

size_t sj_notify_parallel(const struct sj_notify *n)
{
    return n->parallel;
}

uint64_t sj_notify_resend_ns(const struct sj_notify *n)
{
    return n->resend_ns;
}

bool sj_notify_wants(const struct sj_notify *n, const struct sj_labels *labels)
{
    return !n->only || strcmp(sj_labels_get(labels, "alertname"), n->only) == 0;
}

struct sj_attempt *sj_notify_send(struct sj_notify *n, const struct sj_notice *notices, size_t count, sj_send_fn fn,
                                  void *ctx)
{
    struct sj_attempt *a = calloc(1, sizeof(*a)), **last = &world_attempts;
    assert_non_null(a);
    assert_true(count > 0 && count <= n->batch);
    *a = (struct sj_attempt){.notify = n, .fn = fn, .ctx = ctx, .n = count};
    n->refs++;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(world_log);
        memcpy(a->of[i].id, notices[i].alert->id, sizeof(a->of[i].id));
        a->of[i].firing = notices[i].firing;
        a->of[i].starts_ns = notices[i].alert->starts_real_ns;
        assert_string_equal(notices[i].host, "host");
        snprintf(world_log + used, sizeof(world_log) - used, "%s%.*s:%s%s", used ? " " : "", (int)strcspn(n->key, "-"),
                 n->key, a->of[i].id, a->of[i].firing ? "+" : "-");
    }
    while (*last)
        last = &(*last)->next;
    *last = a;
    return a;
}

void sj_attempt_cancel(struct sj_attempt *a)
{
    struct sj_attempt **at = &world_attempts;
    while (*at && *at != a)
        at = &(*at)->next;
    if (*at)
        *at = a->next;
    sj_notify_unref(a->notify);
    free(a);
}

struct world {
    struct sj_deliveries *d;
    struct sj_notify_env env;
    struct sj_now now;
    bool dirty; /* something is to be on disk that is not */
    char *file; /* what is on disk; NULL: nothing */
    size_t length;
};

static inline void world_changed(void *ctx)
{
    ((struct world *)ctx)->dirty = true;
}

static inline struct sj_now world_now(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static inline void world_begin(struct world *w)
{
    const struct sj_deliveries_hooks hooks = {.changed = world_changed, .now = world_now, .ctx = w};
    w->env = (struct sj_notify_env){.host = "host"};
    w->d = sj_deliveries_new(&w->env, &hooks);
    assert_non_null(w->d);
}

static inline struct world made_world(void)
{
    world_attempts = NULL; /* whatever a test that failed has left */
    world_log[0] = '\0';
    world_receivers = 0;
    return (struct world){.now = {.mono_ns = 1000 * SJ_SECOND_NS, .real_ns = WORLD_START_NS}};
}

/* Gives the name as key, as long as keys are. */
static inline struct sj_notify *receiver(const char *name, enum sj_notifier_kind kind)
{
    struct sj_notify *n = calloc(1, sizeof(*n));
    assert_non_null(n);
    *n = (struct sj_notify){.refs = 1, .kind = kind, .batch = 1, .parallel = 4};
    if (kind == SJ_NOTIFY_ALERTMANAGER)
        *n = (struct sj_notify){.refs = 1, .kind = kind, .batch = 64, .parallel = 1, .resend_ns = 60 * SJ_SECOND_NS};
    memset(n->key, '-', sizeof(n->key) - 1);
    memcpy(n->key, name, strlen(name));
    world_receivers++;
    return n;
}

/* These receivers from now on; the list ends with NULL. */
static inline void receivers(struct world *w, struct sj_notify *first, struct sj_notify *second)
{
    struct sj_notify **list = calloc(2, sizeof(struct sj_notify *));
    assert_non_null(list);
    list[0] = first;
    list[1] = second;
    assert_int_equal(sj_deliveries_receivers(w->d, list, second ? 2 : first ? 1 : 0), 0);
}

/* The collector tells of an alert, called NAME with the id; it fires since start, and ended at the end. */
static inline void tell(struct world *w, const char *id, enum sj_alert_state state, uint64_t start_s, uint64_t end_s)
{
    struct sj_label label = {"alertname", id[0] == 'b' ? "other" : "slow"};
    struct sj_alert a = {.name = label.value,
                         .labels = {&label, 1},
                         .state = state,
                         .active_real_ns = WORLD_START_NS,
                         .starts_real_ns = start_s ? WORLD_START_NS + start_s * SJ_SECOND_NS : 0,
                         .ends_real_ns = end_s ? WORLD_START_NS + end_s * SJ_SECOND_NS : 0};
    struct sj_out out;
    struct sj_err err = {.text = ""};
    snprintf(a.id, sizeof(a.id), "%s", id);
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    sj_message_put_alert(&out, &a);
    if (sj_deliveries_alert(w->d, out.buf, out.len, &err) != 0)
        fail_msg("%s", err.text);
    sj_out_fini(&out);
}

static inline void fires(struct world *w, const char *id, uint64_t start_s)
{
    tell(w, id, SJ_ALERT_FIRING, start_s, 0);
}

static inline void resolves(struct world *w, const char *id, uint64_t start_s, uint64_t end_s)
{
    tell(w, id, SJ_ALERT_RESOLVED, start_s, end_s);
}

/* What has changed reaches the disk, or not. */
static inline void disk(struct world *w, bool works)
{
    struct sj_out out;
    if (!w->dirty)
        return;
    w->dirty = false;
    assert_int_equal(sj_out_init(&out, -1, "memory", NULL), 0);
    sj_deliveries_write(w->d, &out);
    if (works) {
        free(w->file);
        w->file = malloc(out.len);
        assert_non_null(w->file);
        memcpy(w->file, out.buf, out.len);
        w->length = out.len;
    }
    sj_out_fini(&out);
    sj_deliveries_saved(w->d, works);
}

/* Lets time pass, tick by tick, with a disk that works. */
static inline void pass(struct world *w, uint64_t ns, uint64_t tick_ns)
{
    for (uint64_t end = w->now.mono_ns + ns; w->now.mono_ns < end;) {
        w->now.mono_ns += tick_ns;
        w->now.real_ns += tick_ns;
        sj_deliveries_tick(w->d);
        disk(w, true);
    }
}

/* Answers what is under way the longest. */
static inline void answer_after(struct world *w, enum sj_send_outcome outcome, uint64_t retry_after_ns)
{
    const struct sj_send_result result = {.outcome = outcome, .retry_after_ns = retry_after_ns, .text = "so it is"};
    struct sj_attempt *a = world_attempts;
    assert_non_null(a);
    (void)w;
    a->fn(a->ctx, &result);
    sj_attempt_cancel(a);
}

static inline void answer(struct world *w, enum sj_send_outcome outcome)
{
    answer_after(w, outcome, 0);
}

static inline void assert_sent(const char *wanted)
{
    if (strcmp(world_log, wanted) != 0)
        fail_msg("sent '%s', not '%s'", world_log, wanted);
    world_log[0] = '\0';
}

/* kill -9: whatever was under way is gone, and what is on disk stays. */
static inline void crash(struct world *w)
{
    sj_deliveries_free(w->d);
    assert_null(world_attempts);
    assert_int_equal(world_receivers, 0);
    w->d = NULL;
    w->dirty = false;
}

/* The next run, with these receivers and what is on disk. */
static inline void restart(struct world *w, struct sj_notify *first, struct sj_notify *second)
{
    struct sj_err err = {.text = ""};
    world_begin(w);
    receivers(w, first, second);
    if (w->file && sj_deliveries_read(w->d, w->file, w->length, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void world_end(struct world *w)
{
    crash(w);
    free(w->file);
    world_log[0] = '\0';
}
