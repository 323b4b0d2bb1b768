/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The thread clock: where the time of a request-handling thread goes (running, waiting for a CPU, asleep and why), and
 * to which request its CPU time belongs.
 *
 * Where a thread serves one request at a time all of it is that request's, exactly. Where it serves several (an event
 * loop), CPU time belongs to the socket that it last received on or sent to; after a sleep in epoll and its like, to
 * whichever request it turns to next. The CPU time of a turn that the thread leaves for another is kept in `accounts`.
 *
 * Not every switch is told: where a kernel runs no tracing program for some task (seen in a guest whose host has the
 * say over its first process), nobody learns who comes after it. The clock notices that a thread runs although it has
 * left, and closes the gap with the kernel's own account of waits, so that its sums stay exact.
 */
#include "state.bpf.h"
#include "syscalls.bpf.h"

static __always_inline struct thread *thread_make(struct task_struct *task, __u64 now)
{
    struct thread *t = thread_of(task);
    if (t)
        return t;
    t = thread_new(task);
    if (t && !t->id) {
        t->id = now;
        t->in = now;
        t->prev_in = now;
        t->out = now;
        t->running = 1;
    }
    return t;
}

static __always_inline void clock_switch_in(struct thread *t, __u64 now)
{
    if (t->running) { /* that it left was not told: it counts as running until now */
        t->sum.on += now - t->in;
        t->out = now;
        t->wake = now;
    }
    __u64 wake = t->wake;
    if (!wake || wake > now)
        wake = now;
    if (wake < t->out)
        wake = t->out;
    __u32 cause = t->cause;
    __u64 sleep = wake - t->out, runq = now - wake;
    if (cause < SJ_CAUSE_MAX_)
        t->sum.blocked[cause] += sleep;
    t->sum.runq += runq;
    t->last_sleep = sleep;
    t->last_runq = runq;
    t->prev_in = t->in;
    t->in = now;
    t->running = 1;
    t->acted = 0;
}

static __always_inline __u64 run_delay_of(struct task_struct *task)
{
    return bpf_core_field_exists(task->sched_info.run_delay) ? READ(task, sched_info.run_delay) : 0;
}

#define SIGNAL_WAKES_NS 1000000

/*
 * A process that waits for events and is woken by a signal waited for a lock of the application's own making: so
 * PostgreSQL waits for a row. A signal is told only after it has woken its receiver, who may run by then: so the sleep
 * before is put right when the thread first acts, or leaves: not later, for then somebody has read the sums. Only its
 * own CPU changes them.
 */
static __always_inline void clock_settle(struct thread *t)
{
    __u64 signal = t->signal;
    if (!signal)
        return;
    t->signal = 0;
    if (t->acted || t->cause != SJ_CAUSE_NET || signal < t->out || signal + SIGNAL_WAKES_NS < t->wake ||
        signal > t->wake + SIGNAL_WAKES_NS)
        return;
    t->sum.blocked[SJ_CAUSE_NET] -= t->last_sleep;
    t->sum.blocked[SJ_CAUSE_LOCK] += t->last_sleep;
    t->cause = SJ_CAUSE_LOCK;
}

/* The thread acts, or leaves. It may not have been told that it came back. */
static __always_inline void clock_mend(struct thread *t, struct task_struct *task, __u64 now)
{
    if (t->running) {
        clock_settle(t);
        t->acted = 1;
        return;
    }
    if (now < t->out)
        now = t->out;
    __u64 wake = t->wake;
    if (wake < t->out || wake > now)
        wake = t->out;
    __u64 waited = run_delay_of(task) - t->run_delay;
    clock_switch_in(t, waited < now - wake ? wake + waited : now);
    clock_settle(t);
    t->acted = 1;
}

/*
 * The clock's reading at a moment `at` that is now or a little before: the departure of a segment, say. False when the
 * thread was switched more than once since, so that the reading is not known any more.
 */
static __always_inline bool clock_read(const struct thread *t, __u64 at, struct reading *r)
{
    *r = t->sum;
    if (at >= t->in) {
        r->on += at - t->in;
        return true;
    }
    if (at < t->prev_in || at > t->out)
        return false;
    r->on -= t->out - at;
    r->runq -= t->last_runq;
    __u32 cause = t->cause;
    if (cause < SJ_CAUSE_MAX_)
        r->blocked[cause] -= t->last_sleep;
    return true;
}

static __always_inline void account_add(__u64 conn, __u64 turn, __u64 on)
{
    struct account *a = bpf_map_lookup_elem(&accounts, &conn);
    if (a) {
        if (a->turn != turn) {
            a->turn = turn;
            a->on = 0;
        }
        a->on += on;
        return;
    }
    struct account fresh = {.turn = turn, .on = on};
    bpf_map_update_elem(&accounts, &conn, &fresh, BPF_ANY);
}

/* The thread turns from its owner to somebody else: what it ran for the owner goes to the owner's account. */
static __always_inline void owner_leave(struct thread *t, __u64 on)
{
    if (!t->owner)
        return;
    account_add(t->owner, t->owner_turn, (t->loop ? t->slept_on : on) - t->mark);
    t->owner_changes++;
}

/* The thread received for this turn: from now on it works for it. CPU time since a wake-up for any event is its too. */
static __always_inline void owner_take(struct thread *t, __u64 conn, __u64 turn, __u64 on)
{
    if (t->owner != conn || t->owner_turn != turn) {
        owner_leave(t, on);
        t->mark = t->loop ? t->slept_on : on;
        t->owner = conn;
        t->owner_turn = turn;
    }
    t->loop = 0;
}

/* A new turn begins on this thread: what ran before is nobody's, or the one's before. */
static __always_inline void owner_begin(struct thread *t, __u64 conn, __u64 turn, __u64 on)
{
    owner_leave(t, on);
    t->owner = conn;
    t->owner_turn = turn;
    t->mark = on;
    t->loop = 0;
}

/*
 * The thread answers a turn. Returns the CPU time that was the turn's own since the reading `since` (whose
 * owner_changes were `changes`), and says whether that is an attribution.
 */
static __always_inline __u64 owner_answer(struct thread *t, __u64 conn, __u64 turn, __u64 on, __u64 since,
                                          __u32 changes, bool *interleaved)
{
    __u64 own;
    if (t->owner_changes == changes && (!t->owner || t->owner == conn)) {
        own = on - since;
        *interleaved = false;
    } else {
        *interleaved = true;
        if (t->owner && t->owner != conn) {
            owner_leave(t, on);
            own = t->loop ? on - t->slept_on : 0;
        } else {
            own = on - t->mark;
        }
        struct account *a = bpf_map_lookup_elem(&accounts, &conn);
        if (a && a->turn == turn) {
            own += a->on;
            a->on = 0;
        }
        if (own > on - since)
            own = on - since;
    }
    t->owner = 0;
    t->mark = on;
    t->loop = 0;
    return own;
}

static __always_inline void clock_switch_out(struct thread *t, struct task_struct *prev, bool preempt, __u64 now)
{
    clock_mend(t, prev, now);
    t->sum.on += now - t->in;
    t->out = now;
    t->running = 0;
    t->run_delay = run_delay_of(prev);
    if (preempt || task_running(prev)) {
        t->wake = now;
        return;
    }
    t->wake = 0;
    struct sleep s = sleep_of(prev);
    t->cause = s.cause;
    if (s.any_event && t->owner && !t->loop) {
        t->loop = 1;
        t->slept_on = t->sum.on;
    }
}

/* ---- what the scheduler's tracepoints tell ---- */

static __always_inline void clock_switched(bool preempt, struct task_struct *prev, struct task_struct *next)
{
    __u64 now = 0;
    struct thread *t = thread_of_other(prev);
    if (t) {
        now = bpf_ktime_get_ns();
        clock_switch_out(t, prev, preempt, now);
    }
    t = thread_of_other(next);
    if (t) {
        if (!now)
            now = bpf_ktime_get_ns();
        clock_switch_in(t, now);
    }
}

static __always_inline void clock_woken(struct task_struct *task)
{
    struct thread *t = thread_of_other(task);
    if (t && !t->wake)
        t->wake = bpf_ktime_get_ns();
}

static __always_inline void clock_signalled(struct task_struct *task)
{
    struct thread *t = thread_of_other(task);
    if (t)
        t->signal = bpf_ktime_get_ns();
}
