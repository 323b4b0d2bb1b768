// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/binomial.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

/* The variance above which the normal approximation is better than exact sums are worth. */
#define EXACT_VARIANCE 1e5

/* log(n!) less Stirling's approximation of it; n >= 1. The series is exact to the last digit from 16 on. */
static double stirling_error(double n)
{
    double square = n * n;

    if (n < 16)
        return log(tgamma(n + 1)) - (n + 0.5) * log(n) + n - 0.5 * log(2 * M_PI);
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) / n;
}

/* x log(x / m) + m - x without the cancellation between its terms; x >= 0, m > 0. */
static double deviance(double x, double m)
{
    double d = (x - m) / m;

    return x > 0 ? x * log1p(d) - (x - m) : m;
}

/* Loader's saddle-point form ("Fast and accurate computation of binomial probabilities", 2000): good for every n. */
double sj_binomial_pmf(double k, double n, double p, double q)
{
    double exponent;

    if (k == 0)
        return exp(p < 0.5 ? n * log1p(-p) : n * log(q));
    if (k == n)
        return exp(q < 0.5 ? n * log1p(-q) : n * log(p));
    exponent =
        stirling_error(n) - stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) - deviance(n - k, n * q);
    return exp(exponent) * sqrt(n / (2 * M_PI * k * (n - k)));
}

/* The pmf from k away from the mean, summed until nothing is added; step is -1 or 1. */
static double tail(double k, double n, double p, double q, int step)
{
    double term = sj_binomial_pmf(k, n, p, q);
    double sum = 0;

    while (term > sum * 1e-17) {
        sum += term;
        if (step < 0 ? k <= 0 : k >= n)
            break;
        term *= step < 0 ? k * q / ((n - k + 1) * p) : (n - k) * p / ((k + 1) * q);
        k += step;
    }
    return sum;
}

double sj_binomial_cdf(double k, double n, double p, double q)
{
    double mean = n * p;
    double variance = mean * q;
    double sd;
    double z;

    if (k < 0)
        return 0;
    if (k >= n)
        return 1;
    if (variance <= EXACT_VARIANCE)
        return k <= mean ? tail(k, n, p, q, -1) : 1 - tail(k + 1, n, p, q, 1);
    /* The first Edgeworth term, with the continuity correction. */
    sd = sqrt(variance);
    z = (k + 0.5 - mean) / sd;
    z = gsl_cdf_ugaussian_P(z) - exp(-z * z / 2) / sqrt(2 * M_PI) * (q - p) / (6 * sd) * (z * z - 1);
    return fmin(fmax(z, 0), 1);
}

double sj_binomial_low_rank(double n, double p, double alpha)
{
    double q = 1 - p;
    double sd = sqrt(n * p * q);
    double z = gsl_cdf_ugaussian_Pinv(alpha);
    /* Cornish and Fisher's first term: at most one off, except where the distribution is far from normal. */
    double k = floor(n * p + sd * z + (q - p) * (z * z - 1) / 6 - 0.5);

    k = fmin(fmax(k, -1), n - 1);
    if (n * p * q > EXACT_VARIANCE)
        return k + 1;
    while (sj_binomial_cdf(k, n, p, q) > alpha)
        k--;
    while (sj_binomial_cdf(k + 1, n, p, q) <= alpha)
        k++;
    return k + 1;
}
