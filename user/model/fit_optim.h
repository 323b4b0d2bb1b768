// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SJ_OPTIM_MAX 5

/*
 * A smooth function to be maximised without bounds: callers map their parameters to all of R^n. Where there is no value
 * (outside of what they allow) it returns -INFINITY. gradient is optional; it fills d value / d eta and returns the
 * value.
 */
struct sj_objective {
    size_t n; /* 1 to SJ_OPTIM_MAX */
    double (*value)(const double *eta, void *ctx);
    double (*gradient)(const double *eta, double *gradient, void *ctx);
    void *ctx;
};

/*
 * Nelder and Mead's simplex, from eta with sides of half a step: moves eta to within about a thousandth of a step of a
 * maximum. For starts that Newton's method would not survive. Returns false when eta has no finite value.
 */
bool sj_optim_simplex(const struct sj_objective *o, double *eta, const double *step);

/*
 * Newton's method, damped where the surface is not concave or a step does not climb, on difference quotients of the
 * gradient where there is one, else of the value. `step` is the length in each coordinate over which the function
 * changes by about one per observation: differences are taken at small fractions of it.
 *
 * Returns true when it converged: the last step was worth less than 1e-12 in value, which for a likelihood is a
 * millionth of a standard error. eta is the best point seen in either case, *value (if not NULL) its value.
 */
bool sj_optim_newton(const struct sj_objective *o, double *eta, const double *step, int max_steps, double *value);
