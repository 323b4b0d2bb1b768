// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <sojourn/event.h>

#include "request.h"

/* How things stand while they run: what a measurement and the daemon around it tell of themselves. */

/* Who has how many connections and unanswered requests at this moment. */
struct sj_live_gauge {
    char service[SJ_COMM_LEN];
    uint8_t role;
    uint16_t port;
    uint64_t connections;
    uint64_t in_flight;
};

/* How a measurement stands while it runs; counts are since its start. */
struct sj_live_status {
    struct sj_completeness completeness; /* cut_off is of what has ended by now */
    double kernel_seconds;               /* of the probes, estimated from timed runs; NaN: none was timed yet */
    double kernel_seconds_per_request;   /* NaN: unknown */
    double user_cpu_seconds;
    uint64_t in_flight[SJ_ROLE_SLOTS];
    uint64_t connections[SJ_ROLE_SLOTS];
    const struct sj_live_gauge *gauges; /* borrowed until the next status */
    size_t n_gauges;
};

enum sj_notifier_kind {
    SJ_NOTIFY_ALERTMANAGER = 0,
    SJ_NOTIFY_PAGERDUTY,
    SJ_NOTIFY_WEBHOOK,
    SJ_NOTIFY_EXEC,
    SJ_NOTIFY_SYSLOG,
    SJ_NOTIFY_MAX_
};

/* What the courier tells of itself, so that it can be exported. Fixed widths: it crosses a process boundary. */
struct sj_notifier_status {
    uint64_t delivered; /* attempts that were accepted */
    uint64_t failed;    /* attempts that were not */
    uint64_t dropped;   /* given up for good: refused as malformed */
    uint64_t waiting;   /* alerts that are not where they should be yet */
};

struct sj_courier_status {
    double cpu_seconds;
    uint64_t rss_bytes;
    uint64_t requests;        /* HTTP requests answered */
    uint64_t requests_denied; /* refused: limits, authentication, methods, paths */
    uint64_t connections;     /* open at this moment */
    uint64_t state_errors;    /* writes of the state that failed */
    uint64_t reloads_failed;
    uint64_t last_reload_ok; /* 1 or 0 */
    struct sj_notifier_status notifiers[SJ_NOTIFY_MAX_];
};
