// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "series/series.h"

/*
 * What windows are made of: requests summed up, with as much detail as rules ask for, and as bytes that take little
 * memory. Within this folder only.
 */

/* Which histograms are kept: 1 << enum sj_stage, or this for that of the totals. */
#define SJ_TALLY_TOTAL (1U << SJ_STAGE_MAX_)

struct sj_tally {
    uint64_t requests; /* turns that were only counted too */
    uint64_t detailed; /* those of which it is known whether they were errors, and their stages */
    uint64_t errors;
    uint64_t sum_ns; /* of all totals */
    uint64_t max_ns;
    uint64_t detailed_sum_ns; /* of the detailed ones' totals: what stages are shares of */
    struct sj_hist total;
    struct {
        uint64_t known;
        uint64_t sum_ns;
        struct sj_hist hist; /* of those that were not 0 */
    } stage[SJ_STAGE_MAX_];
};

/* What a window keeps: bits of histograms, and of stages of which it keeps the sums. */
struct sj_tracks {
    uint32_t hists;
    uint32_t sums; /* holds hists' stages too */
};

void sj_tally_clear(struct sj_tally *t);
void sj_tally_free(struct sj_tally *t);

/* Adds a cell and turns without detail; NULL: none. 0 or -ENOMEM. */
int sj_tally_add(struct sj_tally *t, struct sj_tracks tracks, const struct sj_cell *cell,
                 const struct sj_hist *counted);

/* No encoded tally is longer. */
#define SJ_TALLY_BYTES_MAX ((SJ_STAGE_MAX_ + 1) * ((SJ_HIST_INDEX_MAX - SJ_HIST_INDEX_MIN + 1) * 13 + 128) + 128)

/* Writes what the tracks say to `to`, which has room for SJ_TALLY_BYTES_MAX. Returns the length. */
size_t sj_tally_encode(const struct sj_tally *t, struct sj_tracks tracks, uint8_t *to);

/* Adds what sj_tally_encode() wrote with the same tracks: our own bytes, which are not checked. 0 or -ENOMEM. */
int sj_tally_decode(struct sj_tally *t, struct sj_tracks tracks, const uint8_t *p, size_t n);
