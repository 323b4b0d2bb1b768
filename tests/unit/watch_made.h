// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series/cell.h"
#include "watch/watch.h"

/* A watch whose time the test makes, and what it told of its alerts. */

#define S 1000000000ULL

struct made_watch {
    struct sj_config *config;
    struct sj_watch *w;
    struct sj_now now;
    char told[4096]; /* "name[service] state; ..." of the latest evaluation */
};

static inline struct sj_config *made_config(const char *text)
{
    struct sj_config *c = NULL;
    struct sj_err err = {0};
    if (sj_config_parse(text, strlen(text), "t.yaml", &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static inline struct made_watch made_watch(const char *text)
{
    struct made_watch m = {.config = made_config(text), .now = {5 * S, 1795338000 * S}};
    m.w = sj_watch_new(m.config, m.now);
    assert_non_null(m.w);
    return m;
}

static inline void made_watch_free(struct made_watch *m)
{
    sj_watch_free(m->w);
    sj_config_free(m->config);
}

static inline struct sj_series_id made_id(const char *service)
{
    return (struct sj_series_id){.service = service,
                                 .container = "",
                                 .operation = "",
                                 .role = SJ_ROLE_SERVER,
                                 .protocol = SJ_PROTO_HTTP,
                                 .port = 80};
}

/* n requests of one latency, the first `errors` of them errors. */
static inline void made_requests(struct made_watch *m, const struct sj_series_id *id, uint64_t n, uint64_t errors,
                                 uint64_t latency_ns)
{
    struct sj_cell cell = {0};
    struct sj_request r = {.service = id->service,
                           .comm = "",
                           .container = id->container,
                           .operation = id->operation,
                           .status = "",
                           .unix_path = "",
                           .role = id->role,
                           .total_ns = latency_ns};
    r.stage_ns[SJ_STAGE_QUEUE] = latency_ns / 2;
    r.stage_ns[SJ_STAGE_ONCPU] = latency_ns - latency_ns / 2;
    for (uint64_t i = 0; i < n; i++) {
        r.flags = i < errors ? SJ_REQ_ERROR : 0;
        assert_int_equal(sj_cell_add(&cell, &r), 0);
    }
    const struct sj_slice slice = {.id = *id, .cell = &cell};
    assert_int_equal(sj_watch_slice(m->w, &slice), 0);
    sj_cell_clear(&cell);
}

static inline int made_note(void *ctx, const struct sj_alert *a)
{
    struct made_watch *m = ctx;
    size_t used = strlen(m->told);
    snprintf(m->told + used, sizeof(m->told) - used, "%s%s[%s] %s", used ? "; " : "", a->name,
             sj_labels_get(&a->labels, "service"), sj_alert_state_name(a->state));
    return 0;
}

/* Lets time pass and evaluates; returns what changed. */
static inline const char *made_tick(struct made_watch *m, uint64_t ns)
{
    m->now.mono_ns += ns;
    m->now.real_ns += ns;
    m->told[0] = '\0';
    assert_int_equal(sj_watch_evaluate(m->w, m->now, made_note, m), 0);
    return m->told;
}

/* All alerts that there are. */
static inline const char *made_alerts(struct made_watch *m)
{
    m->told[0] = '\0';
    assert_int_equal(sj_watch_alerts(m->w, made_note, m), 0);
    return m->told;
}
