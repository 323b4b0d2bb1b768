// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "watch/alert.h"

/* What a receiver is told: that an alert fires, or no longer does. */
struct sj_notice {
    const struct sj_alert *alert;
    bool firing;          /* an alert that is over may still be told as firing: that had not been delivered */
    const char *host;     /* this one's name */
    uint64_t now_real_ns; /* when it is told */
    uint64_t valid_ns;    /* a firing alert of which nothing more is heard for so long may be taken for resolved */
};

/* "firing" or "resolved". */
const char *sj_notice_status(const struct sj_notice *n);

/* The annotation `summary`, or something to read in its place: "slow: nginx server". Returns out. */
char *sj_notice_summary(const struct sj_notice *n, char *out, size_t size);

/* The labels, and `instance`, this host, unless they have one: alerts of several hosts must not be taken for one. */
void sj_notice_labels(const struct sj_notice *n, struct sj_json *j);
void sj_notice_annotations(const struct sj_notice *n, struct sj_json *j);

/* A time of day as a string, RFC 3339. */
void sj_notice_time(struct sj_json *j, uint64_t real_ns);

/* The built-in document of webhooks, shaped like Alertmanager's of version 4. */
void sj_notice_webhook(const struct sj_notice *n, struct sj_out *out);

/* What commands get: one object, {"schema": "sojourn.alert/1", ...}, and a line end. */
void sj_notice_own(const struct sj_notice *n, struct sj_out *out);

/* One element of the array that Alertmanager takes. */
void sj_notice_alertmanager(const struct sj_notice *n, struct sj_json *j);

/* The event of PagerDuty's Events API v2. */
void sj_notice_pagerduty(const struct sj_notice *n, const char *routing_key, struct sj_out *out);

/* How bad it is by the label `severity`: "critical", "error", "warning" or "info"; without one, "warning". */
const char *sj_notice_severity(const struct sj_notice *n);
