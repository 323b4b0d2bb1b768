// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>

#include "export/endpoint.h"
#include "export/exposition_families.h"
#include "export/exposition_rows.h"
#include "series/report.h"

/* What was asked and how long it took: the metrics that have the labels service_name, role, protocol and operation. */

#define ROW_LABELS 4
#define EXEMPLAR_LABELS 2

/* Bounds at every second power of two: there are several stages to a request. */
#define STAGE_STEP 2

static const struct sj_metric_family durations = {
    "sojourn_request_duration_seconds", "seconds",
    "Time that requests spent in the system, from their first byte to the last one of the answer.",
    SJ_METRIC_HISTOGRAM};
static const struct sj_metric_family stages = {
    "sojourn_stage_duration_seconds", "seconds",
    "Time that requests spent in a stage, of those in which it is known; stages of a request sum to its duration.",
    SJ_METRIC_HISTOGRAM};
static const struct sj_metric_family requests = {
    "sojourn_requests", "", "Requests by the class of their status; unknown where there is none or it was not seen.",
    SJ_METRIC_COUNTER};
static const struct sj_metric_family errors = {
    "sojourn_errors", "", "Requests that failed, as their protocol has it: HTTP 5xx, a connection that was reset.",
    SJ_METRIC_COUNTER};

/* The rows of one series. */
struct group {
    const struct sj_exposition *e;
    const struct sj_row *rows;
    size_t n;
};

static void row_labels(const struct sj_row *r, struct sj_label labels[ROW_LABELS])
{
    labels[0] = (struct sj_label){"service_name", r->service};
    labels[1] = (struct sj_label){"role", sj_role_name((enum sj_role)r->role)};
    labels[2] = (struct sj_label){"protocol", sj_protocol_name((enum sj_protocol)r->protocol)};
    labels[3] = (struct sj_label){"operation", r->operation};
}

/* CLOCK_MONOTONIC as a time of day; what was before the start was at the start. */
static uint64_t real_time(const struct sj_exposition *e, uint64_t mono_ns)
{
    const struct sj_measurement *m = e->measurement;
    return m->start_real_ns + (mono_ns > m->start_mono_ns ? mono_ns - m->start_mono_ns : 0);
}

static uint64_t created(const struct group *g)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < g->n; i++)
        first = g->rows[i].created_ns < first ? g->rows[i].created_ns : first;
    return real_time(g->e, first);
}

/* Calls fn for each series of rows that a metric of this kind has. */
static int each_group(const struct sj_exposition *e, enum sj_kind kind, struct sj_encoder *encoder,
                      int (*fn)(struct sj_encoder *, const struct group *))
{
    struct sj_rows rows;
    int rc = sj_rows_make(e->snapshot, kind, &rows);
    if (rc < 0)
        return rc;
    for (size_t i = 0, end; i < rows.n && rc == 0; i = end) {
        end = sj_rows_end(&rows, i);
        const struct group g = {e, &rows.v[i], end - i};
        sj_encode_since(encoder, created(&g));
        rc = fn(encoder, &g);
    }
    sj_rows_free(&rows);
    return rc;
}

/* ---- histograms ---- */

/*
 * Sums histograms up. The only one is used as it is: copies cost, and most series have one row. `sum` is scratch, to
 * be freed; the result is NULL when there is nothing.
 */
struct adder {
    const struct sj_hist *only;
    struct sj_hist sum;
    int rc;
};

static void add_hist(struct adder *a, const struct sj_hist *h)
{
    if (!h || h->count == 0)
        return;
    if (!a->only) {
        a->only = h;
        return;
    }
    if (a->only != &a->sum) {
        sj_hist_init(&a->sum);
        if (sj_hist_copy(&a->sum, a->only) < 0)
            a->rc = -ENOMEM;
        a->only = &a->sum;
    }
    if (sj_hist_merge(&a->sum, h) < 0)
        a->rc = -ENOMEM;
}

/*
 * The latest of the rows' examples, NULL without: one for a series, since a reader takes no example that is older than
 * one it has had of the series. The text is the peer's address.
 */
static const struct sj_exemplar *example_of(const struct group *g)
{
    const struct sj_exemplar *latest = NULL;
    for (size_t i = 0; i < g->n; i++) {
        const struct sj_exemplar *e = g->rows[i].exemplar;
        if (e && (!latest || e->mono_ns > latest->mono_ns))
            latest = e;
    }
    return latest;
}

static int put_durations(struct sj_encoder *encoder, const struct group *g)
{
    char pid[12], peer[SJ_ENDPOINT_SIZE];
    struct sj_label who[EXEMPLAR_LABELS] = {{"pid", pid}, {"peer", peer}};
    struct sj_metric_exemplar exemplar = {.labels = who};
    const struct sj_exemplar *example = example_of(g);
    struct sj_label labels[ROW_LABELS];
    struct adder total = {0};
    row_labels(g->rows, labels);
    for (size_t i = 0; i < g->n; i++) {
        add_hist(&total, g->rows[i].cell ? &g->rows[i].cell->total : NULL);
        add_hist(&total, g->rows[i].counted);
    }
    if (example) {
        snprintf(pid, sizeof(pid), "%u", example->pid);
        exemplar.n_labels = sj_endpoint_text(peer, &example->peer) > 0 ? 2 : 1;
        exemplar.value_ns = example->total_ns;
        exemplar.real_ns = real_time(g->e, example->mono_ns);
    }
    const struct sj_metric_histogram h = {
        .hist = total.only, .step = 1, .exemplars = &exemplar, .n_exemplars = example != NULL};
    if (total.rc == 0)
        sj_encode_histogram(encoder, labels, ROW_LABELS, &h);
    sj_hist_free(&total.sum);
    return total.rc;
}

/* A stage that did not happen took 0 s: those requests are in no histogram of the cell, but known. */
static int put_stage(struct sj_encoder *encoder, const struct group *g, enum sj_stage stage)
{
    struct sj_label labels[ROW_LABELS + 1];
    struct adder sum = {0};
    uint64_t known = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct sj_cell *c = g->rows[i].cell;
        if (!c)
            continue;
        known += sj_cell_known(c, stage);
        add_hist(&sum, c->stage[stage]);
    }
    uint64_t timed = sum.only ? sum.only->count : 0;
    const struct sj_metric_histogram h = {
        .hist = sum.only,
        .more_zeros = known > timed ? known - timed : 0,
        .step = STAGE_STEP,
    };
    row_labels(g->rows, labels);
    labels[ROW_LABELS] = (struct sj_label){"stage", sj_stage_name(stage)};
    if (sum.rc == 0 && known > 0)
        sj_encode_histogram(encoder, labels, ROW_LABELS + 1, &h);
    sj_hist_free(&sum.sum);
    return sum.rc;
}

static int put_stages(struct sj_encoder *encoder, const struct group *g)
{
    unsigned measured = g->e->measurement->stages & sj_stages_of_role((enum sj_role)g->rows->role);
    int rc = 0;
    for (int i = 0; i < SJ_STAGE_MAX_ && rc == 0; i++)
        if (measured >> i & 1)
            rc = put_stage(encoder, g, (enum sj_stage)i);
    return rc;
}

/* ---- counters ---- */

static int put_requests(struct sj_encoder *encoder, const struct group *g)
{
    static const char *const names[SJ_CLASSES] = {
        [SJ_CLASS_OTHER] = "other", [SJ_CLASS_1XX] = "1xx", [SJ_CLASS_2XX] = "2xx",     [SJ_CLASS_3XX] = "3xx",
        [SJ_CLASS_4XX] = "4xx",     [SJ_CLASS_5XX] = "5xx", [SJ_CLASS_MAX_] = "unknown"};
    struct sj_label labels[ROW_LABELS + 1];
    uint64_t by_class[SJ_CLASSES] = {0};
    for (size_t i = 0; i < g->n; i++) {
        const struct sj_row *row = &g->rows[i];
        uint64_t without = (row->cell ? row->cell->requests : 0) + (row->counted ? row->counted->count : 0);
        for (int k = 0; row->cell && k < SJ_CLASS_MAX_; k++) {
            by_class[k] += row->classes >> k & 1 ? row->cell->classes[k] : 0;
            without -= row->cell->classes[k];
        }
        by_class[SJ_CLASS_MAX_] += row->classes >> SJ_CLASS_MAX_ & 1 ? without : 0;
    }
    row_labels(g->rows, labels);
    for (int k = 0; k < SJ_CLASSES; k++) {
        labels[ROW_LABELS] = (struct sj_label){"status_class", names[k]};
        if (by_class[k])
            sj_encode_value(encoder, labels, ROW_LABELS + 1, (double)by_class[k]);
    }
    return 0;
}

static int put_errors(struct sj_encoder *encoder, const struct group *g)
{
    struct sj_label labels[ROW_LABELS];
    uint64_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        n += g->rows[i].cell ? g->rows[i].cell->errors : 0;
    row_labels(g->rows, labels);
    sj_encode_value(encoder, labels, ROW_LABELS, (double)n);
    return 0;
}

int sj_expose_requests(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    sj_encode_family(encoder, &durations);
    if (each_group(e, SJ_KIND_TOTAL, encoder, put_durations) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &stages);
    if (each_group(e, SJ_KIND_STAGES, encoder, put_stages) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &requests);
    if (each_group(e, SJ_KIND_CLASSES, encoder, put_requests) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &errors);
    return each_group(e, SJ_KIND_TOTAL, encoder, put_errors);
}
