// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"
#include "clk.h"
#include "opt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW(...) SJ_OPT_ROW(struct sj_client_opts, __VA_ARGS__)
#define DEFAULT_REQUESTS 1009
#define MOST_REQUESTS 1000000000
#define MOST_POISSON 10000000

static const char *const protos[] = {"http", "raw", "line", NULL};

static const struct sj_opt table[] = {
    ROW("connect", TEXT, connect, "ADDR", "127.0.0.1:PORT, [::1]:PORT or unix:/path"),
    ROW("requests", COUNT, requests, "N", "how many in all [1009, or no bound with --duration]", .max = MOST_REQUESTS),
    ROW("duration", DURATION, duration, "T", "ask no more after this time"),
    ROW("connections", COUNT, connections, "C", "at once [1]", .max = 60000),
    ROW("threads", COUNT, threads, "T", "event loops that share the connections [1]", .max = 64),
    ROW("keep-alive", SET, one_shot, NULL, "many requests per connection (the default)", .value = 0),
    ROW("one-shot", SET, one_shot, NULL, "a connection per request", .value = 1),
    ROW("closed", FLAG, closed, NULL, "ask again when answered (the default)"),
    ROW("open", REAL, rate, "RATE", "ask RATE times a second whatever the answers"),
    ROW("poisson", FLAG, poisson, NULL, "at random times of that rate"),
    ROW("seed", COUNT, seed, "N", "of --poisson [1]"),
    ROW("connect-first", FLAG, connect_first, NULL, "open all connections, then send all at one instant"),
    ROW("align", DURATION, align, "T", "start when CLOCK_MONOTONIC is a multiple of T, to meet other clients"),
    ROW("pipeline", COUNT, pipeline, "K", "K requests in one write, then K answers [1]", .max = 1024),
    ROW("gap", DURATION, gap, "T", "pause between the requests of a connection"),
    ROW("idle-after", DURATION, idle_after, "T", "keep the connections open that long at the end"),
    ROW("protocol", CHOICE, proto, "P", "http, raw or line [http]", .choices = protos),
    ROW("io", CHOICE, io, "IO", "system calls, as for the server; none that block [recvsend]", .choices = sj_io_names),
    ROW("method", TEXT, method, "M", "[GET, or POST with --body]"),
    ROW("path", TEXT, path, "PATH", "{n} is the request's number, {i} the connection's [/x/{n}]"),
    ROW("body", BYTES, body, "B", "bytes of the request's body; raw: of the request [0; raw: 64]", .max = 64 << 20),
    ROW("chunked-body", FLAG, chunked_body, NULL, "send the body in chunks"),
    ROW("body-gap", DURATION, body_gap, "T", "send the body's pieces that much later than what is before them"),
    ROW("body-pieces", COUNT, body_pieces, "N", "how many pieces [2]", .max = 1000),
    ROW("head-gap", DURATION, head_gap, "T", "send the head in two halves, that far apart"),
    ROW("expect-continue", FLAG, expect_continue, NULL, "send the body when told to"),
    ROW("ask-close", FLAG, ask_close, NULL, "ask the server to close (Connection: close)"),
    ROW("upgrade", FLAG, upgrade, NULL, "first request: Upgrade: echo; then messages of --body bytes"),
    ROW("response-size", BYTES, response_size, "B", "bytes of a raw answer [64]", .max = 64 << 20),
    ROW("half-close", FLAG, half_close, NULL, "shut down writing after asking, then read to the end"),
    ROW("close-after-ask", FLAG, close_after_ask, NULL, "close without reading"),
    ROW("rst", FLAG, rst, NULL, "reset the connection at the first byte of the answer"),
    ROW("slow-read", FLAG, slow_read, NULL, "read the answer bit by bit"),
    ROW("read-size", BYTES, read_size, "B", "bytes of a bit [64]", .max = 65536),
    ROW("read-gap", DURATION, read_gap, "T", "pause between bits [5ms]"),
    ROW("timeout", DURATION, timeout, "T", "bound of connecting and of each answer [30s]"),
    ROW("log", TEXT, log, "FILE", "one JSON line per request"),
    ROW("name", TEXT, name, "NAME", "the process's name (comm)"),
    ROW("help", FLAG, help, NULL, "this text"),
    {.name = NULL},
};

static int check(const struct sj_client_opts *o, struct sj_err *err)
{
    bool alone = o->expect_continue || o->body_gap || o->head_gap || o->upgrade || o->rate > 0 || o->slow_read;
    if (!o->connect)
        return sj_fail(err, EX_USAGE, "--connect ADDR is missing");
    if (!o->connections || !o->threads || !o->pipeline || !o->body_pieces || !o->read_size || !o->timeout)
        return sj_fail(
            err, EX_USAGE,
            "--connections, --threads, --pipeline, --body-pieces, --read-size and --timeout must be above 0");
    if (o->closed && o->rate > 0)
        return sj_fail(err, EX_USAGE, "--closed and --open exclude each other");
    if (o->poisson && !(o->rate > 0))
        return sj_fail(err, EX_USAGE, "--poisson needs --open RATE");
    if (o->rate > 1e7)
        return sj_fail(err, EX_USAGE, "--open: at most 10000000 a second");
    if (o->pipeline > 1 && alone)
        return sj_fail(err, EX_USAGE, "--pipeline goes with plain requests in a closed loop only");
    if (!sj_io_nonblocking((enum sj_io_mode)o->io))
        return sj_fail(err, EX_USAGE, "--io %s blocks: only the server has it", sj_io_names[o->io]);
    if (o->io == SJ_IO_SENDFILE)
        return sj_fail(err, EX_USAGE, "--io sendfile: only the server has it");
    if (o->expect_continue && !o->body)
        return sj_fail(err, EX_USAGE, "--expect-continue needs --body");
    if (o->upgrade && (o->one_shot || o->proto != SJ_CLIENT_HTTP))
        return sj_fail(err, EX_USAGE, "--upgrade is for kept HTTP connections");
    if (o->threads > o->connections)
        return sj_fail(err, EX_USAGE, "--threads: no more than there are connections");
    if (o->proto == SJ_CLIENT_RAW && !o->response_size)
        return sj_fail(err, EX_USAGE, "--response-size must be above 0");
    return 0;
}

static int make_schedule(struct sj_run *run, struct sj_err *err)
{
    const struct sj_client_opts *o = &run->opts;
    if (!o->poisson)
        return 0;
    if (o->requests > MOST_POISSON)
        return sj_fail(err, EX_USAGE, "--poisson: at most %d requests", MOST_POISSON);
    run->schedule = calloc(o->requests, sizeof(*run->schedule));
    if (!run->schedule)
        return sj_fail(err, EX_OSERR, "out of memory");
    uint64_t state = o->seed;
    double at = 0;
    for (uint64_t i = 0; i < o->requests; i++) {
        at += sj_rand_exponential(&state, 1e9 / o->rate);
        run->schedule[i] = (uint64_t)at;
    }
    return 0;
}

static void fill_in(struct sj_client_opts *o)
{
    if (!o->requests && !o->duration)
        o->requests = DEFAULT_REQUESTS;
    if (!o->requests && o->rate > 0)
        o->requests = (uint64_t)fmin(ceil(o->rate * (double)o->duration / 1e9), MOST_REQUESTS);
    if (!o->requests)
        o->requests = MOST_REQUESTS;
    if (!o->body && (o->upgrade || o->proto == SJ_CLIENT_RAW))
        o->body = 64;
    if (!o->method)
        o->method = o->body && !o->upgrade ? "POST" : "GET";
    if (o->connections > o->requests)
        o->connections = o->requests;
    if (o->half_close || o->close_after_ask || o->rst || o->ask_close)
        o->one_shot = 1;
}

int sj_client_options(struct sj_run *run, int argc, char *const *argv, struct sj_err *err)
{
    struct sj_run r = {
        .opts = {.path = "/x/{n}",
                 .connections = 1,
                 .threads = 1,
                 .pipeline = 1,
                 .seed = 1,
                 .body_pieces = 2,
                 .response_size = 64,
                 .read_size = 64,
                 .read_gap = 5000000,
                 .timeout = UINT64_C(30000000000)},
    };
    if (sj_opt_parse(table, &r.opts, argc, argv, err))
        return -1;
    if (r.opts.help) {
        puts("load client --connect ADDR [OPTION...]: asks, and reports what came back as JSON; exits 1 if a request "
             "failed\n");
        sj_opt_help(stdout, table);
        *run = r;
        return 0;
    }
    if (!r.opts.body_gap && !r.opts.chunked_body)
        r.opts.body_pieces = 1;
    fill_in(&r.opts);
    if (check(&r.opts, err) || sj_addr_parse(r.opts.connect, &r.addr, err) || make_schedule(&r, err))
        return -1;
    if (sj_addr_is_unix(&r.addr))
        snprintf(r.host, sizeof(r.host), "localhost");
    else
        sj_addr_text(&r.addr, r.host);
    *run = r;
    return 0;
}
