/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Sockets: which are measured, who is the server, when data arrived and left. */
#include "emit.bpf.h"

static __always_inline bool is_unix(struct sock *sk)
{
    return READ(sk, __sk_common.skc_family) == AF_UNIX;
}

/* NULL when it is not TCP: a unix socket, or MPTCP, whose segments run on other sockets. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
    return is_unix(sk) || READ(sk, sk_protocol) != IPPROTO_TCP ? NULL : as_type(sk, struct tcp_sock);
}

/* The inode number of its network namespace. */
static __always_inline __u32 netns_of(struct sock *sk)
{
    struct net *net = READ(as_type(sk, struct sock), __sk_common.skc_net.net);
    return READ(net, ns.inum);
}

static __always_inline __u16 swap16(__u16 v)
{
    return (__u16)(v << 8 | v >> 8);
}

/*
 * Was it closed, maybe under its user? TCP gives the port back first, then tells of the new state, and takes that last.
 */
static __always_inline bool sock_is_over(struct sock *sk)
{
    return READ(sk, __sk_common.skc_state) == CLOSED || (!is_unix(sk) && !READ(sk, __sk_common.skc_num));
}

/* Stream sockets of the three families, and of them only those that the filters could want. */
static __always_inline bool sock_wanted(struct sock *sk)
{
    __u16 family = READ(sk, __sk_common.skc_family);
    if ((family != AF_INET && family != AF_INET6 && family != AF_UNIX) || READ(sk, sk_type) != SOCK_STREAM)
        return false;
    if (!cfg_port)
        return true;
    if (family == AF_UNIX)
        return false;
    /* without a port it shows in its having a state whether it is wanted */
    return READ(sk, __sk_common.skc_num) == cfg_port || swap16(READ(sk, __sk_common.skc_dport)) == cfg_port ||
           sock_is_over(sk);
}

/* Is the task that acts one that the filters want? */
static __always_inline bool task_wanted(struct task_struct *task)
{
    __u32 tgid = current_tgid(task);
    if (tgid == cfg_self || tgid == cfg_companion)
        return false;
    if (cfg_tgid && tgid != cfg_tgid)
        return false;
    if (cfg_cgroup && bpf_get_current_ancestor_cgroup_id((int)cfg_cgroup_level) != cfg_cgroup)
        return false;
    if (cfg_by_comm) {
        char comm[SJ_COMM_LEN];
        comm_of(task, comm);
        for (int i = 0; i < SJ_COMM_LEN; i++) {
            if (comm[i] != cfg_comm[i])
                return false;
            if (!comm[i])
                break;
        }
    }
    return true;
}

static __always_inline bool conn_wanted(const struct conn *c)
{
    if (cfg_role && c->role != cfg_role)
        return false;
    return !cfg_port || c->port == cfg_port;
}

static __always_inline void conn_set_role(struct sock *sk, struct conn *c, __u8 role)
{
    c->role = role;
    if (is_unix(sk))
        c->port = 0;
    else
        c->port = role == SJ_ROLE_SERVER ? READ(sk, __sk_common.skc_num) : swap16(READ(sk, __sk_common.skc_dport));
}

/*
 * Who answers on a socket whose beginning was not seen? On TCP whoever has a listener on its port. An accepted unix
 * socket has inherited the listener's name, the one that connected mostly has none; of a nameless pair whoever is asked
 * first.
 */
static __always_inline void conn_find_role(struct sock *sk, struct conn *c)
{
    if (is_unix(sk)) {
        struct unix_sock *u = as_type(sk, struct unix_sock);
        if (READ(u, addr)) {
            conn_set_role(sk, c, SJ_ROLE_SERVER);
            return;
        }
        struct sock *peer = READ(u, peer);
        if (peer && READ(as_type(peer, struct unix_sock), addr))
            conn_set_role(sk, c, SJ_ROLE_CLIENT);
        else
            c->symmetric = 1;
        return;
    }
    struct listener key = {.port = READ(sk, __sk_common.skc_num), .netns = netns_of(sk)};
    conn_set_role(sk, c, bpf_map_lookup_elem(&listeners, &key) ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT);
}

static __always_inline bool listener_key(struct sock *sk, struct listener *key)
{
    key->port = READ(sk, __sk_common.skc_num);
    key->netns = netns_of(sk);
    return key->port != 0;
}

/* Bytes that lie in the socket and no recv has taken. A FIN takes a sequence number but is no byte. */
static __always_inline bool has_unread(struct sock *sk, struct tcp_sock *tp)
{
    if (!tp)
        return READ(sk, sk_receive_queue.qlen) > 0;
    __u32 unread = READ(tp, rcv_nxt) - READ(tp, copied_seq);
    return unread > ((READ(sk, sk_shutdown) & RCV_SHUTDOWN) ? 1 : 0);
}

/*
 * When was what was just read taken? TCP has read the clock when it copied the last of it.
 */
static __always_inline __u64 taken(struct tcp_sock *tp)
{
    __u64 stamp = tp ? READ(tp, tcp_clock_cache) : 0;
    return stamp ? stamp : bpf_ktime_get_ns();
}

/*
 * When did what was just written leave? The segment's departure time, where all that was written has been sent: on
 * loopback the tracepoint itself runs only after the peer has been served. No clock needs to be read for it.
 */
static __always_inline __u64 departure(struct sock *sk, struct tcp_sock *tp, __u64 floor)
{
    if (tp && READ(tp, snd_nxt) == READ(tp, write_seq)) {
        __u64 stamp = READ(tp, tcp_wstamp_ns);
        if (stamp >= floor) {
            if (!READ(sk, sk_pacing_status))
                return stamp;
            __u64 now = bpf_ktime_get_ns(); /* a paced segment may leave later than now */
            return stamp < now ? stamp : now;
        }
    }
    return bpf_ktime_get_ns();
}

static __always_inline void copy_unix_path(struct sj_rec_conn *rec, struct sock *sk)
{
    struct unix_sock *u = as_type(sk, struct unix_sock);
    struct unix_address *addr = READ(u, addr);
    if (!addr) {
        struct sock *peer = READ(u, peer);
        if (!peer)
            return;
        addr = READ(as_type(peer, struct unix_sock), addr);
        if (!addr)
            return;
    }
    int len = READ(addr, len) - (int)sizeof(__u16);
    if (len <= 0)
        return;
    rec->path_len = len > SJ_UNIX_PATH_LEN ? SJ_UNIX_PATH_LEN : (__u16)len;
    /* whatever lies behind the name comes too, and is not looked at: a test for each byte is 30,000 steps for the
     * verifier */
    READ_ARRAY(rec->path, SJ_UNIX_PATH_LEN, addr, name[0].sun_path);
}

/* When did what ends here leave, if it was the last that the other side acknowledged? In whole us; else 0. */
static __always_inline __u64 departure_of_acked(struct tcp_sock *tp, __u32 end)
{
    return READ(tp, rack.end_seq) == end ? READ(tp, rack.mstamp) * 1000 : 0;
}

/*
 * Tells who talks to whom, once per connection and again when another process takes it over. Process context only.
 * Global, so that the verifier walks it once; a global function takes no kernel pointer, hence the socket's address as
 * a number.
 */
__noinline int announce(conn_ref ref)
{
    bool room;
    struct conn *c = conn_take(ref);
    struct sj_log *log = my_log();
    struct task_struct *task = current_task();
    if (!c || !log)
        return 0;
    struct sock *sk = as_type((void *)c->sock, struct sock);
    struct sj_log_entry *entry = (void *)log + log_place(log, &room);
    struct sj_rec_conn *rec = (void *)(entry + 1);
    __builtin_memset(rec, 0, sizeof(*rec));
    c->told_tgid = current_tgid(task);
    fill_head(&rec->h, c, c->word, c->told_tgid, SJ_REC_CONN, 0, bpf_ktime_get_ns());
    rec->cgroup = bpf_get_current_cgroup_id();
    struct task_struct *leader = READ(task, group_leader);
    rec->thread_group_start = READ(leader, start_time);
    rec->family = READ(sk, __sk_common.skc_family);
    comm_of(task, rec->comm);
    c->comm[0] = ((__u64 *)rec->comm)[0];
    c->comm[1] = ((__u64 *)rec->comm)[1];
    if (rec->family == AF_UNIX) {
        copy_unix_path(rec, sk);
    } else {
        rec->netns = netns_of(sk);
        rec->local_port = READ(sk, __sk_common.skc_num);
        rec->peer_port = swap16(READ(sk, __sk_common.skc_dport));
        if (rec->family == AF_INET) {
            *(__u32 *)rec->local = READ(sk, __sk_common.skc_rcv_saddr);
            *(__u32 *)rec->peer = READ(sk, __sk_common.skc_daddr);
        } else {
            READ_ARRAY((__u32 *)rec->local, 4, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
            READ_ARRAY((__u32 *)rec->peer, 4, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
        }
    }
    if (room)
        log_publish(log, entry, sizeof(*rec));
    else
        c->told_tgid = 0; /* again at the next turn */
    return 0;
}
