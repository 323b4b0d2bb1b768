// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "options.h"
#include "source.h"

/*
 * Runs one measurement to its end and feeds the sink: from the kernel, or from opts->from. Filters have been applied
 * when the sink sees a request. With opts->child the command's exit status is stored in *child_status (-1: none was
 * run). Returns 0, or -1 with *err.
 */
int sj_source_run(const struct sj_measure_options *opts, const struct sj_sink *sink, int *child_status,
                  struct sj_err *err);
