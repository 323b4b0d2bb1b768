// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit_bootstrap.h"
#include "model/fit_sample.h"

/* How far an estimate may be trusted beyond the data. */
enum sj_reach { SJ_REACH_NOWHERE = 0, SJ_REACH_P99, SJ_REACH_P999, SJ_REACH_P9999, SJ_REACH_MAX_ };

struct sj_extrapolation {
    enum sj_reach reach;
    char why[160]; /* why no further; "" when it reaches p99.99 */
};

/* The generalised Pareto distribution of what lies above a threshold: x_p = u + beta/xi (((n/N_u)(1 - p))^-xi - 1). */
struct sj_tail {
    double threshold;   /* u, seconds; on an edge when the sample has bins */
    double exceedances; /* N_u */
    double xi;
    double beta; /* seconds */
    double ks;
    double ad;                           /* NAN with censored data */
    double quantile[SJ_BOOT_QUANTILES_]; /* NAN below the threshold */
    struct sj_bootstrap boot;            /* replicates 0: not asked for, or not possible */
    struct sj_extrapolation extrapolation;
};

struct sj_tail_options {
    double threshold; /* NAN: above it lie the largest tenth, at most 2 n^(2/3) values */
    int replicates;   /* of the bootstrap; 0: none */
    unsigned long seed;
};

/* Fewest values above a threshold that a tail is fitted to. */
#define SJ_TAIL_MIN 30

/*
 * EX_DATAERR when there are fewer than SJ_TAIL_MIN values above the threshold, when they lie in fewer than 4 bins, or
 * when the likelihood has no maximum (xi <= -1); *out is untouched then.
 */
int sj_tail_fit(const struct sj_sample *s, const struct sj_tail_options *options, struct sj_tail *out,
                struct sj_err *err);

/*
 * The plain word: up to which quantile n values allow going, given the bootstrap's intervals (replicates 0: only the
 * distance from the data counts). Not beyond ten times the data, nor where an interval spans more than a factor of 3.
 */
void sj_extrapolation_judge(double n, const struct sj_bootstrap *boot, struct sj_extrapolation *out);
