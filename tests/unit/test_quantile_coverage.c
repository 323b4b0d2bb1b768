// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include "hist_random.h"
#include "model/quantile.h"

/*
 * Whether the intervals hold what they promise: samples are drawn from distributions with known quantiles, and it is
 * counted how often the nominal 95 % interval covers the true one, and how much wider it is than the interval that the
 * unbinned sample gives.
 *
 * A sample of n is n sorted uniform numbers (from exponential spacings), which the distribution function at the bucket
 * edges sorts into buckets: the same law as adding n latencies, at a tenth of the time.
 */

#ifdef __SANITIZE_ADDRESS__
#define FEWER 20
#else
#define FEWER 1
#endif

#define LEVELS 3

static const double levels[LEVELS] = {0.5, 0.9, 0.99};

struct law {
    const char *name;
    double (*cdf)(double seconds);
    bool resolved; /* its modes are wider than a bucket */
};

static double lognormal(double x, double median, double sigma)
{
    return gsl_cdf_ugaussian_P(log(x / median) / sigma);
}

static double wide_lognormal(double x)
{
    return lognormal(x, 0.010, 1);
}

static double narrow_lognormal(double x)
{
    return lognormal(x, 0.025, 0.1);
}

/* A cache that answers most requests, and what lies behind it: p90 lies in the second mode, p50 in the first. */
static double bimodal(double x)
{
    return 0.7 * lognormal(x, 0.002, 0.3) + 0.3 * lognormal(x, 0.060, 0.2);
}

/* Two modes much narrower than a bucket, and p90 near the gap between them. */
static double spikes(double x)
{
    return 0.895 * lognormal(x, 0.02004, 0.001) + 0.105 * lognormal(x, 0.0502, 0.002);
}

/* Pareto with shape 1.5: its variance is infinite. */
static double heavy_tailed(double x)
{
    return x > 0.005 ? 1 - pow(x / 0.005, -1.5) : 0;
}

static const struct law laws[] = {
    {"lognormal", wide_lognormal, true}, {"narrow lognormal", narrow_lognormal, true},
    {"bimodal", bimodal, true},          {"heavy-tailed", heavy_tailed, true},
    {"spikes", spikes, false},
};

#define LAWS (sizeof(laws) / sizeof(laws[0]))

/* What a law's buckets contain. */
struct grid {
    double share[SJ_HIST_INDEX_MAX - SJ_HIST_INDEX_MIN + 1]; /* the distribution function at the upper edges */
    double quantile[LEVELS];
    int covered[LEVELS];
    int too_wide[LEVELS];
};

static double inverse(const struct law *law, double p)
{
    double low = 1e-9;
    double high = 1e9;

    for (int i = 0; i < 100 && high > low * (1 + 1e-13); i++) {
        double middle = sqrt(low * high);

        if (law->cdf(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return sqrt(low * high);
}

static void grid_init(struct grid *g, const struct law *law)
{
    memset(g, 0, sizeof(*g));
    for (int i = SJ_HIST_INDEX_MIN; i <= SJ_HIST_INDEX_MAX; i++)
        g->share[i - SJ_HIST_INDEX_MIN] = law->cdf(sj_hist_upper_bound(SJ_HIST_SCHEMA, i));
    for (int k = 0; k < LEVELS; k++)
        g->quantile[k] = inverse(law, levels[k]);
}

/* n sorted numbers, uniform in (0, 1). */
static void draw(struct random_state *r, double *sorted, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        sum -= log(random_unit(r));
        sorted[i] = sum;
    }
    sum -= log(random_unit(r));
    for (int i = 0; i < n; i++)
        sorted[i] /= sum;
}

static void bin(struct sj_hist *h, const struct grid *g, const double *sorted, int n)
{
    int index = SJ_HIST_INDEX_MIN;

    sj_hist_reset(h);
    for (int i = 0; i < n;) {
        int start = i;

        while (g->share[index - SJ_HIST_INDEX_MIN] < sorted[i] && index < SJ_HIST_INDEX_MAX)
            index++;
        while (i < n && (sorted[i] <= g->share[index - SJ_HIST_INDEX_MIN] || index == SJ_HIST_INDEX_MAX))
            i++;
        if (sj_hist_add_bucket(h, index, (uint64_t)(i - start), 0) < 0)
            fail_msg("bucket %d", index);
    }
}

/* One sample's intervals. ranks: those of the unbinned interval, per level. */
static void judge(struct grid *g, const struct law *law, const struct sj_hist *h, const double *sorted,
                  const int ranks[LEVELS][2])
{
    for (int k = 0; k < LEVELS; k++) {
        struct sj_interval i;
        double exact;
        double bucket;
        int index;

        assert_int_equal(sj_quantile_interval(h, levels[k], 0.95, NULL, &i), 0);
        g->covered[k] += i.low <= g->quantile[k] && g->quantile[k] <= i.high;
        exact = inverse(law, sorted[ranks[k][1] - 1]) - inverse(law, sorted[ranks[k][0] - 1]);
        sj_hist_at_rank(h, ranks[k][1] - 0.5, &index);
        bucket = sj_hist_upper_bound(SJ_HIST_SCHEMA, index) - sj_hist_lower_bound(SJ_HIST_SCHEMA, index);
        g->too_wide[k] += i.high - i.low > 1.15 * exact + bucket * (1 + 1e-9);
    }
}

static void coverage(int n, int runs, const int ranks[LEVELS][2], uint64_t seed)
{
    static struct grid grids[LAWS];
    struct random_state r = {seed};
    double *sorted = calloc((size_t)n, sizeof(*sorted));
    struct sj_hist h;

    assert_non_null(sorted);
    sj_hist_init(&h);
    for (size_t l = 0; l < LAWS; l++)
        grid_init(&grids[l], &laws[l]);
    for (int run = 0; run < runs; run++) {
        draw(&r, sorted, n);
        for (size_t l = 0; l < LAWS; l++) {
            bin(&h, &grids[l], sorted, n);
            judge(&grids[l], &laws[l], &h, sorted, ranks);
        }
    }
    for (size_t l = 0; l < LAWS; l++) {
        for (int k = 0; k < LEVELS; k++) {
            double covered = (double)grids[l].covered[k] / runs;
            double wide = laws[l].resolved ? (double)grids[l].too_wide[k] / runs : 0;

            if (covered < 0.93 || wide > 0.005)
                fail_msg("%s, n %d, p %g: covers in %g, too wide in %g", laws[l].name, n, levels[k], covered, wide);
        }
    }
    sj_hist_free(&h);
    free(sorted);
}

static void thousand_requests(void **state)
{
    /* R: qbinom(0.025, n, p) and qbinom(0.975, n, p) + 1. */
    static const int ranks[LEVELS][2] = {{469, 532}, {881, 919}, {983, 997}};

    (void)state;
    coverage(1000, 10000 / FEWER, ranks, 1);
}

static void hundred_thousand_requests(void **state)
{
    static const int ranks[LEVELS][2] = {{49690, 50311}, {89814, 90187}, {98938, 99062}};

    (void)state;
    coverage(100000, 1000 / FEWER, ranks, 2);
}

#define SECONDS 60
#define REQUESTS_PER_SECOND 100

/* A minute whose level of latency follows an autoregressive process, and its interval for p with and without that. */
static void dependent_minute(struct random_state *r, double p, struct sj_interval *plain, struct sj_interval *widened)
{
    struct sj_exceedance series[SECONDS] = {{0}};
    struct sj_quantile_widen w = {0};
    struct sj_hist second[SECONDS];
    struct sj_hist all;
    double level = 0.3 * random_normal(r);
    int quantile;
    int first;
    int last;

    sj_hist_init(&all);
    for (int s = 0; s < SECONDS; s++) {
        sj_hist_init(&second[s]);
        for (int i = 0; i < REQUESTS_PER_SECOND; i++)
            assert_int_equal(sj_hist_add(&second[s], (uint64_t)(1e7 * exp(level + random_normal(r)))), 0);
        assert_int_equal(sj_hist_merge(&all, &second[s]), 0);
        level = 0.5 * level + sqrt(0.75) * 0.3 * random_normal(r);
    }
    sj_hist_at_rank(&all, p * (double)all.count, &quantile);
    for (int s = 0; s < SECONDS; s++) {
        series[s].requests = second[s].count;
        if (sj_hist_range(&second[s], &first, &last))
            for (int index = quantile + 1; index <= last; index++)
                series[s].above += sj_hist_count_at(&second[s], index);
        sj_hist_free(&second[s]);
    }
    w.variance_inflation = sj_variance_inflation(series, SECONDS);
    assert_int_equal(sj_quantile_interval(&all, p, 0.95, NULL, plain), 0);
    assert_int_equal(sj_quantile_interval(&all, p, 0.95, &w, widened), 0);
    sj_hist_free(&all);
}

static void dependent_requests(void **state)
{
    struct random_state r = {3};
    int runs = 400 / (FEWER > 1 ? 4 : 1);

    (void)state;
    for (int k = 0; k < LEVELS; k++) {
        double truth = 0.010 * exp(gsl_cdf_ugaussian_Pinv(levels[k]) * sqrt(1.09));
        int plain_covers = 0;
        int widened_covers = 0;

        for (int run = 0; run < runs; run++) {
            struct sj_interval plain;
            struct sj_interval widened;

            dependent_minute(&r, levels[k], &plain, &widened);
            plain_covers += plain.low <= truth && truth <= plain.high;
            widened_covers += widened.low <= truth && truth <= widened.high;
        }
        if (plain_covers > 0.9 * runs || widened_covers < 0.9 * runs)
            fail_msg("p %g: covers %d, widened %d of %d times", levels[k], plain_covers, widened_covers, runs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dependent_requests),
        cmocka_unit_test(thousand_requests),
        cmocka_unit_test(hundred_thousand_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
