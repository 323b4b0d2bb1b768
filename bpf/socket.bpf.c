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
    conn_state(sk, oldstate, newstate);
    return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
    conn_dies(sk);
    return 0;
}

/*
 * TCP has just read the clock for the segment. Listeners and the other side's FIN make the same noise without data; a
 * unix socket makes it sometimes only after its data has been read.
 */
static __always_inline void arrive(struct sj_counters *k, struct sock *sk)
{
    __u8 state = sk->__sk_common.skc_state;
    struct conn *c;
    if (state == LISTENING)
        return;
    if (sk->sk_protocol != IPPROTO_TCP || is_unix(sk)) {
        if (is_unix(sk) && !sk->sk_receive_queue.qlen)
            return;
        c = conn_unannounced(k, sk);
        if (c)
            conn_arrived(c, bpf_ktime_get_ns());
        return;
    }
    c = conn_of(sk);
    if (!c)
        c = conn_missed(k, sk);
    if (!c)
        return;
    struct tcp_sock *tp = tcp_of(sk);
    if (state != EST && !has_unread(sk, tp))
        return;
    __u64 now = tp ? tp->tcp_clock_cache : 0;
    conn_arrived(c, now ? now : bpf_ktime_get_ns());
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
    arrive(k, sk);
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
    conn_moved(k, sk, conn_of(sk), ret, true);
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
    conn_moved(k, sk, conn_of(sk), ret, false);
    cost_end(k, started);
    return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
    clock_switched(preempt, prev, next);
    return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
    clock_woken(task);
    return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, const void *info, struct task_struct *task)
{
    clock_signalled(task);
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
