// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

#include "base/out.h"
#include "config/config.h"
#include "series/series.h"
#include "watch/alert.h"

/*
 * Rules and SLOs, evaluated over windows of what was measured. No I/O and no clock: time is an argument, so a day can
 * be played in a second. What an alert was is kept by who calls (sj_watch_save), who also delivers it.
 */
struct sj_watch;

/* What an operation of a service did since the slice before; requests without detail come with operation "". */
struct sj_slice {
    struct sj_series_id id;
    const struct sj_cell *cell;
    const struct sj_hist *counted; /* turns without detail, NULL when there were none */
};

/* The configuration must outlive the watch. NULL when there is no memory. */
struct sj_watch *sj_watch_new(const struct sj_config *config, struct sj_now now);
void sj_watch_free(struct sj_watch *w);

/*
 * Measuring begins now: the first interval lasts from here on. Before the first evaluation, and after what was saved is
 * restored. Without it the time since sj_watch_new() would count as time in which nothing was requested.
 */
void sj_watch_begin(struct sj_watch *w, struct sj_now now);

/*
 * Goes on with another configuration: alerts of rules that are still there (by name and labels) keep their state, the
 * others are resolved. The interval that is under way goes on. 0, or -ENOMEM, then nothing has changed.
 */
int sj_watch_reload(struct sj_watch *w, const struct sj_config *config);

/* Does any rule or SLO look at this series? What none looks at needs no slices. */
bool sj_watch_wants(struct sj_watch *w, const struct sj_series_id *id);

/* Takes in a slice, which belongs to the interval that the next evaluation ends. 0 or -ENOMEM. */
int sj_watch_slice(struct sj_watch *w, const struct sj_slice *slice);

/*
 * Ends the interval and evaluates. fn (or NULL) is called for each alert whose state changed, inactive included: then
 * it was only pending, or its 15 minutes of being resolved are over, and it is forgotten. What fn did not take is told
 * again at the next evaluation. Returns 0, -ENOMEM (what could be evaluated was), or -1 from fn.
 */
int sj_watch_evaluate(struct sj_watch *w, struct sj_now now, sj_alert_fn fn, void *ctx);

/* All alerts that are pending, firing or resolved of late. 0, -ENOMEM, or -1 from fn. */
int sj_watch_alerts(struct sj_watch *w, sj_alert_fn fn, void *ctx);

/* The same without annotations, which have to be made. 0, or -1 from fn. */
int sj_watch_states(const struct sj_watch *w, sj_alert_fn fn, void *ctx);

/* How many alerts of one name there are. */
struct sj_name_status {
    const char *name; /* of a rule or an SLO */
    uint64_t alerts[SJ_ALERT_MAX_];
    uint64_t no_data; /* of a rule: series without data to judge by, alerts or not; of an SLO: such alerts */
};

/* For each name in the configuration, once. 0, or -1 from fn. */
typedef int (*sj_name_fn)(void *ctx, const struct sj_name_status *status);
int sj_watch_names(const struct sj_watch *w, sj_name_fn fn, void *ctx);

/* How an SLO stands for one service. Burn rates are multiples of what would just use up the budget; NaN: no traffic. */
struct sj_slo_status {
    const char *slo;
    struct sj_series_id id; /* operation "": the service as a whole */
    double objective;
    double budget_remaining; /* share of the window's budget, below 0 when overspent */
    uint64_t good, total;    /* in the budget's window, as far as it was watched */
    double burn_5m, burn_30m, burn_1h, burn_6h, burn_3d;
};
typedef int (*sj_slo_fn)(void *ctx, const struct sj_slo_status *status);
int sj_watch_slos(const struct sj_watch *w, sj_slo_fn fn, void *ctx);

/*
 * Memory for windows, SLOs and what is known of series, in bytes; alerts' texts take up to 2 MiB more. Beyond that, new
 * series are not watched and windows of busy ones become shorter, which is counted in `refused`. A window takes memory
 * for slots that had requests, about 20 to 200 bytes each, at most 60 of them; an SLO 30 KiB per service, at most 128.
 */
#define SJ_WATCH_BYTES ((size_t)8 << 20)

struct sj_watch_stats {
    size_t series; /* that it has heard of */
    size_t alerts;
    size_t slos; /* times services */
    size_t bytes;
    uint64_t refused;
};
void sj_watch_stats(const struct sj_watch *w, struct sj_watch_stats *out);

/*
 * Writes all that must survive a restart: alerts and their times, `for` under way, the SLOs' counts; at most 4 MiB,
 * and what were more than that is left out.
 * out is one in memory.
 * Restoring, into a new watch, takes what fits the configuration. Of what does not, alerts that were firing are
 * resolved at the next evaluation, the rest is forgotten. The time between, by the clock of the day and never below
 * zero, counts as time without data. -1 with EX_DATAERR when the bytes are damaged, and then nothing was restored.
 */
void sj_watch_save(struct sj_watch *w, struct sj_now now, struct sj_out *out);
int sj_watch_restore(struct sj_watch *w, const void *data, size_t n, struct sj_now now, struct sj_err *err);
