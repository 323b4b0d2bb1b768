// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "options.h"
#include "probe/rights.h"
#include "source.h"
#include "status.h"

/* What the caller has to say while a measurement runs. */
struct sj_live_control {
    void *ctx;
    /* What the process is for: all other rights are given up before `ready`. */
    enum sj_rights_profile rights;
    /* Everything is attached and time counts from now. 0, or -1 with *err to give up. */
    int (*ready)(void *ctx, struct sj_err *err);
    /* Is it time to stop? Asked every few milliseconds. */
    bool (*over)(void *ctx);
    /*
     * NULL, or what to do for at most ns nanoseconds instead of sleeping: the caller's own work, in small pieces, as
     * the kernel's records wait meanwhile. 0, or -1 with *err to give up.
     */
    int (*wait)(void *ctx, uint64_t ns, struct sj_err *err);
    /*
     * NULL, or called about once a second: the measurement is one that lasts. Then turns without detail come to the
     * sink while it runs, each time what is new. 0, or -1 with *err to give up.
     */
    int (*status)(void *ctx, const struct sj_live_status *status, struct sj_err *err);
};

/* Measures this host until opts->duration_ns is over or the caller says so, and feeds the sink. 0, or -1 with *err. */
int sj_live_run(const struct sj_measure_options *opts, const struct sj_sink *sink,
                const struct sj_live_control *control, struct sj_err *err);
