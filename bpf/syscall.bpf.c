/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The syscall probe set: kernels from 5.9 on that have no tracepoints in the socket layer. What moves is seen where the
 * call that moved it returns, so every call of every process passes here. Only entry points are here.
 */
#define SJ_BACKEND "backend_hash.bpf.h"
#include "lifecycle.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define TCPHDR_FIN 1
#define MESSAGES 16 /* of one recvmmsg or sendmmsg that are looked at */

/* ---- from a descriptor to its socket ---- */

/* The socket of an open file, NULL when it is none, and its mark. */
static __always_inline struct sock *sock_of_file(struct file *file, __u64 *mark)
{
    struct inode *inode = READ(file, f_inode);
    if (!inode || (READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
        return NULL;
    struct socket *socket = READ(file, private_data);
    if (!socket || READ(socket, file) != file)
        return NULL;
    *mark = READ(inode, i_ino);
    return READ(socket, sk);
}

/* The same for a descriptor of the current task. */
static __always_inline struct sock *sock_of_fd(__u64 fd, __u64 *mark)
{
    struct fdtable *table;
    struct file **files, *file = NULL;
    __u32 count;
    fd = (__u32)fd;
    if (have_helper(get_current_task_btf)) {
        table = bpf_get_current_task_btf()->files->fdt;
        count = table->max_fds;
        files = table->fd;
    } else {
        table = BPF_CORE_READ(current_task(), files, fdt);
        count = READ(table, max_fds);
        files = READ(table, fd);
    }
    if (fd >= count || bpf_probe_read_kernel(&file, sizeof(__u64), files + fd) || !file)
        return NULL;
    return sock_of_file(file, mark);
}

/* ---- what calls did ---- */

/* Global functions, so that the verifier walks each once: one of them sees `receive` as a constant. */
__noinline int socket_received(__u64 sock, __u64 mark, int ret)
{
    struct sj_counters *k = my_counters();
    struct sock *sk = (struct sock *)sock;
    if (k)
        conn_moved(k, sk, conn_known(sk, mark), ret, true);
    return 0;
}

__noinline int socket_sent(__u64 sock, __u64 mark, int ret)
{
    struct sj_counters *k = my_counters();
    struct sock *sk = (struct sock *)sock;
    if (k)
        conn_moved(k, sk, conn_known(sk, mark), ret, false);
    return 0;
}

/* What was written to a unix socket has arrived at its peer, if that has not taken it already. */
__noinline int unix_arrived(__u64 sock)
{
    struct sj_counters *k = my_counters();
    struct sock *peer = READ((struct unix_sock *)sock, peer);
    if (!k || !peer || !READ(peer, sk_receive_queue.qlen))
        return 0;
    struct conn *c = conn_unannounced(k, peer);
    if (c)
        conn_arrived(c, bpf_ktime_get_ns());
    return 0;
}

/*
 * A unix socket was connected, to a peer that was made for that. Neither has had anything to say yet: states at their
 * addresses are of earlier sockets. They go now, when nobody else is about it; later both ends might at once.
 */
__noinline int unix_connected(__u64 sock, __u64 mark)
{
    struct sock *sk = (struct sock *)sock, *peer = READ((struct unix_sock *)sock, peer);
    struct conn *c = peer ? conn_of(peer) : NULL;
    if (c)
        conn_forget(peer, c);
    conn_known(sk, mark);
    return 0;
}

static __always_inline int moved(struct sock *sk, __u64 mark, int ret, bool receive)
{
    if (receive)
        return socket_received((__u64)sk, mark, ret);
    socket_sent((__u64)sk, mark, ret);
    return ret > 0 && is_unix(sk) ? unix_arrived((__u64)sk) : 0;
}

/* recvmmsg and sendmmsg: each message is an event of its own. */
static __always_inline void moved_several(struct sock *sk, __u64 mark, __u64 vector, int count, bool receive)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct mmsghdr *message = (struct mmsghdr *)vector + i;
        __u32 len;
        if (i >= count || bpf_probe_read_user(&len, sizeof(len), &message->msg_len))
            break;
        moved(sk, mark, (int)len, receive);
    }
}

enum effect { NOTHING, RECEIVED, SENT, RECEIVED_SEVERAL, SENT_SEVERAL, SPLICED, CONNECTED };

static __always_inline enum effect effect_of(long nr)
{
    switch (nr) {
    case NR_read:
    case NR_readv:
    case NR_preadv2:
    case NR_recvfrom:
    case NR_recvmsg:
        return RECEIVED;
    case NR_write:
    case NR_writev:
    case NR_pwritev2:
    case NR_sendto:
    case NR_sendmsg:
    case NR_sendfile:
        return SENT;
    case NR_recvmmsg:
        return RECEIVED_SEVERAL;
    case NR_sendmmsg:
        return SENT_SEVERAL;
    case NR_splice:
        return SPLICED;
    case NR_connect:
        return CONNECTED;
    default:
        return NOTHING;
    }
}

/* Bytes that stay where they are, and notes that are no bytes. */
static __always_inline bool only_peeks(struct pt_regs *regs, long nr)
{
    __u64 flags = 0;
    if (nr == NR_recvmsg)
        flags = regs->REG_ARG3;
    else if (nr == NR_recvfrom || nr == NR_recvmmsg)
        flags = regs->REG_ARG4;
    return flags & (MSG_PEEK | MSG_ERRQUEUE);
}

static __always_inline void returned(struct pt_regs *regs, long nr, enum effect effect, int ret)
{
    __u64 mark = 0;
    bool receive = effect == RECEIVED || effect == RECEIVED_SEVERAL;
    struct sock *sk = sock_of_fd(effect == SPLICED ? regs->REG_ARG3 : regs->REG_ARG1, &mark);
    if (!sk && effect == SPLICED) {
        receive = true;
        sk = sock_of_fd(regs->REG_ARG1, &mark);
    }
    if (!sk || !sock_wanted(sk) || (receive && only_peeks(regs, nr)))
        return;
    __u32 zero = 0;
    struct call *call = bpf_map_lookup_elem(&calls, &zero);
    if (!call)
        return;
    call->nr = nr;
    call->arg[1] = regs->REG_ARG2;
    call->arg[2] = regs->REG_ARG3;
    if (effect == CONNECTED) {
        if (is_unix(sk) && !ret)
            unix_connected((__u64)sk, mark);
    } else if (ret > 0 && (effect == RECEIVED_SEVERAL || effect == SENT_SEVERAL)) {
        moved_several(sk, mark, call->arg[1], ret, receive);
    } else {
        moved(sk, mark, ret, receive);
    }
}

/* ---- entry points ---- */

SEC("tp_btf/sys_exit")
int BPF_PROG(on_call, struct pt_regs *regs, long ret)
{
    if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
        return 0;
    long nr = (long)regs->REG_NR;
    enum effect effect = effect_of(nr);
    if (effect == NOTHING || task_compat(current_task()))
        return 0;
    struct sj_counters *k = my_counters();
    if (!k)
        return 0;
    __u64 started = cost_begin(k);
    returned(regs, nr, effect, (int)ret);
    cost_end(k, started);
    return 0;
}

/*
 * A segment comes in on an established connection. Most carry nothing, or what came before, or leave a gap; the FIN
 * takes a sequence number but is no byte.
 */
SEC("tp_btf/tcp_probe")
int BPF_PROG(on_segment, struct sock *sk, struct sk_buff *skb)
{
    struct tcp_skb_cb___narrow *cb = (void *)skb->cb;
    __u32 begin = READ(cb, seq), end = READ(cb, end_seq);
    if (begin == end || !sock_wanted(sk))
        return 0;
    struct conn *c = conn_of(sk);
    if (!c)
        return 0;
    __u32 next = READ((struct tcp_sock *)sk, rcv_nxt);
    if (READ(cb, tcp_flags) & TCPHDR_FIN)
        end--;
    if ((__s32)(begin - next) <= 0 && (__s32)(end - next) > 0)
        conn_arrived(c, bpf_ktime_get_ns());
    return 0;
}

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

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    thread_drop(task);
    return 0;
}

/* Sockets that are older than the measurement, of every network namespace: see conn_old. Run by user space, twice. */
SEC("iter/task_file")
int on_old_socket(struct bpf_iter__task_file *ctx)
{
    struct file *file = ctx->file;
    __u64 mark;
    if (!file)
        return 0;
    struct sock *sk = sock_of_file(file, &mark);
    if (sk)
        conn_old(sk);
    return 0;
}

/* Tails of answers whose connection went idle, and how many turns are open: as in the socket set, two ways to walk. */
SEC("iter/bpf_map_elem")
int on_flush(struct bpf_iter__bpf_map_elem *ctx)
{
    struct sj_counters *k = my_counters();
    __u64 *key = ctx->key;
    if (!key || !ctx->value || !k)
        return 0;
    struct sock *sk = (struct sock *)*key;
    conn_flush(k, sk);
    struct conn *c = conn_of(sk);
    struct slot *s = c ? slot_of(c) : NULL;
    if (s && s->endless && s->mark && mark_of(sk) != s->mark)
        conn_forget(sk, c); /* the socket is gone */
    return 0;
}

SEC("iter/task_file")
int on_flush_files(struct bpf_iter__task_file *ctx)
{
    struct file *file = ctx->file;
    struct sj_counters *k = my_counters();
    __u64 mark;
    if (!file || !k)
        return 0;
    struct sock *sk = sock_of_file(file, &mark);
    if (sk && conn_known(sk, mark))
        conn_flush(k, sk);
    return 0;
}
