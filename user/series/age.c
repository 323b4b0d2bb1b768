// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/store.h"

/*
 * How rows go from a series that lasts. To the world outside, a series is a service's name, role and protocol, and an
 * operation; ports and containers are not told apart there. So when a row goes:
 *
 *   while another row of the same name is in use, its counts go to a row that is kept for those (`departed`), since the
 *   series goes on and must not fall;
 *   otherwise the series ends, and its counts are kept in the total of what it belonged to (`retired`), where reports
 *   find them and exporters do not look. If the name comes again, it begins with 0. What was shown as part of a
 *   rest, which goes on, stays there (shown.c).
 */

#define MINUTE_NS 60000000000ULL
/* A service's processes are counted anew now and then: over months they would be as many as there can be. */
#define PIDS_KEPT 1024

static bool is_idle(const struct sj_series *s, uint64_t used_ns, uint64_t idle_ns)
{
    return s->now_ns - used_ns >= idle_ns;
}

static bool service_is_idle(const struct sj_series *s, const struct sj_service *svc, uint64_t idle_ns)
{
    if (!is_idle(s, svc->counted_ns, idle_ns))
        return false;
    for (const struct sj_operation *op = svc->operations; op; op = op->next)
        if (!is_idle(s, op->used_ns, idle_ns))
            return false;
    return true;
}

static bool is_sibling(const struct sj_service *a, const struct sj_service *b)
{
    return a != b && a->identity == b->identity && !b->is_rest && a->role == b->role && a->protocol == b->protocol &&
           strcmp(a->text, b->text) == 0;
}

/* Is there another row of the same series that is in use? operation NULL: of the service. */
static bool lives_elsewhere(const struct sj_series *s, const struct sj_service *svc, const char *operation,
                            uint64_t idle_ns)
{
    for (const struct sj_service *other = s->first; other; other = other->next) {
        if (!is_sibling(svc, other))
            continue;
        if (!operation) {
            if (!service_is_idle(s, other, idle_ns))
                return true;
            continue;
        }
        const struct sj_operation *op = sj_store_find(s, other, operation);
        if (op && !is_idle(s, op->used_ns, idle_ns))
            return true;
    }
    return false;
}

static struct sj_cell *retired_of(struct sj_service *svc)
{
    if (!svc->retired) {
        svc->retired = calloc(1, sizeof(*svc->retired));
        if (svc->retired)
            sj_hist_init(&svc->retired->total);
    }
    return svc->retired;
}

/* Adds from's counts to the row `to`, of the same series. */
static int give_counts(struct sj_operation *to, const struct sj_operation *from)
{
    if (!to || sj_cell_merge(&to->cell, &from->cell) < 0)
        return -ENOMEM;
    if (from->created_ns < to->created_ns)
        to->created_ns = from->created_ns;
    if (from->used_ns > to->used_ns)
        to->used_ns = from->used_ns;
    if (from->exemplar.mono_ns > to->exemplar.mono_ns)
        to->exemplar = from->exemplar;
    return 0;
}

static struct sj_service *departed_of(struct sj_series *s, const struct sj_service *svc)
{
    struct sj_service *d = sj_store_service(s, svc->text, svc->role, svc->protocol);
    if (d)
        d->departed = true;
    return d;
}

/* 1 when the row has gone, 0 when it stays, or -ENOMEM. */
static int age_operation(struct sj_series *s, struct sj_operation *op, uint64_t idle_ns)
{
    struct sj_service *svc = op->owner;
    if (op == svc->rest || !op->name[0] || !is_idle(s, op->used_ns, idle_ns))
        return 0;
    if (lives_elsewhere(s, svc, op->name, idle_ns)) {
        struct sj_service *d = departed_of(s, svc);
        if (d == svc)
            return 0;
        if (!d || give_counts(sj_store_operation(s, d, op->name), op) < 0)
            return -ENOMEM;
    } else {
        struct sj_cell *retired = retired_of(svc);
        if (!retired || sj_cell_merge(retired, &op->cell) < 0 || sj_shown_keep(svc, op) < 0)
            return -ENOMEM;
    }
    sj_store_remove_operation(s, op);
    return 1;
}

/* All that svc counted goes to d, which is of the same name. */
static int depart(struct sj_series *s, struct sj_service *svc, struct sj_service *d)
{
    for (const struct sj_operation *op = svc->operations; op; op = op->next) {
        struct sj_operation *to = op == svc->rest ? sj_store_rest_operation(s, d) : sj_store_operation(s, d, op->name);
        if (give_counts(to, op) < 0)
            return -ENOMEM;
    }
    if (svc->retired && (!retired_of(d) || sj_cell_merge(d->retired, svc->retired) < 0))
        return -ENOMEM;
    if (sj_hist_merge(&d->counted, &svc->counted) < 0 || sj_shown_depart(d, svc) < 0)
        return -ENOMEM;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        d->counted_stage_ns[i] += svc->counted_stage_ns[i];
    d->lower_bound = d->lower_bound || svc->lower_bound;
    if (svc->created_ns < d->created_ns)
        d->created_ns = svc->created_ns;
    if (svc->counted_ns > d->counted_ns)
        d->counted_ns = svc->counted_ns;
    return 0;
}

/* Its counts stay in the total of all services; turns without detail there count as requests without stages. */
static int retire(struct sj_series *s, const struct sj_service *svc)
{
    struct sj_service *rest = sj_store_rest_service(s, svc->role);
    struct sj_cell *to = rest ? retired_of(rest) : NULL;
    if (!to || sj_shown_retire(rest, svc) < 0)
        return -ENOMEM;
    for (const struct sj_operation *op = svc->operations; op; op = op->next)
        if (sj_cell_merge(to, &op->cell) < 0)
            return -ENOMEM;
    if (svc->retired && sj_cell_merge(to, svc->retired) < 0)
        return -ENOMEM;
    to->requests += svc->counted.count;
    to->bare += svc->counted.count;
    return sj_hist_merge(&to->total, &svc->counted);
}

static int age_service(struct sj_series *s, struct sj_service *svc, uint64_t idle_ns)
{
    if (svc->is_rest || !service_is_idle(s, svc, idle_ns))
        return 0;
    int rc;
    if (lives_elsewhere(s, svc, NULL, idle_ns)) {
        struct sj_service *d = departed_of(s, svc);
        if (d == svc)
            return 0;
        rc = d ? depart(s, svc, d) : -ENOMEM;
    } else {
        rc = retire(s, svc);
    }
    if (rc < 0)
        return rc;
    sj_store_remove_service(s, svc);
    return 0;
}

int sj_series_age(struct sj_series *s, uint64_t idle_ns)
{
    /* first the services, whose operations go with them; rows that are made meanwhile come in front and are not met */
    for (struct sj_service *svc = s->first, *next; svc; svc = next) {
        next = svc->next;
        if (age_service(s, svc, idle_ns) < 0)
            return -ENOMEM;
    }
    for (struct sj_service *svc = s->first; svc; svc = svc->next) {
        for (struct sj_operation *op = svc->operations, *next; op && !svc->is_rest; op = next) {
            next = op->next;
            if (age_operation(s, op, idle_ns) < 0)
                return -ENOMEM;
        }
        if (svc->pids.count > PIDS_KEPT)
            sj_pids_free(&svc->pids);
    }
    s->bytes = sj_series_bytes(s);
    return 0;
}

int sj_series_tick(struct sj_series *s, uint64_t mono_ns)
{
    if (mono_ns <= s->now_ns)
        return 0;
    s->now_ns = mono_ns;
    if (!s->limits.idle_ns || mono_ns - s->aged_ns < MINUTE_NS)
        return 0;
    s->aged_ns = mono_ns;
    return sj_series_age(s, s->limits.idle_ns);
}
