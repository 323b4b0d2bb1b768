// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "addr.h"
#include "base/out.h"
#include "io.h"
#include "ledger.h"
#include "loop.h"
#include "msg.h"
#include "outbox.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The truth server. Whatever the model, a request passes the same steps:
 *
 *     input -> next -> begin -> before (cpu, futex, fsync, downstream) -> sleep -> after (cpu) -> respond -> flush
 *
 * Blocking models walk them in one function; the loop models come back to `after` by a timer and to `flush` by the
 * socket. A connection serves one request at a time; with `coalesce` the answers to all requests that were read
 * together pile up in `out` before one flush.
 */

enum sj_model {
    SJ_MODEL_SINGLE,
    SJ_MODEL_THREAD,
    SJ_MODEL_EPOLL,
    SJ_MODEL_HANDOFF,
    SJ_MODEL_FORK,
};

enum sj_proto {
    SJ_PROTO_HTTP,
    SJ_PROTO_RAW,
    SJ_PROTO_LINE,
};

struct sj_server_opts {
    bool help;
    const char *listen, *ready_file, *log, *name;
    int model, proto, io;
    uint64_t workers, requests, idle_exit, timeout, seed;

    uint64_t cpu, cpu_after, sleep, futex, fsync, downstream_delay;
    const char *downstream, *random, *dir;

    uint64_t response_size, pieces, piece_gap, piece_size, raw_request_size;
    int split_header;
    bool chunked, close, coalesce, schedstat;
    uint64_t status, error_every, abort_after, reset_after, no_reply_after;
};

/* How --random spreads the sleep. */
struct sj_spread {
    enum { SJ_SPREAD_NONE, SJ_SPREAD_LOGNORMAL, SJ_SPREAD_EXPONENTIAL } family;
    double mean_ns, sigma;
};

/* Set up once, then read by every thread and process. */
struct sj_server {
    struct sj_server_opts opts;
    struct sj_spread spread;
    struct sj_addr addr, downstream;
    struct sj_ledger *ledger;
    int listen_fd, log_fd, body_fd; /* log_fd and body_fd: -1 for none */
    int pid;
};

/* What one serving thread owns. */
struct sj_worker {
    const struct sj_server *srv;
    struct sj_io io;
    int fsync_fd, downstream_fd, schedstat_fd; /* -1 until needed */
    struct sj_gate *gate;                      /* wakes the futex; made when needed */
    struct sj_out log;                         /* the same */
};

int sj_worker_open(struct sj_worker *worker, const struct sj_server *srv, struct sj_err *err);
void sj_worker_close(struct sj_worker *worker);

/* What a request is to cost and to get; the options, changed by the request's query and the random spread. */
struct sj_plan {
    uint64_t cpu, cpu_after, sleep, futex, fsync, size;
    int status;
};

/* One request being served. Times of sj_clk_now(), durations in nanoseconds. */
struct sj_turn {
    uint64_t n;
    uint64_t recv_ns, send_ns;
    uint64_t cpu_at_start;   /* the thread's CPU clock when the service began */
    uint64_t cpu_at_stretch; /* ... when it last turned to this request; 0: it is not at it */
    uint64_t runq_at_start;
    uint64_t costs[SJ_COST_MAX_];
    uint64_t bytes_in, bytes_out;
    struct sj_plan plan;
    bool close;
    char method[16];
    char path[SJ_MSG_PATH];
};

enum sj_conn_phase {
    SJ_CONN_HEAD,
    SJ_CONN_BODY,
    SJ_CONN_ECHO, /* after the upgrade */
    SJ_CONN_MUTE, /* no replies any more */
};

struct sj_conn {
    int fd;
    uint64_t id;
    char peer[SJ_ADDR_TEXT];
    struct sj_buf in;
    struct sj_outbox out;
    enum sj_conn_phase phase;
    struct sj_msg_head head;
    struct sj_msg_body body;
    bool begun;                   /* the first byte of a request is here */
    uint64_t first_ns, first_cpu; /* when the recv that brought it returned */
    uint64_t recv_ns, recv_cpu;   /* when the latest recv returned */
    uint64_t request_bytes, prev_done;
    struct sj_turn *turns; /* begun and not yet answered; more than one only when coalescing */
    size_t n_turns, cap_turns;
    bool closing, reset;

    struct sj_host *host; /* the loop models' part */
    struct sj_watch watch;
    struct sj_timer step, idle;
    struct sj_conn *next_queued;
};

/* fd becomes the connection's; returns NULL if it cannot be served. */
struct sj_conn *sj_conn_open(struct sj_worker *worker, int fd, const struct sj_addr *peer);
void sj_conn_close(struct sj_conn *conn);

/* One recv: bytes, 0 at the end, -errno. */
ssize_t sj_conn_input(struct sj_worker *worker, struct sj_conn *conn);

enum sj_conn_next {
    SJ_NEXT_MORE,  /* nothing complete: read on */
    SJ_NEXT_READY, /* a request for sj_turn_begin() */
    SJ_NEXT_ECHO,  /* bytes to be flushed, no request */
    SJ_NEXT_BAD,   /* an answer is prepared and the connection ends after its flush */
};

/* Takes the next request out of what has been read. */
enum sj_conn_next sj_conn_next(struct sj_worker *worker, struct sj_conn *conn);

/* False when the server is stopping and takes no more. `same_thread`: the one that received. */
bool sj_turn_begin(struct sj_worker *worker, struct sj_conn *conn, bool same_thread);
void sj_turn_before(struct sj_worker *worker, struct sj_conn *conn);
void sj_turn_sleep(struct sj_conn *conn);
void sj_turn_after(struct sj_conn *conn);
/* True if the answers must be flushed now, false if the next request's joins them. */
bool sj_turn_respond(struct sj_worker *worker, struct sj_conn *conn);

/* How a turn ended. */
enum sj_outcome {
    SJ_OUTCOME_ANSWERED,
    SJ_OUTCOME_UNANSWERED, /* on purpose */
    SJ_OUTCOME_RESET,      /* on purpose */
    SJ_OUTCOME_GONE,       /* the peer does not take it */
    SJ_OUTCOME_TIMEOUT,
    SJ_OUTCOME_MAX_,
};

/* The first byte of the answers leaves now: settles what the turns have cost until here. */
void sj_turns_mark_send(struct sj_worker *worker, struct sj_conn *conn);
/* Books and logs one turn that ended at `now`. */
void sj_turn_settle(struct sj_worker *worker, const struct sj_conn *conn, struct sj_turn *turn, enum sj_outcome outcome,
                    uint64_t now);
/* The turn that is being served. */
struct sj_turn *sj_turn_current(struct sj_conn *conn);
/* The thread turns to the request or away from it: its CPU time is counted in between. */
void sj_turn_enter(struct sj_turn *turn);
void sj_turn_leave(struct sj_turn *turn);

/* One attempt to send; on SJ_OUTBOX_DONE the turns are booked. Anything but DONE, AGAIN and HOLD ends the connection.
 */
enum sj_outbox_state sj_conn_flush(struct sj_worker *worker, struct sj_conn *conn);
/* Until all is sent; false when the connection is over. */
bool sj_conn_flush_all(struct sj_worker *worker, struct sj_conn *conn);

/* Appends the answer to the request; true if it ends the connection. */
void sj_reply_add(const struct sj_server *srv, struct sj_conn *conn, const struct sj_turn *turn);

/* The stages that block; each returns how long it took. */
uint64_t sj_cost_futex(struct sj_worker *worker, uint64_t ns);
uint64_t sj_cost_fsync(struct sj_worker *worker, uint64_t times);
uint64_t sj_cost_downstream(struct sj_worker *worker, uint64_t n);
/* Time that the thread has waited for a CPU since it began; 0 if unknown. */
uint64_t sj_cost_runq(struct sj_worker *worker);
void sj_gate_free(struct sj_gate *gate);

/* Serve until the process ends; return only when they cannot go on. */
int sj_model_single(struct sj_server *srv, struct sj_err *err);
int sj_model_thread(struct sj_server *srv, struct sj_err *err);
int sj_model_fork(struct sj_server *srv, struct sj_err *err);
int sj_model_epoll(struct sj_server *srv, struct sj_err *err);
int sj_model_handoff(struct sj_server *srv, struct sj_err *err);

/* Reads the command line and checks that the wishes go together. */
int sj_server_options(struct sj_server *srv, int argc, char *const *argv, struct sj_err *err);
