// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "addr.h"
#include "base/out.h"
#include "io.h"
#include "loop.h"
#include "msg.h"
#include "outbox.h"
#include "stat.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The asking side. A lane is a thread with an event loop; it owns slots, each of which holds one connection after the
 * other. Closed loop: a slot asks again when it has its answers. Open loop: requests arrive at times fixed in advance
 * and wait for a free slot if they must; their latency counts from the time that they were meant to be sent.
 */

enum sj_client_proto {
    SJ_CLIENT_HTTP,
    SJ_CLIENT_RAW,
    SJ_CLIENT_LINE,
};

struct sj_client_opts {
    bool help;
    const char *connect, *method, *path, *log, *name;
    int proto, io, one_shot;
    uint64_t requests, connections, threads, pipeline, seed;
    double rate; /* per second; 0: closed loop */
    bool closed, poisson, connect_first;
    uint64_t align, duration, timeout, gap, idle_after;
    uint64_t body, body_gap, body_pieces, head_gap, response_size;
    bool chunked_body, expect_continue, ask_close, upgrade;
    bool half_close, close_after_ask, slow_read, rst;
    uint64_t read_size, read_gap;
};

/* How a request can end other than by its answer. */
enum sj_failure {
    SJ_FAIL_CONNECT,
    SJ_FAIL_EOF,   /* closed before the whole answer */
    SJ_FAIL_RESET, /* reset, broken pipe or another error of the socket */
    SJ_FAIL_TIMEOUT,
    SJ_FAIL_BAD, /* not an answer */
    SJ_FAIL_MAX_,
};

#define SJ_TALLY_STATUSES 1000

struct sj_tally {
    uint64_t sent, answered, errors, abandoned, connects, bytes_in, bytes_out;
    uint64_t failures[SJ_FAIL_MAX_];
    uint64_t statuses[SJ_TALLY_STATUSES];
    struct sj_stat latency;    /* open loop: from the intended time; closed loop: from the send */
    struct sj_stat from_send;  /* send -> last byte */
    struct sj_stat first_byte; /* send -> first byte */
    struct sj_stat connect;
};

/* What all lanes share; written only before they start, but for t0 between two barriers. */
struct sj_run {
    struct sj_client_opts opts;
    struct sj_addr addr;
    char host[SJ_ADDR_TEXT];
    uint64_t *schedule; /* Poisson arrivals, ns after t0; NULL: evenly spaced */
    uint64_t t0;
    int log_fd; /* -1: none */
    pthread_barrier_t together;
    const volatile sig_atomic_t *stop;
};

struct sj_flight {
    uint64_t n; /* from 1 on, over all lanes */
    uint64_t intended_ns, sent_ns, first_ns;
};

enum sj_slot_state {
    SJ_SLOT_CLOSED,
    SJ_SLOT_CONNECTING,
    SJ_SLOT_OPEN,
};

struct sj_lane;

struct sj_slot {
    struct sj_lane *lane;
    uint64_t i;
    int fd;
    enum sj_slot_state state;
    uint64_t connect_ns;
    struct sj_outbox out;
    struct sj_buf in; /* the start of a head that is not complete */
    struct sj_flight *flights;
    size_t n_flights;
    struct sj_msg_head head;
    struct sj_msg_body body;
    bool in_body;
    uint64_t left; /* bytes of a raw answer that are missing */
    bool upgraded, upgrading;
    bool busy;   /* has flights, or waits for the peer's close */
    bool ending; /* all answered, the peer is to close */
    bool paused; /* slow reader between two reads */
    bool idle;   /* in the lane's list */
    struct sj_slot *next_idle;
    struct sj_watch watch;
    struct sj_timer step, deadline;
    char local[SJ_ADDR_TEXT];
};

struct sj_lane {
    struct sj_run *run;
    uint64_t index;
    struct sj_loop loop;
    struct sj_io io;
    struct sj_slot *slots;
    uint64_t n_slots;
    uint64_t quota, taken, arrived; /* requests of this lane: in all, given to slots, due (open loop) */
    uint64_t busy;                  /* slots */
    uint64_t ready;                 /* slots in the idle list that are connected or connecting */
    uint64_t opening, gathered;     /* while all connect first */
    bool gathering, ending;
    struct sj_slot *first_idle, *last_idle;
    struct sj_timer timer; /* start, arrivals, end */
    struct sj_tally tally;
    struct sj_out log; /* only if the run has one; whole lines go out */
    struct sj_buf path;
    char buf[65536];
    pthread_t thread;
    int failed; /* could not start */
    struct sj_err err;
};

int sj_client_options(struct sj_run *run, int argc, char *const *argv, struct sj_err *err);

/* Is there a request left to take, and is there still time? */
bool sj_lane_has_work(const struct sj_lane *lane);
/* The next request's number and intended time. */
struct sj_flight sj_lane_take(struct sj_lane *lane);
/* There is no more work: lets go of idle connections, and ends the lane when its last request is done. */
void sj_lane_check_end(struct sj_lane *lane);
/* One more slot has connected, or failed to, before the common start. */
void sj_lane_gathered(struct sj_lane *lane);
/* Slots that wait for arrivals, longest first: a server that takes one connection at a time has accepted that one. */
void sj_lane_push_idle(struct sj_lane *lane, struct sj_slot *slot);
struct sj_slot *sj_lane_pop_idle(struct sj_lane *lane);

void sj_slot_init(struct sj_slot *slot, struct sj_lane *lane, uint64_t i);
void sj_slot_free(struct sj_slot *slot);
void sj_slot_connect(struct sj_slot *slot);
/* Closes the connection of a slot without requests. */
void sj_slot_hang_up(struct sj_slot *slot);
/* The slot is free: takes the next request, or waits, or is done. */
void sj_slot_next(struct sj_slot *slot);
/* Takes requests and sends them, connecting first if need be. There must be work. */
void sj_slot_ask(struct sj_slot *slot);
void sj_slot_push(struct sj_slot *slot);

/* The path of a request, with its numbers filled in. */
void sj_ask_path(struct sj_buf *buf, const struct sj_slot *slot, uint64_t n);
/* Puts the requests of the slot's flights into `out`. */
void sj_ask_build(struct sj_slot *slot);

/* Bytes from the peer; false if they are not an answer. Flights that are complete are booked. */
bool sj_answer_feed(struct sj_slot *slot, const char *bytes, size_t len);
/* The peer has closed: true if that was the end of the answer. */
bool sj_answer_at_end(struct sj_slot *slot);

/* Books the slot's first flight as answered, and drops it. */
void sj_tally_answered(struct sj_slot *slot, int status);
/* Books all its flights as failed, or as given up on purpose. */
void sj_tally_failed(struct sj_slot *slot, enum sj_failure failure);
void sj_tally_abandoned(struct sj_slot *slot);
void sj_tally_merge(struct sj_tally *into, const struct sj_tally *from);
void sj_tally_free(struct sj_tally *tally);
void sj_tally_json(struct sj_tally *tally, double seconds, struct sj_out *out);
