// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/varint.h"
#include "collect/intern.h"
#include "collect/recording_format.h"
#include "model/hist_codec.h"

/*
 * Requests gather in one buffer per column until BLOCK_TARGET bytes are there, or for FLUSH_NS; then they become a
 * block, which goes to the file in one write. Dictionaries live as long as there is room in them and then all begin
 * anew.
 */
#define BLOCK_TARGET (64u * 1024)
#define FLUSH_NS 1000000000ULL

/* The longest definitions, and what one request can add to all columns together. */
#define WHO_MAX (4 * (SJ_RECORDING_STRING_MAX + SJ_VARINT_MAX) + 5 * SJ_VARINT_MAX)
#define WHAT_MAX (2 * (SJ_RECORDING_STRING_MAX + SJ_VARINT_MAX) + SJ_VARINT_MAX)
#define ENDPOINT_MAX (3 * SJ_VARINT_MAX + SJ_ADDR_LEN)
#define REQUEST_MAX (WHO_MAX + WHAT_MAX + 2 * ENDPOINT_MAX + SJ_COL_MAX_ * SJ_VARINT_MAX)
#define COLUMN_SIZE (BLOCK_TARGET + REQUEST_MAX)
#define BLOCK_RAW_MAX (COLUMN_SIZE + (2 + SJ_COL_MAX_) * SJ_VARINT_MAX)
_Static_assert(BLOCK_RAW_MAX <= SJ_RECORDING_RAW_MAX, "a reader takes every block that is written");
_Static_assert(SJ_HIST_ENCODED_MAX + SJ_RECORDING_STRING_MAX + 512 <= SJ_RECORDING_RAW_MAX, "counted fits in a block");

struct sj_recording_writer {
    char *path;
    const char *name; /* of path, for messages */
    int fd;
    bool regular;
    bool created;
    bool begun;
    bool failed; /* a write failed: no other is tried */
    bool fresh;  /* the next block begins with empty dictionaries */
    struct sj_intern *whos;
    struct sj_intern *endpoints;
    struct sj_intern *whats;
    z_stream z;
    bool z_ready;
    uint8_t *columns; /* SJ_COL_MAX_ times COLUMN_SIZE, touched as they fill */
    size_t len[SJ_COL_MAX_];
    size_t pending_bytes;
    uint64_t pending; /* requests in the columns */
    uint64_t previous_end;
    uint64_t flushed_ns; /* monotonic time of the last block, 0 before the first tick */
    uint8_t raw[SJ_RECORDING_RAW_MAX];
    uint8_t block[SJ_RECORDING_HEAD_LEN + SJ_RECORDING_RAW_MAX];
    struct sj_recording_stats stats;
};

static int open_output(struct sj_recording_writer *w, struct sj_err *err)
{
    if (strcmp(w->path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return sj_fail(err, EX_USAGE, "a recording is not for a terminal: use -o FILE, or a pipe");
        w->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    } else {
        w->fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        w->created = w->fd >= 0;
        if (w->fd < 0 && errno == EEXIST)
            w->fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    }
    if (w->fd < 0)
        return sj_fail(err, EX_CANTCREAT, "cannot write %s: %s; give -o a file in a folder that can be written to",
                       w->name, strerror(errno));
    struct stat st;
    if (fstat(w->fd, &st) < 0)
        return sj_fail(err, EX_CANTCREAT, "cannot write %s: %s", w->name, strerror(errno));
    w->regular = S_ISREG(st.st_mode) && w->name == w->path;
    if (w->regular && flock(w->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return sj_fail(err, EX_CANTCREAT, "%s is being written by another recording: choose another file", w->name);
    return 0;
}

static int reserve(struct sj_recording_writer *w, struct sj_err *err)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = (uint64_t)(uintptr_t)w;
    w->whos = sj_intern_new(SJ_RECORDING_DEFS_MAX, SJ_RECORDING_DEFS_BYTES, seed);
    w->endpoints = sj_intern_new(SJ_RECORDING_DEFS_MAX, SJ_RECORDING_DEFS_BYTES, seed);
    w->whats = sj_intern_new(SJ_RECORDING_DEFS_MAX, SJ_RECORDING_DEFS_BYTES, seed);
    w->columns = malloc((size_t)SJ_COL_MAX_ * COLUMN_SIZE);
    w->z_ready = deflateInit2(&w->z, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (!w->whos || !w->endpoints || !w->whats || !w->columns || !w->z_ready)
        return sj_fail(err, EX_OSERR, "no memory for writing a recording");
    return 0;
}

int sj_recording_writer_open(const char *path, struct sj_recording_writer **out, struct sj_err *err)
{
    struct sj_recording_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return sj_fail(err, EX_OSERR, "no memory for writing a recording");
    w->fd = -1;
    w->fresh = true;
    w->path = strdup(path);
    w->name = strcmp(path, "-") == 0 ? "standard output" : w->path;
    if (!w->path) {
        free(w);
        return sj_fail(err, EX_OSERR, "no memory for writing a recording");
    }
    if (reserve(w, err) < 0 || open_output(w, err) < 0) {
        sj_recording_writer_close(w, NULL, NULL);
        return -1;
    }
    *out = w;
    return 0;
}

static int write_failed(struct sj_recording_writer *w, int error, struct sj_err *err)
{
    w->failed = true;
    /* A torn block would read as a cut-off recording just as well; without it the file is exactly what is valid. */
    if (w->regular && ftruncate(w->fd, (off_t)w->stats.bytes) < 0)
        error = errno;
    if (error == EPIPE) /* who reads has gone away: a reason to stop, not to complain */
        return sj_fail(err, EX_OK, "%s", "");
    if (w->stats.requests == 0)
        return sj_fail(err, EX_IOERR, "cannot write %s: %s; record to a place with room", w->name, strerror(error));
    return sj_fail(err, EX_IOERR,
                   "cannot write %s: %s; its first %" PRIu64
                   " requests can be read, for more record to a place with room",
                   w->name, strerror(error), w->stats.requests);
}

static int write_all(struct sj_recording_writer *w, const uint8_t *p, size_t n, struct sj_err *err)
{
    if (w->failed)
        return sj_fail(err, EX_IOERR, "cannot write %s: an earlier write failed", w->name);
    for (size_t done = 0; done < n;) {
        ssize_t k = write(w->fd, p + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return write_failed(w, k < 0 ? errno : EIO, err);
        done += (size_t)k;
    }
    w->stats.bytes += n;
    return 0;
}

/*
 * Deflates the first n bytes of w->raw to out, if that makes them fewer. Only the first `packable` of them are looked
 * at: the low digits of times are noise, and to find that out takes longer than all else that is done to a request.
 */
static bool deflate_body(struct sj_recording_writer *w, uint8_t *out, size_t n, size_t packable, size_t *stored)
{
    w->z.next_in = w->raw;
    w->z.avail_in = (uInt)packable;
    w->z.next_out = out;
    w->z.avail_out = (uInt)n - 1;
    if (deflateReset(&w->z) != Z_OK || deflateParams(&w->z, Z_BEST_SPEED, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    if (packable < n) {
        if (deflate(&w->z, Z_NO_FLUSH) != Z_OK || deflateParams(&w->z, Z_NO_COMPRESSION, Z_DEFAULT_STRATEGY) != Z_OK)
            return false;
        w->z.avail_in += (uInt)(n - packable);
    }
    if (deflate(&w->z, Z_FINISH) != Z_STREAM_END)
        return false;
    *stored = n - 1 - w->z.avail_out;
    return true;
}

/* Makes a block of the first n bytes of w->raw and writes it. */
static int write_block(struct sj_recording_writer *w, enum sj_recording_kind kind, size_t n, size_t packable,
                       struct sj_err *err)
{
    uint8_t *body = w->block + SJ_RECORDING_HEAD_LEN;
    size_t stored = n;
    if (!deflate_body(w, body, n, packable, &stored))
        memcpy(body, w->raw, n);
    sj_put_le32(w->block, kind);
    sj_put_le32(w->block + 4, (uint32_t)n);
    sj_put_le32(w->block + 8, (uint32_t)stored);
    sj_put_le32(w->block + 12, (uint32_t)crc32_z(0, body, stored));
    sj_put_le32(w->block + 16, (uint32_t)crc32_z(0, w->block, 16));
    return write_all(w, w->block, SJ_RECORDING_HEAD_LEN + stored, err);
}

static int flush_requests(struct sj_recording_writer *w, struct sj_err *err)
{
    if (w->pending == 0)
        return 0;
    uint8_t *p = w->raw;
    p += sj_varint_put(p, w->fresh ? SJ_RECORDING_FRESH : 0);
    p += sj_varint_put(p, w->pending);
    for (int c = 0; c < SJ_COL_MAX_; c++)
        p += sj_varint_put(p, w->len[c]);
    size_t packable = 0;
    for (int c = 0; c < SJ_COL_MAX_; c++) {
        if (c == SJ_COL_SLOT)
            packable = (size_t)(p - w->raw);
        memcpy(p, w->columns + (size_t)c * COLUMN_SIZE, w->len[c]);
        p += w->len[c];
    }
    uint64_t requests = w->pending;
    memset(w->len, 0, sizeof(w->len));
    w->pending_bytes = 0;
    w->pending = 0;
    w->previous_end = 0;
    w->fresh = false;
    if (write_block(w, SJ_RECORDING_REQUESTS, (size_t)(p - w->raw), packable, err) < 0)
        return -1;
    w->stats.requests += requests;
    return 0;
}

static uint8_t *put_string(uint8_t *p, const char *s)
{
    size_t n = strnlen(s, SJ_RECORDING_STRING_MAX);
    p += sj_varint_put(p, n);
    memcpy(p, s, n);
    return p + n;
}

static void put_bytes(struct sj_recording_writer *w, enum sj_recording_column c, const void *p, size_t n)
{
    memcpy(w->columns + (size_t)c * COLUMN_SIZE + w->len[c], p, n);
    w->len[c] += n;
    w->pending_bytes += n;
}

static void put_number(struct sj_recording_writer *w, int c, uint64_t v)
{
    size_t n = sj_varint_put(w->columns + (size_t)c * COLUMN_SIZE + w->len[c], v);
    w->len[c] += n;
    w->pending_bytes += n;
}

/* Names [key, end) in column c, with its definition when it is new. */
static void put_interned(struct sj_recording_writer *w, enum sj_recording_column c, struct sj_intern *dict,
                         const uint8_t *key, const uint8_t *end)
{
    uint32_t id;
    uint32_t n = (uint32_t)(end - key);
    if (sj_intern(dict, key, n, &id)) {
        put_bytes(w, SJ_COL_DEFS, key, n);
        put_number(w, c, 0);
    } else {
        put_number(w, c, (uint64_t)id + 1);
    }
}

static void put_endpoint(struct sj_recording_writer *w, enum sj_recording_column c, const struct sj_endpoint *e)
{
    uint8_t key[ENDPOINT_MAX];
    uint8_t *p = key;
    p += sj_varint_put(p, e->family);
    p += sj_varint_put(p, e->port);
    size_t n = SJ_ADDR_LEN;
    while (n > 0 && e->addr[n - 1] == 0)
        n--;
    p += sj_varint_put(p, n);
    memcpy(p, e->addr, n);
    put_interned(w, c, w->endpoints, key, p + n);
}

static void put_identity(struct sj_recording_writer *w, const struct sj_request *req)
{
    uint8_t key[WHO_MAX];
    uint8_t *p = put_string(key, req->service);
    p = put_string(p, req->comm);
    p = put_string(p, req->container);
    p = put_string(p, req->unix_path);
    p += sj_varint_put(p, req->role);
    p += sj_varint_put(p, req->protocol);
    p += sj_varint_put(p, req->port);
    p += sj_varint_put(p, req->pid);
    p += sj_varint_put(p, req->cgroup);
    put_interned(w, SJ_COL_WHO, w->whos, key, p);
    put_endpoint(w, SJ_COL_LOCAL, &req->local);
    put_endpoint(w, SJ_COL_PEER, &req->peer);

    p = put_string(key, req->operation);
    p = put_string(p, req->status);
    p += sj_varint_put(p, req->flags);
    put_interned(w, SJ_COL_WHAT, w->whats, key, p);
    put_number(w, SJ_COL_TID, sj_varint_fold((uint64_t)req->tid - req->pid));
}

static void put_times(struct sj_recording_writer *w, const struct sj_request *req)
{
    uint64_t slot[SJ_SLOT_MAX_];
    uint64_t stages = 0;
    uint64_t causes = 0;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        stages += slot[i] = req->stage_ns[i];
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        causes += slot[SJ_SLOT_CAUSE + i] = req->blocked_ns[i];
    slot[SJ_STAGE_BLOCKED] = sj_varint_fold(req->stage_ns[SJ_STAGE_BLOCKED] - causes);
    slot[SJ_SLOT_RESIDUAL] = sj_varint_fold(req->total_ns - stages);

    unsigned shape = 0;
    for (int i = 0; i < SJ_SLOT_MAX_; i++) {
        if (slot[i] == 0)
            continue;
        shape |= 1U << i;
        put_number(w, SJ_COL_SLOT + i, slot[i]);
    }
    put_number(w, SJ_COL_SHAPE, shape);

    uint64_t end = req->start_ns + req->total_ns;
    put_number(w, SJ_COL_END, sj_varint_fold(end - w->previous_end));
    w->previous_end = end;
}

static int start_dictionaries_anew(struct sj_recording_writer *w, struct sj_err *err)
{
    if (flush_requests(w, err) < 0)
        return -1;
    sj_intern_reset(w->whos);
    sj_intern_reset(w->endpoints);
    sj_intern_reset(w->whats);
    w->fresh = true;
    return 0;
}

static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct sj_recording_writer *w = ctx;
    bool room = sj_intern_has_room(w->whos, 1, WHO_MAX) && sj_intern_has_room(w->endpoints, 2, 2 * ENDPOINT_MAX) &&
                sj_intern_has_room(w->whats, 1, WHAT_MAX);
    if (!room && start_dictionaries_anew(w, err) < 0)
        return -1;
    put_identity(w, req);
    put_times(w, req);
    put_number(w, SJ_COL_BYTES_IN, req->bytes_in);
    put_number(w, SJ_COL_BYTES_OUT, req->bytes_out);
    w->pending++;
    return w->pending_bytes >= BLOCK_TARGET ? flush_requests(w, err) : 0;
}

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct sj_recording_writer *w = ctx;
    w->begun = true;
    if (w->regular && ftruncate(w->fd, 0) < 0)
        return write_failed(w, errno, err);
    uint8_t start[SJ_RECORDING_MAGIC_LEN + 4];
    memcpy(start, SJ_RECORDING_MAGIC, SJ_RECORDING_MAGIC_LEN);
    sj_put_le32(start + SJ_RECORDING_MAGIC_LEN, SJ_RECORDING_VERSION);
    if (write_all(w, start, sizeof(start), err) < 0)
        return -1;
    uint8_t *p = put_string(w->raw, m->host);
    p = put_string(p, m->label);
    p = put_string(p, m->probe_set);
    p += sj_varint_put(p, m->stages);
    p += sj_varint_put(p, m->start_real_ns);
    p += sj_varint_put(p, m->start_mono_ns);
    size_t n = (size_t)(p - w->raw);
    return write_block(w, SJ_RECORDING_HEADER, n, n, err);
}

static int on_tick(void *ctx, uint64_t mono_ns, struct sj_err *err)
{
    struct sj_recording_writer *w = ctx;
    if (w->flushed_ns != 0 && mono_ns - w->flushed_ns < FLUSH_NS)
        return 0;
    w->flushed_ns = mono_ns;
    return flush_requests(w, err);
}

static int on_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    struct sj_recording_writer *w = ctx;
    sj_autofree uint8_t *hist = NULL;
    size_t hist_len;
    if (flush_requests(w, err) < 0)
        return -1;
    if (sj_hist_encode_plain(&counted->total, &hist, &hist_len) < 0)
        return sj_fail(err, EX_OSERR, "no memory for writing a recording");
    uint8_t *p = put_string(w->raw, counted->service);
    p += sj_varint_put(p, counted->role);
    p += sj_varint_put(p, counted->protocol);
    p += sj_varint_put(p, counted->port);
    p += sj_varint_put(p, counted->lower_bound);
    p += sj_varint_put(p, SJ_STAGE_MAX_);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        p += sj_varint_put(p, counted->stage_sum_ns[i]);
    memcpy(p, hist, hist_len);
    size_t n = (size_t)(p - w->raw) + hist_len;
    return write_block(w, SJ_RECORDING_COUNTED, n, n, err);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

static int on_end(void *ctx, const struct sj_outcome *outcome, struct sj_err *err)
{
    struct sj_recording_writer *w = ctx;
    const struct sj_completeness *c = &outcome->completeness;
    if (flush_requests(w, err) < 0)
        return -1;
    uint8_t *p = w->raw;
    p += sj_varint_put(p, bits_of(outcome->duration_s));
    p += sj_varint_put(p, bits_of(outcome->kernel_seconds_per_request));
    p += sj_varint_put(p, bits_of(outcome->user_cpu_ratio));
    p += sj_varint_put(p, c->detailed);
    p += sj_varint_put(p, c->counted_only);
    p += sj_varint_put(p, c->unparsed);
    p += sj_varint_put(p, c->cut_off);
    p += sj_varint_put(p, c->lost);
    p += sj_varint_put(p, c->lower_bound);
    size_t n = (size_t)(p - w->raw);
    if (write_block(w, SJ_RECORDING_END, n, n, err) < 0)
        return -1;
    w->stats.whole = true;
    w->stats.outcome = *outcome;
    return 0;
}

struct sj_sink sj_recording_sink(struct sj_recording_writer *w)
{
    return (struct sj_sink){
        .ctx = w, .begin = on_begin, .request = on_request, .tick = on_tick, .counted = on_counted, .end = on_end};
}

int sj_recording_writer_close(struct sj_recording_writer *w, struct sj_recording_stats *stats, struct sj_err *err)
{
    if (!w)
        return 0;
    int rc = w->failed ? 0 : flush_requests(w, err);
    if (w->created && !w->begun)
        unlink(w->path);
    if (w->fd >= 0 && close(w->fd) < 0 && errno != EINTR && rc == 0 && !w->failed)
        rc = sj_fail(err, EX_IOERR, "cannot write %s: %s", w->name, strerror(errno));
    if (stats)
        *stats = w->stats;
    if (w->z_ready)
        deflateEnd(&w->z);
    sj_intern_free(w->whos);
    sj_intern_free(w->endpoints);
    sj_intern_free(w->whats);
    free(w->columns);
    free(w->path);
    free(w);
    return rc;
}
