// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/quantile.h"

/* Event counts per interval: as many intervals had `events` events as `intervals` says. */
struct sj_count {
    uint64_t events;
    uint64_t intervals;
};

/* NAN (df 0): not known. */
struct sj_rates {
    uint64_t n;                 /* intervals */
    uint64_t events;            /* in all of them */
    double rate;                /* events per interval: the mean, and Poisson's only parameter */
    struct sj_interval rate_ci; /* 95 %, exact (Garwood) if the events are Poisson */
    double variance;            /* divided by n - 1 */
    double dispersion;          /* variance / mean */
    double p;                   /* that Poisson counts vary at least as much: (n - 1) dispersion is chi-square */
    double poisson_loglik;
    double poisson_chi2; /* over cells of which each expects 5 intervals or more; df = cells - 2 */
    double poisson_chi2_p;
    int poisson_chi2_df;
    bool has_negative_binomial; /* false: the counts vary no more than Poisson counts, its likelihood has no maximum */
    double size;                /* mean^2 / (variance - mean) of that distribution; its mean is `rate` */
    double negative_binomial_loglik;
    bool over_dispersed; /* p < 0.05 and the negative binomial has the smaller BIC */
};

/*
 * Poisson and negative binomial by maximum likelihood. counts ascend by events; intervals of 0 are allowed. The
 * likelihood is P(x) = e^-l l^x / x!, and for the negative binomial G(x + size) / (G(size) x!) (size / (size +
 * mean))^size (mean / (size + mean))^x. EX_DATAERR without intervals, or when the sums do not fit into 2^53.
 */
int sj_rates_fit(const struct sj_count *counts, size_t len, struct sj_rates *out, struct sj_err *err);

/* The exact interval for a Poisson rate of which `events` were seen in `exposure` units, at a level such as 0.95. */
int sj_rate_interval(uint64_t events, double exposure, double level, struct sj_interval *out);
