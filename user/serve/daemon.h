// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "series/series.h"
#include "serve/fits.h"
#include "serve/message.h"
#include "status.h"
#include "watch/watch.h"

/* The courier asks one thing of each kind at a time. */
#define SJ_ANSWERS_MAX 8

/*
 * Scrapes that are to be answered, in their order. One body at a time is made and sent, by and by as it is taken: it
 * may be larger than what the channel keeps.
 */
struct sj_answers {
    struct sj_question {
        uint32_t id;
        struct sj_scrape scrape;
    } waiting[SJ_ANSWERS_MAX];
    size_t n;
    struct sj_out body; /* of the one that is being sent */
    size_t sent;
    uint32_t id;
    bool sending;
};

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
    struct sj_answers answers;
    struct sj_fits *fits;
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

/* A scrape is to be answered. 0, or -1 with *err. */
int sj_daemon_asked(struct sj_daemon *d, uint32_t id, const struct sj_scrape *scrape, struct sj_err *err);
/* Sends of the answers what there is room for; to be called whenever there may be. 0, or -1 with *err. */
int sj_daemon_answer(struct sj_daemon *d, struct sj_err *err);
void sj_daemon_forget_answers(struct sj_daemon *d);

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
