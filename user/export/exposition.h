// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "series/report.h"
#include "status.h"
#include "watch/watch.h"

/* What a scrape is answered from: a picture of one moment, borrowed. */
struct sj_exposition {
    const struct sj_measurement *measurement;
    const struct sj_snapshot *snapshot;
    const struct sj_report_fits *fits; /* of the snapshot's first services; NULL: none */
    const struct sj_live_status *status;
    const struct sj_watch *watch;            /* alert states and SLOs; NULL: none */
    const struct sj_courier_status *courier; /* as it was last told; NULL: nothing is known */
    uint64_t max_series;                     /* of each metric that is not about rows of the snapshot */
    uint64_t now_real_ns;
    double collector_cpu_seconds;
    uint64_t collector_rss_bytes;
};

enum sj_exposition_format {
    SJ_EXPOSITION_TEXT = 0,    /* text/plain; version=0.0.4 */
    SJ_EXPOSITION_OPENMETRICS, /* application/openmetrics-text; version=1.0.0, with exemplars */
    SJ_EXPOSITION_PROTOBUF,    /* io.prometheus.client.MetricFamily, delimited, with native histograms */
    SJ_EXPOSITION_MAX_
};

/* The value of the header Content-Type. */
const char *sj_exposition_content_type(enum sj_exposition_format format);

/* The best format for a header Accept; NULL is an absent one. */
enum sj_exposition_format sj_exposition_negotiate(const char *accept);

/* Writes everything. 0, or -ENOMEM; a failure to write is kept by out. */
int sj_exposition_write(struct sj_out *out, enum sj_exposition_format format, const struct sj_exposition *e);
