// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_family.h"

#include <math.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_sf_gamma.h>

#include "model/fit_special.h"

/* Gamma, Weibull and generalised Pareto. */

#define LOG_2PI 1.83787706640934548356
#define EULER_GAMMA 0.57721566490153286061

/*
 * The gamma distribution by its shape k and mean m, since these two are estimated almost independently:
 * log f = (log(k / 2 pi) / 2 - log G(k)) - k (y - 1 - log y) - log x, where y = x / m and G is the ratio of the gamma
 * function to Stirling's formula. Written so, a shape of a million costs no digits.
 */
static double gamma_constant(double shape)
{
    return 0.5 * (log(shape) - LOG_2PI) - log(gsl_sf_gammastar(shape));
}

static void gamma_start(const struct sj_sample *s, double *theta)
{
    /* Minka's approximation to the maximum, from log(mean) - mean(log). */
    double d = fmax(s->rough.gamma_deviance, 1e-12);
    double shape = isfinite(d) ? (3 - d + sqrt((d - 3) * (d - 3) + 24 * d)) / (12 * d) : 1;

    theta[0] = shape;
    theta[1] = shape / s->rough.mean;
}

static void gamma_pack(const double *theta, double *eta, double *step)
{
    eta[0] = log(theta[0]);
    eta[1] = log(theta[0] / theta[1]);
    step[0] = 1;
    step[1] = 1 / sqrt(theta[0]);
}

static void gamma_unpack(const double *eta, double *theta)
{
    theta[0] = exp(eta[0]);
    theta[1] = exp(eta[0] - eta[1]);
}

static double gamma_log_density(const double *theta, double x, double log_x)
{
    return gamma_constant(theta[0]) - theta[0] * sj_deviance(x * theta[1] / theta[0]) - log_x;
}

static void gamma_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    (void)log_x;
    sj_gamma_tails(theta[0], x * theta[1], p, q);
}

static double gamma_points_loglik(const double *theta, const struct sj_sample *s)
{
    double off = sj_deviance(s->moments.mean * theta[1] / theta[0]);

    return s->seen * (gamma_constant(theta[0]) - theta[0] * (s->moments.gamma_deviance + off) - s->moments.mean_log);
}

/* Where the log-density changes by less than 2 over the bin, five-point Gauss-Legendre is good to ten digits. */
static double gamma_bin_mass(const double *theta, const struct sj_bin *b)
{
    static const double at[] = {-0.9061798459386640, -0.5384693101056831, 0, 0.5384693101056831, 0.9061798459386640};
    static const double weight[] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665,
                                    0.2369268850561891};
    double width = b->log_hi - b->log_lo, k = theta[0], r = theta[1];

    if (!(width < 0.3) || k * width * width > 2 || fabs((k - 1) * width - r * (b->hi - b->lo)) > 2)
        return NAN;
    double middle = 0.5 * (b->lo + b->hi), half = 0.5 * (b->hi - b->lo), sum = 0;
    double log_middle = log(middle), at_middle = gamma_log_density(theta, middle, log_middle);
    for (int i = 0; i < 5; i++) {
        double part = half * at[i] / middle;
        sum += weight[i] * exp((k - 1) * log1p(part) - r * middle * part);
    }
    return sum * half * exp(at_middle);
}

static double gamma_quantile(const double *theta, double p)
{
    double shape = theta[0], mean = shape / theta[1], z = gsl_cdf_ugaussian_Pinv(p);
    double cube = 1 - 1 / (9 * shape) + z / (3 * sqrt(shape));
    /* Wilson and Hilferty's guess, and the leading term near 0 for small shapes. */
    double guess =
        shape > 0.5 && cube > 0.1 ? mean * cube * cube * cube : exp((log(p) + lgamma(shape + 1)) / shape) / theta[1];
    double low = guess, high = guess, below, above;

    if (!(guess > 1e-300))
        return 0;
    for (int i = 0; i < 200; i++, low *= 0.7) {
        sj_gamma_tails(shape, low * theta[1], &below, &above);
        if (below < p)
            break;
    }
    for (int i = 0; i < 400; i++, high *= 1.4) {
        sj_gamma_tails(shape, high * theta[1], &below, &above);
        if (above < 1 - p)
            break;
    }
    return sj_family_search_quantile(&sj_family_gamma, theta, p, low, high);
}

static double gamma_restricted_mean(const double *theta, double t)
{
    double p, q, p_longer, unused;

    if (isinf(t))
        return theta[0] / theta[1];
    sj_gamma_tails(theta[0], t * theta[1], &p, &q);
    sj_gamma_tails(theta[0] + 1, t * theta[1], &p_longer, &unused);
    return theta[0] / theta[1] * p_longer + t * q;
}

const struct sj_family sj_family_gamma = {
    .name = "gamma",
    .parameters = {"shape", "rate"},
    .n_parameters = 2,
    .positive = true,
    .special_case = SJ_FAMILY_EXPONENTIAL,
    .start = gamma_start,
    .pack = gamma_pack,
    .unpack = gamma_unpack,
    .log_density = gamma_log_density,
    .tails = gamma_tails,
    .points_loglik = gamma_points_loglik,
    .bin_mass = gamma_bin_mass,
    .quantile = gamma_quantile,
    .restricted_mean = gamma_restricted_mean,
};

static void weibull_start(const struct sj_sample *s, double *theta)
{
    /* log x has standard deviation pi / (shape sqrt 6) and mean log(scale) - gamma / shape. */
    theta[0] = M_PI / sqrt(6 * s->rough.variance_log);
    theta[1] = exp(s->rough.mean_log + EULER_GAMMA / theta[0]);
}

static void weibull_pack(const double *theta, double *eta, double *step)
{
    eta[0] = log(theta[0]);
    eta[1] = log(theta[1]);
    step[0] = 1;
    step[1] = 1 / theta[0];
}

static void weibull_unpack(const double *eta, double *theta)
{
    theta[0] = exp(eta[0]);
    theta[1] = exp(eta[1]);
}

static double weibull_log_density(const double *theta, double x, double log_x)
{
    double z = theta[0] * (log_x - log(theta[1]));

    (void)x;
    return log(theta[0]) - log_x + z - exp(z);
}

static double weibull_points_loglik(const double *theta, const struct sj_sample *s)
{
    double log_scale = log(theta[1]), sum = 0;

    for (size_t i = 0; i < s->n_points; i++)
        sum += s->points[i].count * exp(theta[0] * (s->points[i].log_x - log_scale));
    return s->seen * (log(theta[0]) - s->moments.mean_log + theta[0] * (s->moments.mean_log - log_scale)) - sum;
}

static void weibull_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    double t = exp(theta[0] * (log_x - log(theta[1])));

    (void)x;
    *q = exp(-t);
    *p = -expm1(-t);
}

static double weibull_quantile(const double *theta, double p)
{
    return theta[1] * pow(-log1p(-p), 1 / theta[0]);
}

static double weibull_restricted_mean(const double *theta, double t)
{
    double inverse = 1 / theta[0], mean = theta[1] * exp(lgamma(1 + inverse)), p, q;

    if (isinf(t))
        return mean;
    double z = pow(t / theta[1], theta[0]);
    sj_gamma_tails(1 + inverse, z, &p, &q);
    return mean * p + t * exp(-z);
}

const struct sj_family sj_family_weibull = {
    .name = "weibull",
    .parameters = {"shape", "scale"},
    .n_parameters = 2,
    .positive = true,
    .special_case = SJ_FAMILY_EXPONENTIAL,
    .start = weibull_start,
    .pack = weibull_pack,
    .unpack = weibull_unpack,
    .log_density = weibull_log_density,
    .tails = weibull_tails,
    .points_loglik = weibull_points_loglik,
    .quantile = weibull_quantile,
    .restricted_mean = weibull_restricted_mean,
};

/*
 * Excesses over a threshold: P(Y > y) = (1 + xi y / beta)^(-1/xi). Below xi = -1 the likelihood has no bound (the end
 * of the distribution moves onto the largest value), so the parameters stay above.
 */
static double pareto_excess(const double *theta, double y)
{
    double a = theta[0] * y / theta[1];

    if (fabs(theta[0]) < 1e-9)
        return y / theta[1];
    return a > -1 ? log1p(a) / theta[0] : INFINITY;
}

static void gpd_start(const struct sj_sample *s, double *theta)
{
    double ratio = s->rough.mean * s->rough.mean / s->rough.variance;

    /* By moments; those of a heavy tail mislead, so the start stays among the moderate ones. */
    theta[0] = fmin(fmax(0.5 * (1 - ratio), -0.2), 0.4);
    theta[1] = s->rough.mean * (1 - theta[0]);
    if (theta[0] < 0)
        theta[1] =
            fmax(theta[1], -1.1 * theta[0] * (s->n_bins ? s->bins[s->n_bins - 1].hi : s->points[s->n_points - 1].x));
}

static void gpd_pack(const double *theta, double *eta, double *step)
{
    eta[0] = theta[0];
    eta[1] = log(theta[1]);
    step[0] = 1;
    step[1] = 1;
}

static void gpd_unpack(const double *eta, double *theta)
{
    theta[0] = eta[0] > -1 ? eta[0] : NAN;
    theta[1] = exp(eta[1]);
}

static double gpd_log_density(const double *theta, double x, double log_x)
{
    double e = pareto_excess(theta, x);

    (void)log_x;
    return isinf(e) ? -INFINITY : -log(theta[1]) - (1 + theta[0]) * e;
}

static void gpd_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    double e = pareto_excess(theta, x);

    (void)log_x;
    *q = exp(-e);
    *p = -expm1(-e);
}

static double gpd_quantile(const double *theta, double p)
{
    double e = -log1p(-p);

    return fabs(theta[0]) < 1e-9 ? theta[1] * e : theta[1] * expm1(theta[0] * e) / theta[0];
}

static double gpd_restricted_mean(const double *theta, double t)
{
    double xi = theta[0], e = pareto_excess(theta, t);

    if (isinf(t) && xi >= 1)
        return INFINITY;
    /* Integral of exp(-e(y)) dy, with dy = beta exp(xi e) de. */
    double k = 1 - xi;
    return theta[1] * (fabs(k) < 1e-12 ? e : -expm1(-k * e) / k);
}

const struct sj_family sj_family_generalised_pareto = {
    .name = "generalised_pareto",
    .parameters = {"xi", "beta"},
    .n_parameters = 2,
    .special_case = SJ_FAMILY_EXPONENTIAL,
    .start = gpd_start,
    .pack = gpd_pack,
    .unpack = gpd_unpack,
    .log_density = gpd_log_density,
    .tails = gpd_tails,
    .quantile = gpd_quantile,
    .restricted_mean = gpd_restricted_mean,
};
