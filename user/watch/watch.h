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
 * Goes on with another configuration: alerts of rules that are still there (by name and labels) keep their state, the
 * others are resolved. 0, or -ENOMEM, then nothing has changed.
 */
int sj_watch_reload(struct sj_watch *w, const struct sj_config *config, struct sj_now now);

/* Does any rule or SLO look at this series? What none looks at needs no slices. */
bool sj_watch_wants(const struct sj_watch *w, const struct sj_series_id *id);

/* Takes in a slice, which belongs to the interval that the next evaluation ends. 0 or -ENOMEM. */
int sj_watch_slice(struct sj_watch *w, const struct sj_slice *slice);

/*
 * Ends the interval and evaluates. fn is called for each alert whose state changed. Returns 0, -ENOMEM, or -1 from fn.
 */
int sj_watch_evaluate(struct sj_watch *w, struct sj_now now, sj_alert_fn fn, void *ctx);

/* All alerts that are pending, firing or resolved of late. */
int sj_watch_alerts(const struct sj_watch *w, sj_alert_fn fn, void *ctx);

/* How an SLO stands for one service. Burn rates are multiples of what would just use up the budget; NaN: no traffic. */
struct sj_slo_status {
    const char *slo;
    struct sj_series_id id; /* operation: "" */
    double objective;
    double budget_remaining; /* share of the window's budget, below 0 when overspent */
    uint64_t good, total;    /* in the budget's window, as far as it was watched */
    double burn_5m, burn_30m, burn_1h, burn_6h, burn_3d;
};
typedef int (*sj_slo_fn)(void *ctx, const struct sj_slo_status *status);
int sj_watch_slos(const struct sj_watch *w, sj_slo_fn fn, void *ctx);

/*
 * Writes all that must survive a restart: alerts and their times, `for` under way, the SLOs' counts. Restoring takes
 * what fits the configuration and forgets the rest; the time between counts as time without data. -1 with EX_DATAERR
 * when the bytes are damaged, and then nothing was restored.
 */
void sj_watch_save(const struct sj_watch *w, struct sj_now now, struct sj_out *out);
int sj_watch_restore(struct sj_watch *w, const void *data, size_t n, struct sj_now now, struct sj_err *err);
