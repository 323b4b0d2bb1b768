// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_family.h"

#include <math.h>

#include "model/fit_mixture.h"

/* Mixtures of two: everything is the weighted sum of the components' own. */

static double mix_log(double weight, double log_a, double log_b)
{
    double a = log(weight) + log_a, b = log1p(-weight) + log_b, high = fmax(a, b);

    return isinf(high) ? high : high + log1p(exp(-fabs(a - b)));
}

static double mix_density(const struct sj_family *c, const double *theta, double x, double log_x)
{
    return mix_log(theta[0], c->log_density(theta + 1, x, log_x),
                   c->log_density(theta + 1 + c->n_parameters, x, log_x));
}

static void mix_tails(const struct sj_family *c, const double *theta, double x, double log_x, double *p, double *q)
{
    double p1, q1, p2, q2, w = theta[0];

    c->tails(theta + 1, x, log_x, &p1, &q1);
    c->tails(theta + 1 + c->n_parameters, x, log_x, &p2, &q2);
    *p = w * p1 + (1 - w) * p2;
    *q = w * q1 + (1 - w) * q2;
}

/* The quantile of a mixture lies between those of its components. */
static double mix_quantile(const struct sj_family *f, const struct sj_family *c, const double *theta, double p)
{
    double a = c->quantile(theta + 1, p), b = c->quantile(theta + 1 + c->n_parameters, p);

    return sj_family_search_quantile(f, theta, p, fmin(a, b), fmax(a, b));
}

static double mix_mean(const struct sj_family *c, const double *theta, double t)
{
    return theta[0] * c->restricted_mean(theta + 1, t) +
           (1 - theta[0]) * c->restricted_mean(theta + 1 + c->n_parameters, t);
}

static double hyperexponential_log_density(const double *theta, double x, double log_x)
{
    return mix_density(&sj_family_exponential, theta, x, log_x);
}

static void hyperexponential_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    mix_tails(&sj_family_exponential, theta, x, log_x, p, q);
}

static double hyperexponential_quantile(const double *theta, double p)
{
    return mix_quantile(&sj_family_hyperexponential, &sj_family_exponential, theta, p);
}

static double hyperexponential_restricted_mean(const double *theta, double t)
{
    return mix_mean(&sj_family_exponential, theta, t);
}

static const struct sj_mixture of_exponentials = {SJ_COMPONENT_EXPONENTIAL, false};

const struct sj_family sj_family_hyperexponential = {
    .name = "hyperexponential",
    .parameters = {"weight1", "rate1", "rate2"},
    .n_parameters = 3,
    .special_case = SJ_FAMILY_EXPONENTIAL,
    .mixture = &of_exponentials,
    .component = &sj_family_exponential,
    .log_density = hyperexponential_log_density,
    .tails = hyperexponential_tails,
    .quantile = hyperexponential_quantile,
    .restricted_mean = hyperexponential_restricted_mean,
};

static double lognormal_mixture_log_density(const double *theta, double x, double log_x)
{
    return mix_density(&sj_family_lognormal, theta, x, log_x);
}

static void lognormal_mixture_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    mix_tails(&sj_family_lognormal, theta, x, log_x, p, q);
}

static double lognormal_mixture_quantile(const double *theta, double p)
{
    return mix_quantile(&sj_family_lognormal_mixture, &sj_family_lognormal, theta, p);
}

static double lognormal_mixture_restricted_mean(const double *theta, double t)
{
    return mix_mean(&sj_family_lognormal, theta, t);
}

static const struct sj_mixture of_lognormals = {SJ_COMPONENT_NORMAL, true};

const struct sj_family sj_family_lognormal_mixture = {
    .name = "lognormal_mixture",
    .parameters = {"weight1", "meanlog1", "sdlog1", "meanlog2", "sdlog2"},
    .n_parameters = 5,
    .positive = true,
    .special_case = SJ_FAMILY_LOGNORMAL,
    .mixture = &of_lognormals,
    .component = &sj_family_lognormal,
    .log_density = lognormal_mixture_log_density,
    .tails = lognormal_mixture_tails,
    .quantile = lognormal_mixture_quantile,
    .restricted_mean = lognormal_mixture_restricted_mean,
};

static double normal_mixture_log_density(const double *theta, double x, double log_x)
{
    return mix_density(&sj_family_normal, theta, x, log_x);
}

static void normal_mixture_tails(const double *theta, double x, double log_x, double *p, double *q)
{
    mix_tails(&sj_family_normal, theta, x, log_x, p, q);
}

static double normal_mixture_quantile(const double *theta, double p)
{
    return mix_quantile(&sj_family_normal_mixture, &sj_family_normal, theta, p);
}

static double normal_mixture_restricted_mean(const double *theta, double t)
{
    return mix_mean(&sj_family_normal, theta, t);
}

static const struct sj_mixture of_normals = {SJ_COMPONENT_NORMAL, false};

const struct sj_family sj_family_normal_mixture = {
    .name = "normal_mixture",
    .parameters = {"weight1", "mean1", "sd1", "mean2", "sd2"},
    .n_parameters = 5,
    .by_request = true,
    .special_case = SJ_FAMILY_NORMAL,
    .mixture = &of_normals,
    .component = &sj_family_normal,
    .log_density = normal_mixture_log_density,
    .tails = normal_mixture_tails,
    .quantile = normal_mixture_quantile,
    .restricted_mean = normal_mixture_restricted_mean,
};
