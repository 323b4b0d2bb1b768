// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/hist.h"
#include "request.h"
#include "series/course.h"
#include "source.h"

/*
 * Sums finished requests up: one row per service (service, role, protocol, port, container) and per operation of it.
 * How much is kept is bounded, in rows and in bytes. Beyond that no new rows are made: requests flow into a row for the
 * rest, so that totals stay exact and only names are lost.
 */
struct sj_series;

struct sj_series_limits {
    size_t rows;  /* services and operations together */
    size_t bytes; /* of memory, approximately */
    /*
     * 0 for a series with an end. Otherwise it is to last, and what is counted of a row is exported while it runs: rows
     * that had nothing to count for that long go, and whatever gives way to the limits, no row's counts ever fall, nor
     * are they counted again elsewhere.
     */
    uint64_t idle_ns;
    uint64_t series; /* of a series that lasts: what a metric may have, see struct sj_shown */
};

/* What is kept without other wishes. */
#define SJ_SERIES_ROWS 2000
#define SJ_SERIES_BYTES ((size_t)6 << 20)

/* Statuses that a row tells apart; others are counted together. */
#define SJ_STATUSES 8

/* Statuses by their hundreds, which are counted however many there are; SJ_CLASS_OTHER are those of another form. */
enum sj_status_class {
    SJ_CLASS_OTHER = 0,
    SJ_CLASS_1XX,
    SJ_CLASS_2XX,
    SJ_CLASS_3XX,
    SJ_CLASS_4XX,
    SJ_CLASS_5XX,
    SJ_CLASS_MAX_
};

struct sj_status_count {
    char status[16];
    uint64_t requests;
};

/*
 * What is known of a set of requests. A stage's histogram holds only the requests in which it was not zero, and is NULL
 * until there is one; the zeros are implied by sj_cell_known(). Use the functions below rather than the histograms.
 */
struct sj_cell {
    uint64_t requests; /* with detail */
    uint64_t errors;
    uint64_t client_errors;
    uint64_t interleaved;
    uint64_t unparsed;
    uint64_t pipelined;
    uint64_t no_arrival; /* their queue is unknown */
    uint64_t no_stages;  /* what their service time was spent on is unknown */
    uint64_t bare;       /* of these no stage is known, as memory was short; not among the two above */
    struct sj_hist total;
    struct sj_hist *error_total; /* of the errors among them; NULL until there is one that took any time */
    struct sj_hist *stage[SJ_STAGE_MAX_];
    struct sj_hist *cause[SJ_CAUSE_MAX_];
    struct sj_status_count status[SJ_STATUSES]; /* unused ones have 0 requests */
    uint64_t other_statuses;
    uint64_t classes[SJ_CLASS_MAX_]; /* of the requests that have a status */
};

/* In how many of the requests the stage is known, be it as 0. */
uint64_t sj_cell_known(const struct sj_cell *c, enum sj_stage stage);

/*
 * A stage, or a cause of its being blocked: sum in ns, and the quantile p in seconds, over the requests in which it is
 * known. The quantile is NaN when there are none.
 */
uint64_t sj_cell_stage_sum(const struct sj_cell *c, enum sj_stage stage);
uint64_t sj_cell_cause_sum(const struct sj_cell *c, enum sj_cause cause);
double sj_cell_stage_quantile(const struct sj_cell *c, enum sj_stage stage, double p);
double sj_cell_cause_quantile(const struct sj_cell *c, enum sj_cause cause, double p);

/* NULL limits: the defaults. Returns NULL when there is no memory. Release it with sj_series_free(). */
struct sj_series *sj_series_new(const struct sj_series_limits *limits);
void sj_series_free(struct sj_series *s);

/* Counts a finished request. Keeps copies of its strings. 0, or -ENOMEM, then it is counted in part. */
int sj_series_add(struct sj_series *s, const struct sj_request *req);

/* Adds turns without detail to the row of their service. 0 or -ENOMEM. */
int sj_series_add_counted(struct sj_series *s, const struct sj_counted *counted);

/*
 * Time goes on: rows that come are dated mono_ns, and those that are to go are looked for every minute. For series that
 * last; call it a few times a second. 0 or -ENOMEM.
 */
int sj_series_tick(struct sj_series *s, uint64_t mono_ns);

/* Whose row it is. operation "" is what has no name, SJ_REST_NAME what is beyond the limits. */
struct sj_series_id {
    const char *service;
    const char *container;
    const char *operation;
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
};

/*
 * Says which rows are watched: wanted is asked for each row there is, now, and for each one that comes. NULL: none.
 */
typedef bool (*sj_series_wanted_fn)(void *ctx, const struct sj_series_id *id);
void sj_series_watch(struct sj_series *s, sj_series_wanted_fn wanted, void *ctx);

/*
 * Calls fn for each watched row that has counted something since the last call, with just that. Turns without detail
 * come for the operation "", as `counted`, which is NULL otherwise. 0, or what fn returned unless it was 0.
 */
typedef int (*sj_series_slice_fn)(void *ctx, const struct sj_series_id *id, const struct sj_cell *cell,
                                  const struct sj_hist *counted);
int sj_series_drain(struct sj_series *s, sj_series_slice_fn fn, void *ctx);

/* Memory in use, in bytes, approximately. */
size_t sj_series_bytes(const struct sj_series *s);

/* The name under which the rows beyond the limits are shown. */
#define SJ_REST_NAME "other"

/* One request as an example for a row: the slowest of late. Its time never goes back. Only in series that last. */
struct sj_exemplar {
    uint64_t total_ns; /* 0: there is none */
    uint64_t mono_ns;  /* when it ended */
    uint32_t pid;
    struct sj_endpoint peer;
};

/*
 * To exporters a series is a service's name, role and protocol, and an operation; ports and containers are not told
 * apart. A metric has one for each of these, or one for each stage of it, or for each class of status, and no more than
 * limits.series. Whatever is not shown by its own name is part of the rest of its service, and if that is not shown
 * either, of the rest of all services of its role. It stays where it is shown for its whole life.
 */
enum sj_kind { SJ_KIND_TOTAL = 0, SJ_KIND_STAGES, SJ_KIND_CLASSES, SJ_KIND_MAX_ };

/* The classes of status, and one for the requests that have none. */
#define SJ_CLASSES (SJ_CLASS_MAX_ + 1)
#define SJ_CLASSES_ALL ((1U << SJ_CLASSES) - 1)

/* In which metrics something is shown by its own name. */
struct sj_shown {
    uint8_t in[SJ_KIND_MAX_]; /* bit masks of classes: all or none, where a kind does not tell them apart */
    bool bare;                /* its stages are shown nowhere any more: they were given up, as memory was short */
};

struct sj_operation_view {
    const char *operation;
    bool rest;             /* the operations beyond the limits, together */
    struct sj_shown shown; /* not of the rest */
    const struct sj_cell *cell;
    uint64_t created_ns; /* CLOCK_MONOTONIC: when it began to count. As of sj_series_tick() */
    struct sj_exemplar exemplar;
};

struct sj_service_view {
    const char *service;
    const char *container;
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
    bool rest;                   /* the services beyond the limits, together: only the role is common to them */
    struct sj_shown plain_shown; /* what has no operation */
    struct sj_shown rest_shown;  /* what of the service is not shown otherwise */
    uint32_t pid;                /* when there is only one, else 0 */
    uint32_t pids;               /* how many there were, at most SJ_PIDS_MAX; 0 when unknown */
    uint64_t created_ns;         /* see sj_operation_view */
    const struct sj_cell *cell;  /* all requests with detail, those of rows that have gone included */
    const struct sj_cell *plain; /* those of rows without a name; NULL when there are none */
    struct sj_exemplar plain_exemplar;
    uint64_t requests;           /* cell->requests and the counted ones */
    const struct sj_hist *total; /* of all of them */
    uint64_t counted;
    const struct sj_hist *counted_total; /* of those; NULL when there are none */
    bool lower_bound;                    /* counted may hold several requests each */
    const struct sj_course *course;      /* of the requests with detail, over time */
    uint64_t counted_stage_ns[SJ_STAGE_MAX_];
    const struct sj_cell *kept[SJ_KIND_MAX_]; /* part of what rest_shown is about, of rows that have gone; or NULL */
    struct sj_operation_view *operations;     /* owned by the snapshot; those without a name are left out */
    size_t n_operations;
};

#define SJ_PIDS_MAX 4096

/* Everything, sorted by requests. Borrows from the series: valid until it changes. Settles what is shown, and how. */
struct sj_snapshot {
    struct sj_service_view *services;
    size_t n_services;
    void *owned; /* what had to be summed up for it */
};

/* 0, or -ENOMEM, *out untouched then. Release it with sj_snapshot_free(). */
int sj_series_snapshot(struct sj_series *s, struct sj_snapshot *out);
void sj_snapshot_free(struct sj_snapshot *snap);
