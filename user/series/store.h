// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/cell.h"
#include "series/pids.h"

/* What a series is made of; for the files of this folder only. */

struct sj_operation {
    uint64_t hash;
    struct sj_service *owner;
    struct sj_operation *next; /* of the same service */
    struct sj_cell cell;
    size_t len;
    uint32_t slot;
    bool folded; /* given up to save memory: its cell went into the rest, and so does what comes */
    char name[];
};

struct sj_service {
    uint64_t hash;
    struct sj_service *next;
    struct sj_operation *operations;
    struct sj_operation *rest; /* one of them: for what is beyond the limits; NULL until needed */
    struct sj_pids pids;
    struct sj_hist counted;
    uint64_t counted_stage_ns[SJ_STAGE_MAX_];
    bool lower_bound;
    bool is_rest;
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
    uint32_t slot;
    const char *container; /* within text */
    size_t service_len;
    size_t container_len;
    char text[]; /* the name, NUL, the container, NUL */
};

/* Open addressing; never resized, as the limits say how many rows there can be. */
struct sj_slot {
    uint64_t hash;
    void *row;
};

/* Whom a process's latest request was counted for. */
struct sj_recent {
    struct sj_service *service;     /* NULL: nothing is known */
    struct sj_operation *operation; /* of it, or NULL; never its rest */
    uint32_t pid;
    uint32_t traits; /* port, role and protocol */
};
#define SJ_RECENT_BITS 6

struct sj_series {
    struct sj_series_limits limits;
    uint64_t seed;
    struct sj_slot *services;
    struct sj_slot *operations;
    size_t mask;             /* of both */
    uint64_t *service_slots; /* bit maps: which are taken */
    uint64_t *operation_slots;
    struct sj_recent recent[1 << SJ_RECENT_BITS];
    struct sj_service *first;
    struct sj_service *rest[SJ_ROLE_MAX_];
    size_t rows;
    size_t n_services;
    size_t bytes;         /* as of the last audit, and an estimate of what came since */
    uint32_t until_audit; /* requests */
};
