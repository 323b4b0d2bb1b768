// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decoder.h"

/* What a decoder told, as text that a test can compare: "ask GET /a|ask-end|answer 200|answer-end|". */
struct decode_log {
    const struct sj_decoder *decoder;
    void *state;
    size_t len;
    size_t piece;  /* length of the piece being fed */
    bool offsets;  /* write them: "ask@0 GET /a" */
    bool ignored;  /* write SJ_MSG_IGNORE, which depends on how the stream was cut */
    unsigned told; /* messages of the last feed */
    char text[1 << 16];
};

static inline void log_put(struct decode_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void log_put(struct decode_log *log, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(log->text + log->len, sizeof(log->text) - log->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(log->text) - log->len)
        abort();
    log->len += (size_t)n;
}

static inline void log_message(void *ctx, const struct sj_message *msg)
{
    static const char *const names[] = {"ask",     "ask-end", "answer", "answer-end",
                                        "interim", "ignore",  "switch", "lost"};
    struct decode_log *log = ctx;

    log->told++;
    if (msg->offset > log->piece || strnlen(msg->operation, SJ_OPERATION_MAX) == SJ_OPERATION_MAX ||
        strnlen(msg->status, SJ_STATUS_MAX) == SJ_STATUS_MAX)
        abort();
    if (msg->kind == SJ_MSG_IGNORE && !log->ignored)
        return;
    log_put(log, "%s", names[msg->kind]);
    if (log->offsets)
        log_put(log, "@%u", msg->offset);
    if (msg->kind == SJ_MSG_SWITCH)
        log_put(log, " %u", msg->protocol);
    if (msg->operation[0])
        log_put(log, " %s", msg->operation);
    if (msg->status[0])
        log_put(log, " %s", msg->status);
    if (msg->flags)
        log_put(log, " %s",
                msg->flags == SJ_REQ_ERROR          ? "error"
                : msg->flags == SJ_REQ_CLIENT_ERROR ? "client-error"
                                                    : "?");
    log_put(log, "|");
}

static inline void log_open(struct decode_log *log, const struct sj_decoder *decoder)
{
    memset(log, 0, offsetof(struct decode_log, text) + 1);
    log->decoder = decoder;
    log->state = malloc(decoder->state_size);
    if (!log->state)
        abort();
    /* whatever init leaves alone must not matter */
    memset(log->state, 0xa5, decoder->state_size);
    decoder->init(log->state);
}

static inline void log_close(struct decode_log *log)
{
    if (log->decoder->fini)
        log->decoder->fini(log->state);
    free(log->state);
}

/* A copy of exactly its size shows every byte that is read beyond the piece. */
static inline void log_feed(struct decode_log *log, enum sj_dir dir, const void *p, size_t n, uint64_t gap)
{
    uint8_t *exact = malloc(n ? n : 1);

    if (!exact)
        abort();
    if (n > 0)
        memcpy(exact, p, n);
    log->piece = n;
    log->told = 0;
    log->decoder->feed(log->state, dir, exact, n, gap, log_message, log);
    free(exact);
}

static inline void log_clear(struct decode_log *log)
{
    log->len = 0;
    log->text[0] = '\0';
}
