// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "series/report.h"
#include "term/screen.h"

/*
 * The report for people: services, where their time went, operations, completeness, cost. At most as wide as the screen
 * where names allow. 0, or -ENOMEM.
 */
int sj_report_text(struct sj_out *out, const struct sj_screen *screen, const struct sj_report *report);
