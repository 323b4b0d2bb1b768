// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "options.h"
#include "source.h"

/* What the caller has to say while a measurement runs. */
struct sj_live_control {
    void *ctx;
    /* Everything is attached and time counts from now. 0, or -1 with *err to give up. */
    int (*ready)(void *ctx, struct sj_err *err);
    /* Is it time to stop? Asked every few milliseconds. */
    bool (*over)(void *ctx);
};

/* Measures this host until opts->duration_ns is over or the caller says so, and feeds the sink. 0, or -1 with *err. */
int sj_live_run(const struct sj_measure_options *opts, const struct sj_sink *sink,
                const struct sj_live_control *control, struct sj_err *err);
