// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/out.h"
#include "source.h"

/* Finished requests whose times are known, for what lies to the right of `decode`, and its output as a string. */

#define EVERY_STAGE ((1U << SJ_STAGE_MAX_) - 1)

static inline struct sj_measurement made_measurement(void)
{
    return (struct sj_measurement){
        .host = "web1",
        .probe_set = "socket",
        .stages = EVERY_STAGE,
        .start_real_ns = 1795338000123456789U, /* 2026-11-22T09:00:00.123456789Z */
        .start_mono_ns = 1000,
    };
}

/* Stages sum to the total: 100 us of queue, 1 ms on-cpu, 2 ms asleep, 300 ns of sending. */
static inline struct sj_request made_server_request(void)
{
    struct sj_request r = {
        .start_ns = 1000,
        .service = "nginx",
        .comm = "nginx",
        .container = "",
        .operation = "GET /users/:id",
        .status = "200",
        .unix_path = "",
        .bytes_in = 78,
        .bytes_out = 160,
        .pid = 7201,
        .tid = 7201,
        .port = 8080,
        .role = SJ_ROLE_SERVER,
        .protocol = SJ_PROTO_HTTP,
        .local = {AF_INET, 8080, {127, 0, 0, 1}},
        .peer = {AF_INET, 51234, {127, 0, 0, 1}},
    };
    r.stage_ns[SJ_STAGE_QUEUE] = 100000;
    r.stage_ns[SJ_STAGE_ONCPU] = 1000000;
    r.stage_ns[SJ_STAGE_BLOCKED] = r.blocked_ns[SJ_CAUSE_SLEEP] = 2000000;
    r.stage_ns[SJ_STAGE_SEND] = 300;
    r.total_ns = 3100300;
    return r;
}

static inline struct sj_request made_client_request(void)
{
    struct sj_request r = made_server_request();
    struct sj_endpoint local = r.local;
    r.service = r.comm = "curl";
    r.role = SJ_ROLE_CLIENT;
    r.pid = r.tid = 9;
    r.local = r.peer;
    r.peer = local;
    memset(r.stage_ns, 0, sizeof(r.stage_ns));
    memset(r.blocked_ns, 0, sizeof(r.blocked_ns));
    r.stage_ns[SJ_STAGE_SEND] = 1000;
    r.stage_ns[SJ_STAGE_WAIT] = 3000000;
    r.stage_ns[SJ_STAGE_PICKUP] = 20000;
    r.stage_ns[SJ_STAGE_RECEIVE] = 500000;
    r.total_ns = 3521000;
    return r;
}

/* A stage of the request becomes longer, and so does its total. */
static inline void made_longer(struct sj_request *r, enum sj_stage stage, uint64_t ns)
{
    r->stage_ns[stage] += ns;
    r->total_ns += ns;
    if (stage == SJ_STAGE_BLOCKED)
        r->blocked_ns[SJ_CAUSE_NET] += ns;
}

static inline void made_out(struct sj_out *out)
{
    if (sj_out_init(out, -1, "memory", NULL) < 0)
        abort();
}

/* What is in it so far, as a string that lives until the next write; empties it. */
static inline const char *made_text(struct sj_out *out)
{
    *sj_out_reserve(out, 1) = '\0';
    out->len = 0;
    return out->buf;
}
