// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sojourn/event.h>

/*
 * A finished request: what `decode` makes and everything to its right consumes (series, trace, recording).
 * It is the seam of the product: a recording holds these, so all that follows runs without a kernel and without root.
 */

/* Stages in the order in which they happen; a request has those of its role. Every nanosecond is in exactly one. */
enum sj_stage {
    SJ_STAGE_QUEUE = 0, /* server */
    SJ_STAGE_ONCPU,
    SJ_STAGE_BUSY,
    SJ_STAGE_RUNQ,
    SJ_STAGE_BLOCKED,
    SJ_STAGE_HANDOFF,
    SJ_STAGE_SEND,    /* server: the answer; client: the ask */
    SJ_STAGE_WAIT,    /* client */
    SJ_STAGE_PICKUP,  /* client */
    SJ_STAGE_RECEIVE, /* client */
    SJ_STAGE_MAX_
};

enum sj_protocol { SJ_PROTO_UNKNOWN = 0, SJ_PROTO_HTTP, SJ_PROTO_TLS, SJ_PROTO_MAX_ };

enum sj_request_flag {
    SJ_REQ_ERROR = 1 << 0,
    SJ_REQ_CLIENT_ERROR = 1 << 1, /* HTTP 4xx: counted apart, not an error */
    SJ_REQ_INTERLEAVED = 1 << 2,
    SJ_REQ_UNPARSED = 1 << 3,
    SJ_REQ_NO_ARRIVAL = 1 << 4, /* the arrival was not seen: queue reads 0 */
    SJ_REQ_PIPELINED = 1 << 5,
    SJ_REQ_NO_STAGES = 1 << 6, /* the thread clock was off: the service time is in no stage (only total, queue, send) */
};

struct sj_endpoint {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0 when unknown */
    uint16_t port;
    uint8_t addr[SJ_ADDR_LEN];
};

/*
 * Strings belong to the producer and live until its next call: a consumer that keeps one copies it. None is NULL; an
 * unknown one is "". They may hold any byte but NUL: whoever prints them escapes them.
 */
struct sj_request {
    uint64_t start_ns; /* CLOCK_MONOTONIC of the first byte */
    uint64_t total_ns;
    uint64_t stage_ns[SJ_STAGE_MAX_];
    uint64_t blocked_ns[SJ_CAUSE_MAX_]; /* sums to stage_ns[SJ_STAGE_BLOCKED] */
    uint64_t bytes_in;                  /* received by the local side */
    uint64_t bytes_out;
    const char *service;
    const char *comm;
    const char *container;
    const char *operation;
    const char *status; /* "200", "" when the protocol has none or it was not seen */
    const char *unix_path;
    struct sj_endpoint local;
    struct sj_endpoint peer;
    uint64_t cgroup;
    uint32_t pid;
    uint32_t tid;
    uint32_t flags; /* enum sj_request_flag */
    uint16_t port;  /* of the answering side; 0 on AF_UNIX */
    uint8_t role;   /* enum sj_role */
    uint8_t protocol;
};

/* requests = detailed + counted_only; unparsed is part of detailed; cut_off and lost lie outside (see the man page). */
struct sj_completeness {
    uint64_t detailed;
    uint64_t counted_only;
    uint64_t unparsed;
    uint64_t cut_off;
    uint64_t lost;
    uint64_t detail_lost; /* pieces of payload, ends of answers and thread clocks that could not be told: live only */
    bool lower_bound;     /* counted_only holds turns of pipelined connections */
};

const char *sj_stage_name(enum sj_stage stage);       /* "queue", ...; "" when out of range */
const char *sj_cause_name(enum sj_cause cause);       /* "lock", "disk", "net", "sleep", "other" */
const char *sj_role_name(enum sj_role role);          /* "server", "client", "unknown" */
const char *sj_protocol_name(enum sj_protocol proto); /* "http", "tls", "unknown" */

/* The inverse of the names above; -1 when there is none of that name. */
int sj_stage_by_name(const char *name);
int sj_cause_by_name(const char *name);
int sj_role_by_name(const char *name);
int sj_protocol_by_name(const char *name);
/* The stages of a role as a bit mask of 1 << enum sj_stage. */
unsigned sj_stages_of_role(enum sj_role role);
