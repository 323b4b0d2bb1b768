// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "watch/labels.h"

/* A moment on both clocks: spans are measured on the first, which never jumps, times of day are told from the other. */
struct sj_now {
    uint64_t mono_ns;
    uint64_t real_ns;
};

enum sj_alert_state {
    SJ_ALERT_INACTIVE = 0,
    SJ_ALERT_PENDING,  /* the condition holds, `for` is not over */
    SJ_ALERT_FIRING,   /* also while keep_firing_for lasts */
    SJ_ALERT_RESOLVED, /* was firing; for 15 minutes, unless it is active again, be it pending */
    SJ_ALERT_MAX_
};

/* Hexadecimal digits of an alert's id, and a NUL. */
#define SJ_ALERT_ID_SIZE 33

/*
 * One alert: a rule (or a burn rate of an SLO) that holds for one series. Strings belong to who hands it out and live
 * until its next call. Whoever was told that it fires is to be told when it no longer does, however it came to that.
 */
struct sj_alert {
    char id[SJ_ALERT_ID_SIZE]; /* made of the labels: the same alert has the same id after a restart */
    const char *name;          /* the label alertname */
    struct sj_labels labels;
    struct sj_labels annotations; /* templates filled in */
    enum sj_alert_state state;
    bool no_data;            /* there is no traffic to judge by; the state is what no_data says it shall be */
    double value;            /* of the measure, at the latest evaluation; NaN when there was none */
    uint64_t active_real_ns; /* since when the condition holds */
    uint64_t starts_real_ns; /* since when it fires; 0 while pending */
    uint64_t ends_real_ns;   /* when it was resolved; 0 before */
};

/* Returns 0, or -1 to stop. */
typedef int (*sj_alert_fn)(void *ctx, const struct sj_alert *alert);

const char *sj_alert_state_name(enum sj_alert_state state); /* "inactive", "pending", "firing", "resolved" */
