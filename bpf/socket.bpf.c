/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The socket probe set: Linux 6.3 and later, where sock_send_length, sock_recv_length and sk_data_ready exist. Only
 * entry points are here. No system call tracepoint is armed, so processes that do no networking pay nothing.
 */
#include "lifecycle.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int oldstate, int newstate)
{
    struct sj_counters *k = my_counters();
    if (!k || sk->sk_type != SOCK_STREAM)
        return 0;
    if (newstate == LISTENING || oldstate == LISTENING) {
        struct listener key;
        __u8 one = 1;
        if (!listener_key(sk, &key))
            return 0;
        if (newstate == LISTENING)
            bpf_map_update_elem(&listeners, &key, &one, BPF_ANY);
        else if (newstate == CLOSED)
            bpf_map_delete_elem(&listeners, &key);
        return 0;
    }
    /* a socket that goes away has lost its port already: whether it is wanted shows in its having a state */
    if (newstate == EST && !sock_wanted(sk))
        return 0;
    __u64 started = cost_begin(k);
    if (newstate == EST)
        conn_established(k, sk, oldstate);
    else
        conn_leaves(sk, oldstate, newstate);
    cost_end(k, started);
    return 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_data_ready, struct sock *sk)
{
    if (!sock_wanted(sk))
        return 0;
    struct sj_counters *k = my_counters();
    if (!k)
        return 0;
    __u64 started = cost_begin(k);
    conn_arrival(k, sk);
    cost_end(k, started);
    return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv, struct sock *sk, int ret, int flags)
{
    if (flags & (MSG_PEEK | MSG_ERRQUEUE) || !sock_wanted(sk))
        return 0;
    struct sj_counters *k = my_counters();
    if (!k)
        return 0;
    __u64 started = cost_begin(k);
    conn_moved(k, sk, ret, true);
    cost_end(k, started);
    return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
    if (!sock_wanted(sk))
        return 0;
    struct sj_counters *k = my_counters();
    if (!k)
        return 0;
    __u64 started = cost_begin(k);
    conn_moved(k, sk, ret, false);
    cost_end(k, started);
    return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
    __u64 now = 0;
    struct thread *t = thread_of(prev);
    if (t) {
        now = bpf_ktime_get_ns();
        clock_switch_out(t, prev, preempt, now);
    }
    t = thread_of(next);
    if (t) {
        if (!now)
            now = bpf_ktime_get_ns();
        clock_switch_in(t, now);
    }
    return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
    struct thread *t = thread_of(task);
    if (t && !t->wake)
        t->wake = bpf_ktime_get_ns();
    return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, const void *info, struct task_struct *task)
{
    struct thread *t = thread_of(task);
    if (t)
        t->signal = bpf_ktime_get_ns();
    return 0;
}

/* Sockets that are older than the measurement, of every network namespace: see conn_old. Run by user space, twice. */
SEC("iter/task_file")
int on_old_socket(struct bpf_iter__task_file *ctx)
{
    struct file *file = ctx->file;
    if (!file)
        return 0;
    struct socket *socket = bpf_sock_from_file(file);
    if (!socket)
        return 0;
    struct sock *sk = socket->sk;
    if (sk)
        conn_old(sk);
    return 0;
}

/*
 * Tails of answers whose connection went idle, and how many turns are open. Run by user space: a walk over the state of
 * all sockets or, where the kernel has such walks only for others, over the sockets among all open files.
 */
SEC("iter/bpf_sk_storage_map")
int on_flush(struct bpf_iter__bpf_sk_storage_map *ctx)
{
    struct sock *sk = ctx->sk;
    struct sj_counters *k = my_counters();
    if (!sk || !ctx->value || !k)
        return 0;
    conn_flush(k, sk);
    return 0;
}

SEC("iter/task_file")
int on_flush_files(struct bpf_iter__task_file *ctx)
{
    struct file *file = ctx->file;
    struct sj_counters *k = my_counters();
    if (!file || !k)
        return 0;
    struct socket *socket = bpf_sock_from_file(file);
    if (!socket)
        return 0;
    struct sock *sk = socket->sk;
    if (sk)
        conn_flush(k, sk);
    return 0;
}
