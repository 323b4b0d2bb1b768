// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <signal.h>

#include "options.h"
#include "source.h"

/*
 * Measures this host until opts->duration_ns is over, *stop is set or the child of opts ends, and feeds the sink. Prints
 * the line "measuring" on standard error when everything is attached. *child_status as in sj_source_run().
 */
int sj_live_run(const struct sj_measure_options *opts, const struct sj_sink *sink, const volatile sig_atomic_t *stop,
                int *child_status, struct sj_err *err);
