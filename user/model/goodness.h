// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit_family.h"

/* How well a distribution describes a sample. NAN (df 0): not known, as everything but the last with censored data. */
struct sj_goodness {
    double ks; /* the largest distance between the distribution functions; for bins, at their edges */
    double ad; /* Anderson and Darling's; for bins, Choulakian, Lockhart and Stephens's form of it */
    double chi2;
    double chi2_p;
    int chi2_df;
    double max_quantile_error; /* relative; for p from max(.01, 5/n) to min(.999, 1 - 5/n) */
};

/*
 * Chi-square: bins are pooled from the left until 5 values are expected, df = cells - 1 - parameters. Points are
 * counted in 2 n^(2/5) cells of equal probability (Mann and Wald's number); parameters that were estimated from points
 * make the true p-value a little larger than the one given.
 * EX_OSERR without memory.
 */
int sj_goodness_of_fit(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                       struct sj_goodness *out, struct sj_err *err);

/* KS and AD alone, of a sample without censored values. */
void sj_goodness_distances(const struct sj_family *f, const double *theta, const struct sj_sample *s, double *ks,
                           double *ad);

/* P(chi-square with df degrees of freedom > x2). */
double sj_chi2_upper(double x2, double df);
