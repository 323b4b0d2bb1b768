// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Reader of one BPF ring buffer. Own code rather than libbpf's, for two reasons: records of several CPUs are merged in
 * the order of their times, so a reader must look at a record without consuming it; and the data pages are mapped once
 * instead of twice, which halves the resident size.
 */
struct sj_ring {
    volatile unsigned long *consumer;
    const volatile unsigned long *producer;
    const uint8_t *data;
    uint32_t size; /* power of two */
    unsigned long at;
    unsigned long seen; /* producer position when last looked at */
    uint8_t *straddling; /* a record that crosses the end is put together here */
    size_t map_len;
};

/* fd stays the caller's. size in bytes. */
int sj_ring_open(struct sj_ring *r, int fd, uint32_t size, struct sj_err *err);
void sj_ring_close(struct sj_ring *r);

/*
 * The next record, or NULL when there is none that is complete; *len is its length. It stays valid until sj_ring_next().
 * *busy is set when a record is still being written.
 */
const void *sj_ring_peek(struct sj_ring *r, uint32_t *len, int *busy);
/* Steps over the record that was peeked at, of length len. */
void sj_ring_next(struct sj_ring *r, uint32_t len);
/* Gives the space of all consumed records back to the kernel. */
void sj_ring_release(struct sj_ring *r);
/* Share of the ring that is in use, 0..1. */
double sj_ring_fill(const struct sj_ring *r);
