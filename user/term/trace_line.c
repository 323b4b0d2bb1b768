// SPDX-License-Identifier: GPL-3.0-or-later
#include "term/trace_line.h"

#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/timefmt.h"
#include "export/endpoint.h"
#include "export/ndjson.h"

#define MS 1000000ULL

const char *sj_stage_title(enum sj_stage stage)
{
    return stage == SJ_STAGE_ONCPU ? "on-cpu" : stage == SJ_STAGE_RUNQ ? "run-queue" : sj_stage_name(stage);
}

/* The unit of a line. */
struct unit {
    uint64_t ns;
    const char *name;
};

static struct unit unit_of(uint64_t total_ns)
{
    if (total_ns < MS)
        return (struct unit){1000, "us"};
    return total_ns < 10000 * MS ? (struct unit){MS, "ms"} : (struct unit){1000 * MS, "s"};
}

struct line {
    struct sj_out *out;
    const struct sj_screen *screen;
    const struct sj_request *req;
    struct unit unit;
    unsigned stages; /* known, a bit mask */
};

/* In the line's unit with one decimal, `width` columns or more. Without printf, which took most of a line's time. */
static void put_time(const struct line *l, uint64_t ns, size_t width)
{
    uint64_t tenth = l->unit.ns / 10, tenths = ns / tenth + (ns % tenth >= tenth / 2);
    char digits[24];
    size_t n = sj_digits(digits, tenths / 10);
    digits[n++] = '.';
    digits[n++] = (char)('0' + tenths % 10);
    sj_out_fill(l->out, ' ', n < width ? width - n : 0);
    sj_out_write(l->out, digits, n);
}

static void put_stage(const struct line *l, enum sj_stage stage)
{
    sj_out_text(l->out, sj_stage_title(stage));
    sj_out_write(l->out, " ", 1);
    put_time(l, l->req->stage_ns[stage], 0);
}

static bool known(const struct line *l, enum sj_stage stage)
{
    return l->stages >> stage & 1;
}

/* " (sleep)", or " (sleep 20.1, net 3.0)" when there is more than one cause; the longest first. */
static void put_causes(const struct line *l)
{
    uint64_t left[SJ_CAUSE_MAX_];
    unsigned n = 0;
    memcpy(left, l->req->blocked_ns, sizeof(left));
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        n += left[i] > 0;
    for (unsigned done = 0; done < n; done++) {
        int longest = 0;
        for (int i = 1; i < SJ_CAUSE_MAX_; i++)
            if (left[i] > left[longest])
                longest = i;
        sj_out_text(l->out, done ? ", " : " (");
        sj_out_text(l->out, sj_cause_name((enum sj_cause)longest));
        if (n > 1) {
            sj_out_write(l->out, " ", 1);
            put_time(l, left[longest], 0);
        }
        left[longest] = 0;
    }
    if (n)
        sj_out_text(l->out, ")");
}

/* From the recv to the first byte of the answer: one number, and what it is made of. */
static void put_service_time(const struct line *l)
{
    const struct sj_request *r = l->req;
    uint64_t others = (known(l, SJ_STAGE_QUEUE) ? r->stage_ns[SJ_STAGE_QUEUE] : 0) + r->stage_ns[SJ_STAGE_SEND];
    uint64_t service = others < r->total_ns ? r->total_ns - others : 0;
    bool split = known(l, SJ_STAGE_ONCPU);
    if (split) {
        service = 0;
        for (int i = SJ_STAGE_ONCPU; i <= SJ_STAGE_HANDOFF; i++)
            service += r->stage_ns[i];
    }
    sj_out_text(l->out, "service ");
    put_time(l, service, 0);
    if (!split)
        return;
    const char *before = " = ";
    for (int i = SJ_STAGE_ONCPU; i <= SJ_STAGE_HANDOFF; i++) {
        enum sj_stage stage = (enum sj_stage)i;
        if (!known(l, stage) || ((stage == SJ_STAGE_BUSY || stage == SJ_STAGE_HANDOFF) && r->stage_ns[i] == 0))
            continue;
        sj_out_text(l->out, before);
        put_stage(l, stage);
        if (stage == SJ_STAGE_BLOCKED)
            put_causes(l);
        before = "  ";
    }
}

static void put_server(const struct line *l)
{
    sj_out_text(l->out, known(l, SJ_STAGE_QUEUE) ? "" : "queue ? | ");
    if (known(l, SJ_STAGE_QUEUE)) {
        put_stage(l, SJ_STAGE_QUEUE);
        sj_out_text(l->out, " | ");
    }
    put_service_time(l);
    sj_out_text(l->out, "  ");
    put_stage(l, SJ_STAGE_SEND);
}

static void put_client(const struct line *l)
{
    const char *before = "";
    for (int i = SJ_STAGE_SEND; i < SJ_STAGE_MAX_; i++) {
        if (!known(l, (enum sj_stage)i))
            continue;
        sj_out_text(l->out, before);
        put_stage(l, (enum sj_stage)i);
        before = " | ";
    }
}

/* Zero by construction, so whatever is here is worth a look. Time that no stage could be told of is no residual. */
static void put_residual(const struct line *l)
{
    const struct sj_request *r = l->req;
    int64_t rest = (int64_t)r->total_ns;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        rest -= (int64_t)r->stage_ns[i];
    bool client = r->role == SJ_ROLE_CLIENT;
    bool partial = rest > 0 && !known(l, SJ_STAGE_ONCPU) && (!client || l->stages != sj_stages_of_role(SJ_ROLE_CLIENT));
    if (partial || rest == 0)
        sj_out_text(l->out, "  residual 0 ns");
    else
        sj_out_printf(l->out, "  residual %" PRId64 " ns", rest);
}

static void put_peer(const struct line *l)
{
    const struct sj_request *r = l->req;
    char text[SJ_ENDPOINT_SIZE];
    bool client = r->role == SJ_ROLE_CLIENT;
    sj_screen_text(l->out, l->screen, r->service[0] ? r->service : "?");
    if (r->local.family == AF_UNIX || r->peer.family == AF_UNIX) {
        sj_out_text(l->out, client ? " -> unix:" : ":unix:");
        sj_screen_text(l->out, l->screen, r->unix_path);
    } else if (client) {
        sj_endpoint_text(text, &r->peer);
        sj_out_printf(l->out, " -> %s", text[0] ? text : "?");
    } else if (r->port) {
        sj_out_printf(l->out, ":%u", r->port);
    }
}

static void put_what(const struct line *l)
{
    const struct sj_request *r = l->req;
    bool error = r->flags & SJ_REQ_ERROR;
    enum sj_style style = error ? SJ_STYLE_BAD : r->flags & SJ_REQ_CLIENT_ERROR ? SJ_STYLE_NOTABLE : SJ_STYLE_PLAIN;
    sj_out_text(l->out, "  ");
    if (r->operation[0] || r->status[0])
        sj_screen_text(l->out, l->screen, r->operation[0] ? r->operation : "?");
    else
        sj_out_text(l->out, sj_protocol_name((enum sj_protocol)r->protocol));
    sj_out_write(l->out, " ", 1);
    sj_out_text(l->out, sj_style_on(l->screen, style));
    sj_screen_text(l->out, l->screen, r->status);
    if (error && !r->status[0])
        sj_out_text(l->out, "error");
    sj_out_text(l->out, sj_style_off(l->screen, style));
    sj_out_text(l->out, r->status[0] || error ? " " : "");
    put_peer(l);
    sj_out_text(l->out, r->flags & SJ_REQ_INTERLEAVED ? "  interleaved" : "");
}

void sj_trace_line(struct sj_out *out, const struct sj_screen *screen, const struct sj_measurement *m,
                   const struct sj_request *req)
{
    struct line l = {
        .out = out,
        .screen = screen,
        .req = req,
        .unit = unit_of(req->total_ns),
        .stages = sj_request_stages(m, req),
    };
    sj_out_text(out, "total ");
    sj_out_text(out, sj_style_on(screen, SJ_STYLE_BOLD));
    put_time(&l, req->total_ns, 5);
    sj_out_write(out, " ", 1);
    sj_out_text(out, l.unit.name);
    sj_out_text(out, sj_style_off(screen, SJ_STYLE_BOLD));
    sj_out_text(out, "  ");
    if (l.stages == 0)
        sj_out_text(out, "not split");
    else if (req->role == SJ_ROLE_CLIENT)
        put_client(&l);
    else
        put_server(&l);
    if (l.stages)
        put_residual(&l);
    put_what(&l);
    sj_out_text(out, "\n");
}
