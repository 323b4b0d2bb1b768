// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/course.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantile.h"

/* Room for the first requests; it doubles as it is needed. */
#define FIRST_INTERVALS 8
#define FIRST_BUCKETS 8

/* Shorter latencies, in ns, count as this. */
#define NS_LEAST 1000

static uint32_t add_saturating(uint32_t a, uint32_t b)
{
    uint32_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT32_MAX : sum;
}

static uint32_t *row_of(const struct sj_course *c, unsigned interval)
{
    return c->counts + (size_t)interval * c->buckets;
}

/* Gives c room for so many intervals and buckets, the latter from `base` on; what there is must fit. */
static int resize(struct sj_course *c, unsigned capacity, unsigned buckets, int base)
{
    uint32_t *counts = capacity && buckets ? calloc((size_t)capacity * buckets, sizeof(*counts)) : NULL;

    if (!counts)
        return -ENOMEM;
    for (unsigned i = 0; i < c->intervals; i++)
        for (unsigned k = 0; k < c->buckets; k++)
            if (row_of(c, i)[k])
                counts[(size_t)i * buckets + (size_t)(c->base + (int)k - base)] = row_of(c, i)[k];
    free(c->counts);
    c->counts = counts;
    c->capacity = (uint16_t)capacity;
    c->buckets = (uint16_t)buckets;
    c->base = base;
    return 0;
}

/* Two neighbouring buckets become one, which frees the upper half. */
static void halve_schema(struct sj_course *c)
{
    int base = sj_hist_index_down(c->base, 1);

    for (unsigned i = 0; i < c->intervals; i++) {
        uint32_t *row = row_of(c, i);

        for (unsigned k = 0; k < c->buckets; k++) {
            uint32_t n = row[k];
            int to = sj_hist_index_down(c->base + (int)k, 1) - base;

            row[k] = 0;
            row[to] = add_saturating(row[to], n);
        }
    }
    c->base = base;
    c->schema--;
}

/* Two neighbouring intervals become one of twice the length. */
static void halve_intervals(struct sj_course *c)
{
    for (unsigned i = 0; i < c->intervals; i++) {
        uint32_t *from = row_of(c, i), *to = row_of(c, i / 2);

        for (unsigned k = 0; k < c->buckets && i > 0; k++) {
            to[k] = i % 2 ? add_saturating(to[k], from[k]) : from[k];
            if (i / 2 != i)
                from[k] = 0;
        }
    }
    c->intervals = (uint16_t)((c->intervals + 1) / 2);
    c->interval_ns *= 2;
}

/* The lowest and the highest bucket in use, widened to hold `index`. */
static void reach(const struct sj_course *c, int index, int *first, int *last)
{
    *first = *last = index;
    for (unsigned k = 0; k < c->buckets; k++) {
        int at = c->base + (int)k;

        for (unsigned i = 0; i < c->intervals && (at < *first || at > *last); i++) {
            if (row_of(c, i)[k] == 0)
                continue;
            *first = at < *first ? at : *first;
            *last = at > *last ? at : *last;
        }
    }
}

/* Makes the buckets include the one of a schema-5 index. */
static int include_bucket(struct sj_course *c, int index)
{
    unsigned limit = c->buckets_max;
    unsigned buckets = c->buckets;
    int first, last;

    reach(c, sj_hist_index_down(index, SJ_HIST_SCHEMA - c->schema), &first, &last);
    while (last - first >= (int)limit && c->schema > 0) {
        halve_schema(c);
        reach(c, sj_hist_index_down(index, SJ_HIST_SCHEMA - c->schema), &first, &last);
    }
    while ((int)buckets <= last - first)
        buckets *= 2;
    /* Room on both sides, so that a window is not moved at every new extreme. */
    return resize(c, c->capacity, buckets, first - ((int)buckets - 1 - (last - first)) / 2);
}

static int start(struct sj_course *c, uint64_t at_ns, int index)
{
    if (c->buckets_max == 0)
        c->buckets_max = SJ_COURSE_BUCKETS;
    c->schema = SJ_HIST_SCHEMA;
    c->origin_ns = at_ns;
    if (resize(c, FIRST_INTERVALS, c->buckets_max < FIRST_BUCKETS ? c->buckets_max : FIRST_BUCKETS,
               index - FIRST_BUCKETS / 2))
        return -ENOMEM;
    c->interval_ns = SJ_COURSE_INTERVAL_NS;
    return 0;
}

/* Makes room for a moment; *interval becomes the one it lies in. */
static int include_moment(struct sj_course *c, uint64_t since, unsigned *interval)
{
    while (since / c->interval_ns >= SJ_COURSE_INTERVALS)
        halve_intervals(c);
    *interval = (unsigned)(since / c->interval_ns);
    unsigned capacity = c->capacity;
    while (*interval >= capacity)
        capacity *= 2;
    return capacity > c->capacity ? resize(c, capacity, c->buckets, c->base) : 0;
}

/* A few latencies that are next to nothing must not make the buckets coarse. */
static int index_of(uint64_t ns)
{
    return sj_hist_index(ns < NS_LEAST ? NS_LEAST : ns > SJ_HIST_NS_MAX ? SJ_HIST_NS_MAX : ns);
}

int sj_course_add(struct sj_course *c, uint64_t at_ns, uint64_t ns)
{
    int index = index_of(ns);

    if (c->interval_ns == 0 && start(c, at_ns, index))
        return -ENOMEM;
    uint64_t since = at_ns > c->origin_ns ? at_ns - c->origin_ns : 0;
    uint64_t interval = since / c->interval_ns;
    uint32_t bucket = (uint32_t)(sj_hist_index_down(index, SJ_HIST_SCHEMA - c->schema) - c->base);
    if (interval >= c->intervals || bucket >= c->buckets) {
        unsigned at;

        if (include_moment(c, since, &at) || (bucket >= c->buckets && include_bucket(c, index)))
            return -ENOMEM;
        interval = at;
        bucket = (uint32_t)(sj_hist_index_down(index, SJ_HIST_SCHEMA - c->schema) - c->base);
        if (at >= c->intervals)
            c->intervals = (uint16_t)(at + 1);
    }
    uint32_t *n = row_of(c, (unsigned)interval) + bucket;
    *n = add_saturating(*n, 1);
    return 0;
}

/* The bucket whose upper edge the share 1 - p lies above, as nearly as there is one; -1 if all lie in one bucket. */
static int bucket_of(const struct sj_course *c, double p)
{
    double total = 0, above = 0, nearest = INFINITY;
    int bucket = -1;

    for (size_t i = 0; i < (size_t)c->intervals * c->buckets; i++)
        total += c->counts[i];
    for (int k = c->buckets - 1; k > 0; k--) {
        for (unsigned i = 0; i < c->intervals; i++)
            above += row_of(c, i)[k];
        double off = above > 0 && above < total ? fabs(log(above / total / (1 - p))) : INFINITY;
        if (off < nearest) {
            nearest = off;
            bucket = k - 1;
        }
    }
    return bucket;
}

double sj_course_inflation(const struct sj_course *c, double p)
{
    struct sj_exceedance series[SJ_COURSE_INTERVALS] = {{0}};
    int bucket = bucket_of(c, p);

    for (unsigned i = 0; i < c->intervals && bucket >= 0; i++) {
        for (int k = 0; k < c->buckets; k++) {
            series[i].requests += row_of(c, i)[k];
            series[i].above += k > bucket ? row_of(c, i)[k] : 0;
        }
    }
    return sj_variance_inflation(series, c->intervals);
}

void sj_course_coarsen(struct sj_course *c, unsigned buckets)
{
    c->buckets_max = (uint16_t)buckets;
    if (!c->interval_ns || c->buckets <= buckets)
        return;
    int first, last;
    int inside = c->base;
    for (unsigned k = 0; k < c->buckets; k++)
        for (unsigned i = 0; i < c->intervals; i++)
            inside = row_of(c, i)[k] ? c->base + (int)k : inside;
    reach(c, inside, &first, &last);
    while (last - first >= (int)buckets && c->schema > 0) {
        halve_schema(c);
        inside = sj_hist_index_down(inside, 1);
        reach(c, inside, &first, &last);
    }
    /* Without memory for less memory it stays as it is. */
    if (last - first < (int)buckets)
        (void)resize(c, c->capacity, buckets, first);
}

size_t sj_course_bytes(const struct sj_course *c)
{
    return c->counts ? (size_t)c->capacity * c->buckets * sizeof(*c->counts) + 16 : 0;
}

void sj_course_free(struct sj_course *c)
{
    free(c->counts);
    *c = (struct sj_course){0};
}
