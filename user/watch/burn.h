// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "series/series.h"

/*
 * Good and bad requests of a service over all the windows of an SLO: four rings of slots, from 10 s slots for an hour
 * to 720 slots for the window of the budget. 30 KiB each, whatever the traffic. Within this folder only.
 */
struct sj_burn;

/* The windows that are asked for. */
enum sj_burn_window {
    SJ_BURN_5M = 0,
    SJ_BURN_30M,
    SJ_BURN_1H,
    SJ_BURN_6H,
    SJ_BURN_3D,
    SJ_BURN_BUDGET,
    SJ_BURN_WINDOW_MAX_
};

struct sj_burn_count {
    uint64_t bad;
    uint64_t total;
};

struct sj_burn *sj_burn_new(uint64_t budget_window_ns, int64_t now_ns);
size_t sj_burn_bytes(void);

/* Adds requests at a moment. Moments do not go back. */
void sj_burn_add(struct sj_burn *b, int64_t now_ns, struct sj_burn_count n);

/* What lies in a window that ends now; the oldest slot of it counts whole. */
struct sj_burn_count sj_burn_sum(struct sj_burn *b, enum sj_burn_window window, int64_t now_ns);

/* How long it has been counting, time without traffic included. */
int64_t sj_burn_age(const struct sj_burn *b, int64_t now_ns);

/*
 * How many of a cell's requests were bad: errors, and those slower than latency_ns (0: none is). Latencies are known by
 * their bucket, so the threshold is the edge of a bucket that lies nearest: at most 1.1 % off. Requests without detail
 * are bad only when they were slow.
 */
struct sj_burn_count sj_burn_of(const struct sj_cell *cell, const struct sj_hist *counted, uint64_t latency_ns);

/* The pairs of windows by the SRE workbook, "Alerting on SLOs": burn rate, windows, severity. */
enum sj_burn_pair { SJ_BURN_FAST = 0, SJ_BURN_SLOW, SJ_BURN_TICKET, SJ_BURN_PAIR_MAX_ };
struct sj_burn_alert {
    double factor;
    enum sj_burn_window long_window, short_window;
    uint64_t long_ns, short_ns;
    const char *severity;
    const char *long_name, *short_name;
};
extern const struct sj_burn_alert sj_burn_alerts[SJ_BURN_PAIR_MAX_];

/* Can the pair fire at all? Not when even nothing but errors burns too slowly, or its window is longer than the
 * budget's. */
bool sj_burn_can_fire(const struct sj_slo *slo, enum sj_burn_pair pair);

/* A burn rate: the share of bad requests over the budgeted share; NaN without requests. */
double sj_burn_rate(struct sj_burn_count n, double objective);

/*
 * Does the pair alert? The long window's burn rate must be above the factor with 95 % confidence (the exact binomial
 * lower bound), on at least the SLO's min_requests, and that of the short window as it is. *rate is that of the long
 * window. 1, 0, or -1: nobody knows, there is no traffic in the short window while the long one is above.
 */
int sj_burn_judge(struct sj_burn *b, const struct sj_slo *slo, enum sj_burn_pair pair, int64_t now_ns, double *rate);

/*
 * The rings as they are, for saving and restoring: one value after the other, from the newest slot on. at: 0 to
 * SJ_BURN_LEVELS - 1; back: slots ago, 0 to sj_burn_slots(at) - 1.
 */
#define SJ_BURN_LEVELS 4
#define SJ_BURN_SLOTS_MAX 720
uint32_t sj_burn_slots(unsigned at);
/* How many slots of a ring begin between two moments; no more than there are. */
uint32_t sj_burn_slots_between(const struct sj_burn *b, unsigned at, int64_t from_ns, int64_t to_ns);
struct sj_burn_count sj_burn_get(struct sj_burn *b, unsigned at, uint32_t back, int64_t now_ns);
void sj_burn_set(struct sj_burn *b, unsigned at, uint32_t back, int64_t now_ns, struct sj_burn_count n);
void sj_burn_set_age(struct sj_burn *b, int64_t age_ns, int64_t now_ns);
