// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "base/cleanup.h"
#include "model/goodness.h"

/* Cells of the grid that replicates are drawn in, and how many values are resampled one by one. */
#define GRID 320
#define RESAMPLED_MAX 2000

const double sj_boot_p[SJ_BOOT_QUANTILES_] = {0.99, 0.999, 0.9999};

/* What replicates are drawn from: cells with probabilities, each a bin, a point or a censoring point. */
struct urn {
    struct sj_sample *cells;
    double *probability; /* owned; bins or points first, then censoring points */
    size_t len;
    bool parametric;
};

static void urn_free(struct urn *u)
{
    sj_sample_free(u->cells);
    free(u->probability);
}

static void sample_cleanup(struct sj_sample **s)
{
    sj_sample_free(*s);
}

static void rng_cleanup(gsl_rng **rng)
{
    if (*rng)
        gsl_rng_free(*rng);
}

/*
 * Edges that cover nearly all of the distribution: the sample's own where it has bins, continued at the last ratio;
 * else evenly spaced logarithms. Returns how many; edges has room for them.
 */
static size_t grid_edges(const struct sj_family *f, const double *theta, const struct sj_sample *s, double *edges,
                         size_t room)
{
    double low = fmax(f->quantile(theta, 1e-6), 1e-5 * f->quantile(theta, 0.5)), high = f->quantile(theta, 1 - 1e-8);
    size_t n = 0;

    if (!s->n_bins) {
        for (size_t i = 0; i <= GRID; i++)
            edges[n++] = low * pow(high / low, (double)i / GRID);
        return n;
    }
    const struct sj_bin *first = &s->bins[0], *last = &s->bins[s->n_bins - 1];
    double ratio = last->lo > 0 ? last->hi / last->lo : 2;
    size_t extra = 0;
    for (double e = first->lo / ratio; e > low && extra < GRID; e /= ratio)
        extra++;
    for (size_t i = extra; i > 0; i--)
        edges[n++] = first->lo * pow(ratio, -(double)i);
    for (size_t i = 0; i < s->n_bins; i++) {
        if (s->bins[i].lo > 0 && (n == 0 || edges[n - 1] < s->bins[i].lo))
            edges[n++] = s->bins[i].lo;
        edges[n++] = s->bins[i].hi;
    }
    for (double e = last->hi * ratio; e < high && n + 1 < room; e *= ratio)
        edges[n++] = e;
    return n;
}

static int parametric_urn(const struct sj_family *f, const double *theta, const struct sj_sample *s, struct urn *out,
                          struct sj_err *err)
{
    size_t room = 2 * s->n_bins + 3 * GRID + 4;
    sj_autofree double *edges = malloc(room * sizeof(*edges));
    sj_autofree struct sj_bin *bins = calloc(room + 1, sizeof(*bins));
    struct urn u = {.parametric = true, .probability = calloc(room + 1, sizeof(double))};

    if (!edges || !bins || !u.probability) {
        urn_free(&u);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    size_t n = grid_edges(f, theta, s, edges, room);
    double p_low = 0, q_low = 1;
    for (size_t i = 0; i <= n; i++) {
        /* The last cell holds all that lies beyond the last edge; it is hardly ever drawn. */
        double p = 1, q = 0, lo = i ? edges[i - 1] : 0, hi = i < n ? edges[i] : 2 * lo;
        if (i < n)
            f->tails(theta, hi, log(hi), &p, &q);
        bins[i] = (struct sj_bin){.lo = lo, .hi = hi, .count = 1};
        u.probability[i] = fmax(p_low > 0.5 ? q_low - q : p - p_low, 0);
        p_low = p;
        q_low = q;
    }
    u.len = n + 1;
    if (sj_sample_from_bins(bins, u.len, NULL, 0, s->schema, &u.cells, err)) {
        urn_free(&u);
        return -1;
    }
    *out = u;
    return 0;
}

/* Counts of the cells of s in the order of sj_sample_with_counts(). */
static void cell_counts(const struct sj_sample *s, double *counts)
{
    for (size_t i = 0; i < s->n_points; i++)
        *counts++ = s->points[i].count;
    for (size_t i = 0; i < s->n_bins; i++)
        *counts++ = s->bins[i].count;
    for (size_t i = 0; i < s->n_censored; i++)
        *counts++ = s->censored[i].count;
}

static int resampling_urn(const struct sj_sample *s, struct urn *out, struct sj_err *err)
{
    size_t len = s->n_points + s->n_bins + s->n_censored;
    struct urn u = {.len = len};

    if (len > RESAMPLED_MAX) {
        if (sj_sample_coarsen(s, GRID, !s->has_zero, &u.cells, err))
            return -1;
        u.len = u.cells->n_bins + u.cells->n_censored;
    }
    u.probability = calloc(u.len + 1, sizeof(double));
    if (!u.probability) {
        urn_free(&u);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    cell_counts(u.cells ? u.cells : s, u.probability);
    if (!u.cells && sj_sample_with_counts(s, u.probability, &u.cells, err)) {
        urn_free(&u);
        return -1;
    }
    *out = u;
    return 0;
}

/* n values over the cells, one binomial after the other. */
static void draw(const struct urn *u, gsl_rng *rng, double n, double *counts)
{
    double left = 0;

    for (size_t i = 0; i < u->len; i++)
        left += u->probability[i];
    for (size_t i = 0; i < u->len; i++) {
        double share = left > 0 ? fmin(u->probability[i] / left, 1) : 1;
        counts[i] = n > 0 ? gsl_ran_binomial(rng, i + 1 < u->len ? share : 1, (unsigned)n) : 0;
        n -= counts[i];
        left -= u->probability[i];
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The value below which a share of n sorted ones lies. */
static double share_of(const double *sorted, int n, double share)
{
    double at = share * (n + 1) - 1;
    int low = (int)floor(at);

    if (low < 0)
        return sorted[0];
    if (low >= n - 1 || isinf(sorted[low + 1]))
        return sorted[low < n ? low : n - 1];
    return sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
}

/*
 * The bias-corrected percentile interval (B. Efron, Canadian Journal of Statistics 9 (1981), 139-158) at 95 %: where
 * estimates from replicates lie mostly below the estimate itself, that one lies mostly below the truth.
 */
static struct sj_interval corrected(double *values, int n, double estimate)
{
    double below = 0;

    qsort(values, (size_t)n, sizeof(*values), compare_doubles);
    for (int i = 0; i < n; i++)
        below += values[i] < estimate ? 1 : values[i] > estimate ? 0 : 0.5;
    double bias = gsl_cdf_ugaussian_Pinv(fmin(fmax(below / n, 1.0 / (n + 1)), 1 - 1.0 / (n + 1)));
    double z = gsl_cdf_ugaussian_Pinv(0.975);
    return (struct sj_interval){share_of(values, n, gsl_cdf_ugaussian_P(2 * bias - z)),
                                share_of(values, n, gsl_cdf_ugaussian_P(2 * bias + z))};
}

/* All that one run needs, so that the steps stay small. */
struct run {
    const struct sj_family *f;
    const double *theta;
    const struct sj_sample *s;
    const struct sj_boot_options *options;
    struct urn urn;
    gsl_rng *rng;
    double *counts;
    double *results; /* per quantity, `replicates` values */
    double ks, ad;   /* of the sample itself, in the cells of the urn */
    int fitted, ks_beyond, ad_beyond;
};

#define QUANTITIES (SJ_BOOT_QUANTILES_ + SJ_FAMILY_PARAMETERS)

static double *result_row(struct run *r, int quantity)
{
    return r->results + (size_t)quantity * (size_t)r->options->replicates;
}

/* Counts a sample in the cells of the urn, for distances that compare with those of replicates. */
static int own_distances(struct run *r, struct sj_err *err)
{
    __attribute__((cleanup(sample_cleanup))) struct sj_sample *own = NULL;
    const struct sj_sample *s = r->s, *cells = r->urn.cells;
    size_t k = 0;

    memset(r->counts, 0, r->urn.len * sizeof(*r->counts));
    for (size_t i = 0; i < s->n_points; i++) {
        while (k + 1 < cells->n_bins && s->points[i].x > cells->bins[k].hi)
            k++;
        r->counts[k] += s->points[i].count;
    }
    for (size_t i = 0; i < s->n_bins; i++) {
        while (k + 1 < cells->n_bins && s->bins[i].hi > cells->bins[k].hi)
            k++;
        r->counts[k] += s->bins[i].count;
    }
    if (sj_sample_with_counts(cells, r->counts, &own, err))
        return -1;
    sj_goodness_distances(r->f, r->theta, own, &r->ks, &r->ad);
    return 0;
}

/* Quantile i of all requests, of which `above` lie above the threshold when the fit is of a tail. */
static double quantile_of(const struct run *r, const double *theta, int i, double above)
{
    const struct sj_boot_options *o = r->options;
    double p = o->n > 0 ? 1 - (1 - sj_boot_p[i]) * o->n / fmax(above, 1) : sj_boot_p[i];

    return p > 0 ? o->threshold + r->f->quantile(theta, p) : o->threshold;
}

static int replicate(struct run *r, struct sj_err *err)
{
    __attribute__((cleanup(sample_cleanup))) struct sj_sample *s = NULL;
    const struct sj_boot_options *o = r->options;
    double n = r->s->n, theta[SJ_FAMILY_PARAMETERS], ks, ad;

    if (o->n > 0)
        n = gsl_ran_binomial(r->rng, o->above / o->n, (unsigned)o->n);
    draw(&r->urn, r->rng, n, r->counts);
    if (sj_sample_with_counts(r->urn.cells, r->counts, &s, err))
        return -1;
    if (s->seen < 2 || s->n_points + s->n_bins < 2 || sj_family_estimate(r->f, s, r->theta, theta))
        return 0;
    int at = r->fitted++;
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++)
        result_row(r, i)[at] = quantile_of(r, theta, i, n);
    for (int i = 0; i < r->f->n_parameters; i++)
        result_row(r, SJ_BOOT_QUANTILES_ + i)[at] = theta[i];
    if (r->urn.parametric) {
        sj_goodness_distances(r->f, theta, s, &ks, &ad);
        r->ks_beyond += ks >= r->ks;
        r->ad_beyond += ad >= r->ad;
    }
    return 0;
}

static int summarise(struct run *r, struct sj_bootstrap *out, struct sj_err *err)
{
    struct sj_bootstrap b = {.replicates = r->fitted, .ks_p = NAN, .ad_p = NAN};

    if (2 * r->fitted < r->options->replicates || r->fitted < 1)
        return sj_fail(err, EX_DATAERR, "samples drawn from the %s fit can mostly not be fitted again", r->f->name);
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++)
        b.quantile[i] = corrected(result_row(r, i), r->fitted, quantile_of(r, r->theta, i, r->options->above));
    for (int i = 0; i < r->f->n_parameters; i++)
        b.theta[i] = corrected(result_row(r, SJ_BOOT_QUANTILES_ + i), r->fitted, r->theta[i]);
    if (r->urn.parametric) {
        b.ks_p = (r->ks_beyond + 1.0) / (r->fitted + 1.0);
        b.ad_p = (r->ad_beyond + 1.0) / (r->fitted + 1.0);
    }
    *out = b;
    return 0;
}

int sj_bootstrap_fit(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                     const struct sj_boot_options *options, struct sj_bootstrap *out, struct sj_err *err)
{
    struct run r = {.f = f, .theta = theta, .s = s, .options = options};
    __attribute__((cleanup(rng_cleanup))) gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    bool parametric = !(s->timeouts > 0);

    if (options->replicates < 1 || s->n >= 4e9 || options->n >= 4e9)
        return sj_fail(err, EX_SOFTWARE, "a bootstrap takes at least one replicate and at most 4e9 values");
    if (parametric ? parametric_urn(f, theta, s, &r.urn, err) : resampling_urn(s, &r.urn, err))
        return -1;
    sj_autofree double *counts = calloc(r.urn.len + 1, sizeof(*counts));
    sj_autofree double *results = calloc(QUANTITIES * (size_t)options->replicates, sizeof(*results));
    int rc = rng && counts && results ? 0 : sj_fail(err, EX_OSERR, "out of memory");
    r.rng = rng;
    r.counts = counts;
    r.results = results;
    if (!rc) {
        gsl_rng_set(rng, options->seed);
        rc = parametric ? own_distances(&r, err) : 0;
    }
    for (int i = 0; i < options->replicates && !rc; i++)
        rc = replicate(&r, err);
    if (!rc)
        rc = summarise(&r, out, err);
    urn_free(&r.urn);
    return rc;
}
