// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "model/hist.h"

/*
 * What counting one latency costs, beside two other ways to find its bucket, and what merging costs. Latencies are
 * random: with constant ones a processor predicts every branch and any method looks good. The methods take turns, and
 * the best of several rounds counts, so that a disturbance hits one round and not one method.
 */

#define LATENCIES (1 << 16)
#define REPEATS 40
#define ROUNDS 9
#define MERGES 1000

/* What the other methods keep; besides the counts it is what a histogram keeps too, so that only the index differs. */
struct totals {
    uint64_t counts[4096];
    uint64_t count;
    uint64_t sum;
    uint64_t min;
    uint64_t max;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void account(struct totals *t, uint64_t v)
{
    t->count++;
    t->sum += v;
    t->min = v < t->min ? v : t->min;
    t->max = v > t->max ? v : t->max;
}

static void insert_sojourn(struct sj_hist *h, const uint64_t *latencies)
{
    for (int i = 0; i < LATENCIES; i++)
        if (sj_hist_add(h, latencies[i]) < 0)
            exit(EX_OSERR);
}

/* The textbook way: the same buckets by a logarithm in floating point. */
static void insert_log(struct totals *t, const uint64_t *latencies)
{
    for (int i = 0; i < LATENCIES; i++) {
        int index = (int)ceil(log2((double)latencies[i] / 1e9) * 32) + 1024;

        t->counts[index & 4095]++;
        account(t, latencies[i]);
    }
}

/*
 * HdrHistogram's idea: the magnitude by counting leading zeros, then 32 equal steps inside it (up to 3.1 % wide, like
 * the buckets here at their widest; its edges are not powers of a common factor, so it does not export exactly).
 */
static void insert_linear(struct totals *t, const uint64_t *latencies)
{
    for (int i = 0; i < LATENCIES; i++) {
        uint64_t v = latencies[i];
        unsigned int magnitude = 63 - (unsigned int)__builtin_clzll(v | 63);
        unsigned int shift = magnitude - 5;

        t->counts[((shift << 5) + (v >> shift)) & 4095]++;
        account(t, v);
    }
}

/* Whether a method counted every latency; what nobody reads a compiler need not count. */
static bool holds(const struct totals *t, uint64_t expected)
{
    uint64_t count = 0;

    for (size_t i = 0; i < sizeof(t->counts) / sizeof(t->counts[0]); i++)
        count += t->counts[i];
    return count == expected && t->count == expected && t->max > t->min && t->sum > t->max;
}

/* Lognormal around 10 ms, spread over five orders of magnitude. */
static uint64_t *make_latencies(void)
{
    uint64_t *latencies = malloc(LATENCIES * sizeof(*latencies));
    unsigned short seed[3] = {1, 2, 3};

    for (int i = 0; latencies && i < LATENCIES; i++)
        latencies[i] =
            (uint64_t)(1e7 * exp(1.5 * sqrt(-2 * log(1 - erand48(seed))) * cos(2 * M_PI * erand48(seed)))) + 1;
    return latencies;
}

static void bench_insert(const uint64_t *latencies)
{
    static const char *const names[] = {"sojourn", "log2()", "leading zeros + linear steps"};
    struct totals *totals = calloc(2, sizeof(*totals));
    double best[3] = {INFINITY, INFINITY, INFINITY};
    uint64_t expected = (uint64_t)ROUNDS * REPEATS * LATENCIES;
    struct sj_hist h;

    if (!totals)
        exit(EX_OSERR);
    sj_hist_init(&h);
    for (int round = 0; round < ROUNDS; round++) {
        for (int method = 0; method < 3; method++) {
            double start = now();

            for (int i = 0; i < REPEATS; i++) {
                if (method == 0)
                    insert_sojourn(&h, latencies);
                else if (method == 1)
                    insert_log(&totals[0], latencies);
                else
                    insert_linear(&totals[1], latencies);
            }
            best[method] = fmin(best[method], (now() - start) / REPEATS / LATENCIES);
        }
    }
    for (int method = 0; method < 3; method++)
        printf("insert  %-30s %6.2f ns  %5.2fx\n", names[method], best[method] * 1e9, best[method] / best[0]);
    if (h.count != expected || !holds(&totals[0], expected) || !holds(&totals[1], expected))
        exit(EX_SOFTWARE);
    sj_hist_free(&h);
    free(totals);
}

/* A histogram with requests in every bucket from 1 us to 67 s. */
static void fill(struct sj_hist *h)
{
    sj_hist_init(h);
    for (int index = -637; index <= 194; index++)
        if (sj_hist_add_bucket(h, index, 1000, 1000) < 0)
            exit(EX_OSERR);
}

static void bench_merge(void)
{
    struct sj_hist from;
    struct sj_hist to;
    double best = INFINITY;

    fill(&from);
    sj_hist_init(&to);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();

        for (int i = 0; i < MERGES; i++)
            if (sj_hist_merge(&to, &from) < 0)
                exit(EX_OSERR);
        best = fmin(best, now() - start);
    }
    printf("merge   %d full histograms         %6.3f ms  (limit 10 ms)\n", MERGES, best * 1e3);
    if (to.count != from.count * MERGES * ROUNDS)
        exit(EX_SOFTWARE);
    sj_hist_free(&from);
    sj_hist_free(&to);
}

int main(void)
{
    uint64_t *latencies = make_latencies();

    if (!latencies)
        return EX_OSERR;
    bench_insert(latencies);
    bench_merge();
    free(latencies);
    return 0;
}
