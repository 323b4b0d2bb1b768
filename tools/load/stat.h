// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/json.h"

#include <stddef.h>
#include <stdint.h>

/* Samples beyond this still count in mean and max, no longer in quantiles. */
#define SJ_STAT_SAMPLES (UINT64_C(1) << 22)

/* Durations in nanoseconds, kept whole so that quantiles are exact. Zero-initialised is empty. */
struct sj_stat {
    uint64_t *samples;
    size_t n, cap;
    uint64_t count;
    uint64_t max;
    double sum;
};

void sj_stat_add(struct sj_stat *stat, uint64_t ns);
void sj_stat_merge(struct sj_stat *into, const struct sj_stat *from);
void sj_stat_free(struct sj_stat *stat);

/* {"count":..,"mean":..,"min":..,"p50":..,"p90":..,"p99":..,"max":..} in seconds; {"count":0} if empty. Sorts the
 * samples. */
void sj_stat_json(struct sj_stat *stat, struct sj_json *w);
