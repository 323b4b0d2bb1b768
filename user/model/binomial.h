// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/*
 * The binomial distribution for any n: exact sums while its variance is at most 10^5, and beyond that the normal
 * approximation with its skewness, whose error is then below 10^-5. Counts are whole numbers held in doubles.
 */

/* P(B = k) for B ~ Bin(n, p), q = 1 - p (given apart because one of the two may be tiny); 0 <= k <= n. */
double sj_binomial_pmf(double k, double n, double p, double q);

/* P(B <= k); 0 for k < 0, 1 for k >= n. */
double sj_binomial_cdf(double k, double n, double p, double q);

/*
 * The rank of the order statistic that bounds quantile p from below: the largest l with P(B <= l - 1) <= alpha.
 * 0 when even the smallest of n values does not. 0 < p < 1, 0 < alpha < 1.
 */
double sj_binomial_low_rank(double n, double p, double alpha);
