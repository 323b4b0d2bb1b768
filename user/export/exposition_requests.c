// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "export/exposition_families.h"
#include "export/exposition_rows.h"
#include "series/report.h"

/* What was asked and how long it took: the metrics that have the labels service_name, role, protocol and operation. */

#define ROW_LABELS 4
#define CLASSES (SJ_CLASS_MAX_ + 1)

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

/* Calls fn for each series of rows that a metric of this width has. */
static int each_group(const struct sj_exposition *e, unsigned width, struct sj_encoder *encoder,
                      int (*fn)(struct sj_encoder *, const struct group *))
{
    struct sj_rows rows;
    int rc = sj_rows_make(e->snapshot, e->max_series, width, &rows);
    if (rc < 0)
        return rc;
    for (size_t i = 0, end; i < rows.n && rc == 0; i = end) {
        end = sj_rows_end(&rows, i);
        const struct group g = {e, &rows.v[i], end - i};
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

static int put_durations(struct sj_encoder *encoder, const struct group *g)
{
    struct sj_label labels[ROW_LABELS];
    struct adder total = {0};
    row_labels(g->rows, labels);
    for (size_t i = 0; i < g->n; i++) {
        add_hist(&total, g->rows[i].cell ? &g->rows[i].cell->total : NULL);
        add_hist(&total, g->rows[i].counted);
    }
    const struct sj_metric_histogram h = {.hist = total.only, .step = 1};
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
    static const char *const names[CLASSES] = {
        [SJ_CLASS_OTHER] = "other", [SJ_CLASS_1XX] = "1xx", [SJ_CLASS_2XX] = "2xx",     [SJ_CLASS_3XX] = "3xx",
        [SJ_CLASS_4XX] = "4xx",     [SJ_CLASS_5XX] = "5xx", [SJ_CLASS_MAX_] = "unknown"};
    struct sj_label labels[ROW_LABELS + 1];
    uint64_t by_class[CLASSES] = {0};
    for (size_t i = 0; i < g->n; i++) {
        const struct sj_cell *c = g->rows[i].cell;
        uint64_t told = 0;
        for (int k = 0; c && k < SJ_CLASS_MAX_; k++) {
            by_class[k] += c->classes[k];
            told += c->classes[k];
        }
        by_class[SJ_CLASS_MAX_] += sj_row_requests(&g->rows[i]) - told;
    }
    row_labels(g->rows, labels);
    for (int k = 0; k < CLASSES; k++) {
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

static unsigned widest_role(uint32_t measured)
{
    unsigned widest = 1;
    for (int role = 0; role < SJ_ROLE_MAX_; role++) {
        unsigned n = (unsigned)__builtin_popcount(measured & sj_stages_of_role((enum sj_role)role));
        widest = n > widest ? n : widest;
    }
    return widest;
}

int sj_expose_requests(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    sj_encode_family(encoder, &durations);
    if (each_group(e, 1, encoder, put_durations) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &stages);
    if (each_group(e, widest_role(e->measurement->stages), encoder, put_stages) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &requests);
    if (each_group(e, CLASSES, encoder, put_requests) < 0)
        return -ENOMEM;
    sj_encode_family(encoder, &errors);
    return each_group(e, 1, encoder, put_errors);
}
