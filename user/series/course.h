// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/hist.h"

/*
 * The course of a service's latencies over time, just fine enough to see whether they depend on one another: counts by
 * interval and by bucket. Bounded: when the intervals are used up, two and two become one; when the buckets are, their
 * schema becomes coarser. All bytes zero is an empty one.
 */
struct sj_course {
    uint32_t *counts;     /* owned: `buckets` for each of `capacity` intervals; they stay at UINT32_MAX */
    uint64_t origin_ns;   /* where the first interval begins */
    uint64_t interval_ns; /* the length of each; 0: nothing was counted yet */
    uint16_t capacity;    /* intervals there is room for */
    uint16_t intervals;   /* in use: up to the latest one in which something was counted */
    uint16_t buckets;     /* a power of two */
    uint16_t buckets_max;
    uint8_t schema;
    int32_t base; /* the bucket that counts[0] is of */
};

/* The shortest interval, in ns, the most of them, and the most buckets: at most 16 KiB. */
#define SJ_COURSE_INTERVAL_NS UINT64_C(125000000)
#define SJ_COURSE_INTERVALS 64
#define SJ_COURSE_BUCKETS 64

/*
 * Counts a latency of ns nanoseconds whose request began at at_ns; what began before the first one counted is counted
 * with it.
 * 0 or -ENOMEM, nothing is counted then.
 */
int sj_course_add(struct sj_course *c, uint64_t at_ns, uint64_t ns);

/*
 * By which factor dependence enlarges the variance of the share of latencies above their quantile p (0 < p < 1), see
 * sj_variance_inflation(), told at the bucket edge that is nearest to it; 1 when too little is known.
 */
double sj_course_inflation(const struct sj_course *c, double p);

/* Uses at most `buckets` (a power of two, 2 or more) buckets from now on. */
void sj_course_coarsen(struct sj_course *c, unsigned buckets);

/* Memory that c owns, in bytes. */
size_t sj_course_bytes(const struct sj_course *c);

void sj_course_free(struct sj_course *c);
