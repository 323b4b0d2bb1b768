// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <math.h>

#include "series/report.h"

#include "fit_draw.h"
#include "made_request.h"

/* A report over requests that a test adds. */
struct made_report {
    struct sj_measurement measurement;
    struct sj_outcome outcome;
    struct sj_series *series;
    struct sj_snapshot snapshot;
    struct sj_report_fits fits;
    struct sj_report report;
};

static inline void made_report_init(struct made_report *m)
{
    *m = (struct made_report){
        .measurement = made_measurement(),
        .outcome = {.duration_s = 10, .kernel_seconds_per_request = NAN, .user_cpu_ratio = NAN},
        .series = sj_series_new(NULL),
    };
    m->report = (struct sj_report){&m->measurement, &m->outcome, &m->snapshot, NULL};
    if (!m->series)
        abort();
}

static inline void made_report_add(struct made_report *m, const struct sj_request *r)
{
    if (sj_series_add(m->series, r) < 0)
        abort();
    m->outcome.completeness.detailed++;
    m->outcome.completeness.unparsed += (r->flags & SJ_REQ_UNPARSED) != 0;
}

/* n requests of a server whose totals are lognormal, 2.5 ms in the middle, all of them on-cpu. */
static inline void made_report_lognormal(struct made_report *m, const char *service, int n)
{
    struct random_state random = {.state = 11};
    struct sj_request r = made_server_request();
    memset(r.stage_ns, 0, sizeof(r.stage_ns));
    memset(r.blocked_ns, 0, sizeof(r.blocked_ns));
    r.service = service;
    for (int i = 0; i < n; i++) {
        r.total_ns = r.stage_ns[SJ_STAGE_ONCPU] = (uint64_t)(1e9 * draw_lognormal(&random, -6, 0.8));
        made_report_add(m, &r);
    }
}

/* n turns of nginx that took ns each, half of it on-cpu, half blocked. */
static inline void made_report_count(struct made_report *m, uint64_t n, uint64_t ns, bool pipelined)
{
    struct sj_counted c = {.service = "nginx", .role = SJ_ROLE_SERVER, .protocol = SJ_PROTO_HTTP, .port = 8080};
    sj_hist_init(&c.total);
    c.lower_bound = pipelined;
    c.stage_sum_ns[SJ_STAGE_ONCPU] = c.stage_sum_ns[SJ_STAGE_BLOCKED] = n * ns / 2;
    if (sj_hist_add_n(&c.total, ns, n) < 0 || sj_series_add_counted(m->series, &c) < 0)
        abort();
    sj_hist_free(&c.total);
    m->outcome.completeness.counted_only += n;
    m->outcome.completeness.lower_bound |= pipelined;
}

static inline const struct sj_report *made_report_done(struct made_report *m)
{
    if (sj_series_snapshot(m->series, &m->snapshot) < 0)
        abort();
    return &m->report;
}

/* The same with fits. */
static inline const struct sj_report *made_report_fitted(struct made_report *m)
{
    made_report_done(m);
    if (sj_report_fits_make(&m->snapshot, &m->fits, NULL) < 0)
        abort();
    m->report.fits = &m->fits;
    return &m->report;
}

static inline void made_report_fini(struct made_report *m)
{
    sj_report_fits_free(&m->fits);
    sj_snapshot_free(&m->snapshot);
    sj_series_free(m->series);
}
