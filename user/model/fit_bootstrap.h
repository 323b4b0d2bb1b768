// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit_family.h"
#include "model/quantile.h"

enum sj_boot_quantile { SJ_BOOT_P99 = 0, SJ_BOOT_P999, SJ_BOOT_P9999, SJ_BOOT_QUANTILES_ };

/* The probabilities of enum sj_boot_quantile. */
extern const double sj_boot_p[SJ_BOOT_QUANTILES_];

struct sj_bootstrap {
    int replicates;                                  /* that could be fitted */
    struct sj_interval quantile[SJ_BOOT_QUANTILES_]; /* 95 %, seconds; NAN where not known */
    struct sj_interval theta[SJ_FAMILY_PARAMETERS];  /* 95 % */
    double ks_p; /* share of replicates that are farther from their own fit; NAN with censored data */
    double ad_p;
};

struct sj_boot_options {
    int replicates;
    unsigned long seed;
    /* For a tail: the sample are `above` excesses over `threshold` out of n requests; n = 0 for a whole sample. */
    double threshold;
    double n;
    double above;
};

/*
 * How far the estimates would scatter: replicates are drawn from the fitted distribution in fine bins, or, with
 * censored data, from the sample itself, and fitted again. The same seed gives the same answer. EX_OSERR without
 * memory, EX_DATAERR when most replicates cannot be fitted.
 */
int sj_bootstrap_fit(const struct sj_family *f, const double *theta, const struct sj_sample *s,
                     const struct sj_boot_options *options, struct sj_bootstrap *out, struct sj_err *err);
