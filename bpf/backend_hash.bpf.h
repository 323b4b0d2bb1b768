/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The backend of kernels before 6.3, from 5.9 on, where tracing programs have no socket storage (5.10), no task storage
 * (5.10), no fetching atomics (5.11), and reach a file's socket only as an address: state in hashes keyed by the
 * address of the socket and of the task, kernel memory read by a helper, and a turn claimed by deleting its claim,
 * which one alone succeeds in. Included by state.bpf.h; backend_storage.bpf.h is the other one, and says what each part
 * is.
 *
 * Nothing dies by itself here. TCP tells of a socket's end (tcp_destroy_sock), the scheduler of a thread's. A unix
 * socket's end is not told: its state carries the inode number of the socket as a mark, so that the next socket at the
 * same address is not taken for it, and the flush removes what has lost its socket.
 */
#include "flavours.h"

#define CONNS 65536
#define CLAIMS 16384
#define THREADS 32768

struct slot {
    struct conn c; /* first: a pointer to it is one to the slot */
    __u64 took;    /* when the latest recv took what had arrived */
    __u64 mark;    /* inode number of the socket; 0 while it waits in an accept queue */
    __u8 endless;  /* its end will not be told: no TCP */
    __u8 guarded;  /* the running turn has a claim */
};

/* No preallocation: whoever looks at a state that is just being deleted sees the old one until it is done. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CONNS);
    __type(key, __u64);
    __type(value, struct slot);
} conns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, THREADS);
    __type(key, __u64);
    __type(value, struct thread);
} threads SEC(".maps");

/* Turns that were asked and that nobody has told yet. Filled and emptied with each, hence preallocated. */
struct claim {
    __u64 conn;
    __u64 turn;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, CLAIMS);
    __type(key, struct claim);
    __type(value, __u8);
} claims SEC(".maps");

/* The call that the current task returns from; process context alone uses it. */
struct call {
    long nr;
    __u64 arg[3];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct call);
} calls SEC(".maps");

/*
 * Where new states are put together: too large for the stack. What interrupts another on its CPU takes the next one;
 * beside the few members that are set each time they stay 0.
 */
#define NESTING 4
struct nest {
    __u32 depth;
    struct slot fresh[NESTING];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct nest);
} nests SEC(".maps");

const __u64 fresh_thread[sizeof(struct thread) / sizeof(__u64)] = {};

/* How many threads with a clock have a number like this: the others, which are nearly all, cost no look-up. */
#define CLOCKED 16384
__u32 clocked[CLOCKED];

/* ---- reading the kernel's memory ---- */

/* The pointer goes into a variable, as its own way there is none through the kernel's types. */
#define READ(pointer, member)                                                                                          \
    ({                                                                                                                 \
        typeof(pointer) from_ = (pointer);                                                                             \
        BPF_CORE_READ(from_, member);                                                                                  \
    })
#define READ_ARRAY(to, count, pointer, member)                                                                         \
    ({                                                                                                                 \
        typeof(pointer) from_ = (pointer);                                                                             \
        bpf_core_read(to, (count) * sizeof((to)[0]), &from_->member);                                                  \
    })
#define as_type(pointer, type) ((type *)(pointer))

/* ---- tasks ---- */

static __always_inline struct task_struct *current_task(void)
{
    return (struct task_struct *)bpf_get_current_task();
}

static __always_inline __u32 current_tgid(struct task_struct *task)
{
    return (__u32)(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline __u32 current_tid(struct task_struct *task)
{
    return (__u32)bpf_get_current_pid_tgid();
}

#define THREAD_SIZE 16384 /* x86_64, and arm64 with pages of 4 KiB: what a task enters with lies at the stack's end */

/* Of a task that is being switched away from. */
static __always_inline struct pt_regs *task_regs(struct task_struct *task)
{
    if (have_helper(task_pt_regs))
        return (struct pt_regs *)bpf_task_pt_regs(task);
    return (struct pt_regs *)((__u64)READ(task, stack) + THREAD_SIZE) - 1;
}

#define call_type struct call
#define CALL_NR(call) ((call)->nr)
#define CALL_ARG(call, n) ((call)->arg[(n)-1])

static __always_inline call_type *current_call(struct task_struct *task)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&calls, &zero);
}

/* ---- the state of threads ---- */

static __always_inline struct thread *thread_of(struct task_struct *task)
{
    __u64 key = (__u64)task;
    return bpf_map_lookup_elem(&threads, &key);
}

static __always_inline struct thread *thread_of_other(struct task_struct *task)
{
    return clocked[task->pid & (CLOCKED - 1)] ? thread_of(task) : NULL;
}

static __always_inline struct thread *thread_new(struct task_struct *task)
{
    __u64 key = (__u64)task;
    if (bpf_map_update_elem(&threads, &key, fresh_thread, BPF_NOEXIST))
        return NULL;
    __sync_fetch_and_add(&clocked[current_tid(task) & (CLOCKED - 1)], 1);
    return bpf_map_lookup_elem(&threads, &key);
}

/* A thread ends. */
static __always_inline void thread_drop(struct task_struct *task)
{
    __u64 key = (__u64)task;
    __u32 at = task->pid & (CLOCKED - 1);
    if (clocked[at] && !bpf_map_delete_elem(&threads, &key))
        __sync_fetch_and_add(&clocked[at], -1);
}

/* ---- turns ---- */

static __always_inline struct slot *slot_of(struct conn *c)
{
    return (struct slot *)c;
}

/* Where no claim can be had, threads that answer at the very same moment may both tell the turn. */
static __always_inline void turn_open(struct conn *c, __u32 word)
{
    struct claim key = {.conn = c->cookie, .turn = word >> STATE_BITS};
    __u8 one = 1;
    slot_of(c)->guarded = bpf_map_update_elem(&claims, &key, &one, BPF_ANY) == 0;
    store_after_all32(&c->word, word);
}

static __always_inline bool turn_claim(struct conn *c, __u32 word, __u32 to)
{
    struct claim key = {.conn = c->cookie, .turn = word >> STATE_BITS};
    if (slot_of(c)->guarded ? bpf_map_delete_elem(&claims, &key) != 0 : c->word != word)
        return false;
    store_after_all32(&c->word, to);
    return true;
}

/* ---- the state of sockets ---- */

static __always_inline struct conn *conn_of(struct sock *sk)
{
    __u64 key = (__u64)sk;
    struct slot *s = bpf_map_lookup_elem(&conns, &key);
    return s ? &s->c : NULL;
}

static __always_inline __u64 mark_of(struct sock *sk)
{
    struct socket *socket = READ(sk, sk_socket);
    return socket ? READ((struct socket_alloc *)socket, vfs_inode.i_ino) : 0;
}

static __always_inline void conn_forget(struct sock *sk, struct conn *c)
{
    __u64 key = (__u64)sk;
    if (STATE_OF(c->word) == ASKED)
        turn_claim(c, c->word, c->word & ~(__u32)ASKED);
    bpf_map_delete_elem(&conns, &key);
}

/* The state of the socket that has this mark, NULL when there is none, or one of an earlier socket at its address. */
static __always_inline struct conn *conn_known(struct sock *sk, __u64 mark)
{
    struct conn *c = conn_of(sk);
    if (!c)
        return NULL;
    struct slot *s = slot_of(c);
    if (s->mark == mark)
        return c;
    if (!s->mark) {
        s->mark = mark; /* accepted since */
        return c;
    }
    if (!mark && !s->endless)
        return c; /* closed, and TCP has still to do with it */
    if (!mark && mark_of(sk) == s->mark)
        return c; /* accepted since the mark was read */
    conn_forget(sk, c);
    return NULL;
}

/* Unique while the host is up, as a socket cookie is: the time of its making, and where, since CPUs work at once. */
static __always_inline __u64 conn_id(void)
{
    return bpf_ktime_get_ns() ^ (__u64)bpf_get_smp_processor_id() << 53;
}

static __always_inline struct conn *conn_make(struct sj_counters *k, struct sock *sk, bool old)
{
    __u64 key = (__u64)sk, mark = mark_of(sk);
    __u32 zero = 0;
    struct conn *c = conn_known(sk, mark);
    if (c)
        return c;
    struct nest *n = bpf_map_lookup_elem(&nests, &zero);
    if (!n)
        return NULL;
    __u32 depth = n->depth;
    n->depth = depth + 1;
    barrier();
    struct slot *fresh = &n->fresh[depth & (NESTING - 1)];
    fresh->c.cookie = conn_id();
    fresh->c.sock = key;
    fresh->c.old = old;
    fresh->mark = mark;
    fresh->endless = READ(sk, sk_protocol) != IPPROTO_TCP;
    bpf_map_update_elem(&conns, &key, fresh, BPF_NOEXIST); /* if it fails another CPU was first, or it is full */
    barrier();
    n->depth = depth;
    c = conn_of(sk);
    if (!c)
        k->no_state++;
    return c;
}

/* A global function takes no pointers before 5.12. */
typedef __u64 conn_ref;

static __always_inline conn_ref conn_pass(struct conn *c)
{
    return c->sock;
}

static __always_inline struct conn *conn_take(conn_ref ref)
{
    return conn_of((struct sock *)ref);
}

/* ---- arrivals ---- */

/*
 * Stamps are made a little before the data can be taken (TCP), or a little after (unix). So one may be wiped out by the
 * recv before its own, and one may be late for its own and stand there for the next.
 */
static __always_inline __u64 arrival_taken(struct conn *c, __u64 arrival, __u64 now)
{
    struct slot *s = slot_of(c);
    __u64 before = s->took;
    if (now)
        s->took = now;
    if (arrival)
        return arrival >= before || c->leftover ? arrival : 0;
    return c->ready_last > before ? c->ready_last : 0;
}

/* Data that comes with the end of the handshake is not told; if nothing else was, it came now. */
static __always_inline void arrival_awaited(struct conn *c)
{
    c->ready_last = bpf_ktime_get_ns();
}
