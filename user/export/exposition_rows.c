// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/exposition_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/report.h"

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

static void add(struct sj_rows *rows, struct sj_row row, unsigned classes)
{
    row.classes = (uint8_t)classes;
    if (classes)
        rows->v[rows->n++] = row;
}

/*
 * By its own name, as the rest of its service, or as the rest of all: where a metric tells classes apart, perhaps all
 * three.
 */
static void place(struct sj_rows *rows, struct sj_row row, const struct sj_service_view *s, unsigned own, unsigned rest)
{
    add(rows, row, own);
    row.operation = SJ_REST_NAME;
    row.created_ns = s->created_ns;
    add(rows, row, rest & ~own);
    row.service = SJ_REST_NAME;
    row.protocol = SJ_PROTO_UNKNOWN;
    row.created_ns = 0;
    add(rows, row, SJ_CLASSES_ALL & ~(own | rest));
}

static const struct sj_exemplar *example(const struct sj_exemplar *e)
{
    return e->total_ns ? e : NULL;
}

static void add_service(struct sj_rows *rows, const struct sj_service_view *s, enum sj_kind kind)
{
    const unsigned rest = s->rest ? 0 : s->rest_shown.in[kind];
    struct sj_row row = {.service = s->service, .role = s->role, .protocol = s->protocol, .created_ns = s->created_ns};
    if ((s->plain || s->counted_total) && !(kind == SJ_KIND_STAGES && s->plain_shown.bare)) {
        struct sj_row plain = row;
        plain.operation = "";
        plain.cell = s->plain;
        plain.counted = s->counted_total;
        plain.exemplar = example(&s->plain_exemplar);
        place(rows, plain, s, s->rest ? 0 : s->plain_shown.in[kind], rest);
    }
    for (size_t i = 0; i < s->n_operations; i++) {
        const struct sj_operation_view *op = &s->operations[i];
        if (kind == SJ_KIND_STAGES && op->shown.bare && !op->rest)
            continue;
        row.operation = op->operation;
        row.cell = op->cell;
        row.created_ns = op->created_ns;
        row.exemplar = example(&op->exemplar);
        place(rows, row, s, op->rest ? 0 : op->shown.in[kind], rest);
    }
    if (s->kept[kind]) {
        row.cell = s->kept[kind];
        row.exemplar = NULL;
        place(rows, row, s, 0, rest);
    }
}

/* Each row is shown in one place, in metrics by classes in three. */
static size_t most_rows(const struct sj_snapshot *snap)
{
    size_t most = 1;
    for (size_t i = 0; i < snap->n_services; i++)
        most += 3 * (2 + snap->services[i].n_operations);
    return most;
}

int sj_rows_make(const struct sj_snapshot *snap, enum sj_kind kind, struct sj_rows *out)
{
    struct sj_rows rows = {.v = calloc(most_rows(snap), sizeof(*rows.v))};
    if (!rows.v)
        return -ENOMEM;
    for (size_t i = 0; i < snap->n_services; i++)
        add_service(&rows, &snap->services[i], kind);
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
