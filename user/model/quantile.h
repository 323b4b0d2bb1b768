// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/hist.h"

/* A confidence interval. */
struct sj_interval {
    double low;
    double high;
};

/* What makes a quantile less certain than the number of its requests says. */
struct sj_quantile_widen {
    uint64_t uncertain;        /* further requests whose latency is unknown */
    double variance_inflation; /* >= 1: how much larger autocorrelation makes the variance; see below */
};

/*
 * A confidence interval for quantile p (0 < p < 1) of the latencies behind h, in seconds, at a level such as 0.95.
 *
 * The bounds are order statistics: ranks by the binomial distribution, so nothing is assumed about the shape of the
 * latencies, and their places in the histogram. With uncertain requests low assumes that all of them were faster
 * than anything counted, high that all were slower. w may be NULL.
 *
 * Where the requests are too few to bound a side, low is 0 or high is INFINITY: say so, or leave the key out.
 * -EDOM when h is empty or p, level or the inflation is out of its range; *out is untouched then.
 */
int sj_quantile_interval(const struct sj_hist *h, double p, double level, const struct sj_quantile_widen *w,
                         struct sj_interval *out);

/* What one interval (a second, say) says about a quantile: its requests, and how many of them lay above it. */
struct sj_exceedance {
    uint64_t requests;
    uint64_t above;
};

/*
 * By which factor dependence between requests enlarges the variance of their share above a fixed latency, >= 1, from
 * a series of n consecutive intervals: the largest of the overlapping-batch-means estimates for batches of 1, 2, 4, ...
 * intervals, each widened for how few batches it rests on, over the variance of independent requests. Where there is
 * dependence it errs on the large side.
 * 1 when the series is too short (under 10 intervals with requests), has nothing above or nothing below, or varies no
 * more than chance makes it: of independent requests two or three series in a hundred give more.
 */
double sj_variance_inflation(const struct sj_exceedance *series, size_t n);

/*
 * The exact (Clopper-Pearson) confidence interval for a ratio of which k in n were seen, k <= n: right for 0 of n too.
 * n = 0 knows nothing: 0 to 1. -EDOM when k > n or level is not inside (0, 1); *out is untouched then.
 */
int sj_ratio_interval(uint64_t k, uint64_t n, double level, struct sj_interval *out);
