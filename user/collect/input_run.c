// SPDX-License-Identifier: GPL-3.0-or-later
#include <ctype.h>

#include "collect/input.h"
#include "collect/ndjson_read.h"
#include "collect/recording.h"

/* Stands between a reader and the sink: passes on what matches, and tells the end what that was. */
struct gate {
    const struct sj_filter *filter;
    const struct sj_sink *sink;
    struct sj_completeness passed; /* detailed, counted_only, unparsed, lower_bound */
    bool any_refused;
    bool any_lower_bound; /* of all counted, passed or not */
};

enum match { NO, YES, UNKNOWN };

/* Turns without detail have a role, a protocol and a port; all else that a filter may ask for they cannot answer. */
static enum match match_counted(const struct sj_filter *f, const struct sj_counted *c)
{
    if ((f->port != 0 && f->port != c->port) || (f->role != SJ_ROLE_UNKNOWN && f->role != c->role) ||
        (f->protocol >= 0 && f->protocol != c->protocol))
        return NO;
    bool asks_more =
        f->pid != 0 || f->cgroup != 0 || f->slower_ns != 0 || f->comm[0] || f->container[0] || f->operation[0];
    return asks_more ? UNKNOWN : YES;
}

static int gate_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct gate *g = ctx;
    return g->sink->begin ? g->sink->begin(g->sink->ctx, m, err) : 0;
}

static int gate_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct gate *g = ctx;
    if (g->filter && !sj_filter_match(g->filter, req)) {
        g->any_refused = true;
        return 0;
    }
    g->passed.detailed++;
    g->passed.unparsed += (req->flags & SJ_REQ_UNPARSED) != 0;
    return g->sink->request ? g->sink->request(g->sink->ctx, req, err) : 0;
}

static int gate_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    struct gate *g = ctx;
    enum match match = g->filter ? match_counted(g->filter, counted) : YES;
    g->any_lower_bound |= counted->lower_bound;
    if (match != YES) {
        g->any_refused = true;
        g->passed.lower_bound |= match == UNKNOWN && counted->total.count > 0;
        return 0;
    }
    g->passed.counted_only += counted->total.count;
    g->passed.lower_bound |= counted->lower_bound;
    return g->sink->counted ? g->sink->counted(g->sink->ctx, counted, err) : 0;
}

static int gate_end(void *ctx, const struct sj_outcome *outcome, struct sj_err *err)
{
    struct gate *g = ctx;
    struct sj_outcome o = *outcome;
    if (g->any_refused) {
        o.completeness = g->passed;
        o.completeness.cut_off = outcome->completeness.cut_off;
        o.completeness.lost = outcome->completeness.lost;
        /* A bound that comes from none of the counts concerns everything: the input was cut off. */
        o.completeness.lower_bound |= outcome->completeness.lower_bound && !g->any_lower_bound;
    }
    return g->sink->end ? g->sink->end(g->sink->ctx, &o, err) : 0;
}

static int read_either(struct sj_input *in, const struct sj_sink *sink, struct sj_err *err)
{
    const uint8_t *p;
    size_t n;
    size_t i = 0;
    /* No more is asked for than is needed: on a pipe it would have to be waited for. */
    for (size_t want = 1; want <= 512; want *= 8) {
        if (sj_input_peek(in, want, &p, &n, err) < 0)
            return -1;
        while (i < n && isspace(p[i]))
            i++;
        if (i < n || n < want)
            break;
    }
    if (sj_recording_probe(p, n))
        return sj_recording_read(in, sink, err);
    if ((i < n && p[i] == '{') || (i == n && sj_input_interrupted(in)))
        return sj_ndjson_read(in, sink, err);
    return sj_fail(err, EX_DATAERR, "%s %s: give a recording or the lines of 'sojourn trace --json'", sj_input_name(in),
                   i == n ? "is empty" : "is neither a recording nor lines of JSON");
}

int sj_input_run(const char *path, const struct sj_filter *filter, const struct sj_sink *sink, struct sj_err *err)
{
    struct sj_input *in;
    if (sj_input_open(path, &in, err) < 0)
        return -1;
    struct gate g = {.filter = filter, .sink = sink};
    struct sj_sink gate = {
        .ctx = &g, .begin = gate_begin, .request = gate_request, .counted = gate_counted, .end = gate_end};
    int rc = read_either(in, &gate, err);
    sj_input_close(in);
    return rc;
}
