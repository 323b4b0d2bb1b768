/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The contract between the kernel side and user space: what travels through the ring buffers and lies in shared maps.
 *
 * Every type has a fixed width and no implicit padding; sizes are asserted below. A record begins with struct sj_rec,
 * whose version is refused by the reader when it is not SJ_EVENT_VERSION. All times are CLOCK_MONOTONIC nanoseconds.
 *
 * Words: the side that opens a turn *asks*, the other one *answers*. On a server socket the ask is received and the
 * answer is sent; on a client socket the ask is sent and the answer is received.
 */
#ifndef __bpf__
#include <linux/types.h>
#endif

#define SJ_EVENT_VERSION 1

#define SJ_COMM_LEN 16
#define SJ_ADDR_LEN 16
#define SJ_UNIX_PATH_LEN 64

/* Payload limits: how much of one message is ever looked at, and how much of an ask is kept beside its turn. */
#define SJ_PAYLOAD_MAX 4096
#define SJ_ASK_INLINE 128

enum sj_rec_type {
    SJ_REC_TURN = 1, /* an answer began: times and stages of the turn up to there */
    SJ_REC_TAIL,     /* the answer went on: its last byte and its size */
    SJ_REC_DATA,     /* a piece of an ask that did not fit beside the turn */
    SJ_REC_CONN,     /* who talks to whom on this socket, and in which process */
    SJ_REC_CUT,      /* a turn whose beginning or end was not seen */
    SJ_REC_CLOSE,    /* the socket is gone */
    SJ_REC_MAX_
};

enum sj_role { SJ_ROLE_UNKNOWN = 0, SJ_ROLE_SERVER, SJ_ROLE_CLIENT, SJ_ROLE_MAX_ };
#define SJ_ROLE_SLOTS 4 /* a power of two: the kernel side masks the index */

/* What the kernel side makes of the first bytes. It only steers how much is captured: user space decides. */
enum sj_hint { SJ_HINT_NONE = 0, SJ_HINT_HTTP, SJ_HINT_TLS, SJ_HINT_OTHER, SJ_HINT_MAX_ };

enum sj_rec_flag {
    SJ_F_ARRIVAL_UNSEEN = 1 << 0, /* no arrival stamp: queue is unknown and reads 0 */
    SJ_F_FIRST_OF_OLD = 1 << 1,   /* first turn of a connection older than the measurement: may have begun earlier */
    SJ_F_INTERLEAVED = 1 << 2,    /* the thread served others in between: oncpu and busy are an attribution */
    SJ_F_HANDOFF = 1 << 3,        /* another thread answered than received: no clock can be subtracted */
    SJ_F_STAGES = 1 << 4,         /* the thread clock ran: oncpu, and with SJ_F_SWITCHED the rest, are valid */
    SJ_F_SWITCHED = 1 << 5,       /* the record carries struct sj_waits; otherwise every wait was 0 */
    SJ_F_CONTINUED = 1 << 6,      /* a further answer without a new ask in between: a pipelined one */
    SJ_F_RESET = 1 << 7,          /* the connection was reset before all of the answer was acknowledged */
    SJ_F_EOF = 1 << 8,            /* the other side had closed before the answer */
    SJ_F_LEFTOVER = 1 << 9,       /* an earlier read left these bytes behind: their arrival is the latest one seen */
};

/* Causes of a sleep, in the order of struct sj_waits.blocked. */
enum sj_cause { SJ_CAUSE_LOCK = 0, SJ_CAUSE_DISK, SJ_CAUSE_NET, SJ_CAUSE_SLEEP, SJ_CAUSE_OTHER, SJ_CAUSE_MAX_ };

struct sj_rec {
    __u8 version; /* SJ_EVENT_VERSION */
    __u8 type;    /* enum sj_rec_type */
    __u8 role;    /* enum sj_role */
    __u8 hint;    /* enum sj_hint */
    __u16 flags;  /* enum sj_rec_flag */
    __u16 port;   /* of the answering side, host order; 0 on AF_UNIX */
    __u32 tgid;   /* of the process that acted; 0 where there is none (close in softirq) */
    __u32 turn;   /* which turn of its connection this belongs to; wraps */
    __u64 conn;   /* socket cookie: unique while the host is up */
    __u64 time;   /* when this record was made; orders the records of all CPUs */
};

struct sj_waits {
    __u64 busy; /* running, for other requests */
    __u64 runq;
    __u64 blocked[SJ_CAUSE_MAX_];
};

/*
 * t[] by role:
 *   server: t[0] first ask byte readable, t[1] the recv that took it returned, t[2] first answer byte sent,
 *           t[3] with SJ_F_CONTINUED the last byte of the answer before, otherwise 0
 *   client: t[0] first ask byte sent, t[1] last ask byte sent, t[2] first answer byte readable, t[3] its recv returned
 * With SJ_F_SWITCHED a struct sj_waits follows. Then ask_captured bytes of the first ask piece, then answer_captured
 * bytes.
 */
struct sj_rec_turn {
    struct sj_rec h;
    __u64 t[4];
    __u64 oncpu;     /* server: the turn's own CPU time from t[1] (or t[3]) to t[2] */
    __u64 bytes_ask; /* of the whole ask so far */
    __u32 tid;
    __u32 ask_len;    /* length of the ask piece kept beside the turn; 0 when the pieces were told as SJ_REC_DATA */
    __u32 answer_len; /* length of the answer piece that this record tells of */
    __u16 ask_captured;
    __u16 answer_captured;
};

struct sj_rec_tail {
    struct sj_rec h;
    __u64 last;         /* last answer byte */
    __u64 bytes_answer; /* all of them */
    __u64 bytes_ask;
};

struct sj_rec_data {
    struct sj_rec h;
    __u32 len; /* of the piece; `captured` bytes of it follow */
    __u32 captured;
};

struct sj_rec_conn {
    struct sj_rec h;
    __u64 cgroup; /* id of the process's cgroup (v2) */
    __u64 thread_group_start;
    __u32 netns;  /* inode number of the network namespace */
    __u16 family; /* AF_INET, AF_INET6, AF_UNIX */
    __u16 local_port;
    __u16 peer_port;
    __u16 path_len; /* AF_UNIX: bytes of path that mean something; an abstract name begins with NUL */
    __u32 reserved;
    __u8 local[SJ_ADDR_LEN]; /* IPv4 in the first four bytes */
    __u8 peer[SJ_ADDR_LEN];
    char comm[SJ_COMM_LEN]; /* of the thread group's leader */
    char path[SJ_UNIX_PATH_LEN];
};

enum sj_cut_reason {
    SJ_CUT_START_UNSEEN = 1, /* an answer to an ask from before the measurement */
    SJ_CUT_CLOSED,           /* closed by this side before it answered, or before the answer came */
    SJ_CUT_PEER_GONE,        /* the other side was gone when the answer was due */
    SJ_CUT_RESET,
    SJ_CUT_MAX_
};

struct sj_rec_cut {
    struct sj_rec h;
    __u64 start;
    __u64 bytes_ask;
    __u32 reason; /* enum sj_cut_reason */
    __u32 reserved;
};

/*
 * Where records travel. Each CPU has a log of its own, an element of a memory-mapped array, so that producers never
 * meet and writing takes no call: a page with the two positions, SIZE bytes (a power of two) that are used round and
 * round, and slack behind them for a record that begins near the end, so that none is ever in two parts. Only
 * tracepoints in process context write there, one at a time. What can interrupt them, or can be interrupted, uses one
 * shared BPF ring buffer.
 */
#define SJ_LOG_HEAD 4096
#define SJ_LOG_SLACK 12288 /* more than the longest record; twice: the second is scratch for when the log is full */

struct sj_log {
    __u64 produced; /* bytes ever written; the place is this modulo SIZE */
    __u64 unused[7];
    __u64 consumed; /* written by user space */
};

/* In front of each record in a log; records are aligned to eight bytes. */
struct sj_log_entry {
    __u32 len;
    __u32 reserved;
};

/* The CPU-local counters of the kernel side; user space sums them over the CPUs. */
struct sj_counters {
    __u64 opened[SJ_ROLE_SLOTS];   /* turns that began */
    __u64 answered[SJ_ROLE_SLOTS]; /* turns that were answered (pipelined answers not included) */
    __u64 cut[SJ_ROLE_SLOTS];      /* turns given up: each also told as SJ_REC_CUT when there was room */
    __u64 tails;                   /* answers that went on after they were told */
    __u64 counted_only;            /* turns that did not fit into the ring and are in the overflow histogram */
    __u64 lost;                    /* seen, but neither told nor counted */
    __u64 lost_data;               /* pieces of payload that did not fit */
    __u64 lost_conn;               /* connections or tails that did not fit */
    __u64 no_state;                /* no memory for the state of a socket */
    __u64 no_clock;                /* no memory for the clock of a thread */
    __u64 cost_runs;               /* runs of the probes */
    __u64 cost_samples;            /* runs that were timed */
    __u64 cost_ns;                 /* their time */
    __u64 cost_next;               /* runs until the next timed one */
};

/*
 * Overflow histogram: count per bucket of the total, keyed by who. The bucket is sj_hist_index() of the total in ns, or
 * SJ_BUCKET_ZERO. The sums of a service are under bucket SJ_BUCKET_SUMS.
 */
#define SJ_BUCKET_ZERO (-32768)
#define SJ_BUCKET_SUMS (-32767)

struct sj_overflow_key {
    char comm[SJ_COMM_LEN];
    __u16 port;
    __u8 role;
    __u8 hint;
    __s16 bucket;
    __u16
        generation; /* user space begins a new one, and when nobody writes to the old one any more it takes that away */
};

/* Order of sj_overflow_sums.stage: the stages of the role, see enum sj_stage of the user side. */
#define SJ_OVERFLOW_STAGES 7

struct sj_overflow_value {
    __s64 count;
    __s64 total_ns; /* the following only under SJ_BUCKET_SUMS */
    __s64 stage_ns[SJ_OVERFLOW_STAGES];
    __s64 pipelined; /* turns on connections where further answers were seen: a lower bound */
};

/* Who has how many connections, as the flush counts them when user space asks for it. */
struct sj_gauge_key {
    char comm[SJ_COMM_LEN];
    __u16 port;
    __u8 role;
    __u8 reserved;
    __u32 reserved2;
};

struct sj_gauge {
    __u64 pass; /* the flush that counted; others are of the past */
    __u64 connections;
    __u64 in_flight; /* asked and not answered */
};

_Static_assert(sizeof(struct sj_rec) == 32, "record head");
_Static_assert(sizeof(struct sj_waits) == 56, "waits");
_Static_assert(sizeof(struct sj_rec_turn) == 96, "turn record");
_Static_assert(sizeof(struct sj_rec_tail) == 56, "tail record");
_Static_assert(sizeof(struct sj_rec_data) == 40, "data record");
_Static_assert(sizeof(struct sj_rec_conn) == 32 + 16 + 4 + 8 + 4 + 32 + 16 + 64, "connection record");
_Static_assert(sizeof(struct sj_rec_cut) == 56, "cut record");
_Static_assert(sizeof(struct sj_overflow_key) == 24, "overflow key");
_Static_assert(sizeof(struct sj_overflow_value) == 80, "overflow value");
_Static_assert(sizeof(struct sj_gauge_key) == 24, "gauge key");
_Static_assert(sizeof(struct sj_gauge) == 24, "gauge");
