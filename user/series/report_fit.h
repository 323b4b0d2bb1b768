// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit.h"
#include "series/series.h"

/* Only the services with most requests are fitted, and only those with enough of them. */
#define SJ_REPORT_FITS 16
#define SJ_REPORT_FIT_REQUESTS 100

/*
 * Replicates of a bootstrap: the fewest that tell an interval at 95 %, whose bounds are then their extremes. The tail
 * gets one; the best family only where the tail does not reach p99.9.
 */
#define SJ_REPORT_FIT_REPLICATES 39

/* Is it fitted? The rest is no service: what it is made of has no distribution in common. */
bool sj_report_fits_service(const struct sj_service_view *s);

/*
 * Fits one service's total; takes some 20 to 100 ms. 1, or 0 when it cannot be fitted, or -1 and EX_OSERR without
 * memory: what *out holds means something with 1 only.
 */
int sj_report_fit_make(const struct sj_hist *total, struct sj_fit_result *out, struct sj_err *err);

/* The distributions of a report's services. */
struct sj_report_fits {
    struct sj_fit_result *of[SJ_REPORT_FITS]; /* owned; of the snapshot's first services, NULL where there is none */
};

/*
 * Fits the totals of the snapshot's services, counted turns included; takes some 20 to 100 ms for each. A service whose
 * requests cannot be fitted has no result. -1 and EX_OSERR when there is no memory; *out is untouched then. *out is
 * released by sj_report_fits_free().
 */
int sj_report_fits_make(const struct sj_snapshot *snap, struct sj_report_fits *out, struct sj_err *err);
void sj_report_fits_free(struct sj_report_fits *fits);
