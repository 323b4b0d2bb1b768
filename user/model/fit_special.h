// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/*
 * The regularised incomplete gamma functions, P(shape, x) and Q = 1 - P: shape > 0, x >= 0 or INFINITY, each accurate
 * where it is small. GSL's lose digits for shapes beyond 10^4 and are wrong from 10^8 on; there a uniform
 * expansion (N. M. Temme, SIAM J. Math. Anal. 13 (1982), 239-253) takes over, good to ten digits.
 */
void sj_gamma_tails(double shape, double x, double *p, double *q);

/* r - 1 - log r for r > 0, without cancellation near 1. */
double sj_deviance(double r);
