// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "source.h"
#include "term/screen.h"

/*
 * One finished request as one line of text. All times of a line are in the unit of its total. Stages that are 0 and
 * seldom happen (busy, handoff) are left out; the residual, the total less its stages, is always shown.
 */
void sj_trace_line(struct sj_out *out, const struct sj_screen *screen, const struct sj_measurement *m,
                   const struct sj_request *req);

/* How people read a stage: "queue", "on-cpu", "run-queue", ... */
const char *sj_stage_title(enum sj_stage stage);
