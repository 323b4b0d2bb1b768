// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/tail.h"

#include <math.h>
#include <stdio.h>

#include "model/goodness.h"

/* Farther than this beyond the data, or less certain than this, a quantile is a guess. */
#define TIMES_BEYOND 10
#define INTERVAL_FACTOR 3
/* A tail's own distance test is believed at this level: there are few exceedances, so it does not reject everything. */
#define REJECT_P 0.05

static const char *const names[] = {"p99", "p99.9", "p99.99"};

void sj_extrapolation_judge(double n, const struct sj_bootstrap *boot, struct sj_extrapolation *out)
{
    *out = (struct sj_extrapolation){.reach = SJ_REACH_NOWHERE};
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++) {
        const struct sj_interval *ci = &boot->quantile[i];
        if (n * (1 - sj_boot_p[i]) * TIMES_BEYOND < 1 - 1e-9) {
            snprintf(out->why, sizeof(out->why), "%s lies more than %d times beyond %.0f values", names[i],
                     TIMES_BEYOND, n);
            return;
        }
        if (boot->replicates && !(ci->high <= INTERVAL_FACTOR * ci->low)) {
            snprintf(out->why, sizeof(out->why), "the 95 %% interval of %s spans a factor of %.1f", names[i],
                     ci->high / ci->low);
            return;
        }
        out->reach = (enum sj_reach)(SJ_REACH_P99 + i);
    }
}

/* The value above which the largest `count` lie (fewer where values are equal or share a bin). */
static double default_threshold(const struct sj_sample *s)
{
    double target = fmin(s->n / 10, 2 * pow(s->n, 2.0 / 3)), above = 0;
    size_t censored = s->n_censored;

    for (size_t i = s->n_points + s->n_bins; i-- > 0;) {
        double x = s->n_points ? s->points[i].x : s->bins[i].hi;
        double count = s->n_points ? s->points[i].count : s->bins[i].count;
        for (; censored > 0 && s->censored[censored - 1].at >= x; censored--)
            above += s->censored[censored - 1].count;
        if (above + count > target)
            return x;
        above += count;
    }
    return NAN;
}

static int occupied(const struct sj_sample *s)
{
    return (int)(s->n_points + s->n_bins);
}

static void judge(double n, struct sj_tail *t)
{
    sj_extrapolation_judge(n, &t->boot, &t->extrapolation);
    if (t->boot.replicates && t->boot.ad_p < REJECT_P) {
        t->extrapolation.reach = SJ_REACH_NOWHERE;
        snprintf(t->extrapolation.why, sizeof(t->extrapolation.why),
                 "what lies above the threshold does not follow the fitted tail (Anderson-Darling p = %.2g)",
                 t->boot.ad_p);
    } else if (t->extrapolation.reach > SJ_REACH_NOWHERE && t->xi >= 1) {
        t->extrapolation.reach = SJ_REACH_NOWHERE;
        snprintf(t->extrapolation.why, sizeof(t->extrapolation.why), "a tail with xi = %.2g has no mean", t->xi);
    }
}

int sj_tail_fit(const struct sj_sample *s, const struct sj_tail_options *options, struct sj_tail *out,
                struct sj_err *err)
{
    const struct sj_family *f = &sj_family_generalised_pareto;
    struct sj_tail t = {.ks = NAN, .ad = NAN};
    struct sj_sample *excess = NULL;
    double theta[SJ_FAMILY_PARAMETERS];

    t.threshold = isnan(options->threshold) ? default_threshold(s) : sj_sample_edge_above(s, options->threshold);
    t.exceedances = isnan(t.threshold) ? 0 : sj_sample_count_above(s, t.threshold);
    if (t.exceedances < SJ_TAIL_MIN)
        return sj_fail(err, EX_DATAERR, "%.0f values above the threshold are too few for a tail (%d or more)",
                       t.exceedances, SJ_TAIL_MIN);
    if (sj_sample_excess(s, t.threshold, &excess, err))
        return -1;
    int rc = 0;
    if (occupied(excess) < 4)
        rc = sj_fail(err, EX_DATAERR, "the values above the threshold are too few different ones for a tail");
    else if (sj_family_estimate(f, excess, NULL, theta))
        rc = sj_fail(err, EX_DATAERR, "the tail has no maximum of its likelihood: it ends at the largest values");
    if (rc) {
        sj_sample_free(excess);
        return rc;
    }
    t.xi = theta[0];
    t.beta = theta[1];
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++) {
        double p = 1 - (1 - sj_boot_p[i]) * s->n / t.exceedances;
        t.quantile[i] = p > 0 ? t.threshold + f->quantile(theta, p) : p > -1e-9 ? t.threshold : NAN;
    }
    if (!(s->timeouts > 0))
        sj_goodness_distances(f, theta, excess, &t.ks, &t.ad);
    struct sj_boot_options boot = {options->replicates, options->seed, t.threshold, s->n, t.exceedances};
    if (options->replicates > 0 && sj_bootstrap_fit(f, theta, excess, &boot, &t.boot, NULL))
        t.boot = (struct sj_bootstrap){.replicates = 0};
    sj_sample_free(excess);
    judge(s->n, &t);
    *out = t;
    return 0;
}
