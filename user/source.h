// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/hist.h"
#include "request.h"

/*
 * Where requests come from: the kernel (probe -> collect -> decode), a recording, or the NDJSON of `trace --json`.
 * Whoever consumes them implements struct sj_sink and cannot tell the difference.
 */

/* Turns that were counted in the kernel without detail: per service, role and port. */
struct sj_counted {
    const char *service;
    uint8_t role; /* enum sj_role */
    uint8_t protocol;
    uint16_t port;
    bool lower_bound; /* pipelined connections were among them */
    struct sj_hist total;
    uint64_t stage_sum_ns[SJ_STAGE_MAX_];
};

/* What a measurement was, known at its start. */
struct sj_measurement {
    char host[256];
    char label[64];         /* --label, "" without */
    char probe_set[16];     /* "socket", "syscall", or what a recording says */
    uint32_t stages;        /* bit mask of 1 << enum sj_stage that were measured */
    uint64_t start_real_ns; /* CLOCK_REALTIME at the start */
    uint64_t start_mono_ns; /* CLOCK_MONOTONIC at the same moment: turns request times into times of day */
};

/* What is known at its end. */
struct sj_outcome {
    double duration_s;
    struct sj_completeness completeness;
    double kernel_seconds_per_request; /* NaN when it was not sampled */
    double user_cpu_ratio;             /* user side's CPU time per second of measuring; NaN when unknown */
};

/*
 * Called from one thread, in this order: begin, then request any number of times (times of different connections are
 * not sorted), tick about every 100 ms of a live measurement, then counted once per service that had any, then end. Any
 * may be NULL. begin and request return 0, or -1 with *err to stop the measurement (an output that cannot be written).
 */
struct sj_sink {
    void *ctx;
    int (*begin)(void *ctx, const struct sj_measurement *m, struct sj_err *err);
    int (*request)(void *ctx, const struct sj_request *req, struct sj_err *err);
    int (*tick)(void *ctx, uint64_t mono_ns, struct sj_err *err);
    int (*counted)(void *ctx, const struct sj_counted *counted, struct sj_err *err);
    int (*end)(void *ctx, const struct sj_outcome *outcome, struct sj_err *err);
};
