// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/store.h"

/* What a snapshot sums up for itself; what needs no summing is borrowed. */
struct owned {
    struct sj_service_view *services;
    struct sj_operation_view *operations;
    struct sj_cell *cells;  /* of services with several operations */
    struct sj_hist *totals; /* of services with counted turns */
    size_t n_cells;
    size_t n_totals;
};

/* Stands in where a service has nothing but counted turns. */
static const struct sj_cell empty_cell;

static void free_owned(struct owned *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n_cells; i++)
        sj_cell_clear(&o->cells[i]);
    for (size_t i = 0; i < o->n_totals; i++)
        sj_hist_free(&o->totals[i]);
    free(o->cells);
    free(o->totals);
    free(o->operations);
    free(o->services);
    free(o);
}

static struct owned *new_owned(size_t n_services, size_t n_operations)
{
    struct owned *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->services = calloc(n_services + 1, sizeof(*o->services));
    o->operations = calloc(n_operations + 1, sizeof(*o->operations));
    o->cells = calloc(n_services + 1, sizeof(*o->cells));
    o->totals = calloc(n_services + 1, sizeof(*o->totals));
    if (o->services && o->operations && o->cells && o->totals)
        return o;
    free_owned(o);
    return NULL;
}

/* Ties are broken by name, so that the same requests give the same report. */
static int compare_operations(const void *a, const void *b)
{
    const struct sj_operation_view *x = a, *y = b;
    if (x->rest != y->rest)
        return x->rest ? 1 : -1;
    if (x->cell->requests != y->cell->requests)
        return x->cell->requests > y->cell->requests ? -1 : 1;
    return strcmp(x->operation, y->operation);
}

static int compare_services(const void *a, const void *b)
{
    const struct sj_service_view *x = a, *y = b;
    if (x->rest != y->rest)
        return x->rest ? 1 : -1;
    if (x->requests != y->requests)
        return x->requests > y->requests ? -1 : 1;
    int c = strcmp(x->service, y->service);
    c = c ? c : x->port - y->port;
    c = c ? c : x->role - y->role;
    c = c ? c : x->protocol - y->protocol;
    return c ? c : strcmp(x->container, y->container);
}

/* All of the service's operations together: the only one itself, or their sum. */
static int sum_up(struct owned *o, const struct sj_service *svc, struct sj_service_view *view)
{
    const struct sj_operation *only = NULL;
    size_t live = 0;
    for (const struct sj_operation *op = svc->operations; op; op = op->next) {
        if (op->cell.requests == 0)
            continue;
        only = op;
        live++;
    }
    view->cell = live ? &only->cell : svc->retired ? svc->retired : &empty_cell;
    if (live + (svc->retired != NULL) <= 1)
        return 0;
    struct sj_cell *sum = &o->cells[o->n_cells++];
    sj_hist_init(&sum->total);
    view->cell = sum;
    for (const struct sj_operation *op = svc->operations; op; op = op->next)
        if (op->cell.requests && sj_cell_merge(sum, &op->cell) < 0)
            return -ENOMEM;
    return svc->retired ? sj_cell_merge(sum, svc->retired) : 0;
}

static int add_counted(struct owned *o, const struct sj_service *svc, struct sj_service_view *view)
{
    view->total = &view->cell->total;
    view->counted = svc->counted.count;
    view->requests = view->cell->requests + view->counted;
    if (view->counted == 0)
        return 0;
    view->lower_bound = svc->lower_bound;
    view->counted_total = &svc->counted;
    memcpy(view->counted_stage_ns, svc->counted_stage_ns, sizeof(view->counted_stage_ns));
    struct sj_hist *total = &o->totals[o->n_totals++];
    sj_hist_init(total);
    view->total = total;
    return sj_hist_merge(total, &svc->counted) < 0 || sj_hist_merge(total, &view->cell->total) < 0 ? -ENOMEM : 0;
}

/* In a series with an end everything is. */
static struct sj_shown shown_as(bool lasts, const struct sj_name *name)
{
    return lasts ? sj_name_shown(name) : (struct sj_shown){{SJ_CLASSES_ALL, SJ_CLASSES_ALL, SJ_CLASSES_ALL}, false};
}

static int view_service(struct owned *o, bool lasts, const struct sj_service *svc, struct sj_service_view *view,
                        struct sj_operation_view *ops)
{
    *view = (struct sj_service_view){
        .service = svc->text,
        .container = svc->container,
        .role = svc->role,
        .protocol = svc->protocol,
        .port = svc->port,
        .rest = svc->is_rest,
        .plain_shown = shown_as(lasts, svc->plain_as),
        .rest_shown = shown_as(lasts, svc->rest_as),
        .kept = {svc->kept[0], svc->kept[1], svc->kept[2]},
        .created_ns = svc->created_ns,
        .course = &svc->course,
        .pids = svc->pids.count,
        .pid = svc->pids.count == 1 ? svc->pids.last : 0,
        .operations = ops,
    };
    if (sum_up(o, svc, view) < 0 || add_counted(o, svc, view) < 0)
        return -ENOMEM;
    for (const struct sj_operation *op = svc->operations; op; op = op->next) {
        if (op->cell.requests == 0)
            continue;
        if (!svc->is_rest && (op->name[0] || op == svc->rest)) {
            ops[view->n_operations++] = (struct sj_operation_view){op->name,  op == svc->rest, shown_as(lasts, op->as),
                                                                   &op->cell, op->created_ns,  op->exemplar};
            continue;
        }
        view->plain = &op->cell;
        view->plain_exemplar = op->exemplar;
    }
    qsort(ops, view->n_operations, sizeof(*ops), compare_operations);
    return 0;
}

int sj_series_snapshot(struct sj_series *s, struct sj_snapshot *out)
{
    size_t n_services = 0, n_operations = 0, done = 0;
    for (struct sj_service *svc = s->first; svc; svc = svc->next) {
        if (s->names)
            sj_shown_settle(s, svc);
        n_services++;
        for (const struct sj_operation *op = svc->operations; op; op = op->next)
            n_operations++;
    }
    struct owned *o = new_owned(n_services, n_operations);
    if (!o)
        return -ENOMEM;
    struct sj_operation_view *ops = o->operations;
    for (const struct sj_service *svc = s->first; svc; svc = svc->next) {
        struct sj_service_view *view = &o->services[done];
        if (view_service(o, s->names != NULL, svc, view, ops) < 0) {
            free_owned(o);
            return -ENOMEM;
        }
        ops += view->n_operations;
        done += view->requests > 0;
    }
    qsort(o->services, done, sizeof(*o->services), compare_services);
    *out = (struct sj_snapshot){.services = o->services, .n_services = done, .owned = o};
    return 0;
}

void sj_snapshot_free(struct sj_snapshot *snap)
{
    free_owned(snap->owned);
    *snap = (struct sj_snapshot){0};
}
