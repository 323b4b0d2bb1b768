// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>

#include "series/store.h"

/* Of the memory, a quarter is for courses, and less than this many buckets would not be worth having. */
#define COURSES_PER_BYTES 4
#define COURSE_BUCKETS_LEAST 8

/*
 * How a series stays within its memory: no rows are made when it is full (series.c), and when the histograms of those
 * that there are have grown too much, what is least used gives way.
 */

/* In a series that lasts rows go then that were not used for that long. */
#define SHORT_IDLE_NS 300000000000ULL

static size_t operation_bytes(const struct sj_operation *op)
{
    size_t interval = op->interval ? sizeof(*op->interval) + sj_cell_bytes(op->interval) : 0;
    return sizeof(*op) + op->len + 16 + sj_cell_bytes(&op->cell) + interval;
}

size_t sj_series_bytes(const struct sj_series *s)
{
    size_t n = sizeof(*s) + 2 * (s->mask + 1) * sizeof(struct sj_slot);
    for (const struct sj_service *svc = s->first; svc; svc = svc->next) {
        n += sizeof(*svc) + sj_course_bytes(&svc->course) + svc->pids.size * sizeof(uint32_t) + 128;
        n += (svc->counted.len + svc->counted_interval.len) * sizeof(uint64_t);
        n += sj_shown_bytes(svc);
        n += svc->retired ? sizeof(*svc->retired) + sj_cell_bytes(svc->retired) : 0;
        for (const struct sj_operation *op = svc->operations; op; op = op->next)
            n += operation_bytes(op);
    }
    return n;
}

static int by_requests(const void *a, const void *b)
{
    uint64_t x = (*(struct sj_operation *const *)a)->cell.requests;
    uint64_t y = (*(struct sj_operation *const *)b)->cell.requests;
    return x < y ? -1 : x > y;
}

static int fold(struct sj_series *s, struct sj_operation *op)
{
    struct sj_operation *rest = sj_store_rest_operation(s, op->owner);
    if (!rest)
        return -ENOMEM;
    int rc = sj_cell_merge(&rest->cell, &op->cell);
    sj_cell_clear(&op->cell);
    op->folded = true;
    return rc;
}

/* Histograms grow as latencies scatter. When all of them have grown too much, the least used operations give way. */
static int fold_least_used(struct sj_series *s)
{
    struct sj_operation **all = malloc((s->rows + 1) * sizeof(struct sj_operation *));
    size_t n = 0, excess = s->bytes - s->limits.bytes, saved = 0;
    int rc = 0;
    if (!all)
        return -ENOMEM;
    for (struct sj_service *svc = s->first; svc; svc = svc->next)
        for (struct sj_operation *op = svc->operations; op && svc->operations->next; op = op->next)
            if (!op->folded && op != svc->rest && op->name[0] && n < s->rows)
                all[n++] = op;
    qsort(all, n, sizeof(struct sj_operation *), by_requests);
    for (size_t i = 0; i < n && saved < excess && rc == 0; i++) {
        saved += sj_cell_bytes(&all[i]->cell);
        rc = fold(s, all[i]);
    }
    free(all);
    s->bytes = sj_series_bytes(s);
    return rc;
}

/* The stages of the least used rows are what is given up: their totals go on. Rows for the rest keep theirs. */
static int strip(struct sj_series *s)
{
    struct sj_operation **all = malloc((2 * s->rows + 1) * sizeof(struct sj_operation *));
    size_t n = 0, excess = s->bytes - s->limits.bytes, saved = 0;
    if (!all)
        return -ENOMEM;
    for (struct sj_service *svc = s->first; svc; svc = svc->next)
        for (struct sj_operation *op = svc->operations; op; op = op->next)
            if (!op->bare && !svc->is_rest && op != svc->rest && n < 2 * s->rows)
                all[n++] = op;
    qsort(all, n, sizeof(struct sj_operation *), by_requests);
    for (size_t i = 0; i < n && saved < excess; i++) {
        size_t before = sj_cell_bytes(&all[i]->cell);
        if (sj_shown_keep_stages(all[i]->owner, all[i]) < 0)
            break;
        sj_cell_strip(&all[i]->cell);
        all[i]->bare = true;
        saved += before - sj_cell_bytes(&all[i]->cell);
    }
    free(all);
    s->bytes = sj_series_bytes(s);
    return 0;
}

static int shrink(struct sj_series *s)
{
    uint64_t idle_ns = s->limits.idle_ns < SHORT_IDLE_NS ? s->limits.idle_ns : SHORT_IDLE_NS;
    if (sj_series_age(s, idle_ns) < 0)
        return -ENOMEM;
    return s->bytes > s->limits.bytes ? strip(s) : 0;
}

/* The courses of many services become coarser together: they may take a share of the memory, histograms the rest. */
static void bound_courses(struct sj_series *s)
{
    for (; s->course_buckets > COURSE_BUCKETS_LEAST; s->course_buckets /= 2) {
        size_t bytes = 0;
        for (struct sj_service *svc = s->first; svc; svc = svc->next) {
            sj_course_coarsen(&svc->course, s->course_buckets);
            bytes += sj_course_bytes(&svc->course);
        }
        if (bytes <= s->limits.bytes / COURSES_PER_BYTES)
            return;
    }
}

int sj_series_audit(struct sj_series *s)
{
    s->until_audit = SJ_AUDIT_EVERY;
    bound_courses(s);
    s->bytes = sj_series_bytes(s);
    if (s->bytes <= s->limits.bytes + s->limits.bytes / 4)
        return 0;
    return s->limits.idle_ns ? shrink(s) : fold_least_used(s);
}
