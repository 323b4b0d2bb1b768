// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sojourn/event.h>

#include "base/err.h"
#include "options.h"

/*
 * The kernel side as seen from user space: opens, configures, loads and attaches the BPF programs, and reads what they
 * keep. Everything is held by file descriptors of this process alone: however it ends, nothing stays behind.
 */
struct sj_probe;

/*
 * Loads and attaches. When it returns 0 every connection, old or new, is being measured; *out is owned by the caller,
 * who closes it with sj_probe_close(). Otherwise -1 with *err: EX_NOPERM, EX_UNAVAILABLE, EX_OSERR.
 */
int sj_probe_open(const struct sj_measure_options *opts, struct sj_probe **out, struct sj_err *err);
void sj_probe_close(struct sj_probe *p);

/* Would sj_probe_open() be allowed to load its programs? Attaches nothing. 0, or -1 with *err as there. */
int sj_probe_try(const struct sj_measure_options *opts, struct sj_err *err);

/* "socket" or "syscall": which set of tracepoints is attached. */
const char *sj_probe_set_name(const struct sj_probe *p);

/* The logs, one per CPU: their number, and the descriptor of the array that holds them; size: bytes of SIZE of each. */
unsigned sj_probe_logs(const struct sj_probe *p);
int sj_probe_logs_fd(const struct sj_probe *p);
uint32_t sj_probe_log_bytes(const struct sj_probe *p);
/* The ring buffer beside them, and its size in bytes. */
int sj_probe_aside_fd(const struct sj_probe *p);
uint32_t sj_probe_aside_bytes(const struct sj_probe *p);

/*
 * Tells the tails of answers whose connection has been idle for idle_ns, and counts the turns that are waiting for
 * their answer into open_turns[role] (may be NULL; then it walks only when there is a tail).
 */
int sj_probe_flush(struct sj_probe *p, uint64_t idle_ns, uint64_t open_turns[SJ_ROLE_SLOTS], struct sj_err *err);

/* Can the maps be read and the sockets be walked with the rights that the process has now? */
bool sj_probe_readable(const struct sj_probe *p);

/* The counters, summed over the CPUs. */
int sj_probe_counters(const struct sj_probe *p, struct sj_counters *out, struct sj_err *err);

/* Sends and receives that nobody looked at, since the same probe was already running on that CPU. */
uint64_t sj_probe_misses(const struct sj_probe *p);

/* Asks that whole answers be captured on this connection from now on. */
void sj_probe_want_answers(struct sj_probe *p, uint64_t conn);

typedef int (*sj_overflow_fn)(void *ctx, const struct sj_overflow_key *key, const struct sj_overflow_value *sum,
                              struct sj_err *err);
/* Calls fn for each cell of the overflow histogram, with its sum over the CPUs. */
int sj_probe_overflow(const struct sj_probe *p, sj_overflow_fn fn, void *ctx, struct sj_err *err);

/*
 * The same for cells to which nobody adds any more, which are then forgotten; what is counted from now on comes the
 * next time. For measurements without an end: call it now and then, at least 100 ms apart, so that programs that were
 * running at one call have ended at the next. A cell's count may be negative: a turn that was told under one total goes
 * on under another.
 */
int sj_probe_overflow_drain(struct sj_probe *p, sj_overflow_fn fn, void *ctx, struct sj_err *err);

/* Returns 0, or -1 with *err to stop. */
typedef int (*sj_gauge_fn)(void *ctx, const struct sj_gauge_key *key, const struct sj_gauge *gauge, struct sj_err *err);
/*
 * A flush that also counts the connections there are, by role into connections[], and calls fn for everybody who has
 * used some of them.
 */
int sj_probe_take_stock(struct sj_probe *p, uint64_t idle_ns, uint64_t open_turns[SJ_ROLE_SLOTS],
                        uint64_t connections[SJ_ROLE_SLOTS], sj_gauge_fn fn, void *ctx, struct sj_err *err);

/* Stops measuring: detaches all probes but keeps the maps, so that what is left can be read. */
void sj_probe_detach(struct sj_probe *p);
