// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/quantile.h"
#include "series/report_fit.h"
#include "series/series.h"
#include "source.h"

/* What a report is made of, and what every form of it (JSON, text) computes the same way. */
struct sj_report {
    const struct sj_measurement *measurement;
    const struct sj_outcome *outcome;
    const struct sj_snapshot *snapshot;
    const struct sj_report_fits *fits; /* NULL: none wanted */
};

/* The confidence level of all intervals. */
#define SJ_REPORT_LEVEL 0.95

/* Requests per second; NaN when the measurement has no length. */
double sj_report_rate(const struct sj_report *r, const struct sj_service_view *s);

/*
 * The interval of the total's quantile p. Turns that were counted without detail and may hold several requests each
 * widen it, and so does dependence between requests where their course over time shows it. False when the requests are
 * too few to bound both sides.
 */
bool sj_report_interval(const struct sj_service_view *s, double p, struct sj_interval *out);

/* Errors over requests. Of counted turns nobody knows whether they were errors: then low and high differ. */
void sj_report_error_ratio(const struct sj_service_view *s, struct sj_interval *out);

/* What was fitted to a service of the report's snapshot; NULL when nothing was. */
const struct sj_fit_result *sj_report_fit(const struct sj_report *r, const struct sj_service_view *s);

/* A set of requests as one line of a report: a service with its counted turns, or an operation of it. */
struct sj_summed {
    const struct sj_cell *cell;
    const struct sj_hist *total; /* counted turns included */
    uint64_t counted;
    const uint64_t *counted_stage_ns; /* NULL when counted is 0 */
};
struct sj_summed sj_summed_service(const struct sj_service_view *s);
struct sj_summed sj_summed_operation(const struct sj_operation_view *op);

/* Is the stage part of this role, was it measured, and is it known of any request? */
bool sj_summed_has_stage(const struct sj_summed *s, const struct sj_report *r, uint8_t role, enum sj_stage stage);

/* A stage: mean in seconds over the requests in which it is known, share of the total's sum. NaN when unknown. */
double sj_summed_stage_mean(const struct sj_summed *s, enum sj_stage stage);
double sj_summed_stage_share(const struct sj_summed *s, enum sj_stage stage);

/*
 * The same of a cause of being blocked. Counted turns do not tell causes apart: they are taken to be blocked by the
 * same ones in the same proportion. NaN also when only they were blocked.
 */
double sj_summed_cause_mean(const struct sj_summed *s, enum sj_cause cause);
double sj_summed_cause_share(const struct sj_summed *s, enum sj_cause cause);

/*
 * Between which values the stage's quantile p lies when nothing is known of the counted turns but their total: low if
 * all of them had 0 of it, high if all had more than any other.
 */
struct sj_interval sj_summed_stage_bounds(const struct sj_summed *s, enum sj_stage stage, double p);
