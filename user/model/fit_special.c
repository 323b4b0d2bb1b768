// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_special.h"

#include <math.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_sf_gamma.h>

#define SHAPE_LARGE 1e4
#define SQRT_2PI 2.50662827463100050242

double sj_deviance(double r)
{
    double m = r - 1;

    /* Its series where the logarithm's would cancel the term itself. */
    if (fabs(m) < 1e-4)
        return m * m * (0.5 - m * (1.0 / 3 - m * (0.25 - m * 0.2)));
    return fabs(m) < 0.5 ? m - log1p(m) : m - log(r);
}

/* The smaller of the two tails is Q for x >= shape, P below; eta measures the distance in a way that makes it normal.
 */
static double uniform_tail(double shape, double x)
{
    double mu = x / shape - 1, half = shape * sj_deviance(x / shape), side = mu < 0 ? -1 : 1;
    double eta = side * sqrt(2 * half / shape), c0, c1;

    if (fabs(eta) < 0.02) {
        c0 = -1.0 / 3 + eta * (1.0 / 12 - eta * (2.0 / 135 - eta * (1.0 / 864 + eta / 2835)));
        c1 = -1.0 / 540 - eta * (1.0 / 288 - eta * 25.0 / 12096);
    } else {
        c0 = 1 / mu - 1 / eta;
        c1 = 1 / (eta * eta * eta) - 1 / (mu * mu * mu) - 1 / (mu * mu) - 1 / (12 * mu);
    }
    return 0.5 * erfc(sqrt(half)) + side * exp(-half) / (SQRT_2PI * sqrt(shape)) * (c0 + c1 / shape);
}

static double gsl_tail(double shape, double x)
{
    gsl_sf_result r = {.val = 0};

    /* GSL reports an underflow beside the right result, 0. */
    if (x < shape)
        gsl_sf_gamma_inc_P_e(shape, x, &r);
    else
        gsl_sf_gamma_inc_Q_e(shape, x, &r);
    return isfinite(r.val) ? r.val : 0;
}

void sj_gamma_tails(double shape, double x, double *p, double *q)
{
    double tail = 0;

    if (x > 0 && isfinite(x))
        tail = shape > SHAPE_LARGE ? uniform_tail(shape, x) : gsl_tail(shape, x);
    tail = fmin(fmax(tail, 0), 1);
    *p = x < shape ? tail : 1 - tail;
    *q = x < shape ? 1 - tail : tail;
}
