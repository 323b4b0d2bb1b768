// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/ndjson_read.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "collect/input.h"

/* Longer times are a mistake; the bound keeps the sum of a request's stages far from 2^64 ns. */
#define SECONDS_MAX 1e9

struct lines {
    struct sj_input *in;
    const struct sj_sink *sink;
    uint64_t number; /* of the line at hand, from 1 */
    uint64_t requests;
    uint64_t unparsed;
    uint64_t first_start_ns;
    uint64_t last_end_ns;
    uint64_t last_start_ns; /* of the line before, for one that has no time */
};

/* One line's object, and why it was refused. */
struct fields {
    const json_t *object;
    char why[160];
};

static bool refuse(struct fields *f, const char *key, const char *what)
{
    snprintf(f->why, sizeof(f->why), "\"%s\" %s", key, what);
    return false;
}

static bool get_text(struct fields *f, const char *key, const char **out)
{
    const json_t *v = json_object_get(f->object, key);
    *out = "";
    if (!v)
        return true;
    if (!json_is_string(v))
        return refuse(f, key, "is not a string");
    *out = json_string_value(v);
    return true;
}

static bool get_number(struct fields *f, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(f->object, key);
    if (!v)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return refuse(f, key, "is not a whole number in its range");
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_flags(struct fields *f, struct sj_request *req)
{
    static const struct {
        const char *key;
        uint32_t flag;
    } flags[] = {
        {"error", SJ_REQ_ERROR},         {"client_error", SJ_REQ_CLIENT_ERROR}, {"interleaved", SJ_REQ_INTERLEAVED},
        {"unparsed", SJ_REQ_UNPARSED},   {"no_arrival", SJ_REQ_NO_ARRIVAL},     {"pipelined", SJ_REQ_PIPELINED},
        {"no_stages", SJ_REQ_NO_STAGES},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const json_t *v = json_object_get(f->object, flags[i].key);
        if (v && !json_is_boolean(v))
            return refuse(f, flags[i].key, "is neither true nor false");
        if (json_is_true(v))
            req->flags |= flags[i].flag;
    }
    return true;
}

static bool to_ns(struct fields *f, const char *key, const json_t *v, uint64_t *ns)
{
    double s = json_number_value(v);
    if (!json_is_number(v) || !(s >= 0) || s > SECONDS_MAX)
        return refuse(f, key, "is not a time in seconds");
    *ns = (uint64_t)llround(s * 1e9);
    return true;
}

/* n digits at *p as a number; moves *p behind them. */
static bool digits(const char **p, int n, int *out)
{
    *out = 0;
    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = 10 * *out + (**p - '0');
    }
    return true;
}

static bool letter(const char **p, const char *any_of)
{
    if (!**p || !strchr(any_of, **p))
        return false;
    (*p)++;
    return true;
}

/* RFC 3339, "2026-11-22T09:00:00.123456789Z" or with an offset such as +01:00; years 1970 to 2500,
 * so that an end is not beyond 64 bits. */
static bool parse_time(const char *p, uint64_t *ns)
{
    struct tm tm = {0};
    if (!digits(&p, 4, &tm.tm_year) || !letter(&p, "-") || !digits(&p, 2, &tm.tm_mon) || !letter(&p, "-") ||
        !digits(&p, 2, &tm.tm_mday) || !letter(&p, "Tt ") || !digits(&p, 2, &tm.tm_hour) || !letter(&p, ":") ||
        !digits(&p, 2, &tm.tm_min) || !letter(&p, ":") || !digits(&p, 2, &tm.tm_sec))
        return false;
    if (tm.tm_year < 1970 || tm.tm_year > 2500 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    uint64_t fraction = 0;
    if (letter(&p, ".")) {
        if (*p < '0' || *p > '9')
            return false;
        for (uint64_t place = 100000000; *p >= '0' && *p <= '9'; p++, place /= 10)
            fraction += place * (uint64_t)(*p - '0');
    }
    int hours = 0;
    int minutes = 0;
    int sign = *p == '-' ? -1 : 1;
    if (!letter(&p, "Zz") &&
        (!letter(&p, "+-") || !digits(&p, 2, &hours) || !letter(&p, ":") || !digits(&p, 2, &minutes)))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60);
    if (*p || hours > 23 || minutes > 59 || seconds < 0)
        return false;
    *ns = (uint64_t)seconds * 1000000000U + fraction;
    return true;
}

/* "127.0.0.1:8080", "[::1]:8080". */
static bool parse_inet(const char *text, struct sj_endpoint *e)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    if (!colon || colon == text || (v6 && colon[-1] != ']'))
        return false;
    size_t n = (size_t)(colon - text) - (v6 ? 2 : 0);
    if (n >= sizeof(host))
        return false;
    memcpy(host, text + (v6 ? 1 : 0), n);
    host[n] = '\0';
    const char *p = colon + 1;
    unsigned port = 0;
    for (; *p >= '0' && *p <= '9' && port <= UINT16_MAX; p++)
        port = 10 * port + (unsigned)(*p - '0');
    if (p == colon + 1 || *p || port > UINT16_MAX)
        return false;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, e->addr) != 1)
        return false;
    e->family = v6 ? AF_INET6 : AF_INET;
    e->port = (uint16_t)port;
    return true;
}

static bool get_endpoint(struct fields *f, const char *key, struct sj_request *req, struct sj_endpoint *e)
{
    const char *text;
    if (!get_text(f, key, &text))
        return false;
    if (strncmp(text, "unix:", 5) == 0) {
        /* Only the side that listens has a name, and so a key, but both are of one family. */
        req->local.family = req->peer.family = AF_UNIX;
        req->unix_path = text + 5;
        return true;
    }
    return !*text || parse_inet(text, e) || refuse(f, key, "is not an address such as 127.0.0.1:8080");
}

static bool get_who(struct fields *f, struct sj_request *req)
{
    const char *role;
    const char *protocol;
    uint64_t pid = 0;
    if (!get_text(f, "service", &req->service) || !get_text(f, "comm", &req->comm) ||
        !get_text(f, "container", &req->container) || !get_text(f, "operation", &req->operation) ||
        !get_text(f, "status", &req->status) || !get_text(f, "role", &role) || !get_text(f, "protocol", &protocol) ||
        !get_number(f, "pid", UINT32_MAX, &pid) || !get_number(f, "cgroup", UINT64_MAX, &req->cgroup))
        return false;
    uint64_t tid = pid;
    if (!get_number(f, "tid", UINT32_MAX, &tid))
        return false;
    req->pid = (uint32_t)pid;
    req->tid = (uint32_t)tid;
    int r = *role ? sj_role_by_name(role) : SJ_ROLE_UNKNOWN;
    if (r < 0)
        return refuse(f, "role", "is neither server nor client");
    req->role = (uint8_t)r;
    /* A protocol that only another version knows is not an error. */
    int p = sj_protocol_by_name(protocol);
    req->protocol = (uint8_t)(p < 0 ? SJ_PROTO_UNKNOWN : p);
    return true;
}

static bool get_where(struct fields *f, struct sj_request *req)
{
    req->unix_path = "";
    if (!get_endpoint(f, "local", req, &req->local) || !get_endpoint(f, "peer", req, &req->peer))
        return false;
    uint64_t port = req->role == SJ_ROLE_CLIENT ? req->peer.port : req->local.port;
    if (!get_number(f, "port", UINT16_MAX, &port) || !get_number(f, "bytes_in", UINT64_MAX, &req->bytes_in) ||
        !get_number(f, "bytes_out", UINT64_MAX, &req->bytes_out))
        return false;
    req->port = (uint16_t)port;
    return true;
}

/* The causes have to add up to blocked: what they leave open is `other`, what they have too much is taken off. */
static void settle_causes(struct sj_request *req)
{
    uint64_t left = req->stage_ns[SJ_STAGE_BLOCKED];
    for (int i = 0; i < SJ_CAUSE_MAX_; i++) {
        if (req->blocked_ns[i] > left)
            req->blocked_ns[i] = left;
        left -= req->blocked_ns[i];
    }
    req->blocked_ns[SJ_CAUSE_OTHER] += left;
}

/* The object under `key`, times by names that by_name knows. *seen: those that were there. */
static bool get_times(struct fields *f, const char *key, int (*by_name)(const char *), uint64_t *ns, unsigned *seen)
{
    json_t *object = json_object_get(f->object, key);
    const char *name;
    json_t *v;
    *seen = 0;
    if (object && !json_is_object(object))
        return refuse(f, key, "is not an object");
    json_object_foreach (object, name, v) {
        int i = by_name(name);
        if (i < 0)
            continue;
        if (!to_ns(f, name, v, &ns[i]))
            return false;
        *seen |= 1U << i;
    }
    return true;
}

static bool get_stages(struct fields *f, struct sj_request *req, unsigned *stages)
{
    unsigned causes;
    if (!get_times(f, "stages", sj_stage_by_name, req->stage_ns, stages) ||
        !get_times(f, "blocked_by", sj_cause_by_name, req->blocked_ns, &causes))
        return false;
    settle_causes(req);
    unsigned told_by_clock = sj_stages_of_role(SJ_ROLE_SERVER) & ~(1U << SJ_STAGE_QUEUE | 1U << SJ_STAGE_SEND);
    if (req->role != SJ_ROLE_CLIENT && !(*stages & told_by_clock))
        req->flags |= SJ_REQ_NO_STAGES;
    return true;
}

/* Reads the line's object into *req, whose strings then belong to the object. */
static bool get_request(struct fields *f, uint64_t start_ns, struct sj_request *req, unsigned *stages)
{
    *req = (struct sj_request){.start_ns = start_ns};
    const json_t *total = json_object_get(f->object, "total");
    const char *time;
    if (!total)
        return refuse(f, "total", "is missing");
    if (!to_ns(f, "total", total, &req->total_ns) || !get_text(f, "time", &time))
        return false;
    if (*time && !parse_time(time, &req->start_ns))
        return refuse(f, "time", "is not a time such as 2026-11-22T09:00:00.5Z");
    return get_flags(f, req) && get_who(f, req) && get_where(f, req) && get_stages(f, req, stages);
}

static int begin(struct lines *l, uint64_t start_ns, unsigned stages, struct sj_err *err)
{
    struct sj_measurement m = {.start_real_ns = start_ns, .start_mono_ns = start_ns};
    /* Each line has those of its role that are known of it, so that one with any speaks for all. */
    if (stages)
        m.stages = sj_stages_of_role(SJ_ROLE_SERVER) | sj_stages_of_role(SJ_ROLE_CLIENT);
    return l->sink->begin ? l->sink->begin(l->sink->ctx, &m, err) : 0;
}

static int deliver(struct lines *l, const struct sj_request *req, unsigned stages, struct sj_err *err)
{
    uint64_t end = req->start_ns + req->total_ns;
    if (l->requests == 0) {
        if (begin(l, req->start_ns, stages, err) < 0)
            return -1;
        l->first_start_ns = req->start_ns;
    }
    l->last_start_ns = req->start_ns;
    l->first_start_ns = req->start_ns < l->first_start_ns ? req->start_ns : l->first_start_ns;
    l->last_end_ns = end > l->last_end_ns ? end : l->last_end_ns;
    l->requests++;
    l->unparsed += (req->flags & SJ_REQ_UNPARSED) != 0;
    return l->sink->request ? l->sink->request(l->sink->ctx, req, err) : 0;
}

static int end(struct lines *l, bool cut_off, struct sj_err *err)
{
    const char *name = sj_input_name(l->in);
    if (l->requests == 0 && !sj_input_interrupted(l->in))
        return sj_fail(err, EX_DATAERR, "%s: %s before the first request", name,
                       cut_off ? "the file is cut off" : "the file ends");
    if (l->requests == 0 && begin(l, 0, 0, err) < 0)
        return -1;
    struct sj_outcome o = {.duration_s = (double)(l->last_end_ns - l->first_start_ns) / 1e9,
                           .completeness = {.detailed = l->requests, .unparsed = l->unparsed, .lower_bound = cut_off},
                           .kernel_seconds_per_request = NAN,
                           .user_cpu_ratio = NAN};
    if (l->sink->end && l->sink->end(l->sink->ctx, &o, err) < 0)
        return -1;
    if (!cut_off)
        return 0;
    sj_fail(err, EX_DATAERR, "%s: the file ends early: the first %" PRIu64 " requests of it are whole and were read",
            name, l->requests);
    return 1;
}

static bool is_blank(const struct sj_line *line)
{
    for (size_t i = 0; i < line->len; i++)
        if (!strchr(" \t\r", line->text[i]) || !line->text[i])
            return false;
    return true;
}

/* 0, 1 when the line is the last and makes no sense because it is cut off, or -1. */
static int take_line(struct lines *l, const struct sj_line *line, struct sj_err *err)
{
    json_error_t problem;
    struct sj_request req;
    struct fields f = {0};
    unsigned stages;
    int rc;
    json_t *object = json_loadb(line->text, line->len, 0, &problem);
    f.object = object;
    if (!object) {
        snprintf(f.why, sizeof(f.why), "%s", problem.text);
        rc = line->ended ? -1 : 1;
    } else if (!json_is_object(object)) {
        snprintf(f.why, sizeof(f.why), "it is not an object");
        rc = -1;
    } else if (!get_request(&f, l->last_start_ns, &req, &stages)) {
        rc = -1;
    } else {
        rc = deliver(l, &req, stages, err);
    }
    json_decref(object);
    if (f.why[0] && rc < 0)
        sj_fail(err, EX_DATAERR, "%s: line %" PRIu64 ": %s; a line of 'sojourn trace --json' is expected",
                sj_input_name(l->in), l->number, f.why);
    return rc;
}

int sj_ndjson_read(struct sj_input *in, const struct sj_sink *sink, struct sj_err *err)
{
    struct lines l = {.in = in, .sink = sink};
    struct sj_line line;
    int rc;
    while ((rc = sj_input_line(in, &line, err)) > 0) {
        l.number++;
        if (is_blank(&line))
            continue;
        rc = take_line(&l, &line, err);
        if (rc < 0)
            return -1;
        if (rc > 0) /* there is no other line after it */
            return end(&l, !sj_input_interrupted(in), err);
    }
    return rc < 0 ? -1 : end(&l, sj_input_cut_off(in), err);
}
