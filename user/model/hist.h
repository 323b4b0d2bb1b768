// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sojourn/histogram.h>

/*
 * A histogram of latencies at schema 5 (see sojourn/histogram.h): what every series keeps, what is merged, recorded
 * and exported. Counts lie in one window of buckets that grows as latencies come, a factor of two at a time.
 *
 * Reading the fields is fine; writing is for the functions here. The invariants: count is zero_count plus all of
 * counts; min_ns and max_ns mean something only if count > 0; outside the window every bucket is empty.
 * All bytes zero is a valid empty histogram, and sj_hist_free() of it does nothing.
 */
struct sj_hist {
    uint64_t *counts;    /* owned: counts[k] is bucket base + k */
    int32_t base;        /* a multiple of 32 */
    uint32_t len;        /* buckets in the window; a multiple of 32, 0 before the first latency */
    uint64_t zero_count; /* latencies of exactly 0 ns */
    uint64_t count;
    uint64_t sum_ns; /* stays at UINT64_MAX once it would exceed it */
    uint64_t min_ns;
    uint64_t max_ns;
};

/* The longest latency that is told from longer ones, in ns; longer ones count as this. */
#define SJ_HIST_NS_MAX ((uint64_t)INT64_MAX)

/* Makes h empty without looking at what it held: for memory that is not a histogram yet. */
void sj_hist_init(struct sj_hist *h);

/* Releases the window; h is empty and usable afterwards. */
void sj_hist_free(struct sj_hist *h);

/* Empties h and keeps its window, for a series that starts a new interval. */
void sj_hist_reset(struct sj_hist *h);

/*
 * Counts n latencies of ns nanoseconds. 0, or -ENOMEM, or -EOVERFLOW when the count would pass 2^64 - 1; then h is
 * unchanged.
 */
int sj_hist_add_n(struct sj_hist *h, uint64_t ns, uint64_t n);

/* Counts one latency of ns nanoseconds; errors as sj_hist_add_n(). The usual case is inlined: it is the hot path. */
static inline int sj_hist_add(struct sj_hist *h, uint64_t ns)
{
    if (ns - 1 < SJ_HIST_NS_MAX) {
        uint32_t slot = (uint32_t)(sj_hist_index(ns) - h->base);
        uint64_t sum;

        if (slot < h->len && !__builtin_add_overflow(h->sum_ns, ns, &sum)) {
            h->counts[slot]++;
            h->count++;
            h->sum_ns = sum;
            h->min_ns = ns < h->min_ns ? ns : h->min_ns;
            h->max_ns = ns > h->max_ns ? ns : h->max_ns;
            return 0;
        }
    }
    return sj_hist_add_n(h, ns, 1);
}

/*
 * Counts n latencies known only by their bucket and their sum in nanoseconds, as the kernel side's own histogram has
 * them; min and max become the bucket's edges where those lie further out. index: SJ_HIST_INDEX_MIN to
 * SJ_HIST_INDEX_MAX, else -ERANGE. Other errors as sj_hist_add_n().
 */
int sj_hist_add_bucket(struct sj_hist *h, int index, uint64_t n, uint64_t sum_ns);

/* Adds all of src to dst. Errors as sj_hist_add_n(). dst and src may be the same. */
int sj_hist_merge(struct sj_hist *dst, const struct sj_hist *src);

/*
 * Takes away what dst had already counted when `earlier` was copied from it: what remains is the interval between.
 * min and max become as narrow as the remaining buckets allow. -ERANGE when a count or the sum of earlier is larger
 * than dst's, so that it cannot be an earlier state; dst is unchanged then.
 */
int sj_hist_subtract(struct sj_hist *dst, const struct sj_hist *earlier);

/* Makes *dst, which must be initialised, equal to src. 0 or -ENOMEM, dst then unchanged. */
int sj_hist_copy(struct sj_hist *dst, const struct sj_hist *src);

/* Whether a and b hold the same counts, sum, min and max, however large their windows. */
bool sj_hist_equal(const struct sj_hist *a, const struct sj_hist *b);

/* sum / count in seconds; NaN when empty. */
double sj_hist_mean(const struct sj_hist *h);

/*
 * The latency in seconds that a share p of all requests does not exceed, 0 <= p <= 1: interpolated linearly inside
 * its bucket, never outside [min, max]. NaN when h is empty or p is no probability.
 */
double sj_hist_quantile(const struct sj_hist *h, double p);

/*
 * The same by rank: where the rank-th smallest latency lies, 0 <= rank <= count, ranks between two requests allowed.
 * Seconds; *index (unless NULL) becomes its bucket, INT_MIN for the zero bucket. h must not be empty.
 */
double sj_hist_at_rank(const struct sj_hist *h, double rank, int *index);

/* The lowest and the highest bucket that is not empty; false when there is none (then both are untouched). */
bool sj_hist_range(const struct sj_hist *h, int *first, int *last);

/* The count of bucket index; 0 for any index outside the window. */
static inline uint64_t sj_hist_count_at(const struct sj_hist *h, int index)
{
    uint32_t slot = (uint32_t)index - (uint32_t)h->base;

    return slot < h->len ? h->counts[slot] : 0;
}

/* The edges of bucket `index` of a schema from 0 to 8, in seconds: it holds (lower, upper]. */
double sj_hist_upper_bound(int schema, int index);
double sj_hist_lower_bound(int schema, int index);

/* The smallest and the largest whole nanosecond in schema-5 bucket index (SJ_HIST_INDEX_MIN .. _MAX; may be empty
 * below 1 us, where several edges lie between two nanoseconds: then *low > *high). */
void sj_hist_bucket_ns(int index, uint64_t *low, uint64_t *high);

/*
 * The exact bucket of ns nanoseconds at a schema from 0 to 8. -EINVAL for another schema, -ERANGE unless
 * 0 < ns < 2^63; *index is untouched then.
 */
int sj_hist_index_at(int schema, uint64_t ns, int *index);

/* The bucket of a coarser schema that holds bucket `index`; down is the difference of the schemas, 0 to 8. */
static inline int sj_hist_index_down(int index, int down)
{
    return ((index - 1) >> down) + 1;
}

/* A histogram at another schema, for exporters: buckets `first` to `first + len - 1`, none of the outer ones empty. */
struct sj_hist_view {
    uint64_t *counts; /* owned; NULL if len is 0 */
    int schema;
    int first; /* Prometheus index; OTLP counts from one less */
    uint32_t len;
    uint64_t zero_count;
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t max_ns;
};

/*
 * Fills *out with h at a schema from 0 to 5; every count is kept. Buckets only merge, so it equals having recorded at
 * that schema. -EINVAL for another schema, -ENOMEM; *out is untouched then. Release it with sj_hist_view_free().
 */
int sj_hist_downscale(const struct sj_hist *h, int schema, struct sj_hist_view *out);

void sj_hist_view_free(struct sj_hist_view *v);
