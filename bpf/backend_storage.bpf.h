/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The backend of kernels with the socket set (6.3): state in socket-local and task-local storage, which dies with its
 * owner; kernel memory read through typed pointers, which costs a load and no call; atomic compare-and-exchange.
 * Included by state.bpf.h. What it must provide is listed here, backend_hash.bpf.h provides the same.
 */

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct conn);
} conns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct thread);
} threads SEC(".maps");

/* ---- reading the kernel's memory ---- */

/* A member, or count elements of a member that is an array, of what a kernel pointer points to. */
#define READ(pointer, member) ((pointer)->member)
#define READ_ARRAY(to, count, pointer, member)                                                                         \
    for (int i_ = 0; i_ < (count); i_++)                                                                               \
    (to)[i_] = (pointer)->member[i_]

/*
 * Other views of a socket, as a cast that costs nothing. (The helpers bpf_skc_to_*() cost a call each, at several
 * places of every message.) The cast does not check: the caller knows family and protocol.
 *
 * Pointers out of a task or a socket are read through it as well: out of one that it trusts, the verifier of newer
 * kernels looks whether what comes is to be trusted too, and searches all the kernel's types by name for that, several
 * times at every load that it walks. That was half of the time that a start took.
 */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;
#define as_type(pointer, type) ((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))

/* ---- tasks ---- */

static __always_inline struct task_struct *current_task(void)
{
    return bpf_get_current_task_btf();
}

/* Of the current task: its process, and its own number. */
static __always_inline __u32 current_tgid(struct task_struct *task)
{
    return (__u32)task->tgid;
}

static __always_inline __u32 current_tid(struct task_struct *task)
{
    return (__u32)task->pid;
}

/* The registers with which a task entered the kernel. */
static __always_inline struct pt_regs *task_regs(struct task_struct *task)
{
    return (struct pt_regs *)bpf_task_pt_regs(task);
}

/*
 * The call that the current task is in: its number, and its n-th argument. Not known, and NULL, for 32-bit tasks, and
 * when what is moved may not be moved by that call: io_uring completes within whatever call the task returns from.
 */
#define CALL_NR(call) REGS_NR(call)
#define CALL_ARG(call, n) REGS_ARG(call, n)
#define call_type struct pt_regs /* no typedef: CO-RE looks for its name in the kernel */

static __always_inline bool task_compat(struct task_struct *task);

static __always_inline call_type *current_call(struct task_struct *task)
{
    return task_compat(task) || as_type(task, struct task_struct)->io_uring ? NULL : task_regs(task);
}

/* ---- the state of threads ---- */

/* The test of bpf_storage makes threads without any storage, which is nearly all of them, cost no helper call. */
static __always_inline struct thread *thread_of(struct task_struct *task)
{
    if (!as_type(task, struct task_struct)->bpf_storage)
        return NULL;
    return bpf_task_storage_get(&threads, task, NULL, 0);
}

/* The same for tasks that need not be the current one, from the scheduler's tracepoints. */
static __always_inline struct thread *thread_of_other(struct task_struct *task)
{
    return thread_of(task);
}

/* A thread without state gets one, all 0. */
static __always_inline struct thread *thread_new(struct task_struct *task)
{
    return bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* ---- the state of sockets ---- */

static __always_inline struct conn *conn_of(struct sock *sk)
{
    return bpf_sk_storage_get(&conns, sk, NULL, 0);
}

/* The state of a socket, made if need be. old: it may have begun before the measurement. */
static __always_inline struct conn *conn_make(struct sj_counters *k, struct sock *sk, bool old)
{
    struct conn *c = bpf_sk_storage_get(&conns, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    if (!c)
        c = conn_of(sk); /* another CPU was first: data arrives while its reader is already here */
    if (!c) {
        k->no_state++;
        return NULL;
    }
    if (!c->cookie) {
        c->cookie = bpf_get_socket_cookie(sk);
        c->sock = (__u64)sk;
        c->old = old;
    }
    return c;
}

/* The socket dies, and its state with it. */
static __always_inline void conn_forget(struct sock *sk, struct conn *c)
{
}

/* How a state is handed to a global function, and taken by it. */
typedef struct conn *conn_ref;

static __always_inline conn_ref conn_pass(struct conn *c)
{
    return c;
}

static __always_inline struct conn *conn_take(conn_ref ref)
{
    return ref;
}

/* ---- turns ---- */

/* A turn begins, its times are written: from here on it can be claimed. */
static __always_inline void turn_open(struct conn *c, __u32 word)
{
    store_after_all32(&c->word, word);
}

/* Moves on from a state whose times were read. False when another thread did it first. */
static __always_inline bool turn_claim(struct conn *c, __u32 word, __u32 to)
{
    return __sync_val_compare_and_swap(&c->word, word, to) == word;
}

/* ---- arrivals ---- */

/* A recv at `now` takes this arrival stamp. Returns the one to be believed; 0: unseen. */
static __always_inline __u64 arrival_taken(struct conn *c, __u64 arrival, __u64 now)
{
    return arrival;
}

/* A handshake is over, nothing lies in the socket. */
static __always_inline void arrival_awaited(struct conn *c)
{
}
