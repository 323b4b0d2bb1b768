// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit_bootstrap.h"
#include "model/fit_family.h"
#include "model/goodness.h"
#include "model/tail.h"

/*
 * Fits families of distributions to one sample by maximum likelihood and ranks them by BIC. Everything is
 * deterministic. GSL's default error handler ends the process: programs call gsl_set_error_handler_off() once, at their
 * start.
 */

/* One family's fit; NAN where a number is not known. */
struct sj_fit {
    const struct sj_family *family;
    double theta[SJ_FAMILY_PARAMETERS];
    double loglik;
    double aic;
    double bic;
    double weight; /* exp(-BIC/2), normalised over what is ranked */
    /*
     * false for a mixture whose second component the data do not show: a weight under 1 %, or a BIC less than 6 better
     * than that of its one-component family. It is not ranked and has no weight.
     */
    bool identified;
    struct sj_goodness goodness;
    double restricted_mean; /* T(timeout), INFINITY for a mean that does not exist; NAN unless asked for */
};

struct sj_fit_skipped {
    const struct sj_family *family;
    const char *reason;
};

struct sj_fit_options {
    unsigned families; /* bit mask of 1 << enum sj_family_id; 0: all but those by request */
    int replicates;    /* of the bootstraps; 0: none */
    unsigned long seed;
    bool tail;             /* fit a tail too */
    double tail_threshold; /* NAN: chosen, see sj_tail_fit() */
    double timeout;        /* seconds for the restricted means, may be INFINITY; NAN: none wanted */
};

struct sj_fit_result {
    double n;
    double censored;
    int schema;                         /* of the sample's bins; -1 */
    struct sj_fit fits[SJ_FAMILY_MAX_]; /* best first, those not identified last */
    int n_fits;
    bool has_best; /* fits[0] is ranked */
    struct sj_fit_skipped skipped[SJ_FAMILY_MAX_];
    int n_skipped;
    struct sj_bootstrap boot;              /* of fits[0]; replicates 0: none */
    struct sj_extrapolation extrapolation; /* how far fits[0] may be trusted */
    double seen_restricted_mean;           /* T(timeout) of the data themselves; NAN where they do not show it */
    bool has_tail;
    struct sj_tail tail;
    char no_tail[160]; /* why not, when a tail was asked for */
};

/* All families but those by request; tail chosen; 200 replicates. */
struct sj_fit_options sj_fit_defaults(void);

/*
 * EX_DATAERR when the sample has nothing to fit: no value, a single one, only equal ones, only censored ones, or when
 * no family can be fitted. *out is untouched then.
 */
int sj_fit_all(const struct sj_sample *s, const struct sj_fit_options *options, struct sj_fit_result *out,
               struct sj_err *err);

/* Quantile of a fit, 0 < p < 1, in seconds. */
double sj_fit_quantile(const struct sj_fit *fit, double p);

/* "p99.9", for texts about how far to trust a fit; "no quantile" for SJ_REACH_NOWHERE. */
const char *sj_reach_name(enum sj_reach reach);

/* A result and what was asked for beside it, for those who show it. */
struct sj_fit_view {
    const struct sj_fit_result *result;
    int schema_binned; /* -1: exact values */
    double timeout;    /* seconds, INFINITY for none with workers; NAN: no throughput wanted */
    double workers;    /* NAN: no capacity wanted */
};
