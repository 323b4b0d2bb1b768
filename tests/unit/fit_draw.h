// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <math.h>
#include <stddef.h>

#include "hist_random.h"
#include "model/fit_family.h"

/*
 * Values of each family with known parameters, by transformations that share nothing with the code under test.
 */

static inline double draw_exponential(struct random_state *r, double rate)
{
    return -log(random_unit(r)) / rate;
}

static inline double draw_lognormal(struct random_state *r, double meanlog, double sdlog)
{
    return exp(meanlog + sdlog * random_normal(r));
}

/* G. Marsaglia, W. W. Tsang, ACM Transactions on Mathematical Software 26 (2000), 363-372. */
static inline double draw_gamma(struct random_state *r, double shape, double rate)
{
    double boost = shape < 1 ? pow(random_unit(r), 1 / shape) : 1;
    double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);

    for (;;) {
        double z = random_normal(r), v = (1 + c * z) * (1 + c * z) * (1 + c * z);
        if (v > 0 && log(random_unit(r)) < 0.5 * z * z + d - d * v + d * log(v))
            return boost * d * v / rate;
    }
}

static inline double draw(struct random_state *r, enum sj_family_id id, const double *theta)
{
    bool first = id >= SJ_FAMILY_LOGNORMAL_MIXTURE && random_unit(r) < theta[0];

    switch (id) {
    case SJ_FAMILY_EXPONENTIAL:
        return draw_exponential(r, theta[0]);
    case SJ_FAMILY_SHIFTED_EXPONENTIAL:
        return theta[0] + draw_exponential(r, theta[1]);
    case SJ_FAMILY_NORMAL:
        return fabs(theta[0] + theta[1] * random_normal(r));
    case SJ_FAMILY_LOGNORMAL:
        return draw_lognormal(r, theta[0], theta[1]);
    case SJ_FAMILY_GAMMA:
        return draw_gamma(r, theta[0], theta[1]);
    case SJ_FAMILY_WEIBULL:
        return theta[1] * pow(-log(random_unit(r)), 1 / theta[0]);
    case SJ_FAMILY_PARETO:
        return theta[0] * pow(random_unit(r), -1 / theta[1]);
    case SJ_FAMILY_LOGNORMAL_MIXTURE:
        return first ? draw_lognormal(r, theta[1], theta[2]) : draw_lognormal(r, theta[3], theta[4]);
    case SJ_FAMILY_HYPEREXPONENTIAL:
        return draw_exponential(r, theta[first ? 1 : 2]);
    case SJ_FAMILY_NORMAL_MIXTURE:
    default:
        return fabs(first ? theta[1] + theta[2] * random_normal(r) : theta[3] + theta[4] * random_normal(r));
    }
}

/* n of them. */
static inline void draw_many(uint64_t seed, enum sj_family_id id, const double *theta, double *x, size_t n)
{
    struct random_state r = {.state = seed};

    for (size_t i = 0; i < n; i++)
        x[i] = draw(&r, id, theta);
}
