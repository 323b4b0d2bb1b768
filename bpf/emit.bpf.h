/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Telling user space: records into the ring of this CPU, and when that is full the count into the overflow histogram, so
 * that a request is never lost, only its detail.
 */
#include <sojourn/histogram.h>

#include "state.bpf.h"

static __always_inline void fill_head(struct sj_rec *h, struct conn *c, __u8 type, __u16 flags, __u64 now)
{
    h->version = SJ_EVENT_VERSION;
    h->type = type;
    h->role = c->role;
    h->hint = c->hint;
    h->flags = flags;
    h->port = c->port;
    h->tgid = c->told_tgid;
    h->seq = c->seq++;
    h->conn = c->cookie;
    h->time = now;
}

/* The name of the process: that of its first thread, others are often named after what they do. */
static __always_inline void comm_of(struct task_struct *task, char *comm)
{
    struct task_struct *leader = task->group_leader;
    for (int i = 0; i < SJ_COMM_LEN; i++)
        comm[i] = leader->comm[i];
}

static __always_inline long ring_put(const void *rec, __u64 len)
{
    __u32 cpu = bpf_get_smp_processor_id();
    void *ring = bpf_map_lookup_elem(&rings, &cpu);
    if (!ring)
        return -1;
    return bpf_ringbuf_output(ring, (void *)rec, len, BPF_RB_NO_WAKEUP);
}

static __always_inline void emit_tail(struct sj_counters *k, struct conn *c, __u8 type, __u16 flags, __u64 now)
{
    struct sj_rec_tail tail = {};
    fill_head(&tail.h, c, type, flags, now);
    tail.last = c->last;
    tail.bytes_answer = c->bytes_answer;
    tail.bytes_ask = c->bytes_ask;
    if (ring_put(&tail, sizeof(tail)))
        k->lost_conn++;
}

static __always_inline void emit_cut(struct sj_counters *k, struct conn *c, __u32 reason, __u64 now)
{
    struct sj_rec_cut cut = {};
    fill_head(&cut.h, c, SJ_REC_CUT, c->rec_flags, now);
    cut.start = c->t0;
    cut.bytes_ask = c->bytes_ask;
    cut.reason = reason;
    k->cut[c->role & (SJ_ROLE_SLOTS - 1)]++;
    ring_put(&cut, sizeof(cut));
}

/* Adds to one cell of the overflow histogram; amounts may be negative: a count moves when its total grows. */
static __always_inline bool overflow_add(const struct sj_overflow_key *key, const struct sj_overflow_value *by)
{
    struct sj_overflow_value *v = bpf_map_lookup_elem(&overflow, key);
    if (!v) {
        if (!bpf_map_update_elem(&overflow, key, by, BPF_NOEXIST))
            return true;
        v = bpf_map_lookup_elem(&overflow, key); /* another CPU was first */
        if (!v)
            return false;
    }
    v->count += by->count;
    v->total_ns += by->total_ns;
    for (int i = 0; i < SJ_OVERFLOW_STAGES; i++)
        v->stage_ns[i] += by->stage_ns[i];
    v->pipelined += by->pipelined;
    return true;
}

static __always_inline __s16 overflow_bucket(__u64 ns)
{
    if (!ns)
        return SJ_BUCKET_ZERO;
    return (__s16)sj_hist_index(ns);
}

static __always_inline void overflow_key_of(struct sj_overflow_key *key, __u16 port, __u8 role, __u8 hint)
{
    __builtin_memset(key, 0, sizeof(*key));
    comm_of(bpf_get_current_task_btf(), key->comm);
    key->port = port;
    key->role = role;
    key->hint = hint;
}

/*
 * A counted turn's answer went on: its total grows, and its last stage with it. who: port, role and hint from the lowest
 * bit on. Global, so that the verifier walks it once.
 */
__noinline int overflow_grow(__u32 who, __u64 from_ns, __u64 to_ns)
{
    struct sj_overflow_key key;
    struct sj_overflow_value v = {.count = -1};
    overflow_key_of(&key, (__u16)who, (__u8)(who >> 16), (__u8)(who >> 24));
    key.bucket = overflow_bucket(from_ns);
    overflow_add(&key, &v);
    v.count = 1;
    key.bucket = overflow_bucket(to_ns);
    overflow_add(&key, &v);
    v.count = 0;
    v.total_ns = (__s64)(to_ns - from_ns);
    if (key.role == SJ_ROLE_SERVER)
        v.stage_ns[6] = v.total_ns; /* send */
    else
        v.stage_ns[3] = v.total_ns; /* receive */
    key.bucket = SJ_BUCKET_SUMS;
    return overflow_add(&key, &v);
}
