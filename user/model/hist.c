// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/hist.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/hist_schema8.h"

#define NS_PER_S 1e9

/* The window grows by whole factors of two of latency: 32 buckets at schema 5. */
#define OCTAVE 32

void sj_hist_init(struct sj_hist *h)
{
    *h = (struct sj_hist){.min_ns = UINT64_MAX};
}

void sj_hist_free(struct sj_hist *h)
{
    free(h->counts);
    sj_hist_init(h);
}

void sj_hist_reset(struct sj_hist *h)
{
    uint64_t *counts = h->counts;
    int32_t base = h->base;
    uint32_t len = h->len;

    if (len)
        memset(counts, 0, len * sizeof(*counts));
    *h = (struct sj_hist){.counts = counts, .base = base, .len = len, .min_ns = UINT64_MAX};
}

/* Widens the window so that it holds the buckets from first to last. */
static int reserve(struct sj_hist *h, int first, int last)
{
    int32_t low = first & ~(OCTAVE - 1);
    int32_t end = (last & ~(OCTAVE - 1)) + OCTAVE;
    uint64_t *counts;
    uint32_t len;

    if (h->len) {
        low = h->base < low ? h->base : low;
        end = h->base + (int32_t)h->len > end ? h->base + (int32_t)h->len : end;
    }
    len = (uint32_t)(end - low);
    if (len == h->len)
        return 0;
    counts = calloc(len, sizeof(*counts));
    if (!counts)
        return -ENOMEM;
    if (h->len)
        memcpy(counts + (h->base - low), h->counts, h->len * sizeof(*counts));
    free(h->counts);
    h->counts = counts;
    h->base = low;
    h->len = len;
    return 0;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t multiply_saturating(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Books n > 0 latencies beside their bucket. */
static void account(struct sj_hist *h, uint64_t n, uint64_t sum_ns, uint64_t min_ns, uint64_t max_ns)
{
    if (h->count == 0) {
        h->min_ns = UINT64_MAX;
        h->max_ns = 0;
    }
    h->count += n;
    h->sum_ns = add_saturating(h->sum_ns, sum_ns);
    h->min_ns = min_ns < h->min_ns ? min_ns : h->min_ns;
    h->max_ns = max_ns > h->max_ns ? max_ns : h->max_ns;
}

int sj_hist_add_n(struct sj_hist *h, uint64_t ns, uint64_t n)
{
    int index;
    int rc;

    if (n == 0)
        return 0;
    if (n > UINT64_MAX - h->count)
        return -EOVERFLOW;
    if (ns > SJ_HIST_NS_MAX)
        ns = SJ_HIST_NS_MAX;
    if (ns == 0) {
        h->zero_count += n;
    } else {
        index = sj_hist_index(ns);
        rc = reserve(h, index, index);
        if (rc < 0)
            return rc;
        h->counts[index - h->base] += n;
    }
    account(h, n, multiply_saturating(ns, n), ns, ns);
    return 0;
}

/* The upper edge of a schema-5 bucket in whole nanoseconds, rounded down and at most SJ_HIST_NS_MAX. */
static uint64_t edge_ns(int index)
{
    int steps = index - SJ_HIST_S5_KMIN;
    int magnitude = 29 + (steps >> 5);

    if (magnitude < 0)
        return 0;
    if (magnitude > 62)
        return SJ_HIST_NS_MAX;
    return sj_hist_s5_edges[steps & 31] >> (62 - magnitude);
}

void sj_hist_bucket_ns(int index, uint64_t *low, uint64_t *high)
{
    *low = edge_ns(index - 1) + 1;
    *high = edge_ns(index);
}

int sj_hist_add_bucket(struct sj_hist *h, int index, uint64_t n, uint64_t sum_ns)
{
    uint64_t low;
    uint64_t high;
    int rc;

    if (index < SJ_HIST_INDEX_MIN || index > SJ_HIST_INDEX_MAX)
        return -ERANGE;
    sj_hist_bucket_ns(index, &low, &high);
    if (low > high)
        return -ERANGE;
    if (n == 0)
        return 0;
    if (n > UINT64_MAX - h->count)
        return -EOVERFLOW;
    rc = reserve(h, index, index);
    if (rc < 0)
        return rc;
    h->counts[index - h->base] += n;
    account(h, n, sum_ns, low, high);
    return 0;
}

int sj_hist_merge(struct sj_hist *dst, const struct sj_hist *src)
{
    uint64_t *to;
    int first;
    int last;
    int rc;

    if (src->count == 0)
        return 0;
    if (src->count > UINT64_MAX - dst->count)
        return -EOVERFLOW;
    if (sj_hist_range(src, &first, &last)) {
        rc = reserve(dst, first, last);
        if (rc < 0)
            return rc;
        to = dst->counts + (first - dst->base);
        for (const uint64_t *from = src->counts + (first - src->base); first <= last; first++)
            *to++ += *from++;
    }
    dst->zero_count += src->zero_count;
    account(dst, src->count, src->sum_ns, src->min_ns, src->max_ns);
    return 0;
}

/* Whether h can have become what it is by adding to `earlier`. */
static bool grew_from(const struct sj_hist *h, const struct sj_hist *earlier)
{
    if (earlier->count > h->count || earlier->zero_count > h->zero_count || earlier->sum_ns > h->sum_ns)
        return false;
    if (earlier->count == h->count && earlier->sum_ns != h->sum_ns)
        return false;
    for (uint32_t k = 0; k < earlier->len; k++)
        if (earlier->counts[k] > sj_hist_count_at(h, earlier->base + (int)k))
            return false;
    return true;
}

int sj_hist_subtract(struct sj_hist *dst, const struct sj_hist *earlier)
{
    uint64_t low;
    uint64_t high;
    int first;
    int last;

    if (!grew_from(dst, earlier))
        return -ERANGE;
    if (earlier->count == dst->count) {
        sj_hist_reset(dst);
        return 0;
    }
    for (uint32_t k = 0; k < earlier->len; k++)
        if (earlier->counts[k])
            dst->counts[earlier->base + (int)k - dst->base] -= earlier->counts[k];
    dst->count -= earlier->count;
    dst->zero_count -= earlier->zero_count;
    if (dst->sum_ns != UINT64_MAX)
        dst->sum_ns -= earlier->sum_ns;
    if (!sj_hist_range(dst, &first, &last)) {
        dst->min_ns = 0;
        dst->max_ns = 0;
        return 0;
    }
    sj_hist_bucket_ns(first, &low, &high);
    if (dst->zero_count == 0 && dst->min_ns < low)
        dst->min_ns = low;
    if (dst->zero_count)
        dst->min_ns = 0;
    sj_hist_bucket_ns(last, &low, &high);
    if (dst->max_ns > high)
        dst->max_ns = high;
    return 0;
}

int sj_hist_copy(struct sj_hist *dst, const struct sj_hist *src)
{
    struct sj_hist copy = *src;

    if (dst == src)
        return 0;
    if (src->len) {
        copy.counts = malloc(src->len * sizeof(*copy.counts));
        if (!copy.counts)
            return -ENOMEM;
        memcpy(copy.counts, src->counts, src->len * sizeof(*copy.counts));
    }
    free(dst->counts);
    *dst = copy;
    return 0;
}

static bool buckets_within(const struct sj_hist *a, const struct sj_hist *b)
{
    for (uint32_t k = 0; k < a->len; k++)
        if (a->counts[k] != sj_hist_count_at(b, a->base + (int)k))
            return false;
    return true;
}

bool sj_hist_equal(const struct sj_hist *a, const struct sj_hist *b)
{
    if (a->count != b->count || a->zero_count != b->zero_count)
        return false;
    if (a->count == 0)
        return true;
    return a->sum_ns == b->sum_ns && a->min_ns == b->min_ns && a->max_ns == b->max_ns && buckets_within(a, b) &&
           buckets_within(b, a);
}

double sj_hist_mean(const struct sj_hist *h)
{
    return h->count ? (double)h->sum_ns / (double)h->count / NS_PER_S : NAN;
}

/* The latency at a share of bucket `index`, whose outer parts beyond min and max are known to be empty. */
static double inside(const struct sj_hist *h, int index, double share)
{
    double low = fmax(sj_hist_lower_bound(SJ_HIST_SCHEMA, index), (double)h->min_ns / NS_PER_S);
    double high = fmin(sj_hist_upper_bound(SJ_HIST_SCHEMA, index), (double)h->max_ns / NS_PER_S);

    return share >= 1 ? high : fmin(low + (high - low) * share, high);
}

double sj_hist_at_rank(const struct sj_hist *h, double rank, int *index)
{
    double left = rank - (double)h->zero_count;
    int bucket = INT_MIN;
    double at = left > 0 ? (double)h->max_ns / NS_PER_S : 0;

    if (h->zero_count == 0 || left > 0) {
        for (uint32_t k = 0; k < h->len; k++) {
            double n = (double)h->counts[k];

            if (h->counts[k] == 0)
                continue;
            bucket = h->base + (int)k;
            if (left <= n) {
                at = inside(h, bucket, fmax(left, 0) / n);
                break;
            }
            left -= n;
        }
    }
    if (index)
        *index = bucket;
    return at;
}

double sj_hist_quantile(const struct sj_hist *h, double p)
{
    if (h->count == 0 || !(p >= 0 && p <= 1))
        return NAN;
    return sj_hist_at_rank(h, p * (double)h->count, NULL);
}

bool sj_hist_range(const struct sj_hist *h, int *first, int *last)
{
    uint32_t low = 0;
    uint32_t end = h->len;

    while (low < end && h->counts[low] == 0)
        low++;
    if (low == end)
        return false;
    while (h->counts[end - 1] == 0)
        end--;
    *first = h->base + (int)low;
    *last = h->base + (int)end - 1;
    return true;
}

double sj_hist_upper_bound(int schema, int index)
{
    return exp2(ldexp(index, -schema));
}

double sj_hist_lower_bound(int schema, int index)
{
    return sj_hist_upper_bound(schema, index - 1);
}

int sj_hist_index_at(int schema, uint64_t ns, int *index)
{
    uint64_t x;
    uint32_t shift;
    uint32_t r;

    if (schema < 0 || schema > 8)
        return -EINVAL;
    if (ns == 0 || ns > SJ_HIST_NS_MAX)
        return -ERANGE;
    shift = (uint32_t)__builtin_clzll(ns) - 1;
    x = ns << shift;
    r = sj_hist_s8_cells[(x >> 53) & 511];
    r += (uint32_t)((sj_hist_s8_edges[r] - x) >> 63);
    /* The edges of a coarser schema are edges of this one, so its exact index follows from the exact one here. */
    *index = sj_hist_index_down(256 * (33 - (int)shift) + SJ_HIST_S8_KMIN + (int)r, 8 - schema);
    return 0;
}

int sj_hist_downscale(const struct sj_hist *h, int schema, struct sj_hist_view *out)
{
    struct sj_hist_view view = {
        .schema = schema,
        .zero_count = h->zero_count,
        .count = h->count,
        .sum_ns = h->sum_ns,
        .min_ns = h->count ? h->min_ns : 0,
        .max_ns = h->max_ns,
    };
    int down = SJ_HIST_SCHEMA - schema;
    int first;
    int last;

    if (schema < 0 || schema > SJ_HIST_SCHEMA)
        return -EINVAL;
    if (sj_hist_range(h, &first, &last)) {
        view.first = sj_hist_index_down(first, down);
        view.len = (uint32_t)(sj_hist_index_down(last, down) - view.first + 1);
        view.counts = calloc(view.len, sizeof(*view.counts));
        if (!view.counts)
            return -ENOMEM;
        for (int index = first; index <= last; index++)
            view.counts[sj_hist_index_down(index, down) - view.first] += h->counts[index - h->base];
    }
    *out = view;
    return 0;
}

void sj_hist_view_free(struct sj_hist_view *v)
{
    free(v->counts);
    *v = (struct sj_hist_view){0};
}
