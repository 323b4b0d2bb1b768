// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/cell.h"
#include "series/names.h"
#include "series/pids.h"

/* What a series is made of; for the files of this folder only. */

struct sj_operation {
    uint64_t hash;
    struct sj_service *owner;
    struct sj_operation *next; /* of the same service */
    struct sj_cell cell;
    size_t len;
    uint64_t created_ns;
    uint64_t used_ns;         /* when it last counted something */
    struct sj_cell *interval; /* what it has counted since the last drain; NULL: nothing, or nobody watches */
    struct sj_exemplar exemplar;
    struct sj_name *as; /* to exporters; NULL: it has no name of its own, or the series has an end */
    bool watched;
    bool bare;   /* of what comes, too, no stages are kept */
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
    struct sj_course course; /* of the requests with detail */
    uint64_t counted_stage_ns[SJ_STAGE_MAX_];
    struct sj_hist counted_interval; /* since the last drain */
    struct sj_cell *retired;         /* of operations, or services, that have gone; NULL: none */
    uint64_t identity;               /* hash of name, role and protocol */
    uint64_t created_ns;
    uint64_t counted_ns; /* when turns without detail were last added */
    bool counted_watched;
    bool lower_bound;
    bool is_rest;
    bool departed; /* it keeps the counts of rows that went while others of their name stay */
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
    struct sj_name *plain_as;           /* what has no operation, to exporters; NULL: not yet, or without memory */
    struct sj_name *rest_as;            /* the same of what is beyond the limits */
    struct sj_cell *kept[SJ_KIND_MAX_]; /* see shown.c; NULL: nothing */
    const char *container;              /* within text */
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
    size_t mask;            /* of both */
    struct sj_names *names; /* NULL: the series has an end */
    struct sj_recent recent[1 << SJ_RECENT_BITS];
    struct sj_service *first;
    struct sj_service *rest[SJ_ROLE_MAX_];
    size_t rows;
    size_t n_services;
    size_t bytes;         /* as of the last audit, and an estimate of what came since */
    uint32_t until_audit; /* requests */
    uint64_t now_ns;      /* as of the last tick */
    uint64_t aged_ns;     /* when rows to go were last looked for */
    sj_series_wanted_fn wanted;
    void *wanted_ctx;
    unsigned course_buckets; /* how many a service's course may have */
};

/* The rows of a service and an operation, made regardless of the limits if need be. NULL when there is no memory. */
struct sj_service *sj_store_service(struct sj_series *s, const char *service, uint8_t role, uint8_t protocol);
struct sj_operation *sj_store_operation(struct sj_series *s, struct sj_service *svc, const char *name);
/* An operation's row, NULL when there is none. */
struct sj_operation *sj_store_find(const struct sj_series *s, const struct sj_service *svc, const char *name);
/* The rows for the rest. NULL when there is no memory. */
struct sj_service *sj_store_rest_service(struct sj_series *s, uint8_t role);
struct sj_operation *sj_store_rest_operation(struct sj_series *s, struct sj_service *svc);
/* Takes rows away, with what they own. */
void sj_store_remove_operation(struct sj_series *s, struct sj_operation *op);
void sj_store_remove_service(struct sj_series *s, struct sj_service *svc);

/* Closes the gap that a row leaves in an open-addressing table, by what would have been put there. */
void sj_store_forget(struct sj_slot *table, size_t mask, uint64_t hash, const void *row);

/* ---- shown.c ---- */

/* A new operation gets a name, if there is room for it. */
void sj_shown_begin(struct sj_series *s, struct sj_operation *op);
/* Settles by which names an exporter shows what a service has. */
void sj_shown_settle(struct sj_series *s, struct sj_service *svc);
/* A row goes, or loses its stages: what was shown of it as part of the rest stays there. 0 or -ENOMEM. */
int sj_shown_keep(struct sj_service *svc, const struct sj_operation *op);
int sj_shown_keep_stages(struct sj_service *svc, const struct sj_operation *op);
/* A service goes: what was shown of it as part of the services beyond the limits stays there. 0 or -ENOMEM. */
int sj_shown_retire(struct sj_service *rest, const struct sj_service *svc);
/* A service's rows go to d, which is shown as the same. 0 or -ENOMEM. */
int sj_shown_depart(struct sj_service *d, const struct sj_service *svc);
size_t sj_shown_bytes(const struct sj_service *svc);
void sj_shown_free(struct sj_series *s, struct sj_service *svc);

/* ---- age.c ---- */

/* Lets the rows go that have not been used for idle_ns. 0 or -ENOMEM. */
int sj_series_age(struct sj_series *s, uint64_t idle_ns);

/* ---- memory.c ---- */

/* How many requests may come between two audits. */
#define SJ_AUDIT_EVERY 8192

/* Looks how much memory there is in use, and gives back what is too much. 0 or -ENOMEM. */
int sj_series_audit(struct sj_series *s);

/* ---- interval.c ---- */

/* Counts a request for a watched row. 0 or -ENOMEM. */
int sj_interval_add(struct sj_operation *op, const struct sj_request *req);
/* Asks whether new rows are watched. */
void sj_interval_service(const struct sj_series *s, struct sj_service *svc);
void sj_interval_operation(const struct sj_series *s, struct sj_operation *op);
void sj_interval_free(struct sj_operation *op);
