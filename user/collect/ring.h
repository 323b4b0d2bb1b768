// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sojourn/event.h>

#include "base/err.h"

/*
 * Reader of one stream of records: the log of a CPU (see struct sj_log), or the BPF ring buffer beside them. Own code
 * rather than libbpf's, since records of several streams are merged in the order of their times, for which a reader
 * must look at a record without consuming it.
 */
struct sj_ring {
    volatile uint64_t *consumer;
    const volatile uint64_t *producer;
    const uint8_t *data;
    uint32_t size; /* power of two */
    uint64_t at;
    uint64_t seen;       /* producer position when last looked at */
    uint8_t *straddling; /* ring buffer: a record that crosses the end is put together here */
    size_t map_len;      /* ring buffer: of the mapping that is owned */
    bool log;
};

/* A log at `log`, which stays the caller's; size is its SIZE. */
void sj_ring_open_log(struct sj_ring *r, struct sj_log *log, uint32_t size);

/* A BPF ring buffer of size bytes. fd stays the caller's. */
int sj_ring_open(struct sj_ring *r, int fd, uint32_t size, struct sj_err *err);
void sj_ring_close(struct sj_ring *r);

/*
 * The next record, or NULL when there is none that is complete; *len is its length. It stays valid until
 * sj_ring_next(). *busy is set when a record is still being written.
 */
const void *sj_ring_peek(struct sj_ring *r, uint32_t *len, int *busy);
/* Steps over the record that was peeked at, of length len. */
void sj_ring_next(struct sj_ring *r, uint32_t len);
/* Gives the space of all consumed records back to the kernel. */
void sj_ring_release(struct sj_ring *r);
/* Share of the ring that is in use, 0..1. */
double sj_ring_fill(const struct sj_ring *r);
