// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "series/report.h"
#include "watch/watch.h"

/*
 * The report as JSON, schema sojourn.report/1 (docs/sojourn.1 describes it): times in seconds, what is unknown has no
 * key. With the objectives of a watch (NULL: there is none). Ends with a newline. 0 or -ENOMEM.
 */
int sj_report_json(struct sj_out *out, const struct sj_report *report, const struct sj_watch *watch);
