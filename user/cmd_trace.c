// SPDX-License-Identifier: GPL-3.0-or-later
#include <unistd.h>

#include "base/out.h"
#include "command.h"
#include "export/ndjson.h"
#include "options.h"
#include "source_run.h"
#include "term/trace_line.h"

struct trace {
    const struct sj_measure_options *opts;
    struct sj_out *out;
    struct sj_screen screen;
    struct sj_measurement measurement;
};

static int on_begin(void *ctx, const struct sj_measurement *m, struct sj_err *err)
{
    struct trace *t = ctx;
    (void)err;
    t->measurement = *m;
    return 0;
}

/* Lines gather in the buffer, which writes itself out when it is full, until the next tick. */
static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    struct trace *t = ctx;
    if (t->opts->json)
        sj_ndjson_request(t->out, &t->measurement, req);
    else
        sj_trace_line(t->out, &t->screen, &t->measurement, req);
    return t->out->error ? sj_out_flush(t->out, err) : 0;
}

static int on_tick(void *ctx, uint64_t mono_ns, struct sj_err *err)
{
    struct trace *t = ctx;
    (void)mono_ns;
    return sj_out_flush(t->out, err);
}

static int on_end(void *ctx, const struct sj_outcome *outcome, struct sj_err *err)
{
    struct trace *t = ctx;
    (void)outcome;
    return sj_out_flush(t->out, err);
}

static int measure(const struct sj_measure_options *opts, struct trace *t)
{
    const struct sj_sink sink = {
        .ctx = t,
        .begin = on_begin,
        .request = on_request,
        .tick = on_tick,
        .end = on_end,
    };
    struct sj_err err = {.status = EX_SOFTWARE};
    int child_status = -1;
    if (sj_source_run(opts, &sink, &child_status, &err) < 0 && !t->out->closed)
        return sj_complain(err.status, "%s", err.text);
    return child_status >= 0 ? child_status : EX_OK;
}

static int run(int argc, char **argv)
{
    struct sj_measure_options opts;
    struct sj_err err;
    struct sj_out out;
    int status;
    if (sj_options_parse(&sj_cmd_trace, "dfjc", argc, argv, &opts, &status) < 0)
        return status;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err) < 0)
        return sj_complain(err.status, "%s", err.text);
    struct trace t = {.opts = &opts, .out = &out};
    sj_screen_detect(&t.screen, STDOUT_FILENO);
    status = measure(&opts, &t);
    sj_out_fini(&out);
    return status;
}

const struct sj_command sj_cmd_trace = {
    .name = "trace",
    .summary = "Print one line per request as it finishes; --json for NDJSON",
    .usage = "trace [-d TIME] [FILTER...] [--json] [--from FILE | -- COMMAND...]",
    .run = run,
};
