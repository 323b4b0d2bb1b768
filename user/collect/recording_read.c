// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/recording.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/varint.h"
#include "collect/input.h"
#include "collect/recording_format.h"
#include "model/hist_codec.h"

/*
 * Nothing in the file decides how much memory is used: struct reader is all there is (its arrays are touched as they
 * fill), besides one histogram at a time. Numbers in the file are checked before they are used for anything.
 */
struct who {
    const char *service;
    const char *comm;
    const char *container;
    const char *unix_path;
    uint64_t cgroup;
    uint32_t pid;
    uint16_t port;
    uint8_t role;
    uint8_t protocol;
};

struct what {
    const char *operation;
    const char *status;
    uint32_t flags;
};

/* Strings of definitions: no definition's strings are longer than it was in the file. */
#define STRINGS_SIZE (2u * SJ_RECORDING_DEFS_BYTES)

struct span {
    const uint8_t *p;
    const uint8_t *end;
};

struct reader {
    struct sj_input *in;
    const struct sj_sink *sink;
    struct sj_measurement measurement;
    struct sj_completeness seen; /* delivered so far */
    uint64_t last_end_ns;        /* of the requests delivered, after the start of the measurement */
    z_stream z;
    bool z_ready;

    uint32_t n_who;
    uint32_t n_endpoint;
    uint32_t n_what;
    uint32_t strings_used;
    struct who who[SJ_RECORDING_DEFS_MAX];
    struct sj_endpoint endpoint[SJ_RECORDING_DEFS_MAX];
    struct what what[SJ_RECORDING_DEFS_MAX];
    char strings[STRINGS_SIZE];

    uint8_t stored[SJ_RECORDING_RAW_MAX];
    uint8_t raw[SJ_RECORDING_RAW_MAX];
};

/* What a step of reading came to; errors are -1, as everywhere. */
enum { DONE = 0, CUT_OFF = 1, BLOCK = 2 };

bool sj_recording_probe(const uint8_t *p, size_t n)
{
    return n > 0 && memcmp(p, SJ_RECORDING_MAGIC, n < SJ_RECORDING_MAGIC_LEN ? n : SJ_RECORDING_MAGIC_LEN) == 0;
}

static int damaged(const struct reader *r, const char *what, struct sj_err *err)
{
    return sj_fail(err, EX_DATAERR,
                   "%s: the recording is damaged before byte %" PRIu64 " (%s): copy it again, or record anew",
                   sj_input_name(r->in), sj_input_offset(r->in), what);
}

static bool get_u64(struct span *s, uint64_t *v)
{
    return sj_varint_get(&s->p, s->end, v);
}

#define GET_UP_TO(span, max, out)                                                                                      \
    ({                                                                                                                 \
        uint64_t v_;                                                                                                   \
        bool ok_ = sj_varint_get_max(&(span)->p, (span)->end, (max), &v_);                                             \
        if (ok_)                                                                                                       \
            *(out) = (__typeof__(*(out)))v_;                                                                           \
        ok_;                                                                                                           \
    })

static bool get_double(struct span *s, double *d)
{
    uint64_t bits;
    if (!get_u64(s, &bits))
        return false;
    memcpy(d, &bits, sizeof(*d));
    return true;
}

/* Copies a string of the body to dst, which has room for size bytes. */
static bool get_string(struct span *s, char *dst, size_t size, size_t *len)
{
    uint32_t n;
    if (!GET_UP_TO(s, SJ_RECORDING_STRING_MAX, &n) || (size_t)(s->end - s->p) < n || n >= size || memchr(s->p, 0, n))
        return false;
    memcpy(dst, s->p, n);
    dst[n] = '\0';
    s->p += n;
    if (len)
        *len = n;
    return true;
}

static bool keep_string(struct reader *r, struct span *s, const char **out)
{
    char *dst = r->strings + r->strings_used;
    size_t n;
    if (!get_string(s, dst, STRINGS_SIZE - r->strings_used, &n))
        return false;
    r->strings_used += (uint32_t)n + 1;
    *out = dst;
    return true;
}

static int inflate_body(struct reader *r, const struct sj_recording_head *h, struct sj_err *err)
{
    if (!r->z_ready) {
        if (inflateInit2(&r->z, -MAX_WBITS) != Z_OK)
            return sj_fail(err, EX_OSERR, "no memory for reading %s", sj_input_name(r->in));
        r->z_ready = true;
    }
    inflateReset(&r->z);
    r->z.next_in = r->stored;
    r->z.avail_in = h->stored;
    r->z.next_out = r->raw;
    r->z.avail_out = h->raw;
    if (inflate(&r->z, Z_FINISH) != Z_STREAM_END || r->z.avail_in > 0 || r->z.avail_out > 0)
        return damaged(r, "a block does not inflate", err);
    return 0;
}

/* Reads the next block: BLOCK with its kind and its body, CUT_OFF, DONE at the end of the file between blocks, or -1.
 */
static int read_block(struct reader *r, uint32_t *kind, struct span *body, struct sj_err *err)
{
    uint8_t head[SJ_RECORDING_HEAD_LEN];
    size_t got;
    if (sj_input_read(r->in, head, sizeof(head), &got, err) < 0)
        return -1;
    if (got < sizeof(head))
        return got == 0 && !sj_input_cut_off(r->in) ? DONE : CUT_OFF;
    struct sj_recording_head h = {.kind = sj_get_le32(head),
                                  .raw = sj_get_le32(head + 4),
                                  .stored = sj_get_le32(head + 8),
                                  .crc = sj_get_le32(head + 12)};
    uint32_t head_crc = sj_get_le32(head + 16);
    /* Where the machine went down, a file may end in zeros: room that was never written to. */
    if ((h.kind | h.raw | h.stored | h.crc | head_crc) == 0)
        return CUT_OFF;
    if (head_crc != crc32_z(0, head, 16))
        return damaged(r, "the head of a block has a wrong checksum", err);
    if (h.raw > SJ_RECORDING_RAW_MAX || h.stored > h.raw)
        return damaged(r, "a block is larger than any that is written", err);
    if (sj_input_read(r->in, r->stored, h.stored, &got, err) < 0)
        return -1;
    if (got < h.stored)
        return CUT_OFF;
    if (h.crc != crc32_z(0, r->stored, h.stored))
        return damaged(r, "a block has a wrong checksum", err);
    if (h.stored < h.raw && inflate_body(r, &h, err) < 0)
        return -1;
    const uint8_t *p = h.stored < h.raw ? r->raw : r->stored;
    *body = (struct span){p, p + h.raw};
    *kind = h.kind;
    return BLOCK;
}

static int read_header(struct reader *r, struct sj_err *err)
{
    const char *name = sj_input_name(r->in);
    uint8_t start[SJ_RECORDING_MAGIC_LEN + 4];
    size_t got;
    uint32_t kind = 0;
    struct span s = {0};
    if (sj_input_read(r->in, start, sizeof(start), &got, err) < 0)
        return -1;
    if (!sj_recording_probe(start, got))
        return sj_fail(err, EX_DATAERR, "%s is not a recording", name);
    if (got == sizeof(start) && sj_get_le32(start + SJ_RECORDING_MAGIC_LEN) != SJ_RECORDING_VERSION)
        return sj_fail(err, EX_DATAERR,
                       "%s is a recording of format %" PRIu32 ", and only format %d is known here: read it "
                       "with the version of sojourn that made it",
                       name, sj_get_le32(start + SJ_RECORDING_MAGIC_LEN), SJ_RECORDING_VERSION);
    int rc = got < sizeof(start) ? CUT_OFF : read_block(r, &kind, &s, err);
    if (rc < 0)
        return -1;
    if (rc != BLOCK)
        return sj_fail(err, EX_DATAERR, "%s: the recording ends in its header: it holds no request", name);
    struct sj_measurement *m = &r->measurement;
    if (kind != SJ_RECORDING_HEADER || !get_string(&s, m->host, sizeof(m->host), NULL) ||
        !get_string(&s, m->label, sizeof(m->label), NULL) ||
        !get_string(&s, m->probe_set, sizeof(m->probe_set), NULL) || !GET_UP_TO(&s, UINT32_MAX, &m->stages) ||
        !get_u64(&s, &m->start_real_ns) || !get_u64(&s, &m->start_mono_ns) || s.p != s.end)
        return damaged(r, "its header makes no sense", err);
    return r->sink->begin ? r->sink->begin(r->sink->ctx, m, err) : 0;
}

static bool define_who(struct reader *r, struct span *s)
{
    if (r->n_who == SJ_RECORDING_DEFS_MAX)
        return false;
    struct who *w = &r->who[r->n_who];
    if (!keep_string(r, s, &w->service) || !keep_string(r, s, &w->comm) || !keep_string(r, s, &w->container) ||
        !keep_string(r, s, &w->unix_path) || !GET_UP_TO(s, SJ_ROLE_MAX_ - 1, &w->role) ||
        !GET_UP_TO(s, SJ_PROTO_MAX_ - 1, &w->protocol) || !GET_UP_TO(s, UINT16_MAX, &w->port) ||
        !GET_UP_TO(s, UINT32_MAX, &w->pid) || !get_u64(s, &w->cgroup))
        return false;
    r->n_who++;
    return true;
}

static bool define_endpoint(struct reader *r, struct span *s)
{
    size_t n;
    if (r->n_endpoint == SJ_RECORDING_DEFS_MAX)
        return false;
    struct sj_endpoint *e = &r->endpoint[r->n_endpoint];
    if (!GET_UP_TO(s, UINT16_MAX, &e->family) || !GET_UP_TO(s, UINT16_MAX, &e->port) ||
        !GET_UP_TO(s, SJ_ADDR_LEN, &n) || (size_t)(s->end - s->p) < n)
        return false;
    memset(e->addr, 0, sizeof(e->addr));
    memcpy(e->addr, s->p, n);
    s->p += n;
    r->n_endpoint++;
    return true;
}

static bool define_what(struct reader *r, struct span *s)
{
    if (r->n_what == SJ_RECORDING_DEFS_MAX)
        return false;
    struct what *w = &r->what[r->n_what];
    if (!keep_string(r, s, &w->operation) || !keep_string(r, s, &w->status) || !GET_UP_TO(s, UINT32_MAX, &w->flags))
        return false;
    r->n_what++;
    return true;
}

/* The index that `column` names, after reading its definition when it is a new one. */
static bool get_named(struct reader *r, struct span *column, struct span *defs, const uint32_t *n,
                      bool (*define)(struct reader *, struct span *), uint32_t *index)
{
    uint32_t id;
    if (!GET_UP_TO(column, *n, &id))
        return false;
    *index = id > 0 ? id - 1 : *n;
    return id > 0 || define(r, defs);
}

static bool get_identity(struct reader *r, struct span *col, struct sj_request *req)
{
    struct span *defs = &col[SJ_COL_DEFS];
    uint32_t who;
    uint32_t local;
    uint32_t peer;
    uint32_t what;
    uint64_t tid;
    if (!get_named(r, &col[SJ_COL_WHO], defs, &r->n_who, define_who, &who) ||
        !get_named(r, &col[SJ_COL_LOCAL], defs, &r->n_endpoint, define_endpoint, &local) ||
        !get_named(r, &col[SJ_COL_PEER], defs, &r->n_endpoint, define_endpoint, &peer) ||
        !get_named(r, &col[SJ_COL_WHAT], defs, &r->n_what, define_what, &what) || !get_u64(&col[SJ_COL_TID], &tid))
        return false;
    const struct who *w = &r->who[who];
    req->service = w->service;
    req->comm = w->comm;
    req->container = w->container;
    req->unix_path = w->unix_path;
    req->cgroup = w->cgroup;
    req->pid = w->pid;
    req->port = w->port;
    req->role = w->role;
    req->protocol = w->protocol;
    req->tid = (uint32_t)(w->pid + sj_varint_unfold(tid));
    req->local = r->endpoint[local];
    req->peer = r->endpoint[peer];
    req->operation = r->what[what].operation;
    req->status = r->what[what].status;
    req->flags = r->what[what].flags;
    return true;
}

static bool get_times(struct span *col, uint64_t *previous_end, struct sj_request *req)
{
    uint64_t slot[SJ_SLOT_MAX_] = {0};
    unsigned shape;
    uint64_t end;
    if (!GET_UP_TO(&col[SJ_COL_SHAPE], (1U << SJ_SLOT_MAX_) - 1, &shape) || !get_u64(&col[SJ_COL_END], &end))
        return false;
    for (int i = 0; i < SJ_SLOT_MAX_; i++)
        if ((shape & 1U << i) && !get_u64(&col[SJ_COL_SLOT + i], &slot[i]))
            return false;

    uint64_t causes = 0;
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        causes += req->blocked_ns[i] = slot[SJ_SLOT_CAUSE + i];
    slot[SJ_STAGE_BLOCKED] = causes + sj_varint_unfold(slot[SJ_STAGE_BLOCKED]);
    uint64_t stages = 0;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        stages += req->stage_ns[i] = slot[i];
    req->total_ns = stages + sj_varint_unfold(slot[SJ_SLOT_RESIDUAL]);
    *previous_end += sj_varint_unfold(end);
    req->start_ns = *previous_end - req->total_ns;
    return true;
}

static int deliver(struct reader *r, const struct sj_request *req, struct sj_err *err)
{
    uint64_t after = req->start_ns + req->total_ns - r->measurement.start_mono_ns;
    if (after <= INT64_MAX && after > r->last_end_ns)
        r->last_end_ns = after;
    r->seen.detailed++;
    r->seen.unparsed += (req->flags & SJ_REQ_UNPARSED) != 0;
    return r->sink->request ? r->sink->request(r->sink->ctx, req, err) : 0;
}

static int read_requests(struct reader *r, struct span s, struct sj_err *err)
{
    uint64_t flags;
    uint64_t n;
    struct span col[SJ_COL_MAX_];
    size_t len[SJ_COL_MAX_];
    if (!get_u64(&s, &flags) || !get_u64(&s, &n))
        return damaged(r, "a block of requests makes no sense", err);
    for (int c = 0; c < SJ_COL_MAX_; c++)
        if (!GET_UP_TO(&s, SJ_RECORDING_RAW_MAX, &len[c]))
            return damaged(r, "a block of requests makes no sense", err);
    for (int c = 0; c < SJ_COL_MAX_; c++) {
        if ((size_t)(s.end - s.p) < len[c])
            return damaged(r, "a block of requests is shorter than its columns", err);
        col[c] = (struct span){s.p, s.p + len[c]};
        s.p += len[c];
    }
    if (flags & SJ_RECORDING_FRESH)
        r->n_who = r->n_endpoint = r->n_what = r->strings_used = 0;

    uint64_t previous_end = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct sj_request req = {0};
        if (!get_identity(r, col, &req) || !get_times(col, &previous_end, &req) ||
            !get_u64(&col[SJ_COL_BYTES_IN], &req.bytes_in) || !get_u64(&col[SJ_COL_BYTES_OUT], &req.bytes_out))
            return damaged(r, "a request makes no sense", err);
        if (deliver(r, &req, err) < 0)
            return -1;
    }
    for (int c = 0; c < SJ_COL_MAX_; c++)
        if (col[c].p != col[c].end)
            return damaged(r, "a block of requests is longer than its requests", err);
    return 0;
}

static void free_hist(struct sj_hist *h)
{
    sj_hist_free(h);
}

static int read_counted(struct reader *r, struct span s, struct sj_err *err)
{
    char service[SJ_RECORDING_STRING_MAX + 1];
    struct sj_counted c = {.service = service};
    unsigned n_stages;
    if (!get_string(&s, service, sizeof(service), NULL) || !GET_UP_TO(&s, SJ_ROLE_MAX_ - 1, &c.role) ||
        !GET_UP_TO(&s, SJ_PROTO_MAX_ - 1, &c.protocol) || !GET_UP_TO(&s, UINT16_MAX, &c.port) ||
        !GET_UP_TO(&s, 1, &c.lower_bound) || !GET_UP_TO(&s, SJ_STAGE_MAX_, &n_stages) || n_stages != SJ_STAGE_MAX_)
        return damaged(r, "a block of counts makes no sense", err);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (!get_u64(&s, &c.stage_sum_ns[i]))
            return damaged(r, "a block of counts makes no sense", err);

    __attribute__((cleanup(free_hist))) struct sj_hist total;
    size_t used;
    sj_hist_init(&total);
    int rc = sj_hist_decode(s.p, (size_t)(s.end - s.p), &used, &total);
    if (rc == -ENOMEM)
        return sj_fail(err, EX_OSERR, "no memory for reading %s", sj_input_name(r->in));
    if (rc < 0 || used != (size_t)(s.end - s.p))
        return damaged(r, "a histogram makes no sense", err);
    c.total = total;
    r->seen.counted_only += total.count;
    r->seen.lower_bound |= c.lower_bound;
    return r->sink->counted ? r->sink->counted(r->sink->ctx, &c, err) : 0;
}

static int read_end(struct reader *r, struct span s, struct sj_err *err)
{
    struct sj_outcome o = {0};
    struct sj_completeness *c = &o.completeness;
    if (!get_double(&s, &o.duration_s) || !get_double(&s, &o.kernel_seconds_per_request) ||
        !get_double(&s, &o.user_cpu_ratio) || !get_u64(&s, &c->detailed) || !get_u64(&s, &c->counted_only) ||
        !get_u64(&s, &c->unparsed) || !get_u64(&s, &c->cut_off) || !get_u64(&s, &c->lost) ||
        !GET_UP_TO(&s, 1, &c->lower_bound) || s.p != s.end || !isfinite(o.duration_s) || o.duration_s < 0)
        return damaged(r, "its end makes no sense", err);
    const uint8_t *p;
    size_t got;
    if (sj_input_peek(r->in, 1, &p, &got, err) < 0)
        return -1;
    if (got > 0)
        return damaged(r, "bytes follow its end", err);
    return r->sink->end ? r->sink->end(r->sink->ctx, &o, err) : 0;
}

/* The end of a recording that has none. */
static int end_early(struct reader *r, struct sj_err *err)
{
    bool interrupted = sj_input_interrupted(r->in);
    if (r->seen.detailed + r->seen.counted_only == 0 && !interrupted)
        return sj_fail(err, EX_DATAERR, "%s: the recording ends before its first request", sj_input_name(r->in));
    struct sj_outcome o = {.duration_s = (double)r->last_end_ns / 1e9,
                           .completeness = r->seen,
                           .kernel_seconds_per_request = NAN,
                           .user_cpu_ratio = NAN};
    o.completeness.lower_bound = true;
    if (r->sink->end && r->sink->end(r->sink->ctx, &o, err) < 0)
        return -1;
    if (interrupted)
        return DONE;
    sj_fail(err, EX_DATAERR,
            "%s: the recording ends early: the first %" PRIu64 " requests of it are whole and were read",
            sj_input_name(r->in), r->seen.detailed);
    return CUT_OFF;
}

static int read_all(struct reader *r, struct sj_err *err)
{
    if (read_header(r, err) < 0)
        return -1;
    for (uint32_t last = SJ_RECORDING_HEADER;;) {
        uint32_t kind = 0;
        struct span body = {0};
        int rc = read_block(r, &kind, &body, err);
        if (rc < 0)
            return -1;
        if (rc != BLOCK)
            return end_early(r, err);
        if (kind < last || kind == SJ_RECORDING_HEADER)
            return damaged(r, "its blocks are out of order", err);
        last = kind;
        switch (kind) {
        case SJ_RECORDING_REQUESTS:
            rc = read_requests(r, body, err);
            break;
        case SJ_RECORDING_COUNTED:
            rc = read_counted(r, body, err);
            break;
        case SJ_RECORDING_END:
            return read_end(r, body, err);
        default:
            return damaged(r, "a block is of an unknown kind", err);
        }
        if (rc < 0)
            return -1;
    }
}

int sj_recording_read(struct sj_input *in, const struct sj_sink *sink, struct sj_err *err)
{
    struct reader *r = calloc(1, sizeof(*r));
    if (!r)
        return sj_fail(err, EX_OSERR, "no memory for reading %s", sj_input_name(in));
    r->in = in;
    r->sink = sink;
    int rc = read_all(r, err);
    if (r->z_ready)
        inflateEnd(&r->z);
    free(r);
    return rc;
}
