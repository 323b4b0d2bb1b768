// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"
#include "base/out.h"

#include <stdatomic.h>
#include <stdint.h>

/* Requests beyond this are counted but no longer enter the quantiles. */
#define SJ_LEDGER_SAMPLES (UINT64_C(1) << 20)
#define SJ_LEDGER_STATUSES 1000

/* What a request cost, as the server knows it; nanoseconds. */
enum sj_cost {
    SJ_COST_CPU,   /* the thread's CPU clock while it was at this request */
    SJ_COST_BUSY,  /* ... while it was at others, between this one's start and answer */
    SJ_COST_RUNQ,  /* waiting for a CPU, from /proc/thread-self/schedstat */
    SJ_COST_SLEEP, /* asked for where a loop sleeps, measured elsewhere */
    SJ_COST_FUTEX,
    SJ_COST_FSYNC,
    SJ_COST_DOWNSTREAM,
    SJ_COST_HANDOFF, /* receiving thread's recv -> answering thread takes over */
    SJ_COST_SERVICE, /* recv (or the previous answer, if later) -> first send */
    SJ_COST_SEND,    /* first send -> last send returned */
    SJ_COST_MAX_,
};

extern const char *const sj_cost_names[SJ_COST_MAX_];

struct sj_sample {
    uint64_t costs[SJ_COST_MAX_];
};

/* The books, in memory that all threads and child processes share. */
struct sj_ledger {
    _Atomic int stopping;
    _Atomic uint64_t last_activity;
    _Atomic uint64_t connections;
    _Atomic uint64_t numbers;    /* requests so far, the last one's number */
    _Atomic uint64_t in_service; /* begun and not finished */
    _Atomic uint64_t served;     /* answered in full */
    _Atomic uint64_t unanswered; /* left without an answer on purpose */
    _Atomic uint64_t failed;     /* answered in part or not at all: reset, gone, timed out */
    _Atomic uint64_t echoed;     /* reads answered after an upgrade */
    _Atomic uint64_t bad;        /* not understood */
    _Atomic uint64_t bytes_in, bytes_out;
    _Atomic uint64_t statuses[SJ_LEDGER_STATUSES];
    _Atomic uint64_t n_samples;
    struct sj_sample samples[SJ_LEDGER_SAMPLES]; /* pages come into being when they are used */
};

struct sj_ledger *sj_ledger_open(struct sj_err *err);
void sj_ledger_close(struct sj_ledger *ledger);

void sj_ledger_sample(struct sj_ledger *ledger, const uint64_t costs[static SJ_COST_MAX_]);

/* One JSON object, with a newline. */
void sj_ledger_json(struct sj_ledger *ledger, struct sj_out *out);
