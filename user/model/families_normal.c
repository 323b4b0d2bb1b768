// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_family.h"

#include <math.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_sf_erf.h>

/* The normal distribution, of x and of log x. */

#define LOG_SQRT_2PI 0.91893853320467274178

static double log_phi(double z)
{
    return -0.5 * z * z - LOG_SQRT_2PI;
}

/* Both tails from the smaller one: one evaluation, and no digits lost. */
static void standard_tails(double z, double *p, double *q)
{
    double small = 0.5 * erfc(fabs(z) * M_SQRT1_2);

    *p = z < 0 ? small : 1 - small;
    *q = z < 0 ? 1 - small : small;
}

static void pack(const double *theta, double *eta, double *step)
{
    eta[0] = theta[0];
    eta[1] = log(theta[1]);
    step[0] = theta[1];
    step[1] = 1;
}

static void unpack(const double *eta, double *theta)
{
    theta[0] = eta[0];
    theta[1] = exp(eta[1]);
}

/* Sum over points of the log-density of y, by its mean and variance. */
static double points_sum(const double *theta, double n, double mean, double variance)
{
    double off = mean - theta[0];

    return -n * (log(theta[1]) + LOG_SQRT_2PI + (variance + off * off) / (2 * theta[1] * theta[1]));
}

static void normal_start(const struct sj_sample *s, double *theta)
{
    theta[0] = s->rough.mean;
    theta[1] = sqrt(s->rough.variance);
}

static double normal_log_density(const double *theta, double x, double log_x)
{
    (void)log_x;
    return log_phi((x - theta[0]) / theta[1]) - log(theta[1]);
}

static void normal_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    (void)log_x;
    standard_tails((x - theta[0]) / theta[1], p, q);
}

static double normal_points_loglik(const double *theta, const struct sj_sample *s)
{
    return points_sum(theta, s->seen, s->moments.mean, s->moments.variance);
}

static double normal_quantile(const double *theta, double p)
{
    return theta[0] + theta[1] * gsl_cdf_ugaussian_Pinv(p);
}

/* An antiderivative of the survival function: (x - mean) Q(z) - sd phi(z); it vanishes at infinity. */
static double normal_survival_area(const double *theta, double x)
{
    double z = (x - theta[0]) / theta[1], p, q;

    if (isinf(x))
        return 0;
    standard_tails(z, &p, &q);
    return (x - theta[0]) * q - theta[1] * exp(log_phi(z));
}

static double normal_restricted_mean(const double *theta, double t)
{
    return normal_survival_area(theta, t) - normal_survival_area(theta, 0);
}

const struct sj_family sj_family_normal = {
    .name = "normal",
    .parameters = {"mean", "sd"},
    .n_parameters = 2,
    .special_case = -1,
    .start = normal_start,
    .pack = pack,
    .unpack = unpack,
    .log_density = normal_log_density,
    .tails = normal_tails,
    .points_loglik = normal_points_loglik,
    .quantile = normal_quantile,
    .restricted_mean = normal_restricted_mean,
};

static void lognormal_start(const struct sj_sample *s, double *theta)
{
    theta[0] = s->rough.mean_log;
    theta[1] = sqrt(s->rough.variance_log);
}

static double lognormal_log_density(const double *theta, double x, double log_x)
{
    (void)x;
    return log_phi((log_x - theta[0]) / theta[1]) - log(theta[1]) - log_x;
}

static void lognormal_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    (void)x;
    standard_tails((log_x - theta[0]) / theta[1], p, q);
}

static double lognormal_points_loglik(const double *theta, const struct sj_sample *s)
{
    return points_sum(theta, s->seen, s->moments.mean_log, s->moments.variance_log) - s->seen * s->moments.mean_log;
}

static double lognormal_quantile(const double *theta, double p)
{
    return exp(normal_quantile(theta, p));
}

/*
 * t P(X > t) plus the mean of what lies below, exp(meanlog + sdlog^2 / 2) P(Z < z - sdlog). For a wide distribution
 * these are infinity and 0; written with the hazard of the normal distribution they are t phi(z) / h(sdlog - z).
 */
static double lognormal_restricted_mean(const double *theta, double t)
{
    double mean = exp(theta[0] + 0.5 * theta[1] * theta[1]), z = (log(t) - theta[0]) / theta[1], p, q, p_moved, unused;

    if (isinf(t))
        return mean;
    standard_tails(z, &p, &q);
    if (theta[1] - z > 5)
        return t * (exp(log_phi(z)) / gsl_sf_hazard(theta[1] - z) + q);
    standard_tails(z - theta[1], &p_moved, &unused);
    return mean * p_moved + t * q;
}

const struct sj_family sj_family_lognormal = {
    .name = "lognormal",
    .parameters = {"meanlog", "sdlog"},
    .n_parameters = 2,
    .positive = true,
    .special_case = -1,
    .start = lognormal_start,
    .pack = pack,
    .unpack = unpack,
    .log_density = lognormal_log_density,
    .tails = lognormal_tails,
    .points_loglik = lognormal_points_loglik,
    .quantile = lognormal_quantile,
    .restricted_mean = lognormal_restricted_mean,
};
