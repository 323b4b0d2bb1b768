// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "watch/store.h"

/* What exporters ask for: alerts as they are, and how many there are of each name. */

int sj_watch_states(const struct sj_watch *w, sj_alert_fn fn, void *ctx)
{
    for (const struct sj_entry *e = w->first; e; e = e->next) {
        struct sj_alert shown;
        if (e->state == SJ_ALERT_INACTIVE)
            continue;
        sj_entry_state(e, &shown);
        if (fn(ctx, &shown) < 0)
            return -1;
    }
    return 0;
}

/* For how many series each rule has nothing to judge by, be there an alert or not. */
static void count_no_data(const struct sj_watch *w, uint32_t counts[SJ_CONFIG_RULES_MAX])
{
    memset(counts, 0, SJ_CONFIG_RULES_MAX * sizeof(*counts));
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++)
        for (const struct sj_row *row = w->rows[i]; row; row = row->next)
            for (uint32_t k = 0; k < row->n_alert_points; k++)
                counts[row->points[k].rule] += row->points[k].verdict == SJ_VERDICT_NO_DATA;
}

static void count_name(const struct sj_watch *w, const char *name, const uint32_t *no_data, struct sj_name_status *out)
{
    *out = (struct sj_name_status){.name = name};
    for (size_t i = 0; i < w->config->n_rules; i++)
        if (strcmp(w->config->rules[i].name, name) == 0)
            out->no_data += no_data[i];
    for (const struct sj_entry *e = w->first; e; e = e->next) {
        const char *is = sj_labels_get(&e->labels, "alertname");
        if (!is || strcmp(is, name) != 0)
            continue;
        out->alerts[e->state]++;
        out->no_data += e->no_data && e->state != SJ_ALERT_INACTIVE && e->point && e->point->slo;
    }
}

/* The i-th name: rules first, then SLOs. */
static const char *name_at(const struct sj_config *c, size_t i)
{
    return i < c->n_rules ? c->rules[i].name : c->slos[i - c->n_rules].name;
}

/* Rules may share a name. */
static bool came_before(const struct sj_config *c, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(name_at(c, k), name_at(c, i)) == 0)
            return true;
    return false;
}

int sj_watch_names(const struct sj_watch *w, sj_name_fn fn, void *ctx)
{
    const struct sj_config *c = w->config;
    uint32_t no_data[SJ_CONFIG_RULES_MAX];
    count_no_data(w, no_data);
    for (size_t i = 0; i < c->n_rules + c->n_slos; i++) {
        struct sj_name_status status;
        if (came_before(c, i))
            continue;
        count_name(w, name_at(c, i), no_data, &status);
        if (fn(ctx, &status) < 0)
            return -1;
    }
    return 0;
}
