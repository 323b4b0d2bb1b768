// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>

#include "watch/store.h"

/* The quantile of a stage over all requests in which it is known: those that are in no histogram had 0 of it. */
static double stage_quantile(const struct sj_hist *h, uint64_t known, double p)
{
    uint64_t zeros = known > h->count ? known - h->count : 0;
    double rank = p * (double)(zeros + h->count);
    if (h->count == 0 || rank <= (double)zeros)
        return 0;
    return sj_hist_at_rank(h, fmin(rank - (double)zeros, (double)h->count), NULL);
}

/* How many requests stand behind a value, and the value if there are any. */
static uint64_t measure(const struct sj_condition *c, const struct sj_tally *t, double covered_s, double *value)
{
    uint64_t known = c->stage >= 0 ? t->stage[c->stage].known : t->requests;
    double stage_sum_s = c->stage >= 0 ? (double)t->stage[c->stage].sum_ns / 1e9 : 0;
    switch (c->measure) {
    case SJ_MEASURE_QUANTILE:
        if (known)
            *value = c->stage >= 0 ? stage_quantile(&t->stage[c->stage].hist, known, c->p)
                                   : sj_hist_quantile(&t->total, c->p);
        return known;
    case SJ_MEASURE_MEAN:
        *value = (c->stage >= 0 ? stage_sum_s : (double)t->sum_ns / 1e9) / (double)known;
        return known;
    case SJ_MEASURE_MAX:
        *value = (double)t->max_ns / 1e9;
        return t->requests;
    case SJ_MEASURE_SHARE:
        *value = stage_sum_s / ((double)t->detailed_sum_ns / 1e9);
        return t->detailed_sum_ns ? known : 0;
    case SJ_MEASURE_ERROR_RATIO:
        *value = (double)t->errors / (double)t->detailed;
        return t->detailed;
    case SJ_MEASURE_RATE:
        *value = covered_s > 0 ? (double)t->requests / covered_s : NAN;
        break;
    case SJ_MEASURE_ERROR_RATE:
        *value = covered_s > 0 ? (double)t->errors / covered_s : NAN;
        break;
    case SJ_MEASURE_REQUESTS:
        *value = (double)t->requests;
        break;
    default:
        *value = (double)t->errors;
        break;
    }
    return UINT64_MAX;
}

enum sj_verdict sj_measure(const struct sj_alert_rule *rule, const struct sj_tally *t, double covered_s, bool filled,
                           double *value)
{
    const struct sj_condition *c = &rule->when;
    double v = NAN;
    uint64_t n = measure(c, t, covered_s, &v);
    *value = NAN;
    if (n < rule->min_requests || n == 0 || isnan(v))
        return SJ_VERDICT_NO_DATA;
    *value = v;
    /* Few requests in a window that has only begun are no low rate. */
    if (n == UINT64_MAX && !filled && (c->compare == SJ_BELOW || c->compare == SJ_AT_MOST))
        return SJ_VERDICT_NO_DATA;
    return sj_condition_holds(c, v) ? SJ_VERDICT_YES : SJ_VERDICT_NO;
}
