/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Telling user space: records into the ring of this CPU, and when that is full the count into the overflow histogram,
 * so that a request is never lost, only its detail.
 */
#include "state.bpf.h"
/* after the kernel types, which the line above brings */
#include <sojourn/histogram.h>

/* word: of the turn that is told of, since the next one may have begun. */
static __always_inline void fill_head(struct sj_rec *h, struct conn *c, __u32 word, __u32 tgid, __u8 type, __u16 flags,
                                      __u64 now)
{
    h->version = SJ_EVENT_VERSION;
    h->type = type;
    h->role = c->role;
    h->hint = c->hint;
    h->flags = flags;
    h->port = c->port;
    h->tgid = tgid;
    h->turn = word >> STATE_BITS;
    h->conn = c->cookie;
    h->time = now;
}

/* The name of the process: that of its first thread, others are often named after what they do. */
static __always_inline void comm_of(struct task_struct *task, char *comm)
{
    struct task_struct *leader = READ(task, group_leader);
    READ_ARRAY(comm, SJ_COMM_LEN, leader, comm);
}

/*
 * Where the next record of this CPU goes, in bytes from the log's beginning. When the log is full it is the scratch
 * behind it, and *room is false: then the record is put together all the same, since what is counted is taken from it.
 */
static __always_inline __u64 log_place(const struct sj_log *log, bool *room)
{
    __u64 at = log->produced & (cfg_log_size - 1);
    *room = log->produced - log->consumed + SJ_LOG_SLACK <= cfg_log_size;
    if (!*room)
        at = cfg_log_size + SJ_LOG_SLACK;
    return SJ_LOG_HEAD + at;
}

/* The record of len bytes behind the entry is whole. */
static __always_inline void log_publish(struct sj_log *log, struct sj_log_entry *entry, __u32 len)
{
    entry->len = len;
    store_after_all(&log->produced, log->produced + ((sizeof(*entry) + len + 7) & ~7ULL));
}

static __always_inline void fill_tail(struct sj_rec_tail *tail, struct conn *c, __u8 type, __u16 flags, __u64 now)
{
    fill_head(&tail->h, c, c->word, c->told_tgid, type, flags, now);
    tail->last = c->last;
    tail->bytes_answer = c->bytes_answer;
    tail->bytes_ask = c->bytes_ask;
}

/* log: NULL where another record of this CPU may be in the making. */
static __always_inline void emit_tail(struct sj_counters *k, struct sj_log *log, struct conn *c, __u8 type, __u16 flags,
                                      __u64 now)
{
    if (log) {
        bool room;
        struct sj_log_entry *entry = (void *)log + log_place(log, &room);
        struct sj_rec_tail *tail = (void *)(entry + 1);
        fill_tail(tail, c, type, flags, now);
        if (room)
            log_publish(log, entry, sizeof(*tail));
        else
            k->lost_conn++;
        return;
    }
    struct sj_rec_tail tail = {};
    fill_tail(&tail, c, type, flags, now);
    if (bpf_ringbuf_output(&aside, &tail, sizeof(tail), BPF_RB_NO_WAKEUP))
        k->lost_conn++;
}

static __always_inline void emit_cut(struct sj_counters *k, struct conn *c, __u32 reason, __u64 now)
{
    struct sj_rec_cut cut = {};
    fill_head(&cut.h, c, c->word, c->told_tgid, SJ_REC_CUT, c->rec_flags, now);
    cut.start = c->t0;
    cut.bytes_ask = c->bytes_ask;
    cut.reason = reason;
    k->cut[c->role & (SJ_ROLE_SLOTS - 1)]++;
    bpf_ringbuf_output(&aside, &cut, sizeof(cut), BPF_RB_NO_WAKEUP);
}

const __s64 overflow_nothing[sizeof(struct sj_overflow_value) / sizeof(__s64)] = {};

/*
 * A cell of the overflow histogram, to be added to; made if need be. Amounts may be negative: a count moves when its
 * total grows. No value is ever put together on the stack, of which all functions that call each other have 512 bytes.
 */
static __always_inline struct sj_overflow_value *overflow_cell(const struct sj_overflow_key *key)
{
    struct sj_overflow_value *v = bpf_map_lookup_elem(&overflow, key);
    if (v)
        return v;
    bpf_map_update_elem(&overflow, key, overflow_nothing, BPF_NOEXIST); /* another CPU may be first */
    return bpf_map_lookup_elem(&overflow, key);
}

static __always_inline __s16 overflow_bucket(__u64 ns)
{
    if (!ns)
        return SJ_BUCKET_ZERO;
    return (__s16)sj_hist_index(ns);
}

/* who: port, role and hint from the lowest bit on; name: struct conn's comm. */
static __always_inline void overflow_key_of(struct sj_overflow_key *key, __u32 who, __u64 name0, __u64 name1)
{
    __builtin_memset(key, 0, sizeof(*key));
    ((__u64 *)key->comm)[0] = name0;
    ((__u64 *)key->comm)[1] = name1;
    key->port = (__u16)who;
    key->role = (__u8)(who >> 16);
    key->hint = (__u8)(who >> 24);
    key->generation = (__u16)overflow_generation;
}

static __always_inline __u32 overflow_who(const struct conn *c)
{
    return (__u32)c->port | (__u32)c->role << 16 | (__u32)c->hint << 24;
}

/*
 * A counted turn's answer went on: its total grows, and its last stage with it. Global, so that the verifier walks it
 * once.
 */
__noinline int overflow_grow(__u32 who, __u64 from_ns, __u64 to_ns, __u64 name0, __u64 name1)
{
    struct sj_overflow_key key;
    struct sj_overflow_value *v;
    overflow_key_of(&key, who, name0, name1);
    key.bucket = overflow_bucket(from_ns);
    v = overflow_cell(&key);
    if (v)
        v->count--;
    key.bucket = overflow_bucket(to_ns);
    v = overflow_cell(&key);
    if (v)
        v->count++;
    key.bucket = SJ_BUCKET_SUMS;
    v = overflow_cell(&key);
    if (!v)
        return 0;
    v->total_ns += (__s64)(to_ns - from_ns);
    v->stage_ns[key.role == SJ_ROLE_SERVER ? 6 : 3] += (__s64)(to_ns - from_ns); /* send, receive */
    return 1;
}
