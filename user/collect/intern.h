// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A bounded set of byte strings that numbers them from 0 in the order in which they first came. All memory is reserved
 * at once and touched as it fills.
 */
struct sj_intern;

/* Room for max_entries (at most 2^30) of max_bytes together; NULL when there is no memory. seed: anything
 * unpredictable. */
struct sj_intern *sj_intern_new(uint32_t max_entries, uint32_t max_bytes, uint64_t seed);
void sj_intern_free(struct sj_intern *s);

/* Is there room for that many more entries of that many bytes together? */
bool sj_intern_has_room(const struct sj_intern *s, uint32_t entries, uint32_t bytes);

/*
 * The number of the n bytes at p in *id; true when they are new and were put in, for which there must be room
 * (sj_intern_has_room()). A look-up takes constant time on average, whatever the content.
 */
bool sj_intern(struct sj_intern *s, const void *p, uint32_t n, uint32_t *id);

/* Forgets all entries. */
void sj_intern_reset(struct sj_intern *s);
