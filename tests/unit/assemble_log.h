// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collect/collector.h"
#include "decode/assemble.h"
#include "made_records.h"

/*
 * An assembler that is fed with made records and whose requests become text that a test can compare:
 * "GET /a 200 30=queue10+oncpu20|". Each request's stages must sum to its total.
 */
struct assemble_log {
    struct sj_assembler *a;
    struct sj_err err;
    struct sj_process who;
    uint64_t conn;    /* which connection the next records are of */
    uint32_t turn[8]; /* the running turn of connections, by their number modulo 8 */
    bool asking[8];   /* it has been told of, but not answered */
    uint8_t role;
    bool bytes;         /* write "bytes_in/bytes_out" too */
    bool quiet;         /* check, but write nothing */
    uint64_t requests;  /* handed on */
    uint64_t refuse_at; /* the request of this number, from 1, is an error; 0: none */
    uint64_t wanted;    /* the last connection whose answers were asked for; 0: none */
    unsigned seen;
    struct sj_request last; /* without its strings */
    size_t len;
    char text[1 << 14];
};

static inline void log_add(struct assemble_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void log_add(struct assemble_log *log, const char *format, ...)
{
    va_list args;
    if (log->quiet)
        return;
    va_start(args, format);
    int n = vsnprintf(log->text + log->len, sizeof(log->text) - log->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(log->text) - log->len)
        abort();
    log->len += (size_t)n;
}

static inline void log_stages(struct assemble_log *log, const struct sj_request *req)
{
    uint64_t sum = 0, blocked = 0;
    log_add(log, "%" PRIu64, req->total_ns);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        if (req->stage_ns[i])
            log_add(log, "%c%s%" PRIu64, sum ? '+' : '=', sj_stage_name((enum sj_stage)i), req->stage_ns[i]);
        sum += req->stage_ns[i];
    }
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        blocked += req->blocked_ns[i];
    if (!(req->flags & SJ_REQ_NO_STAGES))
        assert_int_equal(sum, req->total_ns);
    assert_int_equal(blocked, req->stage_ns[SJ_STAGE_BLOCKED]);
    assert_true(req->total_ns <= INT64_MAX);
}

static inline int log_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    static const char *const flags[] = {"error",      "client-error", "interleaved", "unparsed",
                                        "no-arrival", "pipelined",    "no-stages"};
    struct assemble_log *log = ctx;
    const char *const strings[] = {req->service,   req->comm,   req->container,
                                   req->operation, req->status, req->unix_path};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        assert_non_null(strings[i]);
    if (++log->requests == log->refuse_at)
        return sj_fail(err, EX_IOERR, "refused");
    log_add(log, "%s%s%s%s", req->operation, req->operation[0] ? " " : "", req->status, req->status[0] ? " " : "");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (req->flags & (1U << i))
            log_add(log, "%s ", flags[i]);
    if (log->bytes)
        log_add(log, "%" PRIu64 "/%" PRIu64 " ", req->bytes_in, req->bytes_out);
    log_stages(log, req);
    log_add(log, "|");
    log->last = *req;
    return 0;
}

static inline const struct sj_process *log_process(void *ctx, uint32_t tgid)
{
    struct assemble_log *log = ctx;
    log->who.tgid = tgid;
    snprintf(log->who.service, sizeof(log->who.service), "service%u", tgid);
    return &log->who;
}

static inline void log_seen(void *ctx, const struct sj_rec_conn *rec)
{
    struct assemble_log *log = ctx;
    assert_int_equal(rec->h.type, SJ_REC_CONN);
    log->seen++;
}

static inline void log_want_answers(void *ctx, uint64_t conn)
{
    ((struct assemble_log *)ctx)->wanted = conn;
}

static inline void log_begin(struct assemble_log *log)
{
    const struct sj_assembler_ops ops = {
        .ctx = log, .request = log_request, .process = log_process, .seen = log_seen, .want_answers = log_want_answers};
    memset(log, 0, offsetof(struct assemble_log, text) + 1);
    log->conn = 1;
    log->role = SJ_ROLE_SERVER;
    log->a = sj_assembler_new(&ops);
    assert_non_null(log->a);
}

static inline void log_end(struct assemble_log *log)
{
    sj_assembler_free(log->a);
}

/* What was told since the last time. */
static inline void log_expect(struct assemble_log *log, const char *text)
{
    assert_string_equal(log->text, text);
    log->len = 0;
    log->text[0] = '\0';
}

static inline struct sj_assembler_stats log_stats(const struct assemble_log *log)
{
    struct sj_assembler_stats stats;
    sj_assembler_stats(log->a, &stats);
    return stats;
}

static inline int log_try(struct assemble_log *log, struct made_record r)
{
    r.rec->conn = log->conn;
    r.rec->role = log->role;
    r.rec->port = 80;
    bool turn = r.rec->type == SJ_REC_TURN && !(r.rec->flags & SJ_F_CONTINUED);
    bool *asking = &log->asking[log->conn % 8];
    if ((turn || r.rec->type == SJ_REC_DATA) && !*asking)
        log->turn[log->conn % 8]++;
    *asking = r.rec->type == SJ_REC_DATA || (*asking && !turn && r.rec->type != SJ_REC_CUT);
    r.rec->turn = log->turn[log->conn % 8];
    if (!r.rec->tgid && r.rec->type != SJ_REC_CLOSE)
        r.rec->tgid = 7;
    assert_true(sj_record_valid(r.rec, r.len));
    int status = sj_assembler_record(log->a, r.rec, r.len, &log->err);
    free(r.rec);
    return status;
}

static inline void log_feed(struct assemble_log *log, struct made_record r)
{
    assert_int_equal(log_try(log, r), 0);
}

#define log_turn(log, ...) log_feed((log), record_turn(&(const struct made_turn){__VA_ARGS__}))
