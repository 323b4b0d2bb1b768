// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

/* A sink that keeps all it gets, and requests as the tests of readers and writers need them. */
struct captured {
    struct sj_measurement measurement;
    struct sj_outcome outcome;
    struct sj_request *requests; /* with strings of their own */
    size_t n;
    size_t room;
    struct sj_counted counted[8];
    size_t n_counted;
    unsigned begins;
    unsigned ends;
    uint64_t refuse_at; /* the request of this number, from 1, is an error; 0: none */
};

static inline const char **request_string(struct sj_request *r, int i)
{
    return (const char **[]){&r->service, &r->comm, &r->container, &r->operation, &r->status, &r->unix_path}[i];
}
#define REQUEST_STRINGS 6

static inline struct sj_request request_copy(const struct sj_request *from)
{
    struct sj_request to = *from;
    for (int i = 0; i < REQUEST_STRINGS; i++)
        *request_string(&to, i) = strdup(*request_string(&to, i));
    return to;
}

static inline void request_free(struct sj_request *r)
{
    for (int i = 0; i < REQUEST_STRINGS; i++) {
        union {
            const char *in;
            char *out;
        } s = {*request_string(r, i)};
        free(s.out);
    }
}

static inline bool endpoint_equal(const struct sj_endpoint *a, const struct sj_endpoint *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static inline bool request_equal(const struct sj_request *a, const struct sj_request *b)
{
    struct sj_request x = *a;
    struct sj_request y = *b;
    for (int i = 0; i < REQUEST_STRINGS; i++)
        if (strcmp(*request_string(&x, i), *request_string(&y, i)) != 0)
            return false;
    return a->start_ns == b->start_ns && a->total_ns == b->total_ns &&
           memcmp(a->stage_ns, b->stage_ns, sizeof(a->stage_ns)) == 0 &&
           memcmp(a->blocked_ns, b->blocked_ns, sizeof(a->blocked_ns)) == 0 && a->bytes_in == b->bytes_in &&
           a->bytes_out == b->bytes_out && endpoint_equal(&a->local, &b->local) && endpoint_equal(&a->peer, &b->peer) &&
           a->cgroup == b->cgroup && a->pid == b->pid && a->tid == b->tid && a->flags == b->flags &&
           a->port == b->port && a->role == b->role && a->protocol == b->protocol;
}

static inline int captured_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct captured *c = ctx;
    (void)err;
    c->measurement = *m;
    c->begins++;
    return 0;
}

static inline int captured_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct captured *c = ctx;
    if (c->refuse_at && c->n + 1 == c->refuse_at)
        return sj_fail(err, EX_IOERR, "refused");
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->requests = realloc(c->requests, c->room * sizeof(*c->requests));
        if (!c->requests)
            abort();
    }
    c->requests[c->n++] = request_copy(req);
    return 0;
}

static inline int captured_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    struct captured *c = ctx;
    (void)err;
    if (c->n_counted == sizeof(c->counted) / sizeof(c->counted[0]))
        abort();
    struct sj_counted *mine = &c->counted[c->n_counted++];
    *mine = *counted;
    mine->service = strdup(counted->service);
    sj_hist_init(&mine->total);
    return sj_hist_copy(&mine->total, &counted->total);
}

static inline int captured_end(void *ctx, const struct sj_outcome *outcome, struct sj_err *err)
{
    struct captured *c = ctx;
    (void)err;
    c->outcome = *outcome;
    c->ends++;
    return 0;
}

static inline struct sj_sink captured_sink(struct captured *c)
{
    return (struct sj_sink){.ctx = c,
                            .begin = captured_begin,
                            .request = captured_request,
                            .counted = captured_counted,
                            .end = captured_end};
}

static inline void captured_free(struct captured *c)
{
    for (size_t i = 0; i < c->n; i++)
        request_free(&c->requests[i]);
    for (size_t i = 0; i < c->n_counted; i++) {
        union {
            const char *in;
            char *out;
        } s = {c->counted[i].service};
        free(s.out);
        sj_hist_free(&c->counted[i].total);
    }
    free(c->requests);
    *c = (struct captured){0};
}

/* A usual request: a server's, over IPv4, its stages summing to its total. */
static inline struct sj_request request_usual(uint32_t i)
{
    struct sj_request r = {.start_ns = 1000000000000U + 20000ULL * i,
                           .bytes_in = 78,
                           .bytes_out = 160 + i % 7,
                           .service = "nginx",
                           .comm = "nginx",
                           .container = "",
                           .operation = i % 3 ? "GET /users/:id" : "GET /",
                           .status = i % 11 ? "200" : "500",
                           .unix_path = "",
                           .local = {.family = 2, .port = 8080, .addr = {127, 0, 0, 1}},
                           .peer = {.family = 2, .port = (uint16_t)(40000 + i % 13), .addr = {127, 0, 0, 1}},
                           .cgroup = 4711,
                           .pid = 7201,
                           .tid = 7201 + i % 2,
                           .flags = i % 11 ? 0 : SJ_REQ_ERROR,
                           .port = 8080,
                           .role = SJ_ROLE_SERVER,
                           .protocol = SJ_PROTO_HTTP};
    r.stage_ns[SJ_STAGE_QUEUE] = 10000 + i;
    r.stage_ns[SJ_STAGE_ONCPU] = 15000 + 7 * i % 101;
    r.stage_ns[SJ_STAGE_BLOCKED] = i % 5 ? 0 : 3000;
    r.blocked_ns[SJ_CAUSE_DISK] = i % 5 ? 0 : 1000;
    r.blocked_ns[SJ_CAUSE_NET] = i % 5 ? 0 : 2000;
    for (int s = 0; s < SJ_STAGE_MAX_; s++)
        r.total_ns += r.stage_ns[s];
    return r;
}
