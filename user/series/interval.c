// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>

#include "series/store.h"

/* Stands in where there is nothing but counted turns. */
static const struct sj_cell no_requests;

void sj_interval_free(struct sj_operation *op)
{
    if (op->interval)
        sj_cell_clear(op->interval);
    free(op->interval);
    op->interval = NULL;
}

int sj_interval_add(struct sj_operation *op, const struct sj_request *req)
{
    if (!op->interval) {
        op->interval = calloc(1, sizeof(*op->interval));
        if (!op->interval)
            return -ENOMEM;
        sj_hist_init(&op->interval->total);
    }
    return sj_cell_add(op->interval, req);
}

static struct sj_series_id id_of(const struct sj_service *svc, const char *operation)
{
    return (struct sj_series_id){
        .service = svc->is_rest ? SJ_REST_NAME : svc->text,
        .container = svc->container,
        .operation = operation,
        .role = svc->role,
        .protocol = svc->protocol,
        .port = svc->port,
    };
}

static const char *name_of(const struct sj_operation *op)
{
    return op == op->owner->rest && !op->owner->is_rest ? SJ_REST_NAME : op->name;
}

void sj_interval_service(const struct sj_series *s, struct sj_service *svc)
{
    struct sj_series_id id = id_of(svc, "");
    svc->counted_watched = s->wanted && s->wanted(s->wanted_ctx, &id);
    if (!svc->counted_watched)
        sj_hist_free(&svc->counted_interval);
}

void sj_interval_operation(const struct sj_series *s, struct sj_operation *op)
{
    struct sj_series_id id = id_of(op->owner, name_of(op));
    op->watched = s->wanted && s->wanted(s->wanted_ctx, &id);
    if (!op->watched)
        sj_interval_free(op);
}

void sj_series_watch(struct sj_series *s, sj_series_wanted_fn wanted, void *ctx)
{
    s->wanted = wanted;
    s->wanted_ctx = ctx;
    for (struct sj_service *svc = s->first; svc; svc = svc->next) {
        sj_interval_service(s, svc);
        for (struct sj_operation *op = svc->operations; op; op = op->next)
            sj_interval_operation(s, op);
    }
}

/* A row that is in use keeps its memory; one that did nothing since the last time gives it back. */
static int drain_operation(struct sj_operation *op, sj_series_slice_fn fn, void *ctx)
{
    if (!op->interval)
        return 0;
    if (op->interval->requests == 0) {
        sj_interval_free(op);
        return 0;
    }
    struct sj_series_id id = id_of(op->owner, name_of(op));
    int rc = fn(ctx, &id, op->interval, NULL);
    sj_cell_reset(op->interval);
    return rc;
}

int sj_series_drain(struct sj_series *s, sj_series_slice_fn fn, void *ctx)
{
    int rc = 0;
    for (struct sj_service *svc = s->first; svc && rc == 0; svc = svc->next) {
        for (struct sj_operation *op = svc->operations; op && rc == 0; op = op->next)
            rc = drain_operation(op, fn, ctx);
        if (rc || svc->counted_interval.count == 0)
            continue;
        struct sj_series_id id = id_of(svc, "");
        rc = fn(ctx, &id, &no_requests, &svc->counted_interval);
        sj_hist_reset(&svc->counted_interval);
    }
    return rc;
}
