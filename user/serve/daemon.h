// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "series/series.h"
#include "serve/message.h"
#include "status.h"
#include "watch/watch.h"

/* What the process that measures knows; for the files of this folder only. */
struct sj_daemon {
    struct sj_config *config;
    struct sj_channel *channel;
    struct sj_series *series;
    struct sj_watch *watch;
    struct sj_measurement measurement;
    struct sj_live_status status; /* its gauges are gauges */
    struct sj_live_gauge *gauges;
    struct sj_courier_status courier;
    bool courier_known;
    bool restored;
    bool ready;
    bool state_changed;
    pid_t child;
    int manager;           /* see serve/manager.h */
    uint64_t evaluated_ns; /* CLOCK_MONOTONIC: when each was last done */
    uint64_t saved_ns;
    uint64_t told_ns;
};

/* This moment on both clocks. */
struct sj_now sj_daemon_now(void);

/* Answers a scrape: its body goes to the courier in pieces. 0, or -1 with *err. */
int sj_daemon_answer(struct sj_daemon *d, uint32_t id, const struct sj_scrape *scrape, struct sj_err *err);

/* ---- rules.c ---- */

/* Lets the series know what the rules look at. */
void sj_daemon_watch(struct sj_daemon *d);
/* Ends an interval when one is over, and tells the courier what has changed. 0, or -1 with *err. */
int sj_daemon_evaluate(struct sj_daemon *d, struct sj_err *err);
/* Tells the courier of every alert there is. */
int sj_daemon_tell_alerts(struct sj_daemon *d, struct sj_err *err);
/* Sends the state of the watch, to be saved. */
int sj_daemon_save(struct sj_daemon *d, struct sj_err *err);
/* Goes on with the configuration that the courier has checked. */
int sj_daemon_configure(struct sj_daemon *d, const char *text, size_t n, struct sj_err *err);
