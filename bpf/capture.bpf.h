/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is captured of an ask and of an answer: no more than the decoder of the connection's protocol has use for. */
#include "conn.bpf.h"
#include "payload.bpf.h"

/* What one probe run works on. */
struct event {
    struct sj_counters *k;
    struct task_struct *task;
    struct sock *sk;
    struct tcp_sock *tp; /* NULL when it is not TCP */
    struct conn *c;
    struct sj_log *log;
    __u64 place; /* in the log: the answer's record in the making */
    struct sj_log_entry *entry;
    struct sj_rec_turn *turn; /* in it */
    void *payload;            /* behind that */
    __u64 len;
    bool receive;
    bool room; /* the record in the making can be told */
};

/*
 * Copies whole words. Everything that is copied here is aligned to them; where the compiler cannot see that it would
 * copy byte by byte, and reading such bytes back as words stalls the CPU.
 */
static __always_inline void copy_words(void *to, const void *from, __u32 size)
{
    __u64 *t = to;
    const __u64 *f = from;
    for (__u32 i = 0; i < size / sizeof(*t); i++)
        t[i] = f[i];
}

/* Tells one piece of an ask: the kept one, or (from_call) what the running call moves. */
static __always_inline void tell_data(struct event *e, __u32 len, bool from_call)
{
    bool room;
    struct conn *c = e->c;
    __u64 place = log_place(e->log, &room);
    struct sj_log_entry *entry = (void *)e->log + place;
    struct sj_rec_data *data = (void *)(entry + 1);
    __u32 captured;
    if (!room) {
        e->k->lost_data++;
        return;
    }
    if (from_call) {
        captured = (__u32)payload_copy(e->receive, e->len, (__u32)(place + sizeof(*entry) + sizeof(*data)));
    } else {
        copy_words(data + 1, c->ask, SJ_ASK_INLINE);
        captured = c->ask_captured;
    }
    fill_head(&data->h, c, c->word, current_tgid(e->task), SJ_REC_DATA, 0, bpf_ktime_get_ns());
    data->len = len;
    data->captured = captured;
    c->data_told += captured;
    log_publish(e->log, entry, (sizeof(*data) + captured) & 0x1fff);
}

static __always_inline bool wants_all_of_ask(const struct conn *c)
{
    if (c->hint == SJ_HINT_HTTP)
        return true;
    /* of TLS the handshake is followed, the rest is opaque */
    return c->hint == SJ_HINT_TLS && c->ask[0] != 0x17;
}

static __always_inline void capture_ask(struct event *e, bool begins)
{
    struct conn *c = e->c;
    if (begins) {
        struct user_buffer b = {};
        if (!buffer_of_call(e->task, e->receive, &b))
            return;
        __u32 n = payload_begin(c->ask, SJ_ASK_INLINE, e->len, &b);
        if (!n)
            return;
        c->ask_captured = (__u16)n;
        c->ask_len = (__u32)e->len;
        __u8 hint = (__u8)hint_of(*(__u64 *)c->ask, n, c->hint);
        if (hint != SJ_HINT_NONE && (hint != SJ_HINT_OTHER || !c->hint))
            c->hint = hint; /* a body in pieces does not look like its protocol */
        /* short asks are kept beside the turn */
        if (n == e->len || !wants_all_of_ask(c))
            return;
    } else {
        if (!wants_all_of_ask(c) || c->data_told >= SJ_PAYLOAD_MAX)
            return;
        if (c->ask_len) {
            /* there is more than one piece: the kept one is told first, so that they come in their order */
            tell_data(e, c->ask_len, false);
        }
    }
    c->ask_len = 0;
    c->ask_captured = 0;
    tell_data(e, (__u32)e->len, true);
}

/* Captures the beginning of the answer behind the `at` payload bytes of the record. Returns how many bytes came. */
static __always_inline __u32 capture_answer(struct event *e, const struct user_buffer *b, __u64 at)
{
    struct conn *c = e->c;
    if (c->hint == SJ_HINT_HTTP) {
        if (asks[c->cookie & (ASKS - 1)])
            return (__u32)payload_copy(
                e->receive, e->len, (__u32)(e->place + sizeof(struct sj_log_entry) + sizeof(struct sj_rec_turn) + at));
        return payload_begin(e->payload + at, 512, e->len, b);
    }
    if (c->hint == SJ_HINT_TLS)
        return payload_begin(e->payload + at, 64, e->len, b);
    return 0;
}
