// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "series/report.h"
#include "term/screen.h"
#include "term/trace_line.h"

/* What the parts of the text report share. */

#define SJ_PERCENT_SIZE 16

/* A share as percent with two or three significant digits, without the sign: "0", "0.12", "3.4", "62", "100". */
char *sj_percent(char out[SJ_PERCENT_SIZE], double share);

/* The name of a row: "?" when it is unknown, "other" for what is beyond the limits. */
const char *sj_service_name(const struct sj_service_view *s);

/* Where the time of the busiest services went, a bar for each stage, and what fits their totals. 0 or -ENOMEM. */
int sj_report_stages(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *r);
