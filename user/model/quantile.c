// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/quantile.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

#include <gsl/gsl_cdf.h>

#include "model/binomial.h"

/*
 * A bound is the place of an order statistic, and a histogram knows that place up to a bucket. Where the buckets
 * around are about equally full the latencies inside are spread about evenly, and interpolation finds the place;
 * where they are not (a spike, a gap, a few requests) the whole rest of the bucket, outwards, must be allowed for.
 */

/* How far from even the density is around bucket index: the spread of five neighbouring counts over its own, 0 to 1. */
static double unevenness(const struct sj_hist *h, int index)
{
    double own = (double)sj_hist_count_at(h, index);
    double low = own;
    double high = own;

    for (int i = index - 2; i <= index + 2; i++) {
        double n = (double)sj_hist_count_at(h, i);

        low = fmin(low, n);
        high = fmax(high, n);
    }
    return fmin(1, (high - low) / own);
}

/* Where the order statistic of a rank lies, and how far out from there it may lie instead; all in seconds. */
struct place {
    double at;
    double margin;
    double edge; /* the outer one of its bucket */
    double width;
};

/* outwards: -1 for a lower bound, 1 for an upper one. */
static struct place place_of(const struct sj_hist *h, double rank, int outwards)
{
    struct place place = {0};
    double low;
    double high;
    int index;

    /* The j-th of n latencies spread evenly over a bucket is expected at (j - 1/2) / n of it. */
    place.at = sj_hist_at_rank(h, rank - 0.5, &index);
    if (index == INT_MIN)
        return place;
    low = sj_hist_lower_bound(SJ_HIST_SCHEMA, index);
    high = sj_hist_upper_bound(SJ_HIST_SCHEMA, index);
    place.width = high - low;
    place.edge = outwards < 0 ? fmax(low, (double)h->min_ns / 1e9) : fmin(high, (double)h->max_ns / 1e9);
    place.margin = fmin(fmax((place.edge - place.at) * outwards, 0), unevenness(h, index) * place.width);
    return place;
}

/*
 * The interval between two ranks that both lie among the counted requests. Binning may cost a bucket of width, or 15 %
 * of the unbinned interval more: that one is at least as wide as the whole buckets between the two ranks. Where this
 * leaves little, half a bucket is taken all the same.
 */
static struct sj_interval between(const struct sj_hist *h, double low_rank, double high_rank)
{
    struct place low = place_of(h, low_rank, -1);
    struct place high = place_of(h, high_rank, 1);
    double bucket = fmax(low.width, high.width);
    double whole = fmax(0, high.edge - low.edge - low.width - high.width);
    double allowed = fmax(bucket / 2, bucket + 1.15 * whole - (high.at - low.at));
    double wanted = low.margin + high.margin;
    double part = wanted > allowed ? allowed / wanted : 1;

    return (struct sj_interval){low.at - part * low.margin, high.at + part * high.margin};
}

int sj_quantile_interval(const struct sj_hist *h, double p, double level, const struct sj_quantile_widen *w,
                         struct sj_interval *out)
{
    double uncertain = w ? (double)w->uncertain : 0;
    double inflation = w ? w->variance_inflation : 1;
    double counted = (double)h->count;
    double total = counted + uncertain;
    double effective;
    double low;
    double high;
    struct sj_interval interval = {0, INFINITY};

    if (h->count == 0 || !(p > 0 && p < 1) || !(level > 0 && level < 1) || !(inflation >= 1 && isfinite(inflation)))
        return -EDOM;

    /* As precise as this many independent requests would be. */
    effective = fmax(1, floor(total / inflation));
    low = sj_binomial_low_rank(effective, p, (1 - level) / 2);
    high = effective + 1 - sj_binomial_low_rank(effective, 1 - p, (1 - level) / 2);
    low = (low - 0.5) * (total / effective) + 0.5 - uncertain;
    high = (high - 0.5) * (total / effective) + 0.5;
    if (low >= 1 && high <= counted)
        interval = between(h, low, high);
    else if (low >= 1)
        interval.low = between(h, low, counted).low;
    else if (high <= counted)
        interval.high = between(h, 1, high).high;
    *out = interval;
    return 0;
}

/* The logit of the p for which P(B <= k) = alpha, B ~ Bin(n, p); 0 < k < n, alpha < 1/2. */
static double logit_above(double k, double n, double alpha)
{
    double low = log(k / (n - k)); /* the median of Bin(n, k/n) is k: too small */
    double high = INFINITY;
    double t = low + 2 / sqrt(k) + 2 / sqrt(n - k);

    /* Newton's method on the logarithm, which is concave, so that it converges from above; bisection as its guard. */
    for (int i = 0; i < 200; i++) {
        double p = 1 / (1 + exp(-t));
        double q = 1 / (1 + exp(t));
        double cdf = sj_binomial_cdf(k, n, p, q);
        double step = log(cdf / alpha) * cdf / ((n - k) * p * sj_binomial_pmf(k, n, p, q));
        double next = t + step;

        if (cdf > alpha)
            low = t;
        else
            high = t;
        if (!(next > low && next < high))
            next = isinf(high) ? 2 * t - low + 1 : (low + high) / 2;
        if (fabs(next - t) <= 1e-13 * fmax(1, fabs(t)))
            return next;
        t = next;
    }
    return t;
}

int sj_ratio_interval(uint64_t k, uint64_t n, double level, struct sj_interval *out)
{
    double alpha = (1 - level) / 2;
    double total = (double)n;
    struct sj_interval interval = {0, 1};

    if (k > n || !(level > 0 && level < 1))
        return -EDOM;
    if (n > 0) {
        double some = -expm1(log(alpha) / total);

        if (k == 0)
            interval.high = some;
        else if (k < n)
            interval.high = 1 / (1 + exp(-logit_above((double)k, total, alpha)));
        if (k == n)
            interval.low = 1 - some;
        else if (k > 0)
            interval.low = 1 / (1 + exp(logit_above((double)(n - k), total, alpha)));
    }
    *out = interval;
    return 0;
}

/* Fewer intervals than this say nothing reliable about their dependence. */
#define SERIES_MIN 10

/* Longer batches than leave this many are too few to tell a variance from. */
#define BATCHES_MIN 5

/*
 * Independent requests look more dependent than this in one series of a hundred for each length of batch. What chance
 * explains is no dependence: taking the estimate as it is would make every interval of few requests half as wide again.
 */
#define CHANCE 0.01

/* How many more requests lay above in interval i than its share of all would be. */
static double excess(const struct sj_exceedance *series, size_t i, double ratio)
{
    return (double)series[i].above - ratio * (double)series[i].requests;
}

/*
 * The variance of the whole series' excess by overlapping batch means (Meketon and Schmeiser, 1984): from the sums
 * over each run of `batch` intervals.
 */
static double batch_variance(const struct sj_exceedance *series, size_t n, double ratio, size_t batch)
{
    double window = 0;
    double squares = 0;
    double all = (double)n;
    double runs = (double)(n - batch + 1);

    for (size_t i = 0; i < n; i++) {
        window += excess(series, i, ratio);
        if (i >= batch)
            window -= excess(series, i - batch, ratio);
        if (i + 1 >= batch)
            squares += window * window;
    }
    return squares / runs * (all / (double)batch) * (all / (double)(n - batch));
}

double sj_variance_inflation(const struct sj_exceedance *series, size_t n)
{
    double requests = 0;
    double above = 0;
    double inflation = 1;
    double ratio;
    bool dependent = false;
    size_t busy = 0;

    for (size_t i = 0; i < n; i++) {
        requests += (double)series[i].requests;
        above += (double)series[i].above;
        busy += series[i].requests > 0;
    }
    if (busy < SERIES_MIN || above <= 0 || above >= requests)
        return 1;
    ratio = above / requests;
    for (size_t batch = 1; batch * BATCHES_MIN <= n; batch *= 2) {
        double variance = batch_variance(series, n, ratio, batch) / (requests * ratio * (1 - ratio));
        double batches = (double)n / (double)batch - 1;
        /* That batches overlap is worth a third more of them. */
        double df = batch == 1 ? batches : batches * 4 / 3;
        /* Few batches estimate badly: Student's t says how much wider a 95 % interval must be for that. */
        double t = gsl_cdf_tdist_Pinv(0.975, batches) / gsl_cdf_ugaussian_Pinv(0.975);

        dependent = dependent || variance > gsl_cdf_chisq_Qinv(CHANCE, df) / df;
        inflation = fmax(inflation, variance * t * t);
    }
    return dependent ? inflation : 1;
}
