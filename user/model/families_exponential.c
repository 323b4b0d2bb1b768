// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_family.h"

#include <math.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>

/*
 * The exponential, the shifted exponential and the Pareto distribution: y - origin is exponential, with y = x and
 * origin 0, y = x and a free origin, y = log x and a free origin.
 */
struct scene {
    const struct sj_sample *s;
    bool log_axis;
    bool free_origin;
    double origin;   /* when not free */
    double reaching; /* values that reach the end of the first bin, or end in it */
};

static double bin_low(const struct scene *c, size_t i)
{
    return c->log_axis ? c->s->bins[i].log_lo : c->s->bins[i].lo;
}

static double bin_high(const struct scene *c, size_t i)
{
    return c->log_axis ? c->s->bins[i].log_hi : c->s->bins[i].hi;
}

static double censor_at(const struct scene *c, size_t i)
{
    return c->log_axis ? c->s->censored[i].log_at : c->s->censored[i].at;
}

/*
 * Given the rate, the likelihood of bins rises with the origin until what reaches the first bin leaves the right share
 * in it, 1 - exp(-rate (high - origin)) = share. Never below the bin's lower edge; where that point would pass one at
 * which requests were given up, and so no longer reach the bin, it stays there.
 */
static double best_origin(const struct scene *c, double rate)
{
    const struct sj_sample *s = c->s;
    size_t i = s->n_censored;

    if (!c->free_origin)
        return c->origin;
    double low = bin_low(c, 0), high = bin_high(c, 0), reaching = c->reaching, passed = high;
    while (i > 0 && censor_at(c, i - 1) >= high)
        i--;
    for (;; i--) {
        double origin = high + log1p(-s->bins[0].count / reaching) / rate;
        double next = i > 0 ? censor_at(c, i - 1) : low;
        if (origin > passed)
            return passed;
        if (origin >= next || next <= low)
            return fmax(origin, low);
        reaching += s->censored[i - 1].count;
        passed = next;
    }
}

/* Derivative of the log-likelihood of bins by the rate, at the best origin (where that adds nothing to it). */
static double slope(double log_rate, void *ctx)
{
    const struct scene *c = ctx;
    double rate = exp(log_rate), origin = best_origin(c, rate), sum = 0;

    for (size_t i = 0; i < c->s->n_bins; i++) {
        double low = fmax(bin_low(c, i), origin), width = bin_high(c, i) - low;
        sum += c->s->bins[i].count * (width / expm1(rate * width) - (low - origin));
    }
    for (size_t i = 0; i < c->s->n_censored; i++)
        sum -= c->s->censored[i].count * fmax(censor_at(c, i) - origin, 0);
    return sum;
}

static int bins_rate(struct scene *c, double guess, double *origin, double *rate)
{
    gsl_function f = {.function = slope, .params = c};
    double low = log(guess), high = log(guess);

    for (int i = 0; i < 200 && !(slope(low, c) > 0); i++)
        low -= 1;
    for (int i = 0; i < 200 && !(slope(high, c) < 0); i++)
        high += 1;
    if (!(slope(low, c) > 0) || !(slope(high, c) < 0))
        return -1;
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!solver)
        return -1;
    int rc = gsl_root_fsolver_set(solver, &f, low, high);
    double found = low;
    for (int i = 0; i < 200 && rc == GSL_SUCCESS; i++) {
        rc = gsl_root_fsolver_iterate(solver);
        found = gsl_root_fsolver_root(solver);
        if (gsl_root_fsolver_x_upper(solver) - gsl_root_fsolver_x_lower(solver) < 1e-14 * (1 + fabs(found)))
            break;
    }
    gsl_root_fsolver_free(solver);
    if (rc != GSL_SUCCESS)
        return -1;
    *rate = exp(found);
    *origin = best_origin(c, *rate);
    return 0;
}

/* Maximum likelihood of points: the origin is the smallest one, the rate what was seen over the time at risk. */
static int points_rate(const struct scene *c, double *origin, double *rate)
{
    const struct sj_sample *s = c->s;
    double from = !c->free_origin ? c->origin : c->log_axis ? s->points[0].log_x : s->points[0].x, at_risk = 0;

    for (size_t i = 0; i < s->n_points; i++)
        at_risk += s->points[i].count * ((c->log_axis ? s->points[i].log_x : s->points[i].x) - from);
    for (size_t i = 0; i < s->n_censored; i++)
        at_risk += s->censored[i].count * fmax(censor_at(c, i) - from, 0);
    if (!(at_risk > 0))
        return -1;
    *origin = from;
    *rate = s->seen / at_risk;
    return isfinite(*rate) ? 0 : -1;
}

static int fit_rate(const struct sj_sample *s, bool log_axis, bool free_origin, double *origin, double *rate)
{
    struct scene c = {.s = s, .log_axis = log_axis, .free_origin = free_origin};

    if (!(s->seen > 0))
        return -1;
    if (s->n_points)
        return points_rate(&c, origin, rate);
    c.reaching = s->seen;
    for (size_t i = 0; i < s->n_censored; i++)
        c.reaching += censor_at(&c, i) >= bin_high(&c, 0) ? s->censored[i].count : 0;
    double start = free_origin ? bin_high(&c, 0) : 0;
    double spread = (log_axis ? s->rough.mean_log : s->rough.mean) - start;
    if (free_origin && c.reaching <= s->bins[0].count)
        return -1;
    return bins_rate(&c, spread > 0 ? 1 / spread : 1, origin, rate);
}

static void tails_from(double age, double rate, double *p, double *q)
{
    *q = age > 0 ? exp(-rate * age) : 1;
    *p = age > 0 ? -expm1(-rate * age) : 0;
}

static double held(double rate, double t)
{
    return -expm1(-rate * t) / rate;
}

static int exponential_estimate(const struct sj_sample *s, double *theta)
{
    double origin;

    return fit_rate(s, false, false, &origin, &theta[0]);
}

static double exponential_log_density(const double *theta, double x, double log_x)
{
    (void)log_x;
    return log(theta[0]) - theta[0] * x;
}

static void exponential_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    (void)log_x;
    tails_from(x, theta[0], p, q);
}

static double exponential_quantile(const double *theta, double p)
{
    return -log1p(-p) / theta[0];
}

static double exponential_restricted_mean(const double *theta, double t)
{
    return held(theta[0], t);
}

const struct sj_family sj_family_exponential = {
    .name = "exponential",
    .parameters = {"rate"},
    .n_parameters = 1,
    .special_case = -1,
    .estimate = exponential_estimate,
    .log_density = exponential_log_density,
    .tails = exponential_tails,
    .quantile = exponential_quantile,
    .restricted_mean = exponential_restricted_mean,
};

static int shifted_estimate(const struct sj_sample *s, double *theta)
{
    double origin, rate;

    if (fit_rate(s, false, true, &origin, &rate))
        return -1;
    theta[0] = origin;
    theta[1] = rate;
    return 0;
}

static double shifted_log_density(const double *theta, double x, double log_x)
{
    (void)log_x;
    return x < theta[0] ? -INFINITY : log(theta[1]) - theta[1] * (x - theta[0]);
}

static void shifted_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    (void)log_x;
    tails_from(x - theta[0], theta[1], p, q);
}

static double shifted_quantile(const double *theta, double p)
{
    return theta[0] - log1p(-p) / theta[1];
}

static double shifted_restricted_mean(const double *theta, double t)
{
    return t <= theta[0] ? t : theta[0] + held(theta[1], t - theta[0]);
}

const struct sj_family sj_family_shifted_exponential = {
    .name = "shifted_exponential",
    .parameters = {"shift", "rate"},
    .n_parameters = 2,
    .special_case = SJ_FAMILY_EXPONENTIAL,
    .estimate = shifted_estimate,
    .log_density = shifted_log_density,
    .tails = shifted_tails,
    .quantile = shifted_quantile,
    .restricted_mean = shifted_restricted_mean,
};

static int pareto_estimate(const struct sj_sample *s, double *theta)
{
    double origin, rate;

    if (fit_rate(s, true, true, &origin, &rate))
        return -1;
    /* The scale is the smallest value itself, not the exponential of its logarithm, which may exceed it. */
    theta[0] = s->n_points ? s->points[0].x : exp(origin);
    theta[1] = rate;
    return 0;
}

static double pareto_log_density(const double *theta, double x, double log_x)
{
    return x < theta[0] ? -INFINITY : log(theta[1]) - theta[1] * (log_x - log(theta[0])) - log_x;
}

static void pareto_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    tails_from(x > theta[0] ? log_x - log(theta[0]) : 0, theta[1], p, q);
}

static double pareto_quantile(const double *theta, double p)
{
    return theta[0] * exp(-log1p(-p) / theta[1]);
}

static double pareto_restricted_mean(const double *theta, double t)
{
    double scale = theta[0], shape = theta[1];

    if (t <= scale)
        return t;
    if (isinf(t))
        return shape > 1 ? scale * shape / (shape - 1) : INFINITY;
    double age = log(t / scale), k = shape - 1;
    return scale + scale * (fabs(k * age) < 1e-12 ? age : -expm1(-k * age) / k);
}

const struct sj_family sj_family_pareto = {
    .name = "pareto",
    .parameters = {"scale", "shape"},
    .n_parameters = 2,
    .positive = true,
    .special_case = -1,
    .estimate = pareto_estimate,
    .log_density = pareto_log_density,
    .tails = pareto_tails,
    .quantile = pareto_quantile,
    .restricted_mean = pareto_restricted_mean,
};
