// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

/* Which processes a service was seen in, counted up to SJ_PIDS_MAX. All bytes zero is an empty set. */
struct sj_pids {
    uint32_t last; /* the one that was added last: mostly the next one too */
    uint32_t count;
    uint32_t size;   /* of slots: a power of two, or 0 */
    uint32_t *slots; /* open addressing; 0 is free */
};

/* Adds a process; 0 is none. 0, or -ENOMEM, the set is unchanged then. */
int sj_pids_add_slow(struct sj_pids *set, uint32_t pid);

static inline int sj_pids_add(struct sj_pids *set, uint32_t pid)
{
    return pid == set->last ? 0 : sj_pids_add_slow(set, pid);
}

void sj_pids_free(struct sj_pids *set);
