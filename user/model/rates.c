// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/rates.h"

#include <errno.h>
#include <math.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>
#include <gsl/gsl_sf_psi.h>

#include "model/fit_special.h"
#include "model/goodness.h"

/* The largest size looked for: beyond, a negative binomial cannot be told from a Poisson distribution. */
#define SIZE_MAX_RATIO 1e9

/* Events up to which a rate is bounded by the gamma distribution itself; GSL inverts it wrongly from 30,000 on. */
#define EXACT_MAX 10000

struct view {
    const struct sj_count *counts;
    size_t len;
    double n;
    double mean;
};

/*
 * Derivative of the log-likelihood by the size at mean = sample mean, per interval. For large sizes its terms cancel:
 * log1p(mean / size) and the difference of digammas are kept apart from the rounding of either.
 */
static double size_slope(double log_size, void *ctx)
{
    const struct view *v = ctx;
    double size = exp(log_size), sum = 0;

    for (size_t i = 0; i < v->len; i++) {
        double x = (double)v->counts[i].events;
        /* psi(x + size) - psi(size): a sum of reciprocals for few events, accurate at any size. */
        double difference = 0;
        if (x <= 64) {
            for (double k = 0; k < x; k++)
                difference += 1 / (size + k);
        } else {
            difference = gsl_sf_psi(x + size) - gsl_sf_psi(size);
        }
        sum += (double)v->counts[i].intervals * difference;
    }
    return sum / v->n - log1p(v->mean / size);
}

static double negative_binomial_loglik(const struct view *v, double size)
{
    double sum = 0, mean = v->mean;

    for (size_t i = 0; i < v->len; i++) {
        double x = (double)v->counts[i].events;
        sum +=
            (double)v->counts[i].intervals * (lgamma(x + size) - lgamma(size) - lgamma(x + 1) -
                                              size * log1p(mean / size) + (x > 0 ? x * log(mean / (size + mean)) : 0));
    }
    return sum;
}

/* The root of the slope; there is one exactly where the variance (divided by n) exceeds the mean. */
static bool fit_size(struct view *v, double variance, double *size)
{
    double excess = variance - v->mean;
    if (!(v->mean > 0) || !(excess > 0))
        return false;
    double guess = log(v->mean * v->mean / excess), low = guess, high = guess;
    for (int i = 0; i < 100 && !(size_slope(low, v) > 0); i++)
        low -= 1;
    while (!(size_slope(high, v) < 0)) {
        high += 1;
        if (high > log(SIZE_MAX_RATIO * v->mean))
            return false;
    }
    if (!(size_slope(low, v) > 0))
        return false;
    gsl_function f = {.function = size_slope, .params = v};
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!solver)
        return false;
    int rc = gsl_root_fsolver_set(solver, &f, low, high);
    for (int i = 0; i < 200 && rc == GSL_SUCCESS; i++) {
        rc = gsl_root_fsolver_iterate(solver);
        if (gsl_root_fsolver_x_upper(solver) - gsl_root_fsolver_x_lower(solver) < 1e-13)
            break;
    }
    *size = exp(gsl_root_fsolver_root(solver));
    gsl_root_fsolver_free(solver);
    return rc == GSL_SUCCESS;
}

/* P(X <= x) of the Poisson distribution. */
static double poisson_below(double mean, double x)
{
    double p, q;

    sj_gamma_tails(x + 1, mean, &p, &q);
    return q;
}

/*
 * Cells of single counts, or of a quarter of a standard deviation where that is more, pooled upwards until 5 intervals
 * are expected in each; the last one is open.
 */
static void poisson_chi2(const struct view *v, struct sj_rates *r)
{
    double sd = sqrt(v->mean), width = fmax(1, floor(sd / 4)), x = fmax(0, floor(v->mean - 8 * sd));
    double from = 0, seen = 0, seen_before = 0, x2 = 0;
    size_t i = 0;
    int cells = 0;

    for (; x < v->mean + 8 * sd + 8; x += width) {
        double to = poisson_below(v->mean, x), expected = v->n * (to - from);
        for (; i < v->len && (double)v->counts[i].events <= x; i++)
            seen += (double)v->counts[i].intervals;
        /* A cell is closed only if what remains can still make one. */
        if (expected < 5 || v->n * (1 - to) < 5)
            continue;
        x2 += (seen - seen_before - expected) * (seen - seen_before - expected) / expected;
        cells++;
        seen_before = seen;
        from = to;
    }
    double expected = v->n * (1 - from), off = v->n - seen_before - expected;
    x2 += off * off / expected;
    cells++;
    if (cells < 3)
        return;
    r->poisson_chi2 = x2;
    r->poisson_chi2_df = cells - 2;
    r->poisson_chi2_p = sj_chi2_upper(x2, cells - 2);
}

static double poisson_loglik(const struct view *v)
{
    double sum = 0;

    for (size_t i = 0; i < v->len; i++) {
        double x = (double)v->counts[i].events;
        sum += (double)v->counts[i].intervals * ((x > 0 ? x * log(v->mean) : 0) - v->mean - lgamma(x + 1));
    }
    return sum;
}

int sj_rates_fit(const struct sj_count *counts, size_t len, struct sj_rates *out, struct sj_err *err)
{
    struct sj_rates r = {.variance = NAN,
                         .dispersion = NAN,
                         .p = NAN,
                         .poisson_chi2 = NAN,
                         .poisson_chi2_p = NAN,
                         .size = NAN,
                         .negative_binomial_loglik = NAN};
    double events = 0, n = 0, square = 0;

    for (size_t i = 0; i < len; i++) {
        n += (double)counts[i].intervals;
        events += (double)counts[i].intervals * (double)counts[i].events;
    }
    if (!(n > 0))
        return sj_fail(err, EX_DATAERR, "no intervals to fit");
    if (!(events < 0x1p53) || !(n < 0x1p53))
        return sj_fail(err, EX_DATAERR, "the counts add up to %g, more than can be fitted", fmax(events, n));
    struct view v = {counts, len, n, events / n};
    for (size_t i = 0; i < len; i++) {
        double off = (double)counts[i].events - v.mean;
        square += (double)counts[i].intervals * off * off;
    }
    r.n = (uint64_t)n;
    r.events = (uint64_t)events;
    r.rate = v.mean;
    r.poisson_loglik = poisson_loglik(&v);
    if (sj_rate_interval(r.events, n, 0.95, &r.rate_ci))
        return sj_fail(err, EX_SOFTWARE, "no interval for a rate of %g", v.mean);
    if (n > 1) {
        r.variance = square / (n - 1);
        if (v.mean > 0) {
            r.dispersion = r.variance / v.mean;
            r.p = sj_chi2_upper((n - 1) * r.dispersion, n - 1);
            poisson_chi2(&v, &r);
        }
        r.has_negative_binomial = fit_size(&v, square / n, &r.size);
    }
    if (r.has_negative_binomial) {
        r.negative_binomial_loglik = negative_binomial_loglik(&v, r.size);
        r.over_dispersed = r.p < 0.05 && 2 * (r.negative_binomial_loglik - r.poisson_loglik) > log(n);
    } else {
        r.size = NAN;
    }
    *out = r;
    return 0;
}

int sj_rate_interval(uint64_t events, double exposure, double level, struct sj_interval *out)
{
    double tail = 0.5 * (1 - level), k = (double)events;

    if (!(exposure > 0) || !(level > 0 && level < 1))
        return -EDOM;
    double low = 0, high;
    if (events > EXACT_MAX) {
        /* Wilson and Hilferty's approximation, by then good to seven digits. */
        double z = gsl_cdf_ugaussian_Qinv(tail);
        low = k * pow(1 - 1 / (9 * k) - z / (3 * sqrt(k)), 3);
        high = (k + 1) * pow(1 - 1 / (9 * (k + 1)) + z / (3 * sqrt(k + 1)), 3);
    } else {
        if (events)
            low = gsl_cdf_gamma_Pinv(tail, k, 1);
        high = gsl_cdf_gamma_Qinv(tail, k + 1, 1);
    }
    if (!isfinite(low) || !isfinite(high))
        return -EDOM;
    *out = (struct sj_interval){low / exposure, high / exposure};
    return 0;
}
