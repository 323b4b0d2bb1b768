// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The reader of recordings. The first byte of an input says how the rest is meant: as a file, gzipped or not, which
 * checksums protect from being explored; or as the body of one block of a kind, in a file that is right otherwise.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "collect/input.h"
#include "collect/recording.h"
#include "collect/recording_format.h"
#include "expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    unsigned begins;
    unsigned ends;
    uint64_t requests;
};

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct seen *s = ctx;
    (void)err;
    expect(strnlen(m->host, sizeof(m->host)) < sizeof(m->host));
    expect(strnlen(m->label, sizeof(m->label)) < sizeof(m->label));
    expect(strnlen(m->probe_set, sizeof(m->probe_set)) < sizeof(m->probe_set));
    expect(s->begins++ == 0);
    return 0;
}

static int on_request(void *ctx, const struct sj_request *r, struct sj_err *err)
{
    struct seen *s = ctx;
    (void)err;
    expect(s->begins == 1 && s->ends == 0);
    expect(strlen(r->service) <= SJ_RECORDING_STRING_MAX && strlen(r->comm) <= SJ_RECORDING_STRING_MAX);
    expect(strlen(r->container) <= SJ_RECORDING_STRING_MAX && strlen(r->unix_path) <= SJ_RECORDING_STRING_MAX);
    expect(strlen(r->operation) <= SJ_RECORDING_STRING_MAX && strlen(r->status) <= SJ_RECORDING_STRING_MAX);
    expect(r->role < SJ_ROLE_MAX_ && r->protocol < SJ_PROTO_MAX_);
    s->requests++;
    return 0;
}

static int on_counted(void *ctx, const struct sj_counted *c, struct sj_err *err)
{
    struct seen *s = ctx;
    (void)err;
    expect(s->begins == 1 && s->ends == 0);
    expect(strlen(c->service) <= SJ_RECORDING_STRING_MAX);
    expect(c->role < SJ_ROLE_MAX_ && c->protocol < SJ_PROTO_MAX_);
    double median = sj_hist_quantile(&c->total, 0.5);
    expect(c->total.count == 0 || median >= 0);
    return 0;
}

static int on_end(void *ctx, const struct sj_outcome *o, struct sj_err *err)
{
    struct seen *s = ctx;
    (void)err;
    expect(o->duration_s >= 0);
    expect(s->ends++ == 0);
    return 0;
}

static uint8_t *put_block(uint8_t *p, uint32_t kind, const void *body, size_t n)
{
    sj_put_le32(p, kind);
    sj_put_le32(p + 4, (uint32_t)n);
    sj_put_le32(p + 8, (uint32_t)n);
    sj_put_le32(p + 12, (uint32_t)crc32_z(0, body, n));
    sj_put_le32(p + 16, (uint32_t)crc32_z(0, p, 16));
    if (n > 0)
        memcpy(p + SJ_RECORDING_HEAD_LEN, body, n);
    return p + SJ_RECORDING_HEAD_LEN + n;
}

/* A file of one block, after a header unless it is one. Free it. */
static uint8_t *wrap(uint32_t kind, const uint8_t *body, size_t n, size_t *len)
{
    uint8_t *file = malloc(64 + 2 * SJ_RECORDING_HEAD_LEN + n);
    if (!file)
        return NULL;
    memcpy(file, SJ_RECORDING_MAGIC, SJ_RECORDING_MAGIC_LEN);
    sj_put_le32(file + SJ_RECORDING_MAGIC_LEN, SJ_RECORDING_VERSION);
    uint8_t *p = file + SJ_RECORDING_MAGIC_LEN + 4;
    if (kind != SJ_RECORDING_HEADER)
        p = put_block(p, SJ_RECORDING_HEADER, "\0\0\0\0\0\0", 6);
    p = put_block(p, kind, body, n);
    *len = (size_t)(p - file);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *file = NULL;
    size_t len = size - 1;
    if (data[0] % SJ_RECORDING_MAX_ != 0 && !(file = wrap(data[0] % SJ_RECORDING_MAX_, data + 1, size - 1, &len)))
        return 0;

    struct seen seen = {0};
    struct sj_err err = {0};
    struct sj_input *in;
    const struct sj_sink sink = {
        .ctx = &seen, .begin = on_begin, .request = on_request, .counted = on_counted, .end = on_end};
    if (sj_input_open_memory(file ? file : data + 1, len, &in, &err) == 0) {
        int rc = sj_recording_read(in, &sink, &err);
        expect(rc <= 1 && (rc >= 0) == (seen.ends == 1));
        expect((rc != 0) == (err.status != 0 && err.text[0]));
        sj_input_close(in);
    }
    free(file);
    return 0;
}
