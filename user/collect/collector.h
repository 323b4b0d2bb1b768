// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#include <sojourn/event.h>

#include "base/err.h"
#include "collect/ring.h"

/*
 * Merges the logs of all CPUs and the ring buffer beside them into one stream in the order of time, and checks each
 * record before anybody sees it.
 *
 * A record's time is taken before it is placed, so a ring may still get a record that is a little older than what
 * another ring already holds: the stream is only told up to a moment that lies SJ_MERGE_DELAY_NS back.
 */
#define SJ_MERGE_DELAY_NS 4000000ULL

struct sj_ring_head {
    const struct sj_rec *rec; /* the ring's oldest record, NULL when it has none */
    uint32_t len;
};

struct sj_collector {
    struct sj_ring *rings;
    struct sj_ring_head *heads;
    unsigned *heap; /* rings that have a record, the one with the oldest first */
    unsigned count;
    uint64_t records;
    uint64_t refused; /* malformed or of an unknown version */
};

/* A validated record: all lengths inside are within len. Returns 0, or -1 with *err to stop. */
typedef int (*sj_record_fn)(void *ctx, const struct sj_rec *rec, uint32_t len, struct sj_err *err);

int sj_collector_open(struct sj_collector *c, unsigned rings, struct sj_err *err);
void sj_collector_close(struct sj_collector *c);

/*
 * Tells all records up to the moment `until` (CLOCK_MONOTONIC ns; UINT64_MAX: all that there are). *fill is set to how
 * full the fullest ring was. Returns 0, or -1 with *err from fn.
 */
int sj_collector_poll(struct sj_collector *c, uint64_t until, sj_record_fn fn, void *ctx, double *fill,
                      struct sj_err *err);

/* Is this a record that can be read without looking beyond len? */
int sj_record_valid(const void *p, uint32_t len);
