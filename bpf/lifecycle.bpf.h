/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* From the first event of a socket to its last one: what each means for its turns. */
#include "turn.bpf.h"

/* See turn_finish. Global, so that the verifier walks it once and not behind each of its callers' many paths. */
__noinline int conn_give_up(conn_ref ref, __u32 reason, __u32 flags)
{
    struct conn *c = conn_take(ref);
    struct sj_counters *k = my_counters();
    if (c && k)
        turn_finish(k, c, reason, (__u16)flags, bpf_ktime_get_ns());
    return 0;
}

/* The end of a connection, when all that it had to say was heard: what it owes is given up, and user space forgets it.
 */
__noinline int conn_end(conn_ref ref, __u32 reason, __u32 flags)
{
    struct conn *c = conn_take(ref);
    struct sj_counters *k = my_counters();
    if (!c || !k)
        return 0;
    __u64 now = bpf_ktime_get_ns();
    if (STATE_OF(c->word) != ANSWERING)
        flags = 0;
    c->ending = 0;
    turn_finish(k, c, reason, (__u16)flags, now);
    if (c->told_tgid)
        emit_tail(k, NULL, c, SJ_REC_CLOSE, (__u16)flags, now);
    c->word &= ~(__u32)((1 << STATE_BITS) - 1);
    return 0;
}

/* A socket is connected a second time: nothing of what it was holds any more. */
static __always_inline void conn_anew(struct conn *c)
{
    conn_end(conn_pass(c), SJ_CUT_CLOSED, 0);
    c->closed = 0;
    c->told_tgid = 0;
    c->role = 0;
    c->hint = 0;
    c->ready = 0;
    c->leftover = 0;
    c->old = 0;
    c->tail = 0;
    c->pipelined = 0;
    c->overtaken = 0;
}

/* A handshake is over: the state before tells who opened. */
static __always_inline void conn_established(struct sj_counters *k, struct sock *sk, int oldstate)
{
    struct conn *c = conn_make(k, sk, false);
    if (!c)
        return;
    if (c->closed)
        conn_anew(c);
    if (!c->role)
        conn_set_role(sk, c, oldstate == SYN_SENT ? SJ_ROLE_CLIENT : SJ_ROLE_SERVER);
    struct tcp_sock *tp = tcp_of(sk);
    if (tp)
        c->asked_to = READ(tp, write_seq);
    /* with fast open the ask came with the handshake, and nothing said so */
    if (tp && !c->ready && has_unread(sk, tp))
        c->ready = c->ready_last = bpf_ktime_get_ns();
    else
        arrival_awaited(c);
}

/*
 * Does a part of the answer move that no event has told of? A client may have it before it, unread. And a call lets go
 * of the socket a moment before its own tracepoint: it may be held up between the two for as long as the other side
 * needs to read the answer and to reset. A FIN takes a sequence number but is no part.
 */
static __always_inline bool answer_moves(struct sock *sk, struct conn *c, struct tcp_sock *tp)
{
    bool server = c->role == SJ_ROLE_SERVER;
    if (STATE_OF(c->word) == IDLE)
        return false;
    if (!tp)
        return !server && has_unread(sk, tp);
    __s32 moved = (__s32)((server ? READ(tp, write_seq) : READ(tp, rcv_nxt)) - c->answer_from);
    return moved > ((READ(sk, sk_shutdown) & (server ? SEND_SHUTDOWN : RCV_SHUTDOWN)) ? 1 : 0);
}

/* Has the other side not acknowledged all that this one has answered? */
static __always_inline bool answer_in_flight(struct tcp_sock *tp, int state)
{
    bool own_fin = state == FIN_WAIT1 || state == CLOSING || state == LAST_ACK;
    return tp && READ(tp, write_seq) - READ(tp, snd_una) > (own_fin ? 1 : 0);
}

/*
 * A connection goes away. A half-closed peer still gets its answer, so only a full close by this side, or the end of
 * the socket, ends a turn. What comes from the other side while a call holds the socket is worked off inside that call,
 * before the call's own tracepoint: then the end waits for it. So it does while a part of the answer moves: a client
 * that half-closed may go straight to TIME_WAIT with all of it unread. (Who closes with unread data has no more of a
 * turn: the socket dies with that.)
 */
static __always_inline void conn_leaves(struct sock *sk, int oldstate, int newstate)
{
    struct conn *c = conn_of(sk);
    if (!c)
        return;
    struct tcp_sock *tp = tcp_of(sk);
    bool closed_here = (READ(sk, sk_shutdown) & SHUTDOWN_MASK) == SHUTDOWN_MASK;
    bool moves = tp && answer_moves(sk, c, tp); /* who is no TCP does not tell of its death */
    if ((newstate == FIN_WAIT1 || newstate == LAST_ACK) && closed_here && !moves) {
        conn_give_up(conn_pass(c), SJ_CUT_CLOSED, 0);
        return;
    }
    if (newstate != CLOSED)
        return;
    c->closed = 1;
    __u16 flags = 0;
    bool reset = READ(sk, sk_err) != 0;
    /* the server's answer is whole when all of it was acknowledged; the client sees for itself */
    if (reset && (c->role != SJ_ROLE_SERVER || answer_in_flight(tp, oldstate)))
        flags = SJ_F_RESET;
    __u32 reason = reset ? SJ_CUT_RESET : SJ_CUT_CLOSED;
    if (moves || (!closed_here && READ(sk, sk_lock.owned))) {
        c->ending = (__u8)reason;
        c->end_flags = flags != 0;
        return;
    }
    conn_end(conn_pass(c), reason, flags);
}

/* A TCP socket dies: what was left for a call that never came is said now. */
static __always_inline void conn_dies(struct sock *sk)
{
    struct sj_counters *k = my_counters();
    struct conn *c = conn_of(sk);
    if (!k || !c)
        return;
    __u64 started = cost_begin(k);
    if (c->ending)
        conn_end(conn_pass(c), c->ending, c->end_flags ? SJ_F_RESET : 0);
    else
        conn_give_up(conn_pass(c), SJ_CUT_CLOSED, 0);
    conn_forget(sk, c);
    cost_end(k, started);
}

/*
 * A TCP socket has no state although the walks over the old ones are done: its handshake was over while the same
 * program was running on this CPU, so that it was skipped. (Or it lay in an accept queue where no walk comes.) Is what
 * is seen now its beginning: all that ever came is still unread or was just taken, and came since then?
 */
static __always_inline bool conn_fresh(struct tcp_sock *tp, __u32 taken)
{
    return old_pass == OLD_DONE && tp && !READ(tp, bytes_sent) &&
           (__u32)READ(tp, bytes_received) - taken <= READ(tp, rcv_nxt) - READ(tp, copied_seq) &&
           (__s32)(READ(tp, inet_conn.icsk_ack.lrcvtime) - old_jiffies) > 0;
}

static __always_inline struct conn *conn_missed(struct sj_counters *k, struct sock *sk)
{
    if (!conn_fresh(tcp_of(sk), 0))
        return NULL;
    struct conn *c = conn_make(k, sk, false);
    if (c && !c->role)
        conn_find_role(sk, c);
    return c;
}

/* A TCP socket changes its state. */
static __always_inline void conn_state(struct sock *sk, int oldstate, int newstate)
{
    struct sj_counters *k = my_counters();
    if (!k || READ(sk, sk_type) != SOCK_STREAM)
        return;
    if (newstate == LISTENING || oldstate == LISTENING) {
        struct listener key;
        __u8 one = 1;
        if (!listener_key(sk, &key))
            return;
        if (newstate == LISTENING)
            bpf_map_update_elem(&listeners, &key, &one, BPF_ANY);
        else if (newstate == CLOSED)
            bpf_map_delete_elem(&listeners, &key);
        return;
    }
    /* a socket that goes away has lost its port already: whether it is wanted shows in its having a state */
    if (newstate == EST && !sock_wanted(sk))
        return;
    __u64 started = cost_begin(k);
    if (newstate == EST)
        conn_established(k, sk, oldstate);
    else
        conn_leaves(sk, oldstate, newstate);
    cost_end(k, started);
}

/* Data has become readable. */
static __always_inline void conn_arrived(struct conn *c, __u64 now)
{
    if (!conn_wanted(c))
        return; /* before its line of the cache is taken from the CPU that uses it */
    c->ready_last = now;
    if (!c->ready)
        c->ready = now;
}

/* The state of a socket on which no handshake was seen: a unix socket, or MPTCP, whose segments run on other sockets.
 */
static __always_inline struct conn *conn_unannounced(struct sj_counters *k, struct sock *sk)
{
    struct conn *c = conn_make(k, sk, false);
    if (c && !c->role && !c->symmetric)
        conn_find_role(sk, c);
    return c;
}

/* What a call that moved nothing says of the turn: nothing, while an answer may still be read or told. */
static __always_inline void conn_failed(struct event *e, int ret)
{
    struct conn *c = e->c;
    if (answer_moves(e->sk, c, e->tp))
        return;
    if (ret == 0) {
        /* end of file: what a client waits for will not come; who serves may still answer a half-closed peer */
        if (e->receive && c->role == SJ_ROLE_CLIENT && (READ(e->sk, sk_shutdown) & RCV_SHUTDOWN)) {
            if (is_unix(e->sk))
                conn_end(conn_pass(c), SJ_CUT_PEER_GONE, 0);
            else
                conn_give_up(conn_pass(c), SJ_CUT_PEER_GONE, 0);
        }
        return;
    }
    if (ret == -EPIPE || ret == -ECONNRESET)
        conn_give_up(conn_pass(c), ret == -EPIPE ? SJ_CUT_PEER_GONE : SJ_CUT_RESET, SJ_F_RESET);
}

/* A server's answer could not be sent, since nobody was there to take it. It was served: a request, and an error. */
static __always_inline bool answer_unheard(const struct event *e, int ret)
{
    return (ret == -EPIPE || ret == -ECONNRESET) && !e->receive && e->c->role == SJ_ROLE_SERVER &&
           STATE_OF(e->c->word) == ASKED && !answer_moves(e->sk, e->c, e->tp);
}

static __always_inline void conn_role_by_event(struct sock *sk, struct conn *c, bool receive)
{
    if (!c->symmetric)
        conn_find_role(sk, c);
    if (!c->role)
        conn_set_role(sk, c, receive ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT);
}

/* A send or a recv has returned. c: the socket's state, NULL when it has none. */
static __always_inline void conn_moved(struct sj_counters *k, struct sock *sk, struct conn *c, int ret, bool receive)
{
    struct event e = {.k = k, .sk = sk, .c = c, .receive = receive};
    if (!e.c) {
        __u8 state = READ(sk, __sk_common.skc_state);
        /* MPTCP lets a reader take what has arrived before it tells of it */
        bool opening = state == SYN_RECV || state == SYN_SENT || is_unix(sk) ||
                       (old_pass == OLD_DONE && READ(sk, sk_protocol) != IPPROTO_TCP) ||
                       (receive && conn_fresh(tcp_of(sk), (__u32)ret));
        if (ret <= 0 || sock_is_over(sk))
            return;
        e.c = conn_make(k, sk, !opening);
        if (!e.c)
            return;
    }
    if (!e.c->role)
        conn_role_by_event(sk, e.c, receive);
    e.task = current_task();
    if (!conn_wanted(e.c) || !task_wanted(e.task))
        return;
    e.log = my_log();
    if (!e.log)
        return;
    e.tp = tcp_of(sk);
    bool unheard = answer_unheard(&e, ret);
    if (unheard) {
        e.c->rec_flags |= SJ_F_RESET;
        e.tp = NULL; /* nothing has left that could tell when */
    }
    if (ret <= 0 && !unheard) {
        conn_failed(&e, ret);
    } else {
        e.len = unheard ? 0 : (__u64)(__u32)ret;
        if (!unheard && e.c->told_tgid != current_tgid(e.task))
            announce(conn_pass(e.c));
        if (receive && e.tp && (READ(sk, sk_shutdown) & SEND_SHUTDOWN) && e.c->role == SJ_ROLE_SERVER)
            take_arrival(&e, 0); /* it cannot be answered: what a server drains before it closes is no ask */
        else if ((e.c->role == SJ_ROLE_SERVER) == receive)
            turn_ask(&e);
        else
            turn_answer(&e);
    }
    if (e.c->ending && !answer_moves(sk, e.c, e.tp))
        conn_end(conn_pass(e.c), e.c->ending, e.c->end_flags ? SJ_F_RESET : 0);
}

static __always_inline void conn_old(struct sock *sk)
{
    __u8 state = READ(sk, __sk_common.skc_state);
    struct sj_counters *k = my_counters();
    if (!k || READ(sk, sk_type) != SOCK_STREAM)
        return;
    if (old_pass == 1) {
        struct listener key;
        __u8 one = 1;
        if (state == LISTENING && !is_unix(sk) && listener_key(sk, &key))
            bpf_map_update_elem(&listeners, &key, &one, BPF_ANY);
        return;
    }
    old_jiffies = (__u32)bpf_jiffies64();
    if (!sock_wanted(sk) || (state != EST && state != CLOSE_WAIT && state != FIN_WAIT1 && state != FIN_WAIT2))
        return;
    struct conn *c = conn_make(k, sk, true);
    if (c && !c->role && !c->symmetric)
        conn_find_role(sk, c);
}

/* Only connections that were used have a name to be counted under. */
static __always_inline void gauge_count(const struct conn *c)
{
    struct sj_gauge_key key = {.port = c->port, .role = c->role};
    struct sj_gauge one = {.pass = flush_pass, .connections = 1, .in_flight = STATE_OF(c->word) == ASKED};
    if (c->closed || !c->role)
        return;
    __sync_fetch_and_add(&connections[c->role & (SJ_ROLE_SLOTS - 1)], 1);
    if (!c->comm[0])
        return;
    ((__u64 *)key.comm)[0] = c->comm[0];
    ((__u64 *)key.comm)[1] = c->comm[1];
    struct sj_gauge *g = bpf_map_lookup_elem(&gauges, &key);
    if (!g || g->pass != flush_pass) {
        bpf_map_update_elem(&gauges, &key, &one, BPF_ANY);
        return;
    }
    g->connections++;
    g->in_flight += one.in_flight;
}

static __always_inline void conn_flush(struct sj_counters *k, struct sock *sk)
{
    struct conn *c = conn_of(sk);
    if (!c || c->flush_pass == flush_pass)
        return;
    c->flush_pass = flush_pass;
    if (gauge_wanted)
        gauge_count(c);
    if (STATE_OF(c->word) == ASKED)
        __sync_fetch_and_add(&open_turns[c->role & (SJ_ROLE_SLOTS - 1)], 1);
    if (STATE_OF(c->word) != ANSWERING || !c->tail)
        return;
    __u64 now = bpf_ktime_get_ns();
    if (now < c->last || now - c->last < flush_idle_ns) {
        __sync_fetch_and_add(&tails_left, 1);
        return;
    }
    turn_tail(k, NULL, c, 0, now);
}
