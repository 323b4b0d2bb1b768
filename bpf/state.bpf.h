/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the kernel side remembers, and its settings. Shared by every probe set: the entry points in *.bpf.c differ, this
 * state and the machine that moves it (turn.bpf.h) do not. What kernels do differently is in backend_*.bpf.h.
 *
 *   conn    one per socket, dies with the socket
 *   thread  one per request-handling thread, dies with the thread
 *   log     one per CPU: where records are written for user space. Only process context uses it, where tracepoints run
 *           with preemption off: so it is never used twice at once. Softirq and iterators use the ring buffer `aside`.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <sojourn/event.h>

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define RCV_SHUTDOWN 1
#define SEND_SHUTDOWN 2
#define SHUTDOWN_MASK 3
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define EPIPE 32
#define ECONNRESET 104

enum tcp_state_number {
    EST = 1,
    SYN_SENT,
    SYN_RECV,
    FIN_WAIT1,
    FIN_WAIT2,
    TIME_WAIT,
    CLOSED,
    CLOSE_WAIT,
    LAST_ACK,
    LISTENING,
    CLOSING
};

/* Settings: written by user space between open and load, so that what is off costs nothing. */
const volatile bool cfg_clock = true;   /* the thread clock: oncpu, runq, blocked */
const volatile bool cfg_payload = true; /* capture what the decoders need */
const volatile __u32 cfg_tgid = 0;
const volatile __u16 cfg_port = 0;
const volatile __u8 cfg_role = 0;
const volatile bool cfg_by_comm = false;
const volatile char cfg_comm[SJ_COMM_LEN] = {};
const volatile __u64 cfg_cgroup = 0;
const volatile __u32 cfg_cgroup_level = 0;
const volatile __u32 cfg_self = 0;         /* our own process is not measured, */
const volatile __u32 cfg_companion = 0;    /* nor the one that speaks for it; without one the same as cfg_self */
const volatile __u32 cfg_log_size = 32768; /* SIZE of struct sj_log */

/*
 * What the decoders ask for: a byte per connection (by cookie, modulo) that says whether whole answers are wanted. A
 * collision makes a stranger's answers be captured in full too, nothing worse.
 */
#define ASKS 65536
__u8 asks[ASKS];

/* 1: existing listeners are noted; 2: existing connections get their state; 3: all that are old have it. See
 * on_old_socket. */
__u32 old_pass;
#define OLD_DONE 3
/* The time of the second walk, in the kernel's ticks. */
__u32 old_jiffies;
/* A tail is flushed when its turn has been idle for this long. */
__u64 flush_idle_ns;
/* Set by the flush: tails that it has left alone, since their connection was not idle for so long. */
__u64 tails_left;
/* The number of the flush: several descriptors may lead to one socket. */
__u32 flush_pass;
/* Set by the flush: turns that were asked and not yet answered, by role. */
__u64 open_turns[SJ_ROLE_SLOTS];
/* Does the flush count connections into `gauges`, and here by role? */
__u32 gauge_wanted;
__u64 connections[SJ_ROLE_SLOTS];

/* Under which generation turns are counted: see struct sj_overflow_key. */
__u32 overflow_generation;

/*
 * Where a turn stands. The word holds it in its two lowest bits and counts the turns above them, so that who moves it
 * on by compare-and-exchange knows that the turn is still the one whose times it has read: several threads may use a
 * socket, and exactly one of them tells a turn. A lock would do it too, at the price of two calls per message.
 */
enum conn_state { IDLE = 0, ASKED, ANSWERING };
#define STATE_BITS 2
#define STATE_OF(word) ((word) & ((1 << STATE_BITS) - 1))

/* A reading of a thread clock; differences of two readings of one clock are exact. */
struct reading {
    __u64 on;
    __u64 runq;
    __u64 blocked[SJ_CAUSE_MAX_];
};

/*
 * What belongs to a message lies together, in the order in which it is used: with the eight bytes that the kernel puts
 * in front, a line of the cache each. Each flag is a byte of its own: threads that share a socket write different ones.
 */
struct conn {
    __u32 word;      /* see enum conn_state */
    __u32 told_tgid; /* of the process that was last told; 0: not told yet */
    __u64 cookie;
    __u64 ready;      /* first arrival that no recv has taken; written by softirq when 0, cleared by recv alone */
    __u64 ready_last; /* latest arrival */
    __u8 role;
    __u8 hint;
    __u8 leftover;  /* `ready` stands for bytes that an earlier recv left behind */
    __u8 old;       /* older than the measurement, nothing complete seen yet */
    __u8 symmetric; /* neither end of this unix pair has a name: who asks first is the client */
    __u8 tail;      /* answer bytes came after what was told */
    __u8 counted;   /* this turn is in the overflow histogram, not in the ring */
    __u8 pipelined; /* answers without asks in between were seen */
    __u16 port;
    __u16 rec_flags; /* enum sj_rec_flag of the running turn */
    __u16 ask_captured;
    __u8 ending; /* enum sj_cut_reason: the connection is over, but a call that is still under way has its say first */
    __u8 end_flags : 1; /* the connection was reset */
    __u8 closed : 1;    /* it is over; a socket may be connected again */
    __u32 ask_len;
    __u32 data_told; /* payload bytes of this ask that went out */

    __u64 t0, t1, last;
    __u64 bytes_ask, bytes_answer;
    __u64 clock_id; /* server: the clock of the thread that took the ask, */
    __u32 owner_changes;
    __u32 answer_from; /* TCP: the sequence number behind what was told of the answer */

    __u32 asked_to; /* client, TCP: the sequence number behind what was told of asks; 0: of none yet */
    __u8 overtaken; /* client: the running turn was begun by its answer, since the ask's call is not over */

    struct reading clock; /* and what it showed then, or at the last answer */
    __u64 parent;         /* client: the server-side turn for whose sake it asks */

    __u8 ask[SJ_ASK_INLINE];

    __u64 parent_turn;
    __u64 counted_ns; /* total under which the turn stands in the overflow histogram */
    __u64 sock;       /* address of the socket */
    __u64 flush_pass; /* the flush that last came by */
    __u64 comm[2];    /* name of the process that used it last: what is counted is counted for it, whoever runs then */
};

/*
 * The clock of a thread, moved by sched_switch and sched_wakeup. `owner` is the connection whose request the thread
 * works for: CPU time belongs to the socket it last received on or sent to. See clock.bpf.h.
 */
struct thread {
    __u64 id; /* when it was made: tells a thread from a later one of the same number */
    __u64 in, out, wake;
    __u64 prev_in;   /* `in` of the run before this one */
    __u64 last_runq; /* what the last wait added */
    __u64 last_sleep;
    struct reading sum;
    __u64 run_delay; /* the kernel's own account of waits for a CPU, when it left */
    __u64 signal;    /* when a signal was sent to it, not yet looked at */
    __u32 cause;
    __u16 loop; /* it slept waiting for any event: whose turn comes next is not known */
    __u8 running;
    __u8 acted; /* it has received or sent since it came back, so its sums were read */
    __u64 owner, owner_turn;
    __u64 mark;     /* sum.on when the owner's CPU time was last put to its account */
    __u64 slept_on; /* sum.on when it went to wait for any event */
    __u32 owner_changes;
};

struct account {
    __u64 turn;
    __u64 on;
};

struct listener {
    __u32 netns;
    __u32 port;
};

/* CPU time of turns that their thread left for another one, by socket cookie. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, struct account);
} accounts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __type(key, struct listener);
    __type(value, __u8);
} listeners SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct sj_counters);
} counters SEC(".maps");

/* struct sj_log of each CPU. User space sets the number of CPUs, and the size together with cfg_log_size. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, SJ_LOG_HEAD + 32768 + 2 * SJ_LOG_SLACK);
} logs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 65536);
} aside SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 32768);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct sj_overflow_key);
    __type(value, struct sj_overflow_value);
} overflow SEC(".maps");

/* Written by the flush alone. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct sj_gauge_key);
    __type(value, struct sj_gauge);
} gauges SEC(".maps");

/*
 * Stores so that who sees the value sees all that was stored before. On x86 stores are seen in their order anyway, and
 * an atomic exchange would wait until all earlier ones have left the CPU, as long as the whole rest of a probe takes.
 */
static __always_inline void store_after_all(void *p, __u64 value)
{
#if defined(__TARGET_ARCH_x86)
    asm volatile("" ::: "memory");
    *(volatile __u64 *)p = value;
#else
    __sync_lock_test_and_set((__u64 *)p, value);
#endif
}

static __always_inline void store_after_all32(void *p, __u32 value)
{
#if defined(__TARGET_ARCH_x86)
    asm volatile("" ::: "memory");
    *(volatile __u32 *)p = value;
#else
    __sync_lock_test_and_set((__u32 *)p, value);
#endif
}

static __always_inline struct sj_counters *my_counters(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline struct sj_log *my_log(void)
{
    __u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&logs, &cpu);
}

#define COST_MOST 20000  /* a run that took longer was interrupted: it counts as this many ns */
#define COST_PERIOD 1021 /* prime, so that no pattern of probes keeps in step with it */

/* Every COST_PERIOD-th run of a probe is timed. Returns the start, or 0. */
static __always_inline __u64 cost_begin(struct sj_counters *k)
{
    k->cost_runs++;
    if (k->cost_next--)
        return 0;
    k->cost_next = COST_PERIOD - 1;
    return bpf_ktime_get_ns();
}

static __always_inline void cost_end(struct sj_counters *k, __u64 start)
{
    if (!start)
        return;
    __u64 ns = bpf_ktime_get_ns() - start;
    k->cost_ns += ns < COST_MOST ? ns : COST_MOST;
    k->cost_samples++;
}

/*
 * Where conn and thread are kept, how the kernel's memory is read, and how a turn is claimed: a probe set for older
 * kernels chooses another answer before it includes anything.
 */
#ifndef SJ_BACKEND
#define SJ_BACKEND "backend_storage.bpf.h"
#endif
#include SJ_BACKEND
