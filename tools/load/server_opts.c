// SPDX-License-Identifier: GPL-3.0-or-later
#include "opt.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW(...) SJ_OPT_ROW(struct sj_server_opts, __VA_ARGS__)

#define LARGEST_RESPONSE (64 << 20)

static const char *const models[] = {"single", "thread", "epoll", "handoff", "fork", NULL};
static const char *const protos[] = {"http", "raw", "line", NULL};
static const char *const splits[] = {"none", "header", NULL};

static const struct sj_opt table[] = {
    ROW("listen", TEXT, listen, "ADDR", "127.0.0.1:PORT, [::1]:PORT (0: any) or unix:/path [127.0.0.1:0]"),
    ROW("model", CHOICE, model, "M", "single, thread, epoll, handoff or fork [thread]", .choices = models),
    ROW("workers", COUNT, workers, "N", "threads of the handoff model's pool [4]", .max = 256),
    ROW("protocol", CHOICE, proto, "P", "http, raw (a recv is a request) or line [http]", .choices = protos),
    ROW("io", CHOICE, io, "IO", "recvsend readwrite msg vec peek mmsg sendfile splice splice-in zerocopy uring",
        .choices = sj_io_names),
    ROW("cpu", DURATION, cpu, "T", "CPU time per request"),
    ROW("cpu-after", DURATION, cpu_after, "T", "CPU time after the sleep"),
    ROW("sleep", DURATION, sleep, "T", "sleep per request"),
    ROW("random", TEXT, random, "D", "sleep drawn from lognormal:MEAN:SIGMA or exponential:MEAN"),
    ROW("seed", COUNT, seed, "N", "of --random [1]"),
    ROW("futex", DURATION, futex, "T", "wait on a futex that another thread wakes"),
    ROW("fsync", COUNT, fsync, "N", "writes with fsync to a temporary file", .max = 10000),
    ROW("dir", TEXT, dir, "DIR", "where that file lies [$TMPDIR or /tmp]"),
    ROW("downstream", TEXT, downstream, "ADDR", "ask another such server, on a kept connection"),
    ROW("downstream-delay", DURATION, downstream_delay, "T", "which sleeps that long"),
    ROW("response-size", BYTES, response_size, "B", "bytes of the body [64]", .max = LARGEST_RESPONSE),
    ROW("pieces", COUNT, pieces, "N", "the body in N pieces [1]", .max = 10000),
    ROW("piece-gap", DURATION, piece_gap, "T", "pause between them"),
    ROW("piece-size", BYTES, piece_size, "B", "size of a piece; the body is N of them", .max = 1 << 20),
    ROW("response-split", CHOICE, split_header, "W", "'header': head and body in two writes", .choices = splits),
    ROW("chunked", FLAG, chunked, NULL, "chunked bodies, a chunk per piece"),
    ROW("close", FLAG, close, NULL, "close after each response"),
    ROW("coalesce", FLAG, coalesce, NULL, "one write answers all requests that were read together"),
    ROW("raw-request-size", BYTES, raw_request_size, "B", "most bytes of a raw request [65536]", .max = 1 << 20),
    ROW("status", COUNT, status, "CODE", "of the responses [200]", .max = 599),
    ROW("error-every", COUNT, error_every, "K", "each K-th response is a 500"),
    ROW("abort-after", COUNT, abort_after, "N", "the server kills itself while it serves request N"),
    ROW("reset-after", COUNT, reset_after, "N", "resets the connection after half of response N"),
    ROW("no-reply-after", COUNT, no_reply_after, "N", "no answers from request N + 1 on"),
    ROW("schedstat", FLAG, schedstat, NULL, "measure time spent waiting for a CPU (two reads per request)"),
    ROW("requests", COUNT, requests, "N", "end after N requests"),
    ROW("idle-exit", DURATION, idle_exit, "T", "end when nothing was asked for so long, 0 never [120s]"),
    ROW("timeout", DURATION, timeout, "T", "bound of each wait for a peer [30s]"),
    ROW("log", TEXT, log, "FILE", "one JSON line per request"),
    ROW("ready-file", TEXT, ready_file, "FILE", "write the address there once it listens"),
    ROW("name", TEXT, name, "NAME", "the process's name (comm)"),
    ROW("help", FLAG, help, NULL, "this text"),
    {.name = NULL},
};

static int parse_spread(struct sj_server *srv, struct sj_err *err)
{
    const char *text = srv->opts.random;
    char mean[32];
    if (!text)
        return 0;
    const char *colon = strchr(text, ':');
    size_t family = colon ? (size_t)(colon - text) : 0;
    size_t len = colon ? strcspn(colon + 1, ":") : 0;
    uint64_t ns;
    if (!colon || len >= sizeof(mean))
        return sj_fail(err, EX_USAGE, "--random: write lognormal:20ms:0.5 or exponential:20ms");
    snprintf(mean, sizeof(mean), "%.*s", (int)len, colon + 1);
    if (sj_opt_duration(mean, &ns, err))
        return sj_fail_prefix(err, "--random");
    srv->spread.mean_ns = (double)ns;
    if (family == strlen("exponential") && strncmp(text, "exponential", family) == 0 && !colon[1 + len]) {
        srv->spread.family = SJ_SPREAD_EXPONENTIAL;
        return 0;
    }
    char *end = NULL;
    srv->spread.sigma = colon[1 + len] ? strtod(colon + 2 + len, &end) : 0;
    if (family != strlen("lognormal") || strncmp(text, "lognormal", family) != 0 || !end || *end ||
        !(srv->spread.sigma > 0 && srv->spread.sigma < 10))
        return sj_fail(err, EX_USAGE, "--random: write lognormal:20ms:0.5 or exponential:20ms");
    srv->spread.family = SJ_SPREAD_LOGNORMAL;
    return 0;
}

static int check(const struct sj_server *srv, struct sj_err *err)
{
    const struct sj_server_opts *o = &srv->opts;
    bool loop = o->model == SJ_MODEL_EPOLL || o->model == SJ_MODEL_HANDOFF;
    if (loop && !sj_io_nonblocking((enum sj_io_mode)o->io))
        return sj_fail(err, EX_USAGE, "--io %s blocks: use it with --model single, thread or fork", sj_io_names[o->io]);
    if (o->io == SJ_IO_ZEROCOPY && sj_addr_is_unix(&srv->addr))
        return sj_fail(err, EX_USAGE, "--io zerocopy: unix sockets have none");
    if (o->io == SJ_IO_SENDFILE && (o->chunked || o->coalesce || o->proto != SJ_PROTO_HTTP))
        return sj_fail(err, EX_USAGE, "--io sendfile sends the body of one plain HTTP response at a time");
    if (o->coalesce && o->pieces > 1)
        return sj_fail(err, EX_USAGE, "--coalesce makes one write, --pieces several");
    if (o->response_size > LARGEST_RESPONSE)
        return sj_fail(err, EX_USAGE, "--pieces times --piece-size is more than 64M");
    if (o->status < 200)
        return sj_fail(err, EX_USAGE, "--status: a final status is 200 to 599");
    if (!o->pieces || !o->workers || !o->raw_request_size || !o->timeout)
        return sj_fail(err, EX_USAGE, "--pieces, --workers, --raw-request-size and --timeout must be above 0");
    if (o->proto != SJ_PROTO_HTTP && (!o->response_size || o->chunked))
        return sj_fail(err, EX_USAGE, "--protocol raw and line answer with one byte or more, never chunked");
    return 0;
}

int sj_server_options(struct sj_server *srv, int argc, char *const *argv, struct sj_err *err)
{
    const char *tmp = getenv("TMPDIR");
    struct sj_server s = {.listen_fd = -1, .log_fd = -1, .body_fd = -1};
    s.opts = (struct sj_server_opts){
        .listen = "127.0.0.1:0",
        .model = SJ_MODEL_THREAD,
        .workers = 4,
        .seed = 1,
        .dir = tmp && *tmp ? tmp : "/tmp",
        .response_size = 64,
        .pieces = 1,
        .raw_request_size = 65536,
        .status = 200,
        .idle_exit = UINT64_C(120000000000),
        .timeout = UINT64_C(30000000000),
    };
    if (sj_opt_parse(table, &s.opts, argc, argv, err))
        return -1;
    if (s.opts.help) {
        puts("load server [OPTION...]: answers requests at a known cost and reports it as JSON when it ends\n"
             "A request's query changes its own cost: /path?cpu=5ms&sleep=20ms&futex=1ms&fsync=2&size=4K&status=404\n");
        sj_opt_help(stdout, table);
        *srv = s;
        return 0;
    }
    if (s.opts.piece_size)
        s.opts.response_size = s.opts.pieces * s.opts.piece_size;
    if (sj_addr_parse(s.opts.listen, &s.addr, err) || parse_spread(&s, err))
        return -1;
    if (s.opts.downstream && sj_addr_parse(s.opts.downstream, &s.downstream, err))
        return -1;
    if (check(&s, err))
        return -1;
    *srv = s;
    return 0;
}
