/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* From the first event of a socket to its last one: what each means for its turns. */
#include "turn.bpf.h"

/* A handshake is over: the state before tells who opened. */
static __always_inline void conn_established(struct sj_counters *k, struct sock *sk, int oldstate)
{
    struct conn *c = conn_make(k, sk, false);
    if (!c)
        return;
    if (!c->role)
        conn_set_role(sk, c, oldstate == SYN_SENT ? SJ_ROLE_CLIENT : SJ_ROLE_SERVER);
    /* with fast open the ask came with the handshake, and nothing said so */
    struct tcp_sock *tp = tcp_of(sk);
    if (tp && !c->ready && has_unread(sk, tp))
        c->ready = c->ready_last = bpf_ktime_get_ns();
}

/*
 * A connection goes away. A half-closed peer still gets its answer, so only a full close by this side, or the end of the
 * socket, ends a turn; a client whose server has said its last byte waits in vain.
 */
static __always_inline void conn_leaves(struct sj_counters *k, struct sock *sk, int oldstate, int newstate)
{
    struct conn *c = conn_of(sk);
    if (!c)
        return;
    struct tcp_sock *tp = tcp_of(sk);
    bool closed_here = (sk->sk_shutdown & SHUTDOWN_MASK) == SHUTDOWN_MASK;
    __u64 now = bpf_ktime_get_ns();
    if ((newstate == FIN_WAIT1 || newstate == LAST_ACK) && closed_here) {
        turn_finish(k, c, SJ_CUT_CLOSED, 0, now);
    } else if (newstate == CLOSE_WAIT) {
        if (c->role == SJ_ROLE_CLIENT && !has_unread(sk, tp))
            turn_finish(k, c, SJ_CUT_PEER_GONE, 0, now);
    } else if (newstate == CLOSED) {
        __u16 flags = 0;
        bool reset = sk->sk_err != 0;
        if (STATE_OF(c->word) == ANSWERING && reset) {
            /* the server's answer is whole when all of it was acknowledged; the client sees for itself */
            if (c->role != SJ_ROLE_SERVER || (tp && tp->write_seq != tp->snd_una))
                flags = SJ_F_RESET;
        }
        turn_finish(k, c, reset ? SJ_CUT_RESET : SJ_CUT_CLOSED, flags, now);
        if (c->told_tgid)
            emit_tail(k, NULL, c, SJ_REC_CLOSE, flags, now);
        c->word &= ~(__u32)((1 << STATE_BITS) - 1);
    }
}

/*
 * Data has become readable. TCP has just read the clock for the segment. Listeners and the other side's FIN make the same
 * noise without data; a unix socket makes it sometimes only after its data has been read.
 */
static __always_inline void conn_arrival(struct sj_counters *k, struct sock *sk)
{
    __u8 state = sk->__sk_common.skc_state;
    struct conn *c;
    __u64 now;
    if (state == LISTENING)
        return;
    if (is_unix(sk)) {
        if (!sk->sk_receive_queue.qlen)
            return;
        c = conn_make(k, sk, false);
        if (!c)
            return;
        if (!c->role && !c->symmetric)
            conn_find_role(sk, c);
        now = bpf_ktime_get_ns();
    } else {
        c = conn_of(sk);
        if (!c)
            return;
        struct tcp_sock *tp = tcp_of(sk);
        if (state != EST && !has_unread(sk, tp))
            return;
        now = tp ? tp->tcp_clock_cache : 0;
        if (!now)
            now = bpf_ktime_get_ns();
    }
    c->ready_last = now;
    if (!c->ready)
        c->ready = now;
}

static __always_inline void conn_failed(struct event *e, int ret)
{
    struct conn *c = e->c;
    if (ret == 0) {
        /* end of file on a unix socket, which has no states: a client's answer will not come */
        if (e->receive && is_unix(e->sk) && c->role == SJ_ROLE_CLIENT && STATE_OF(c->word) == ASKED &&
            (e->sk->sk_shutdown & RCV_SHUTDOWN))
            turn_finish(e->k, c, SJ_CUT_PEER_GONE, 0, bpf_ktime_get_ns());
        return;
    }
    if (ret == -EPIPE || ret == -ECONNRESET)
        turn_finish(e->k, c, ret == -EPIPE ? SJ_CUT_PEER_GONE : SJ_CUT_RESET, SJ_F_RESET, bpf_ktime_get_ns());
}

/* A send or a recv has returned. */
static __always_inline void conn_moved(struct sj_counters *k, struct sock *sk, int ret, bool receive)
{
    struct event e = {.k = k, .sk = sk, .receive = receive};
    e.c = conn_of(sk);
    if (ret <= 0) {
        if (e.c)
            conn_failed(&e, ret);
        return;
    }
    if (!e.c) {
        __u8 state = sk->__sk_common.skc_state;
        bool opening = state == SYN_RECV || state == SYN_SENT || is_unix(sk);
        e.c = conn_make(k, sk, !opening);
        if (!e.c)
            return;
    }
    if (!e.c->role) {
        if (e.c->symmetric)
            conn_set_role(sk, e.c, receive ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT);
        else
            conn_find_role(sk, e.c);
        if (!e.c->role)
            conn_set_role(sk, e.c, receive ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT);
    }
    e.task = bpf_get_current_task_btf();
    if (!conn_wanted(e.c) || !task_wanted(e.task))
        return;
    e.log = my_log();
    if (!e.log)
        return;
    if (e.c->told_tgid != (__u32)e.task->tgid)
        announce(e.task, sk, e.c, e.log);
    e.tp = tcp_of(sk);
    e.len = (__u64)(__u32)ret;
    if ((e.c->role == SJ_ROLE_SERVER) == receive)
        turn_ask(&e);
    else
        turn_answer(&e);
}

static __always_inline void conn_old(struct sock *sk)
{
    __u8 state = sk->__sk_common.skc_state;
    struct sj_counters *k = my_counters();
    if (!k || sk->sk_type != SOCK_STREAM)
        return;
    if (old_pass == 1) {
        struct listener key;
        __u8 one = 1;
        if (state == LISTENING && !is_unix(sk) && listener_key(sk, &key))
            bpf_map_update_elem(&listeners, &key, &one, BPF_ANY);
        return;
    }
    if (!sock_wanted(sk) || (state != EST && state != CLOSE_WAIT && state != FIN_WAIT1 && state != FIN_WAIT2))
        return;
    struct conn *c = conn_make(k, sk, true);
    if (c && !c->role && !c->symmetric)
        conn_find_role(sk, c);
}

static __always_inline void conn_flush(struct sj_counters *k, struct sock *sk)
{
    struct conn *c = conn_of(sk);
    if (!c)
        return;
    if (STATE_OF(c->word) == ASKED)
        __sync_fetch_and_add(&open_turns[c->role & (SJ_ROLE_SLOTS - 1)], 1);
    if (STATE_OF(c->word) != ANSWERING || !c->tail)
        return;
    __u64 now = bpf_ktime_get_ns();
    if (now < c->last || now - c->last < flush_idle_ns)
        return;
    turn_tail(k, NULL, c, 0, now);
}
