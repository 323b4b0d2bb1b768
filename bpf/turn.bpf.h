/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The turn machine. A turn is asked and answered: on a server socket the ask is received and the answer sent, on a
 * client socket the other way round.
 *
 *   IDLE --ask--> ASKED --answer--> ANSWERING --ask--> ASKED ...
 *
 * A turn is told at its first answer byte, with all stages up to there: at its end it could be too late, since a unix
 * socket dies without a word. If the answer goes on, one more small record (the tail) says where it ended: at the next
 * ask, at the close, or when the flush finds the connection idle.
 */
#include "capture.bpf.h"
#include "clock.bpf.h"

/* The end of an answer that went on after it was told. */
static __always_inline void turn_tail(struct sj_counters *k, struct sj_log *log, struct conn *c, __u16 flags, __u64 now)
{
    c->tail = 0;
    if (c->counted) {
        __u64 total = c->last - c->t0;
        overflow_grow(overflow_who(c), c->counted_ns, total, c->comm[0], c->comm[1]);
        c->counted_ns = total;
        return;
    }
    emit_tail(k, log, c, SJ_REC_TAIL, flags, now);
}

/* ---- the ask ---- */

/* recv has taken bytes: the arrival stamp is used up. Returns it; 0 when there was none. */
static __always_inline __u64 take_arrival(struct event *e, __u64 now)
{
    struct conn *c = e->c;
    __u64 arrival = arrival_taken(c, c->ready, now);
    c->ready = 0;
    c->leftover = 0;
    /* In this order: what arrives from here on stamps itself, what arrived before has not been read. */
    if (has_unread(e->sk, e->tp) && !c->ready) {
        c->ready = c->ready_last ? c->ready_last : now;
        c->leftover = 1;
    }
    return arrival < now ? arrival : now;
}

static __always_inline void clock_at_ask(struct event *e, bool begins, __u64 now)
{
    struct conn *c = e->c;
    struct thread *t;
    if (c->role == SJ_ROLE_CLIENT) {
        t = begins ? thread_of(e->task) : NULL;
        c->parent = t ? t->owner : 0;
        c->parent_turn = t ? t->owner_turn : 0;
        return;
    }
    t = thread_make(e->task, now);
    if (!t) {
        e->k->no_clock++;
        c->clock_id = 0;
        return;
    }
    struct reading r;
    clock_mend(t, e->task, now);
    if (!clock_read(t, now, &r)) {
        now = bpf_ktime_get_ns();
        clock_read(t, now, &r);
        if (begins)
            c->t1 = now;
    }
    if (!begins) {
        owner_take(t, c->cookie, c->t1, r.on);
        return;
    }
    owner_begin(t, c->cookie, now, r.on);
    c->clock = r;
    c->clock_id = t->id;
    c->owner_changes = t->owner_changes;
}

static __always_inline void begin_turn(struct event *e, __u32 word, __u64 arrival, __u64 now, bool leftover)
{
    struct conn *c = e->c;
    __u16 flags = c->old ? SJ_F_FIRST_OF_OLD : 0;
    if (e->receive && !arrival)
        flags |= SJ_F_ARRIVAL_UNSEEN;
    if (leftover)
        flags |= SJ_F_LEFTOVER;
    c->rec_flags = flags;
    c->old = 0;
    c->counted = 0;
    c->t0 = arrival ? arrival : now;
    c->t1 = now;
    c->bytes_ask = e->len;
    c->bytes_answer = 0;
    c->ask_len = 0;
    c->ask_captured = 0;
    c->data_told = 0;
    if (e->tp)
        c->answer_from = c->role == SJ_ROLE_SERVER ? READ(e->tp, write_seq) : READ(e->tp, copied_seq);
    turn_open(c, ((word >> STATE_BITS) + 1) << STATE_BITS | ASKED);
}

/*
 * A client may write in one thread and read in another, which may have the answer before the call that asked is past
 * its own tracepoint. Then the answer begins the turn, and the ask is not told again. What it said is not known.
 */
static __always_inline void ask_overtaken(struct event *e, __u64 stamp)
{
    struct conn *c = e->c;
    if (!e->tp || !c->asked_to || STATE_OF(c->word) == ASKED || (READ(e->sk, sk_shutdown) & SEND_SHUTDOWN))
        return;
    __u32 end = READ(e->tp, write_seq);
    if (end == c->asked_to)
        return;
    struct event ask = {.c = c, .tp = e->tp, .len = end - c->asked_to};
    __u64 now = departure_of_acked(e->tp, end);
    if (now < c->last || now > stamp)
        now = stamp;
    if (c->tail)
        turn_tail(e->k, e->log, c, 0, now);
    c->asked_to = end;
    c->overtaken = 1;
    c->parent = 0;
    begin_turn(&ask, c->word, 0, now, false);
    c->answer_from -= (__u32)e->len; /* it has been read already */
    e->k->opened[SJ_ROLE_CLIENT]++;
}

/* Is this what an overtaking answer has told already? */
static __always_inline bool was_overtaken(struct event *e)
{
    struct conn *c = e->c;
    if (!e->tp)
        return false;
    __u32 end = READ(e->tp, write_seq);
    bool known = c->overtaken && end == c->asked_to;
    c->asked_to = end;
    c->overtaken = 0;
    return known;
}

/* Bytes of an ask: the first ones begin a turn. */
static __always_inline void turn_ask(struct event *e)
{
    struct conn *c = e->c;
    bool leftover = false;
    __u64 arrival = 0, now;
    if (!e->receive && was_overtaken(e))
        return;
    __u32 word = c->word;
    bool begins = STATE_OF(word) != ASKED;
    if (e->receive) {
        now = taken(e->tp);
        leftover = c->leftover;
        arrival = take_arrival(e, now);
    } else {
        now = departure(e->sk, e->tp, c->last);
    }
    if (c->tail)
        turn_tail(e->k, e->log, c, 0, now);
    if (begins) {
        begin_turn(e, word, arrival, now, leftover);
        e->k->opened[c->role & (SJ_ROLE_SLOTS - 1)]++;
    } else {
        c->bytes_ask += e->len;
        if (!e->receive)
            c->t1 = now;
    }
    if (cfg_clock)
        clock_at_ask(e, begins, now);
    if (cfg_payload)
        capture_ask(e, begins);
}

/* ---- the answer ---- */

/*
 * The stages of a server's turn up to its answer at *at. The clock may have forgotten that moment, when the thread was
 * switched more than once since: then the answer is taken to be now.
 */
static __always_inline void clock_at_answer(struct event *e, __u64 *at)
{
    struct conn *c = e->c;
    struct sj_rec_turn *turn = e->turn;
    struct sj_waits *w = e->payload;
    if (!c->clock_id)
        return;
    struct thread *t = thread_of(e->task);
    if (!t || t->id != c->clock_id) {
        turn->h.flags |= SJ_F_HANDOFF | SJ_F_STAGES;
        return;
    }
    struct reading r;
    clock_mend(t, e->task, *at);
    if (!clock_read(t, *at, &r)) {
        *at = bpf_ktime_get_ns();
        clock_read(t, *at, &r);
    }
    bool interleaved;
    __u64 ran = r.on - c->clock.on;
    __u64 own = owner_answer(t, c->cookie, c->t1, r.on, c->clock.on, c->owner_changes, &interleaved);
    __u64 runq = r.runq - c->clock.runq, blocked[SJ_CAUSE_MAX_], waited = runq | (ran - own);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++) {
        blocked[i] = r.blocked[i] - c->clock.blocked[i];
        waited |= blocked[i];
    }
    turn->oncpu = own;
    turn->h.flags |= SJ_F_STAGES;
    if (interleaved)
        turn->h.flags |= SJ_F_INTERLEAVED;
    if (waited) {
        turn->h.flags |= SJ_F_SWITCHED;
        w->busy = ran - own;
        w->runq = runq;
        for (int i = 0; i < SJ_CAUSE_MAX_; i++)
            w->blocked[i] = blocked[i];
    }
    c->clock = r; /* a pipelined answer goes on from here */
    c->owner_changes = t->owner_changes;
}

/*
 * Counts the turn whose record was put together behind the full log. Returns whether it could. Global, so that the
 * verifier walks it once.
 */
__noinline int count_turn(__u32 who, __u32 pipelined, __u64 total, __u64 name0, __u64 name1)
{
    struct sj_log *log = my_log();
    struct sj_overflow_key key;
    struct sj_overflow_value *v;
    if (!log)
        return 0;
    const struct sj_rec_turn *r = (void *)log + SJ_LOG_HEAD + cfg_log_size + SJ_LOG_SLACK + sizeof(struct sj_log_entry);
    const struct sj_waits *w = (const void *)(r + 1);
    overflow_key_of(&key, who, name0, name1);
    key.bucket = SJ_BUCKET_SUMS;
    v = overflow_cell(&key);
    if (!v)
        return 0;
    v->count++;
    v->total_ns += (__s64)total;
    v->pipelined += pipelined;
    if (key.role == SJ_ROLE_SERVER) {
        __u64 begin = r->t[3] > r->t[1] ? r->t[3] : r->t[1];
        v->stage_ns[0] += (__s64)(begin - r->t[0]);
        v->stage_ns[1] += (__s64)r->oncpu;
        if (r->h.flags & SJ_F_SWITCHED) {
            v->stage_ns[2] += (__s64)w->busy;
            v->stage_ns[3] += (__s64)w->runq;
            for (int i = 0; i < SJ_CAUSE_MAX_; i++)
                v->stage_ns[4] += (__s64)w->blocked[i];
        }
        if (r->h.flags & SJ_F_HANDOFF)
            v->stage_ns[5] += (__s64)(r->t[2] - begin);
    } else {
        v->stage_ns[0] += (__s64)(r->t[1] - r->t[0]);
        v->stage_ns[1] += (__s64)(r->t[2] - r->t[1]);
        v->stage_ns[2] += (__s64)(r->t[3] - r->t[2]);
    }
    key.bucket = overflow_bucket(total);
    v = overflow_cell(&key);
    if (!v)
        return 0;
    v->count++;
    return 1;
}

/* Completes the record with what follows it, and tells or counts the turn. b: where the answer is, when `look`. */
static __always_inline void tell_turn(struct event *e, const struct user_buffer *b, bool look)
{
    struct conn *c = e->c;
    struct sj_rec_turn *r = e->turn;
    __u64 at = r->h.flags & SJ_F_SWITCHED ? sizeof(struct sj_waits) : 0;
    if (!e->room) {
        __u64 total = c->last - r->t[0];
        if (!count_turn(overflow_who(c), c->pipelined, total, c->comm[0], c->comm[1])) {
            e->k->lost++;
            return;
        }
        e->k->counted_only++;
        c->counted = 1;
        c->counted_ns = total;
        return;
    }
    if (r->ask_captured) {
        copy_words(e->payload + at, c->ask, SJ_ASK_INLINE / 2);
        if (r->ask_captured > SJ_ASK_INLINE / 2)
            copy_words(e->payload + at + SJ_ASK_INLINE / 2, c->ask + SJ_ASK_INLINE / 2, SJ_ASK_INLINE / 2);
        at += r->ask_captured & 0xff;
    }
    if (cfg_payload && look) {
        __u32 n = capture_answer(e, b, at);
        r->answer_captured = (__u16)n;
        at += n;
    }
    log_publish(e->log, e->entry, (sizeof(*r) + at) & 0x1fff);
}

/* What a turn's record says of its ask: read before the turn is claimed, as then the next one may overwrite it. */
struct asked {
    __u64 t0, t1, bytes;
    __u32 len;
    __u16 captured, flags;
};

/*
 * What the record says must hold in itself, also where another thread was just writing what it was read from: the next
 * turn's times beside this one's, or one of the two lengths.
 */
static __always_inline void fill_turn(struct event *e, struct asked *a, __u64 stamp, __u64 readable)
{
    __u64 latest = e->receive ? readable : stamp;
    if (a->t1 > latest)
        a->t1 = latest;
    if (a->t0 > a->t1)
        a->t0 = a->t1;
    if (a->captured > a->len)
        a->captured = 0;
    e->place = log_place(e->log, &e->room);
    e->entry = (void *)e->log + e->place;
    e->turn = (void *)(e->entry + 1);
    e->payload = e->turn + 1;
    struct sj_rec_turn *r = e->turn;
    r->h.flags = a->flags;
    r->t[0] = a->t0;
    r->t[1] = a->t1;
    r->t[2] = e->receive ? readable : stamp;
    r->t[3] = e->receive ? stamp : 0;
    r->oncpu = 0;
    r->bytes_ask = a->bytes;
    r->tid = current_tid(e->task);
    r->ask_len = a->len;
    r->answer_len = (__u32)e->len;
    r->ask_captured = a->captured;
    r->answer_captured = 0;
}

/* The thread that asked downstream for a turn's sake got the reply: it works for that turn again. */
static __always_inline void clock_at_reply(struct event *e)
{
    if (!e->c->parent)
        return;
    struct thread *t = thread_of(e->task);
    if (!t)
        return;
    __u64 now = bpf_ktime_get_ns();
    clock_mend(t, e->task, now);
    owner_take(t, e->c->parent, e->c->parent_turn, t->sum.on + (now - t->in));
}

/*
 * Makes the record of this answer, if it is one to tell: the first of its turn, or the next of a pipeline
 * (`further`). Returns whether it is.
 */
static __always_inline bool take_turn(struct event *e, __u32 word, __u64 stamp, __u64 readable, bool further)
{
    struct conn *c = e->c;
    struct asked ask = {.t0 = c->t0,
                        .t1 = c->t1,
                        .bytes = c->bytes_ask,
                        .len = c->ask_len,
                        .captured = c->ask_captured,
                        .flags = c->rec_flags};
    if (STATE_OF(word) == ASKED) {
        if (readable < ask.t1)
            readable = readable ? ask.t1 : stamp;
        bool mine = turn_claim(c, word, (word & ~ASKED) | ANSWERING);
        c->answer_from += (__u32)e->len; /* only now: see answer_moves */
        if (!mine)
            return false; /* another thread has told it, or given it up */
        fill_turn(e, &ask, stamp, readable);
        c->bytes_answer = e->len;
        c->last = stamp;
        e->k->answered[c->role & (SJ_ROLE_SLOTS - 1)]++;
        return true;
    }
    __u64 before = c->last;
    c->last = stamp;
    c->answer_from += (__u32)e->len;
    if (STATE_OF(word) != ANSWERING) {
        /* nothing was asked: the rest of an answer from before the measurement, or a server that speaks first */
        if (c->old) {
            c->t0 = stamp;
            c->bytes_ask = 0;
            emit_cut(e->k, c, SJ_CUT_START_UNSEEN, stamp);
        }
        c->old = 0;
        return false;
    }
    if (!further) {
        c->bytes_answer += e->len;
        if (!c->tail) {
            c->tail = 1;
            e->k->tails++;
        }
        if (!c->port || c->ending) /* a unix socket, or one that is closed: nothing else may be heard of it */
            turn_tail(e->k, e->log, c, 0, stamp);
        return false;
    }
    c->pipelined = 1;
    c->counted = 0;
    ask.len = ask.captured = 0; /* told with the first answer */
    if (readable <= before)
        readable = stamp;
    fill_turn(e, &ask, stamp, readable);
    e->turn->h.flags |= SJ_F_CONTINUED;
    if (!e->receive)
        e->turn->t[3] = before;
    c->bytes_answer = e->len;
    return true;
}

/* Bytes of an answer: the first ones tell the turn, later ones move its end. */
static __always_inline void turn_answer(struct event *e)
{
    struct conn *c = e->c;
    __u64 stamp, readable = 0;
    bool look = false, further = false;
    struct user_buffer b = {};
    if (e->receive) {
        stamp = taken(e->tp);
        readable = take_arrival(e, stamp);
        ask_overtaken(e, stamp);
        if (cfg_clock)
            clock_at_reply(e);
    } else {
        stamp = departure(e->sk, e->tp, c->t1);
    }
    __u32 word = c->word;
    if (cfg_payload && e->len && STATE_OF(word) != IDLE && c->hint < SJ_HINT_OTHER)
        look = buffer_of_call(e->task, e->receive, &b);
    if (look && STATE_OF(word) == ANSWERING && c->hint == SJ_HINT_HTTP)
        further = asks[c->cookie & (ASKS - 1)] || begins_http_answer(&b);
    if (further && c->tail)
        turn_tail(e->k, e->log, c, 0, stamp);
    if (!take_turn(e, word, stamp, readable, further))
        return;
    if (cfg_clock && !e->receive) {
        clock_at_answer(e, &stamp);
        e->turn->t[2] = stamp;
        c->last = stamp;
    }
    fill_head(&e->turn->h, c, word, current_tgid(e->task), SJ_REC_TURN, e->turn->h.flags, stamp);
    tell_turn(e, &b, look);
}

/*
 * Is an ask that nobody answered no request at all: a part of a TLS handshake, or the notice that the connection
 * closes? (In TLS 1.3 that is encrypted, and of a length that nothing else has.)
 */
static __always_inline bool is_tls_farewell(const struct conn *c)
{
    if (c->hint != SJ_HINT_TLS)
        return false;
    return c->ask[0] != 0x17 || c->bytes_ask == 24;
}

/* The turn will not be answered any more, or its answer is over. Any context. */
static __always_inline void turn_finish(struct sj_counters *k, struct conn *c, __u32 reason, __u16 flags, __u64 now)
{
    __u32 word = c->word;
    if (STATE_OF(word) == ASKED) {
        if (!turn_claim(c, word, word & ~ASKED))
            return;
        if (is_tls_farewell(c))
            k->answered[c->role & (SJ_ROLE_SLOTS - 1)]++; /* nothing is owed */
        else
            emit_cut(k, c, reason, now);
    } else if (STATE_OF(word) == ANSWERING && (c->tail || flags)) {
        turn_tail(k, NULL, c, flags, now);
    }
}
