// SPDX-License-Identifier: GPL-3.0-or-later
/* The reader of `trace --json`'s lines, gzipped or not. */
#include <stdint.h>
#include <string.h>

#include "collect/input.h"
#include "collect/ndjson_read.h"
#include "expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    unsigned begins;
    unsigned ends;
};

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct seen *s = ctx;
    (void)err;
    expect(m->start_real_ns == m->start_mono_ns);
    expect(s->begins++ == 0);
    return 0;
}

static int on_request(void *ctx, const struct sj_request *r, struct sj_err *err)
{
    struct seen *s = ctx;
    uint64_t causes = 0;
    (void)err;
    expect(s->begins == 1 && s->ends == 0);
    expect(strlen(r->service) + strlen(r->comm) + strlen(r->container) + strlen(r->unix_path) + strlen(r->operation) +
               strlen(r->status) <=
           SJ_INPUT_LINE_MAX);
    expect(r->role < SJ_ROLE_MAX_ && r->protocol < SJ_PROTO_MAX_);
    expect(r->total_ns <= 1000000000000000000U);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        causes += r->blocked_ns[i];
    expect(causes == r->stage_ns[SJ_STAGE_BLOCKED]);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {0};
    struct sj_err err = {0};
    struct sj_input *in;
    const struct sj_sink sink = {.ctx = &seen, .begin = on_begin, .request = on_request, .end = on_end};
    if (sj_input_open_memory(data, size, &in, &err) < 0)
        return 0;
    int rc = sj_ndjson_read(in, &sink, &err);
    expect(rc <= 1 && (rc >= 0) == (seen.ends == 1));
    expect((rc != 0) == (err.status != 0 && err.text[0]));
    expect(!strchr(err.text, '\n'));
    sj_input_close(in);
    return 0;
}
