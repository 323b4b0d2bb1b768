// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sojourn/event.h>

/* Records as the kernel side writes them, made by tests. */

#define RECORD_MAX (sizeof(struct sj_rec_turn) + sizeof(struct sj_waits) + SJ_ASK_INLINE + SJ_PAYLOAD_MAX)

/* What a turn record says; what is left out is 0 or absent. */
struct made_turn {
    uint16_t flags;
    uint64_t t[4];
    uint64_t oncpu;
    const struct sj_waits *waits; /* sets SJ_F_SWITCHED */
    const char *ask;              /* the captured text */
    size_t ask_size;              /* of it, when it is no text */
    uint32_t ask_len;             /* of the piece; 0: as long as the text */
    uint64_t bytes_ask;           /* 0: as ask_len */
    const char *answer;
    uint32_t answer_len;
    uint32_t tid;
    uint8_t hint;
};

/* A record in a buffer of exactly its length, so that a sanitizer sees who reads beyond it. Free it. */
struct made_record {
    struct sj_rec *rec;
    uint32_t len;
};

static inline struct made_record record_make(uint8_t type, size_t len)
{
    struct made_record r = {.rec = calloc(1, len), .len = (uint32_t)len};
    if (!r.rec)
        abort();
    r.rec->version = SJ_EVENT_VERSION;
    r.rec->type = type;
    r.rec->role = SJ_ROLE_SERVER;
    return r;
}

static inline struct made_record record_turn(const struct made_turn *made)
{
    size_t ask = made->ask_size ? made->ask_size : made->ask ? strlen(made->ask) : 0;
    size_t answer = made->answer ? strlen(made->answer) : 0;
    size_t waits = made->waits ? sizeof(*made->waits) : 0;
    struct made_record r = record_make(SJ_REC_TURN, sizeof(struct sj_rec_turn) + waits + ask + answer);
    struct sj_rec_turn *turn = (struct sj_rec_turn *)r.rec;
    uint8_t *payload = (uint8_t *)(turn + 1);
    turn->h.flags = (uint16_t)(made->flags | (made->waits ? SJ_F_SWITCHED : 0));
    turn->h.hint = made->hint;
    turn->h.time = made->t[3] > made->t[2] ? made->t[3] : made->t[2];
    memcpy(turn->t, made->t, sizeof(turn->t));
    turn->oncpu = made->oncpu;
    turn->tid = made->tid;
    turn->ask_len = made->ask_len ? made->ask_len : (uint32_t)ask;
    turn->bytes_ask = made->bytes_ask ? made->bytes_ask : turn->ask_len;
    turn->answer_len = made->answer_len ? made->answer_len : (uint32_t)answer;
    turn->ask_captured = (uint16_t)ask;
    turn->answer_captured = (uint16_t)answer;
    if (waits)
        memcpy(payload, made->waits, waits);
    if (ask)
        memcpy(payload + waits, made->ask, ask);
    if (answer)
        memcpy(payload + waits + ask, made->answer, answer);
    return r;
}

static inline struct made_record record_tail(uint8_t type, uint16_t flags, uint64_t last, uint64_t bytes_answer)
{
    struct made_record r = record_make(type, sizeof(struct sj_rec_tail));
    struct sj_rec_tail *tail = (struct sj_rec_tail *)r.rec;
    tail->h.flags = flags;
    tail->h.time = last;
    tail->last = last;
    tail->bytes_answer = bytes_answer;
    return r;
}

/* len: of the piece, 0: as long as the text. */
static inline struct made_record record_data(const char *text, uint32_t len, uint64_t time)
{
    size_t captured = text ? strlen(text) : 0;
    struct made_record r = record_make(SJ_REC_DATA, sizeof(struct sj_rec_data) + captured);
    struct sj_rec_data *data = (struct sj_rec_data *)r.rec;
    data->h.time = time;
    data->len = len ? len : (uint32_t)captured;
    data->captured = (uint32_t)captured;
    if (captured)
        memcpy(data + 1, text, captured);
    return r;
}

static inline struct made_record record_conn(uint32_t tgid, const char *comm, uint64_t time)
{
    struct made_record r = record_make(SJ_REC_CONN, sizeof(struct sj_rec_conn));
    struct sj_rec_conn *conn = (struct sj_rec_conn *)r.rec;
    conn->h.tgid = tgid;
    conn->h.time = time;
    snprintf(conn->comm, sizeof(conn->comm), "%s", comm);
    return r;
}

static inline struct made_record record_cut(uint32_t reason, uint64_t time)
{
    struct made_record r = record_make(SJ_REC_CUT, sizeof(struct sj_rec_cut));
    struct sj_rec_cut *cut = (struct sj_rec_cut *)r.rec;
    cut->h.time = time;
    cut->reason = reason;
    return r;
}
