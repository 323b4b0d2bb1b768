// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/fit_sample.h"

#define SJ_FAMILY_PARAMETERS 5

enum sj_family_id {
    SJ_FAMILY_EXPONENTIAL = 0,
    SJ_FAMILY_SHIFTED_EXPONENTIAL,
    SJ_FAMILY_NORMAL,
    SJ_FAMILY_LOGNORMAL,
    SJ_FAMILY_GAMMA,
    SJ_FAMILY_WEIBULL,
    SJ_FAMILY_PARETO,
    SJ_FAMILY_LOGNORMAL_MIXTURE,
    SJ_FAMILY_HYPEREXPONENTIAL,
    SJ_FAMILY_NORMAL_MIXTURE,
    SJ_FAMILY_MAX_
};

struct sj_mixture;

/*
 * A family of distributions of a time x in seconds. theta are its parameters in the order of `parameters`.
 * Functions take log x beside x because callers have it.
 */
struct sj_family {
    const char *name;
    const char *parameters[SJ_FAMILY_PARAMETERS];
    int n_parameters; /* of the model, a shift or a scale at the minimum included */
    bool positive;    /* has no density at 0 */
    bool by_request;  /* fitted only when named */
    int special_case; /* enum sj_family_id of a simpler family that is inside this one, -1: none */

    /* Own estimator where there is a better one than a general maximiser: 0, or -1 when the data do not allow it. */
    int (*estimate)(const struct sj_sample *s, double *theta);
    /* How a mixture of two is made, and of what; such families are estimated by EM. */
    const struct sj_mixture *mixture;
    const struct sj_family *component;
    /* For all others: a first guess, and unbounded coordinates for the maximiser with their natural steps. */
    void (*start)(const struct sj_sample *s, double *theta);
    void (*pack)(const double *theta, double *eta, double *step);
    void (*unpack)(const double *eta, double *theta);

    double (*log_density)(const double *theta, double x, double log_x);
    /* P(X <= x) and P(X > x), each accurate where it is small. */
    void (*tails)(const double *theta, double x, double log_x, double *p, double *q);
    /* Sum over points in closed form; optional. */
    double (*points_loglik)(const double *theta, const struct sj_sample *s);
    /* P(lo < X <= hi) by a faster way than differences of tails; NaN where that way is not accurate; optional. */
    double (*bin_mass)(const double *theta, const struct sj_bin *b);
    double (*quantile)(const double *theta, double p); /* 0 < p < 1 */
    /* Integral of P(X > x) from 0 to t; t may be INFINITY (the mean, INFINITY where there is none). */
    double (*restricted_mean)(const double *theta, double t);
};

const struct sj_family *sj_family_get(enum sj_family_id id);
/* By its name in JSON and on the command line; NULL when there is none. */
const struct sj_family *sj_family_by_name(const char *name);

extern const struct sj_family sj_family_exponential;
extern const struct sj_family sj_family_shifted_exponential;
extern const struct sj_family sj_family_pareto;
extern const struct sj_family sj_family_normal;
extern const struct sj_family sj_family_lognormal;
extern const struct sj_family sj_family_gamma;
extern const struct sj_family sj_family_weibull;
extern const struct sj_family sj_family_lognormal_mixture;
extern const struct sj_family sj_family_hyperexponential;
extern const struct sj_family sj_family_normal_mixture;
/* Of excesses over a threshold: parameters xi, beta. Not in the table: it describes a tail, not all requests. */
extern const struct sj_family sj_family_generalised_pareto;

/* Log-likelihood of the sample: densities of points, masses of bins, log-survival at censoring points. */
double sj_family_loglik(const struct sj_family *f, const double *theta, const struct sj_sample *s);

/*
 * Maximum likelihood. `near` (may be NULL) are parameters known to be close, from which only Newton's method is run.
 * Returns 0, or -1 when there is no maximum to be found: theta is untouched then.
 */
int sj_family_estimate(const struct sj_family *f, const struct sj_sample *s, const double *near, double *theta);

/* A quantile of a family that has no closed form, by bisection and Newton's method between low and high. */
double sj_family_search_quantile(const struct sj_family *f, const double *theta, double p, double low, double high);
