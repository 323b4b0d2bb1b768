// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/exposition_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/report.h"

/*
 * Which slots are shown. A service that is shown has up to two series of its own, for what has no operation and for the
 * operations beyond the limit, and each role one for the services beyond it; operations get what is left.
 */
struct limits {
    uint64_t services;
    uint64_t operations;
};

#define SHARE_OF_SERVICES 6

static struct limits limits_for(uint64_t max_series, unsigned width)
{
    uint64_t series = max_series / width;
    uint64_t left = series > SJ_ROLE_MAX_ ? series - SJ_ROLE_MAX_ : 0;
    uint64_t services = left / SHARE_OF_SERVICES;
    return (struct limits){services, left - 2 * services};
}

static int compare(const struct sj_row *a, const struct sj_row *b)
{
    int c = strcmp(a->service, b->service);
    c = c ? c : a->role - b->role;
    c = c ? c : a->protocol - b->protocol;
    return c ? c : strcmp(a->operation, b->operation);
}

static int compare_rows(const void *a, const void *b)
{
    return compare(a, b);
}

static void add_service(struct sj_rows *rows, const struct sj_service_view *s, const struct limits *limits)
{
    struct sj_row row = {.service = s->service, .operation = "", .role = s->role, .protocol = s->protocol};
    bool shown = !s->rest && s->slot < limits->services;
    if (!shown) {
        row.service = row.operation = SJ_REST_NAME;
        row.protocol = SJ_PROTO_UNKNOWN;
    }
    if (s->plain || s->counted_total) {
        struct sj_row *plain = &rows->v[rows->n++];
        *plain = row;
        plain->cell = s->plain;
        plain->counted = s->counted_total;
    }
    for (size_t i = 0; i < s->n_operations; i++) {
        const struct sj_operation_view *op = &s->operations[i];
        bool named = shown && !op->rest && op->slot < limits->operations;
        row.operation = named ? op->operation : SJ_REST_NAME;
        row.cell = op->cell;
        rows->v[rows->n++] = row;
    }
}

int sj_rows_make(const struct sj_snapshot *snap, uint64_t max_series, unsigned width, struct sj_rows *out)
{
    const struct limits limits = limits_for(max_series, width);
    size_t most = 1;
    for (size_t i = 0; i < snap->n_services; i++)
        most += 1 + snap->services[i].n_operations;
    struct sj_rows rows = {.v = calloc(most, sizeof(*rows.v))};
    if (!rows.v)
        return -ENOMEM;
    for (size_t i = 0; i < snap->n_services; i++)
        add_service(&rows, &snap->services[i], &limits);
    qsort(rows.v, rows.n, sizeof(*rows.v), compare_rows);
    *out = rows;
    return 0;
}

void sj_rows_free(struct sj_rows *rows)
{
    free(rows->v);
    *rows = (struct sj_rows){0};
}

size_t sj_rows_end(const struct sj_rows *rows, size_t first)
{
    size_t end = first + 1;
    while (end < rows->n && compare(&rows->v[first], &rows->v[end]) == 0)
        end++;
    return end;
}

uint64_t sj_row_requests(const struct sj_row *row)
{
    return (row->cell ? row->cell->requests : 0) + (row->counted ? row->counted->count : 0);
}
