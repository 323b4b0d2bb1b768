// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/ndjson.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "export/endpoint.h"

#define CLOCK_STAGES                                                                                                   \
    (1U << SJ_STAGE_ONCPU | 1U << SJ_STAGE_BUSY | 1U << SJ_STAGE_RUNQ | 1U << SJ_STAGE_BLOCKED | 1U << SJ_STAGE_HANDOFF)

uint64_t sj_request_ttfb(const struct sj_request *req)
{
    uint64_t after = req->role == SJ_ROLE_CLIENT ? req->stage_ns[SJ_STAGE_PICKUP] + req->stage_ns[SJ_STAGE_RECEIVE]
                                                 : req->stage_ns[SJ_STAGE_SEND];
    return after < req->total_ns ? req->total_ns - after : 0;
}

unsigned sj_request_stages(const struct sj_measurement *m, const struct sj_request *req)
{
    unsigned mask = m->stages & sj_stages_of_role((enum sj_role)req->role);
    if (req->flags & SJ_REQ_NO_STAGES)
        mask &= ~CLOCK_STAGES;
    if (req->flags & SJ_REQ_NO_ARRIVAL)
        mask &= ~(1U << SJ_STAGE_QUEUE);
    return mask;
}

static void put_text(struct sj_json *w, const char *key, const char *text)
{
    if (!text[0])
        return;
    sj_json_key(w, key);
    sj_json_string(w, text);
}

static void put_number(struct sj_json *w, const char *key, uint64_t value)
{
    if (value == 0)
        return;
    sj_json_key(w, key);
    sj_json_uint(w, value);
}

static void put_ns(struct sj_json *w, const char *key, uint64_t ns)
{
    sj_json_key(w, key);
    sj_json_seconds(w, ns);
}

static void put_flag(struct sj_json *w, const char *key, bool value)
{
    sj_json_key(w, key);
    sj_json_bool(w, value);
}

/* The kernel's own limit of a path is below. */
#define PATH_SHOWN 128

/* A unix socket has a name on the side that listens only. */
static void put_endpoint(struct sj_json *w, const char *key, const struct sj_endpoint *e, const char *path)
{
    char text[sizeof("unix:") + PATH_SHOWN] = "";
    _Static_assert(sizeof(text) >= SJ_ENDPOINT_SIZE, "holds either form");
    if (e->family != AF_UNIX)
        sj_endpoint_text(text, e);
    else if (path[0])
        snprintf(text, sizeof(text), "unix:%.*s", PATH_SHOWN, path);
    put_text(w, key, text);
}

static void put_endpoints(struct sj_json *w, const struct sj_request *req)
{
    bool client = req->role == SJ_ROLE_CLIENT;
    put_endpoint(w, "local", &req->local, client ? "" : req->unix_path);
    put_endpoint(w, "peer", &req->peer, client ? req->unix_path : "");
    put_number(w, "port", req->port);
}

static void put_stages(struct sj_json *w, const struct sj_measurement *m, const struct sj_request *req)
{
    unsigned mask = sj_request_stages(m, req);
    sj_json_key(w, "stages");
    sj_json_object(w);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (mask >> i & 1)
            put_ns(w, sj_stage_name((enum sj_stage)i), req->stage_ns[i]);
    sj_json_object_end(w);
    if (!(mask >> SJ_STAGE_BLOCKED & 1) || req->stage_ns[SJ_STAGE_BLOCKED] == 0)
        return;
    sj_json_key(w, "blocked_by");
    sj_json_object(w);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        if (req->blocked_ns[i])
            put_ns(w, sj_cause_name((enum sj_cause)i), req->blocked_ns[i]);
    sj_json_object_end(w);
}

static void put_rare_flags(struct sj_json *w, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *key;
    } rare[] = {
        {SJ_REQ_CLIENT_ERROR, "client_error"}, {SJ_REQ_UNPARSED, "unparsed"},   {SJ_REQ_NO_ARRIVAL, "no_arrival"},
        {SJ_REQ_NO_STAGES, "no_stages"},       {SJ_REQ_PIPELINED, "pipelined"},
    };
    for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
        if (flags & rare[i].flag)
            put_flag(w, rare[i].key, true);
}

void sj_ndjson_request(struct sj_out *out, const struct sj_measurement *m, const struct sj_request *req)
{
    char time[SJ_TIME_SIZE];
    struct sj_json w;
    sj_json_init(&w, out, false);
    sj_json_object(&w);
    sj_json_key(&w, "time");
    sj_json_string(&w, sj_time_rfc3339(time, m->start_real_ns + (req->start_ns - m->start_mono_ns)));
    put_text(&w, "service", req->service);
    put_text(&w, "role", sj_role_name((enum sj_role)req->role));
    put_text(&w, "container", req->container);
    put_number(&w, "pid", req->pid);
    put_number(&w, "tid", req->tid != req->pid ? req->tid : 0);
    put_number(&w, "cgroup", req->cgroup);
    put_text(&w, "comm", req->comm);
    put_text(&w, "protocol", sj_protocol_name((enum sj_protocol)req->protocol));
    put_text(&w, "operation", req->operation);
    put_text(&w, "status", req->status);
    put_flag(&w, "error", req->flags & SJ_REQ_ERROR);
    put_endpoints(&w, req);
    sj_json_key(&w, "bytes_in");
    sj_json_uint(&w, req->bytes_in);
    sj_json_key(&w, "bytes_out");
    sj_json_uint(&w, req->bytes_out);
    put_ns(&w, "total", req->total_ns);
    put_ns(&w, "ttfb", sj_request_ttfb(req));
    put_stages(&w, m, req);
    put_flag(&w, "interleaved", req->flags & SJ_REQ_INTERLEAVED);
    put_rare_flags(&w, req->flags);
    sj_json_object_end(&w);
    sj_out_write(out, "\n", 1);
}
