// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/goodness.h"

#include <math.h>

#include "model/fit_special.h"

#define QUANTILES 64

double sj_chi2_upper(double x2, double df)
{
    double p, q;

    if (!(x2 > 0))
        return 1;
    sj_gamma_tails(0.5 * df, 0.5 * x2, &p, &q);
    return q;
}

static double log_or_floor(double p)
{
    /* A value that the distribution calls impossible: far out, and finite. */
    return p > 0 ? log(p) : -745;
}

/* Equal values have consecutive ranks, so their terms add up to closed forms. */
static void point_distances(const struct sj_family *f, const double *theta, const struct sj_sample *s, double *ks,
                            double *ad)
{
    double n = s->n, before = 0, sum = 0, far = 0;

    for (size_t i = 0; i < s->n_points; i++) {
        double p, q, after = before + s->points[i].count;
        f->tails(theta, s->points[i].x, s->points[i].log_x, &p, &q);
        far = fmax(far, fmax(fabs(after / n - p), fabs(p - before / n)));
        sum += (after * after - before * before) * log_or_floor(p);
        sum += ((n - before) * (n - before) - (n - after) * (n - after)) * log_or_floor(q);
        before = after;
    }
    *ks = far;
    *ad = -n - sum / n;
}

/* The cells of a sample of bins: the bins, the empty cells between and beside them. */
struct walk {
    const struct sj_sample *s;
    size_t next;
    bool inside; /* the next cell is bin `next`, not the gap before it */
};

/* The upper edge of the next cell (INFINITY for the last) and what was counted in it; false after the last. */
static bool walk_on(struct walk *w, double *high, double *log_high, double *count)
{
    const struct sj_bin *b = w->next < w->s->n_bins ? &w->s->bins[w->next] : NULL;

    if (!b) {
        bool last = !w->inside;
        w->inside = true;
        *high = *log_high = INFINITY;
        *count = 0;
        return last;
    }
    if (!w->inside && (w->next == 0 ? b->lo > 0 : b->lo > w->s->bins[w->next - 1].hi)) {
        w->inside = true;
        *high = b->lo;
        *log_high = b->log_lo;
        *count = 0;
        return true;
    }
    w->inside = false;
    w->next++;
    *high = b->hi;
    *log_high = b->log_hi;
    *count = b->count;
    return true;
}

/* A. Choulakian, R. A. Lockhart, M. A. Stephens, Canadian Journal of Statistics 22 (1994), 125-137. */
static void bin_distances(const struct sj_family *f, const double *theta, const struct sj_sample *s, double *ks,
                          double *ad)
{
    struct walk w = {.s = s};
    double high, log_high, count, cumulated = 0, below = 0, far = 0, sum = 0;

    while (walk_on(&w, &high, &log_high, &count)) {
        double p = 1, q = 0;
        if (isfinite(high))
            f->tails(theta, high, log_high, &p, &q);
        cumulated += count;
        double off = cumulated - s->n * p;
        far = fmax(far, fabs(off) / s->n);
        if (p > 0 && q > 0)
            sum += off * off * (p - below) / (p * q);
        below = p;
    }
    *ks = far;
    *ad = sum / s->n;
}

void sj_goodness_distances(const struct sj_family *f, const double *theta, const struct sj_sample *s, double *ks,
                           double *ad)
{
    if (s->n_points)
        point_distances(f, theta, s, ks, ad);
    else
        bin_distances(f, theta, s, ks, ad);
}

/* Cells that are pooled as they come until enough is expected; what is left at the end joins the last. */
struct pool {
    double x2;
    double observed;
    double expected;
    double last_observed;
    double last_expected;
    int cells;
};

static double term(double observed, double expected)
{
    return (observed - expected) * (observed - expected) / expected;
}

static void pool_add(struct pool *p, double observed, double expected)
{
    p->observed += observed;
    p->expected += expected;
    if (p->expected < 5)
        return;
    p->x2 += term(p->observed, p->expected);
    p->cells++;
    p->last_observed = p->observed;
    p->last_expected = p->expected;
    p->observed = p->expected = 0;
}

static void pool_end(struct pool *p)
{
    if (!p->cells || (p->observed <= 0 && p->expected <= 0))
        return;
    p->x2 -= term(p->last_observed, p->last_expected);
    p->x2 += term(p->last_observed + p->observed, p->last_expected + p->expected);
}

static void pool_bins(const struct sj_family *f, const double *theta, const struct sj_sample *s, struct pool *pool)
{
    struct walk w = {.s = s};
    double high, log_high, count, p_low = 0, q_low = 1;

    while (walk_on(&w, &high, &log_high, &count)) {
        double p = 1, q = 0;
        if (isfinite(high))
            f->tails(theta, high, log_high, &p, &q);
        pool_add(pool, count, s->n * (p_low > 0.5 ? q_low - q : p - p_low));
        p_low = p;
        q_low = q;
    }
}

static void pool_points(const struct sj_family *f, const double *theta, const struct sj_sample *s, struct pool *pool)
{
    int cells = (int)fmin(2 * pow(s->n, 0.4), floor(s->n / 5));
    size_t i = 0;

    for (int k = 1; k <= cells; k++) {
        double high = k < cells ? f->quantile(theta, (double)k / cells) : INFINITY, count = 0;
        for (; i < s->n_points && s->points[i].x <= high; i++)
            count += s->points[i].count;
        pool_add(pool, count, fmax(s->n / cells, 5)); /* rounding must not make two cells one */
    }
}

static void chi_square(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                       struct sj_goodness *out)
{
    struct pool pool = {0};

    if (s->n_points)
        pool_points(f, theta, s, &pool);
    else
        pool_bins(f, theta, s, &pool);
    pool_end(&pool);
    int df = pool.cells - 1 - f->n_parameters;
    if (df < 1)
        return;
    out->chi2 = pool.x2;
    out->chi2_df = df;
    out->chi2_p = sj_chi2_upper(pool.x2, df);
}

/* At probabilities evenly spaced in their logit, the ends of the range included. */
static double max_quantile_error(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                                 const struct sj_ecdf *e)
{
    double low = fmax(0.01, 5 / s->n), high = fmin(fmin(0.999, 1 - 5 / s->n), e->resolved), worst = NAN;

    if (!(low <= high))
        return NAN;
    double from = log(low / (1 - low)), to = high < 1 ? log(high / (1 - high)) : from;
    for (int i = 0; i < QUANTILES; i++) {
        double y = from + (to - from) * i / (QUANTILES - 1);
        double p = i == 0 ? low : i == QUANTILES - 1 ? high : 1 / (1 + exp(-y));
        double seen = sj_ecdf_quantile(e, s, p);
        if (!(seen > 0))
            continue;
        double error = fabs(f->quantile(theta, p) / seen - 1);
        worst = isnan(worst) ? error : fmax(worst, error);
    }
    return worst;
}

int sj_goodness_of_fit(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                       struct sj_goodness *out, struct sj_err *err)
{
    struct sj_goodness g = {.ks = NAN, .ad = NAN, .chi2 = NAN, .chi2_p = NAN, .max_quantile_error = NAN};
    struct sj_ecdf e;

    if (sj_ecdf_make(s, &e, err))
        return -1;
    g.max_quantile_error = max_quantile_error(f, theta, s, &e);
    sj_ecdf_free(&e);
    if (!(s->timeouts > 0)) {
        sj_goodness_distances(f, theta, s, &g.ks, &g.ad);
        chi_square(f, theta, s, &g);
    }
    *out = g;
    return 0;
}
