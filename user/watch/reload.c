// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watch/store.h"

/* The same rule or SLO in both configurations, by what its alerts are known by. */
static bool same_point(const struct sj_watch *a, const struct sj_point *p, const struct sj_watch *b,
                       const struct sj_point *q)
{
    char id_p[SJ_ALERT_ID_SIZE], id_q[SJ_ALERT_ID_SIZE];
    if (p->slo != q->slo || (p->slo && p->pair != q->pair))
        return false;
    sj_point_id(a, p, id_p);
    sj_point_id(b, q, id_q);
    return strcmp(id_p, id_q) == 0;
}

static struct sj_point *counterpart(const struct sj_watch *from, const struct sj_point *p, const struct sj_watch *to)
{
    struct sj_row *row = sj_row_find(to, &p->row->id, p->row->whole);
    for (uint32_t i = 0; row && i < row->n_points; i++)
        if (same_point(from, p, to, &row->points[i]))
            return &row->points[i];
    return NULL;
}

static void swap_windows(struct sj_watch *from, struct sj_window *a, struct sj_watch *to, struct sj_window *b)
{
    struct sj_window was = *a;
    was.rates = b->rates;
    to->budget.used += a->size - b->size;
    from->budget.used += b->size - a->size;
    *a = *b;
    *b = was;
    b->changed = true;
}

static void move_windows(struct sj_watch *from, const struct sj_row *old, struct sj_watch *to, const struct sj_row *row)
{
    if (from->config->interval_ns != to->config->interval_ns)
        return;
    for (uint32_t i = 0; i < row->n_windows; i++) {
        for (uint32_t k = 0; k < old->n_windows; k++) {
            struct sj_window *a = old->windows[k], *b = row->windows[i];
            if (a->over_ns == b->over_ns && a->tracks.hists == b->tracks.hists && a->tracks.sums == b->tracks.sums)
                swap_windows(from, a, to, b);
        }
    }
}

/* The counts of an SLO, which all of its pairs share, go over where they count the same. */
static void move_counts(const struct sj_watch *from, struct sj_point *p, const struct sj_watch *to, struct sj_point *q)
{
    const struct sj_slo *a = &from->config->slos[p->rule], *b = &to->config->slos[q->rule];
    struct sj_burn *theirs = p->burn, *ours = q->burn;
    if (a->latency_ns != b->latency_ns || a->window_ns != b->window_ns)
        return;
    for (int pair = 0; pair < SJ_BURN_PAIR_MAX_; pair++) {
        p[pair].burn = ours;
        q[pair].burn = theirs;
    }
}

/* Windows, counts and alerts of a row go over to the same one under the new configuration. Nothing here can fail. */
static void move_row(struct sj_watch *from, struct sj_row *old, struct sj_watch *to)
{
    struct sj_row *row = sj_row_find(to, &old->id, old->whole);
    if (row) {
        row->seen_ns = old->seen_ns;
        move_windows(from, old, to, row);
    }
    for (uint32_t i = 0; i < old->n_points; i++) {
        struct sj_point *p = &old->points[i];
        struct sj_point *q = p->entry || (p->slo && p->pair == 0) ? counterpart(from, p, to) : NULL;
        if (q && p->slo && p->pair == 0)
            move_counts(from, p, to, q);
        if (!p->entry)
            continue;
        struct sj_entry *e = p->entry;
        sj_entry_detach(from, e);
        if (q)
            sj_entry_attach(from, e, q);
    }
}

static int make_rows(const struct sj_watch *from, struct sj_watch *to)
{
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++) {
        for (const struct sj_row *row = from->rows[i]; row; row = row->next) {
            uint64_t refused = to->budget.refused;
            if (!sj_row_get(to, &row->id, row->whole) && to->budget.refused == refused)
                return -ENOMEM;
        }
    }
    return 0;
}

int sj_watch_reload(struct sj_watch *w, const struct sj_config *config)
{
    struct sj_watch *fresh = malloc(sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    /* Requests that come with the next evaluation may be as old as the latest one: windows begin there, not now. */
    int rc = sj_watch_init(fresh, config, w->now);
    if (rc == 0)
        rc = make_rows(w, fresh);
    for (struct sj_entry *e = w->first; rc == 0 && e; e = e->next)
        if (e->point && !counterpart(w, e->point, fresh))
            rc = sj_entry_keep(w, e);
    if (rc == 0) {
        for (size_t i = 0; i < SJ_ROW_SLOTS; i++)
            for (struct sj_row *row = w->rows[i]; row; row = row->next)
                move_row(w, row, fresh);
        fresh->first = w->first;
        fresh->last = w->last;
        fresh->n_entries = w->n_entries;
        fresh->n_orphans = w->n_orphans;
        fresh->entry_bytes = w->entry_bytes;
        fresh->budget.refused += w->budget.refused;
        fresh->ticks = w->ticks;
        w->first = w->last = NULL;
        struct sj_watch old = *w;
        *w = *fresh;
        *fresh = old;
    }
    sj_watch_fini(fresh);
    free(fresh);
    return rc;
}
