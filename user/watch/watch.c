// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/watch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "watch/store.h"

int sj_watch_init(struct sj_watch *w, const struct sj_config *config, struct sj_now now)
{
    *w = (struct sj_watch){.config = config, .budget.limit = SJ_WATCH_BYTES, .now = now};
    w->bytes = malloc(SJ_TALLY_BYTES_MAX);
    sj_ticks_add(&w->ticks, (int64_t)now.mono_ns);
    for (size_t i = 0; i < config->n_rules; i++)
        w->any_operation = w->any_operation || config->rules[i].match.operation;
    for (size_t i = 0; i < config->n_slos; i++)
        w->any_operation = w->any_operation || config->slos[i].match.operation;
    return w->bytes ? 0 : -ENOMEM;
}

void sj_watch_fini(struct sj_watch *w)
{
    while (w->first)
        sj_entry_drop(w, w->first);
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++)
        while (w->rows[i])
            sj_row_drop(w, w->rows[i]);
    sj_tally_free(&w->tally);
    sj_arena_free(&w->told);
    free(w->bytes);
}

struct sj_watch *sj_watch_new(const struct sj_config *config, struct sj_now now)
{
    struct sj_watch *w = malloc(sizeof(*w));
    if (!w)
        return NULL;
    if (sj_watch_init(w, config, now) < 0) {
        free(w);
        return NULL;
    }
    return w;
}

void sj_watch_free(struct sj_watch *w)
{
    if (!w)
        return;
    sj_watch_fini(w);
    free(w);
}

void sj_watch_begin(struct sj_watch *w, struct sj_now now)
{
    w->now = now;
    w->ticks = (struct sj_ticks){0};
    sj_ticks_add(&w->ticks, (int64_t)now.mono_ns);
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++)
        for (struct sj_row *row = w->rows[i]; row; row = row->next)
            for (uint32_t k = 0; k < row->n_windows; k++)
                sj_window_begin(row->windows[k], (int64_t)now.mono_ns);
}

bool sj_watch_wants(struct sj_watch *w, const struct sj_series_id *id)
{
    const struct sj_row *row = sj_row_get(w, id, true);
    if (row && row->n_points)
        return true;
    if (!w->any_operation || !id->operation[0])
        return false;
    row = sj_row_get(w, id, false);
    return row && row->n_points;
}

static int add_to_row(struct sj_watch *w, struct sj_row *row, const struct sj_slice *s)
{
    struct sj_window_room room = sj_room(w);
    int rc = 0;
    row->seen_ns = (int64_t)w->now.mono_ns;
    const int64_t moment = sj_burn_moment(w, row->seen_ns + (int64_t)w->config->interval_ns);
    for (uint32_t i = 0; i < row->n_windows; i++)
        rc |= sj_window_add(&room, row->windows[i], s->cell, s->counted);
    for (uint32_t i = row->n_alert_points; i < row->n_points; i++) {
        const struct sj_point *p = &row->points[i];
        if (p->pair == 0)
            sj_burn_add(p->burn, moment, sj_burn_of(s->cell, s->counted, w->config->slos[p->rule].latency_ns));
    }
    return rc < 0 ? -ENOMEM : 0;
}

int sj_watch_slice(struct sj_watch *w, const struct sj_slice *slice)
{
    uint64_t refused = w->budget.refused;
    if (!(slice->cell && slice->cell->requests) && !(slice->counted && slice->counted->count))
        return 0;
    struct sj_row *row = sj_row_get(w, &slice->id, true);
    int rc = row ? add_to_row(w, row, slice) : w->budget.refused > refused ? 0 : -ENOMEM;
    if (rc == 0 && w->any_operation && slice->id.operation[0]) {
        refused = w->budget.refused;
        row = sj_row_get(w, &slice->id, false);
        rc = row ? add_to_row(w, row, slice) : w->budget.refused > refused ? 0 : -ENOMEM;
    }
    return rc;
}

/* Evaluates the points of a window, which follow each other from *at on; *at moves behind them. */
static int evaluate_window(struct sj_watch *w, struct sj_row *row, struct sj_window *window, uint32_t *at,
                           struct sj_now now)
{
    struct sj_window_room room = sj_room(w);
    int64_t now_ns = (int64_t)now.mono_ns, interval_ns = (int64_t)w->config->interval_ns;
    if (sj_window_close(&room, window, now_ns, interval_ns) < 0)
        return -ENOMEM;
    bool filled = sj_window_filled(window, now_ns, interval_ns);
    /* What has not changed gives the same values. */
    bool again = window->changed || !filled || window->rates;
    if (again && sj_window_sum(&room, window) < 0)
        return -ENOMEM;
    for (; *at < row->n_alert_points && row->points[*at].window == window; (*at)++) {
        struct sj_point *p = &row->points[*at];
        if (again)
            p->verdict = (uint8_t)sj_measure(&w->config->rules[p->rule], &w->tally, (double)window->covered_ns / 1e9,
                                             filled, &p->value);
        if (sj_entry_step(w, p, (enum sj_verdict)p->verdict, p->value, filled, now) < 0)
            return -ENOMEM;
    }
    window->changed = window->changed || !filled;
    return 0;
}

static int evaluate_row(struct sj_watch *w, struct sj_row *row, struct sj_now now)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < row->n_windows; i++)
        if (evaluate_window(w, row, row->windows[i], &at, now) < 0)
            return -ENOMEM;
    for (; at < row->n_points; at++) {
        static const enum sj_verdict verdicts[] = {SJ_VERDICT_NO_DATA, SJ_VERDICT_NO, SJ_VERDICT_YES};
        struct sj_point *p = &row->points[at];
        const struct sj_slo *slo = &w->config->slos[p->rule];
        int judged = sj_burn_can_fire(slo, (enum sj_burn_pair)p->pair)
                         ? sj_burn_judge(p->burn, slo, (enum sj_burn_pair)p->pair,
                                         sj_burn_moment(w, (int64_t)now.mono_ns), &p->value)
                         : 0;
        if (sj_entry_step(w, p, verdicts[judged + 1], p->value, true, now) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Rules that are to tell of missing data remember who it is that is missing. */
static bool remembers(const struct sj_watch *w, const struct sj_row *row)
{
    for (uint32_t i = 0; i < row->n_alert_points; i++)
        if (w->config->rules[row->points[i].rule].no_data == SJ_NO_DATA_ALERT)
            return true;
    return false;
}

static bool is_gone(const struct sj_watch *w, const struct sj_row *row, struct sj_now now)
{
    int64_t idle = (int64_t)now.mono_ns - row->seen_ns;
    int64_t longest = (int64_t)w->config->forget_ns;
    for (uint32_t i = 0; i < row->n_windows; i++)
        if (row->windows[i]->over_ns > longest)
            longest = row->windows[i]->over_ns;
    for (uint32_t i = row->n_alert_points; i < row->n_points; i++)
        if ((int64_t)w->config->slos[row->points[i].rule].window_ns > longest)
            longest = (int64_t)w->config->slos[row->points[i].rule].window_ns;
    return idle > longest && !remembers(w, row);
}

static int forget(struct sj_watch *w, struct sj_row *row)
{
    for (uint32_t i = 0; i < row->n_points; i++)
        if (row->points[i].entry && sj_entry_keep(w, row->points[i].entry) < 0)
            return -ENOMEM;
    for (uint32_t i = 0; i < row->n_points; i++)
        if (row->points[i].entry)
            sj_entry_detach(w, row->points[i].entry);
    sj_row_drop(w, row);
    return 0;
}

/* Tells what changed. What could not be told stays changed, and what is over and told goes. */
static int tell(struct sj_watch *w, sj_alert_fn fn, void *ctx)
{
    struct sj_entry *next;
    for (struct sj_entry *e = w->first; e; e = next) {
        struct sj_alert shown;
        next = e->next;
        if (e->changed) {
            if (sj_entry_show(w, e, &shown) < 0)
                return -ENOMEM;
            if (fn && fn(ctx, &shown) < 0)
                return -1;
            e->changed = false;
        }
        if (e->state == SJ_ALERT_INACTIVE)
            sj_entry_drop(w, e);
    }
    return 0;
}

int sj_watch_evaluate(struct sj_watch *w, struct sj_now now, sj_alert_fn fn, void *ctx)
{
    if (now.mono_ns < w->now.mono_ns)
        now.mono_ns = w->now.mono_ns;
    int rc = 0;
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++) {
        struct sj_row *next;
        for (struct sj_row *row = w->rows[i]; row; row = next) {
            next = row->next;
            if (evaluate_row(w, row, now) < 0 || (is_gone(w, row, now) && forget(w, row) < 0))
                rc = -ENOMEM;
        }
    }
    for (struct sj_entry *e = w->first; e; e = e->next)
        if (!e->point)
            sj_entry_step_orphan(e, now);
    w->now = now;
    sj_ticks_add(&w->ticks, (int64_t)now.mono_ns);
    int told = tell(w, fn, ctx);
    return rc < 0 ? rc : told;
}

int sj_watch_alerts(struct sj_watch *w, sj_alert_fn fn, void *ctx)
{
    for (struct sj_entry *e = w->first; e; e = e->next) {
        struct sj_alert shown;
        if (e->state == SJ_ALERT_INACTIVE)
            continue;
        if (sj_entry_show(w, e, &shown) < 0)
            return -ENOMEM;
        if (fn(ctx, &shown) < 0)
            return -1;
    }
    return 0;
}

static void status_of(const struct sj_watch *w, const struct sj_point *p, struct sj_slo_status *out)
{
    const struct sj_slo *slo = &w->config->slos[p->rule];
    struct sj_burn_count n[SJ_BURN_WINDOW_MAX_];
    double burn[SJ_BURN_WINDOW_MAX_];
    for (int i = 0; i < SJ_BURN_WINDOW_MAX_; i++) {
        n[i] = sj_burn_sum(p->burn, (enum sj_burn_window)i, sj_burn_moment(w, (int64_t)w->now.mono_ns));
        burn[i] = sj_burn_rate(n[i], slo->objective);
    }
    *out = (struct sj_slo_status){
        .slo = slo->name,
        .id = p->row->id,
        .objective = slo->objective,
        .budget_remaining = isnan(burn[SJ_BURN_BUDGET]) ? 1 : 1 - burn[SJ_BURN_BUDGET],
        .good = n[SJ_BURN_BUDGET].total - n[SJ_BURN_BUDGET].bad,
        .total = n[SJ_BURN_BUDGET].total,
        .burn_5m = burn[SJ_BURN_5M],
        .burn_30m = burn[SJ_BURN_30M],
        .burn_1h = burn[SJ_BURN_1H],
        .burn_6h = burn[SJ_BURN_6H],
        .burn_3d = burn[SJ_BURN_3D],
    };
}

int sj_watch_slos(const struct sj_watch *w, sj_slo_fn fn, void *ctx)
{
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++) {
        for (const struct sj_row *row = w->rows[i]; row; row = row->next) {
            for (uint32_t k = row->n_alert_points; k < row->n_points; k++) {
                struct sj_slo_status status;
                if (row->points[k].pair != 0)
                    continue;
                status_of(w, &row->points[k], &status);
                if (fn(ctx, &status) < 0)
                    return -1;
            }
        }
    }
    return 0;
}

void sj_watch_stats(const struct sj_watch *w, struct sj_watch_stats *out)
{
    *out = (struct sj_watch_stats){
        .series = w->n_rows,
        .alerts = w->n_entries,
        .slos = w->n_burns,
        .bytes = w->budget.used + w->entry_bytes,
        .refused = w->budget.refused,
    };
}
