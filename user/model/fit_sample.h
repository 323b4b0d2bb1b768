// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/hist.h"

/*
 * What distributions are fitted to: exact values or bins, and right-censored values (requests that were given up: their
 * time is known to be longer than some point). Times are seconds, counts are doubles so that sums need no casts; they
 * are whole numbers below 2^53. Logarithms are kept because every evaluation of a likelihood needs them.
 */

struct sj_point {
    double x;
    double log_x; /* -INFINITY for 0 */
    double count; /* equal values are one point */
};

/* Holds (lo, hi]. */
struct sj_bin {
    double lo;
    double hi;
    double log_lo;
    double log_hi;
    double count;
};

/* Known only to be longer than `at`. */
struct sj_censor {
    double at;
    double log_at;
    double count;
};

/* Means over a set of values, bins standing at their middles (logarithms: at their geometric middles). */
struct sj_moments {
    double n;
    double mean;
    double variance; /* divided by n */
    double mean_log;
    double variance_log;
    double gamma_deviance; /* mean of x/mean - 1 - log(x/mean): 0 for equal values, never negative */
};

/* A sample has points or bins, not both. Everything ascends. Made by the functions below, then only read. */
struct sj_sample {
    struct sj_point *points;
    struct sj_bin *bins; /* disjoint; those that touch share their edge exactly; none is empty */
    struct sj_censor *censored;
    size_t n_points;
    size_t n_bins;
    size_t n_censored;
    double n;                  /* all of them */
    double seen;               /* not censored */
    double timeouts;           /* censored */
    int schema;                /* of log-spaced bins; -1 for points and for other bins */
    bool has_zero;             /* a point at 0: no place for families on x > 0 */
    struct sj_moments moments; /* of what was seen: sufficient statistics when there are only points */
    struct sj_moments rough;   /* with the censored at their points: where estimates start */
};

/* The largest and the smallest time taken, 0 aside: squares and ratios of these stay far from overflow. */
#define SJ_SAMPLE_MAX 1e100
#define SJ_SAMPLE_MIN 1e-100

/*
 * From n values and m censoring points; both are copied. EX_DATAERR when one is neither 0 nor inside
 * [SJ_SAMPLE_MIN, SJ_SAMPLE_MAX]; EX_OSERR without memory. *out is released by sj_sample_free().
 */
int sj_sample_from_values(const double *values, size_t n, const double *censored, size_t m, struct sj_sample **out,
                          struct sj_err *err);

/*
 * From bins and censoring points (only lo, hi, at and count are read). Bins that are empty are dropped. EX_DATAERR when
 * bins overlap, do not ascend or are not 0 <= lo < hi.
 */
int sj_sample_from_bins(const struct sj_bin *bins, size_t n, const struct sj_censor *censored, size_t m, int schema,
                        struct sj_sample **out, struct sj_err *err);

/* From a recording's histogram. Requests of 0 ns become the bin (0, 1 ns]. */
int sj_sample_from_hist(const struct sj_hist *h, struct sj_sample **out, struct sj_err *err);

/* The same values in log-spaced bins (see struct sj_log_bins). */
int sj_sample_to_schema(const struct sj_sample *s, int schema, struct sj_sample **out, struct sj_err *err);

/*
 * A coarser view of at most n_bins bins of equal width, between the smallest and the largest value, on a linear or a
 * logarithmic axis (which needs positive values): where optimisers look for their starting points.
 */
int sj_sample_coarsen(const struct sj_sample *s, size_t n_bins, bool log_axis, struct sj_sample **out,
                      struct sj_err *err);

/*
 * What lies above u, as the excess over u. Bins must not contain u in their inside: see sj_sample_edge_above().
 * EX_DATAERR when nothing lies above.
 */
int sj_sample_excess(const struct sj_sample *s, double u, struct sj_sample **out, struct sj_err *err);

/*
 * The same points or bins, then the same censoring points, with other counts: one for each, in that order. Those with
 * none are dropped.
 */
int sj_sample_with_counts(const struct sj_sample *s, const double *counts, struct sj_sample **out, struct sj_err *err);

void sj_sample_free(struct sj_sample *s);

/* u itself for points; for bins the upper edge of the bin that u lies in, u where it lies in none. */
double sj_sample_edge_above(const struct sj_sample *s, double u);

/* How many are known to lie above u, censored ones counted when their point is at or above u. */
double sj_sample_count_above(const struct sj_sample *s, double u);

/*
 * Log-spaced bins of schema 0 to 8 over all positive doubles: bin i holds (2^((i-1)/2^schema), 2^(i/2^schema)] seconds,
 * the same bins as struct sj_hist has in its range. Memory grows with the range of the values (16 bytes a bin), not
 * with their number.
 */
struct sj_log_bins {
    struct sj_log_cell {
        uint64_t count;
        double sum;
    } * cells; /* owned */
    size_t len;
    int base;
    int schema;
    uint64_t zeros;
    uint64_t total; /* zeros included */
};

void sj_log_bins_init(struct sj_log_bins *b, int schema);
void sj_log_bins_free(struct sj_log_bins *b);
/* x >= 0 and at most SJ_SAMPLE_MAX, else EX_DATAERR. */
int sj_log_bins_add(struct sj_log_bins *b, double x, uint64_t n, struct sj_err *err);
/* The bin of x > 0 and the upper edge of bin i (lower edge of bin i + 1). */
int sj_log_bin_index(int schema, double x);
double sj_log_bin_edge(int schema, int index);
/* `censored` (may be NULL) gives censoring points: each bin's mean. Zeros lie in (0, 1 ns] or below the lowest bin. */
int sj_sample_from_log_bins(const struct sj_log_bins *seen, const struct sj_log_bins *censored, struct sj_sample **out,
                            struct sj_err *err);

/* The product-limit (Kaplan-Meier) estimate of the distribution; without censoring the empirical one. */
struct sj_ecdf {
    size_t len;
    double *x;       /* owned; ascending: points, or upper edges of bins */
    double *lo;      /* owned; lower edges of bins; equal to x for points */
    double *f;       /* owned; share at or below x */
    double resolved; /* the largest share whose quantile the data show; 1 without censoring */
    double horizon;  /* the longest time of all, seen or censored */
};

int sj_ecdf_make(const struct sj_sample *s, struct sj_ecdf *out, struct sj_err *err);
void sj_ecdf_free(struct sj_ecdf *e);
/* Quantile p; interpolated between points as R's type 7 does, geometrically inside bins. NaN above `resolved`. */
double sj_ecdf_quantile(const struct sj_ecdf *e, const struct sj_sample *s, double p);
/* Integral of the survival function from 0 to t; NaN when t lies beyond what the data show. t may be INFINITY. */
double sj_ecdf_restricted_mean(const struct sj_ecdf *e, double t);
