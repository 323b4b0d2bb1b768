// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>

#include "watch/store.h"

/*
 * The life of an alert, evaluation by evaluation, as Prometheus's alerting rules have it: pending when the condition
 * holds for the first time, firing when it has held for `for` (at once when that is 0), kept firing for
 * keep_firing_for when it no longer does, resolved then and told as such for 15 min. A pending alert whose condition
 * no longer holds was nothing.
 */

static void become(struct sj_entry *e, enum sj_alert_state state)
{
    if (e->state == state)
        return;
    e->state = state;
    e->changed = true;
}

static void resolve(struct sj_entry *e, struct sj_now now)
{
    e->resolved_ns = (int64_t)now.mono_ns;
    /* The clock of the day may have been put back since it began; it did not end before that. */
    e->ends_real_ns = now.real_ns > e->starts_real_ns ? now.real_ns : e->starts_real_ns;
    e->keep_ns = INT64_MIN;
    become(e, SJ_ALERT_RESOLVED);
}

static void start(struct sj_entry *e, struct sj_now now)
{
    e->active_ns = (int64_t)now.mono_ns;
    e->active_real_ns = now.real_ns;
    e->starts_real_ns = 0;
    e->ends_real_ns = 0;
    e->keep_ns = INT64_MIN;
    become(e, SJ_ALERT_PENDING);
}

static void hold(struct sj_entry *e, int64_t for_ns, struct sj_now now)
{
    e->keep_ns = INT64_MIN;
    if (e->state == SJ_ALERT_INACTIVE || e->state == SJ_ALERT_RESOLVED)
        start(e, now);
    if (e->state == SJ_ALERT_PENDING && (int64_t)now.mono_ns - e->active_ns >= for_ns) {
        e->starts_real_ns = now.real_ns;
        become(e, SJ_ALERT_FIRING);
    }
}

static void cease(struct sj_entry *e, int64_t keep_ns, struct sj_now now)
{
    int64_t at = (int64_t)now.mono_ns;
    switch (e->state) {
    case SJ_ALERT_PENDING:
        become(e, SJ_ALERT_INACTIVE);
        break;
    case SJ_ALERT_FIRING:
        if (keep_ns > 0 && e->keep_ns == INT64_MIN)
            e->keep_ns = at;
        if (keep_ns == 0 || at - e->keep_ns >= keep_ns)
            resolve(e, now);
        break;
    case SJ_ALERT_RESOLVED:
        if (at - e->resolved_ns > SJ_RESOLVED_NS)
            become(e, SJ_ALERT_INACTIVE);
        break;
    default:
        break;
    }
}

/* Nothing is known: what is under way stands still, as it does over a restart. */
static void freeze(struct sj_entry *e, int64_t elapsed_ns)
{
    if (e->state == SJ_ALERT_PENDING)
        e->active_ns += elapsed_ns;
    if (e->keep_ns != INT64_MIN)
        e->keep_ns += elapsed_ns;
}

int sj_entry_step(struct sj_watch *w, struct sj_point *point, enum sj_verdict verdict, double value, bool settled,
                  struct sj_now now)
{
    const struct sj_alert_rule *rule = point->slo ? NULL : &w->config->rules[point->rule];
    struct sj_entry *e = point->entry;
    bool no_data = verdict == SJ_VERDICT_NO_DATA;
    bool keep = no_data && (!settled || !rule || rule->no_data == SJ_NO_DATA_KEEP);
    if (no_data && !keep)
        verdict = rule->no_data == SJ_NO_DATA_ALERT ? SJ_VERDICT_YES : SJ_VERDICT_NO;
    if (!e && verdict != SJ_VERDICT_YES)
        return 0;
    if (!e) {
        e = sj_entry_new(w, point);
        if (!e)
            return w->n_entries >= SJ_ENTRIES_MAX || w->entry_bytes >= SJ_ENTRY_BYTES_MAX ? 0 : -ENOMEM;
    }
    if (keep && (e->state == SJ_ALERT_PENDING || e->state == SJ_ALERT_FIRING)) {
        freeze(e, (int64_t)now.mono_ns - (int64_t)w->now.mono_ns);
        e->no_data = true;
        return 0;
    }
    e->no_data = no_data && verdict == SJ_VERDICT_YES;
    if (!no_data || e->no_data)
        e->value = value;
    if (verdict == SJ_VERDICT_YES)
        hold(e, rule ? (int64_t)rule->for_ns : 0, now);
    else
        cease(e, rule ? (int64_t)rule->keep_firing_ns : 0, now);
    return 0;
}

void sj_entry_step_orphan(struct sj_entry *e, struct sj_now now)
{
    e->no_data = false;
    cease(e, 0, now);
}
