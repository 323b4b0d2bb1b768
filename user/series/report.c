// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/report.h"

#include <math.h>

#define NS_PER_S 1e9

double sj_report_rate(const struct sj_report *r, const struct sj_service_view *s)
{
    double d = r->outcome->duration_s;
    return d > 0 ? (double)s->requests / d : NAN;
}

bool sj_report_interval(const struct sj_service_view *s, double p, struct sj_interval *out)
{
    struct sj_quantile_widen widen = {.variance_inflation = s->course ? sj_course_inflation(s->course, p) : 1};
    if (s->lower_bound) {
        /* A counted turn hides as many further requests as a turn with detail brought, and at least one is assumed. */
        uint64_t turns = s->cell->requests - s->cell->pipelined;
        uint64_t further = turns ? (s->cell->pipelined + turns - 1) / turns : 1;
        widen.uncertain = s->counted * (further ? further : 1);
    }
    struct sj_interval i;
    if (sj_quantile_interval(s->total, p, SJ_REPORT_LEVEL, &widen, &i) < 0 || !(i.low > 0) || !isfinite(i.high))
        return false;
    *out = i;
    return true;
}

void sj_report_error_ratio(const struct sj_service_view *s, struct sj_interval *out)
{
    double n = (double)s->requests;
    *out = (struct sj_interval){(double)s->cell->errors / n, (double)(s->cell->errors + s->counted) / n};
}

const struct sj_fit_result *sj_report_fit(const struct sj_report *r, const struct sj_service_view *s)
{
    size_t i = (size_t)(s - r->snapshot->services);
    return r->fits && i < SJ_REPORT_FITS ? r->fits->of[i] : NULL;
}

struct sj_summed sj_summed_service(const struct sj_service_view *s)
{
    return (struct sj_summed){s->cell, s->total, s->counted, s->counted ? s->counted_stage_ns : NULL};
}

struct sj_summed sj_summed_operation(const struct sj_operation_view *op)
{
    return (struct sj_summed){op->cell, &op->cell->total, 0, NULL};
}

bool sj_summed_has_stage(const struct sj_summed *s, const struct sj_report *r, uint8_t role, enum sj_stage stage)
{
    unsigned measured = r->measurement->stages & sj_stages_of_role((enum sj_role)role);
    return (measured >> stage & 1) && sj_cell_known(s->cell, stage) + s->counted > 0;
}

static double stage_sum(const struct sj_summed *s, enum sj_stage stage)
{
    uint64_t counted = s->counted_stage_ns ? s->counted_stage_ns[stage] : 0;
    return (double)sj_cell_stage_sum(s->cell, stage) + (double)counted;
}

double sj_summed_stage_mean(const struct sj_summed *s, enum sj_stage stage)
{
    uint64_t known = sj_cell_known(s->cell, stage) + s->counted;
    return known ? stage_sum(s, stage) / NS_PER_S / (double)known : NAN;
}

double sj_summed_stage_share(const struct sj_summed *s, enum sj_stage stage)
{
    return s->total->sum_ns ? stage_sum(s, stage) / (double)s->total->sum_ns : NAN;
}

/* Which part of being blocked a cause is; NaN when nothing was blocked. */
static double part_of_blocked(const struct sj_summed *s, enum sj_cause cause)
{
    uint64_t blocked = sj_cell_stage_sum(s->cell, SJ_STAGE_BLOCKED);
    return blocked ? (double)sj_cell_cause_sum(s->cell, cause) / (double)blocked : NAN;
}

/* value times part, where nothing of 0 is 0. */
static double part_of(double value, double part)
{
    return value == 0 ? 0 : value * part;
}

double sj_summed_cause_mean(const struct sj_summed *s, enum sj_cause cause)
{
    return part_of(sj_summed_stage_mean(s, SJ_STAGE_BLOCKED), part_of_blocked(s, cause));
}

double sj_summed_cause_share(const struct sj_summed *s, enum sj_cause cause)
{
    return part_of(sj_summed_stage_share(s, SJ_STAGE_BLOCKED), part_of_blocked(s, cause));
}

struct sj_interval sj_summed_stage_bounds(const struct sj_summed *s, enum sj_stage stage, double p)
{
    double known = (double)sj_cell_known(s->cell, stage);
    double rank = p * (known + (double)s->counted);
    double low = rank - (double)s->counted;
    return (struct sj_interval){
        .low = low > 0 ? sj_cell_stage_quantile(s->cell, stage, low / known) : 0,
        .high =
            rank <= known ? sj_cell_stage_quantile(s->cell, stage, rank / known) : (double)s->total->max_ns / NS_PER_S,
    };
}
