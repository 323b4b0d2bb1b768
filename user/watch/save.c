// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <string.h>

#include <zlib.h>

#include "base/varint.h"
#include "watch/saved.h"

/* saved.h describes the form. */

static void put(struct sj_out *out, uint64_t v)
{
    char *room = sj_out_reserve(out, SJ_VARINT_MAX);
    out->len += sj_varint_put((uint8_t *)room, v);
}

static void put_text(struct sj_out *out, const char *text)
{
    size_t n = strlen(text);
    put(out, n);
    sj_out_write(out, text, n);
}

static void put_double(struct sj_out *out, double v)
{
    char bytes[sizeof(v)];
    memcpy(bytes, &v, sizeof(v));
    sj_out_write(out, bytes, sizeof(bytes));
}

static void put_labels(struct sj_out *out, const struct sj_labels *l)
{
    put(out, l->n);
    for (size_t i = 0; i < l->n; i++) {
        put_text(out, l->v[i].name);
        put_text(out, l->v[i].value);
    }
}

static void put_series(struct sj_out *out, const struct sj_row *row)
{
    put_text(out, row->id.service);
    put_text(out, row->id.container);
    put_text(out, row->id.operation);
    put(out, row->id.role);
    put(out, row->id.protocol);
    put(out, row->id.port);
    put(out, row->whole);
}

/* A span until now; clocks that were set do not make it less than nothing. */
static void put_age(struct sj_out *out, int64_t since_ns, struct sj_now now)
{
    int64_t age = (int64_t)now.mono_ns - since_ns;
    put(out, age > 0 ? (uint64_t)age : 0);
}

/* What is being written, and how much of out it may take. */
struct saver {
    struct sj_watch *w;
    struct sj_now now;
    struct sj_out *out;
    size_t start;
    size_t limit;
};

static size_t bytes_of(const struct saver *s)
{
    return s->out->len - s->start;
}

/* Announces one more of a list. */
static size_t begin_one(const struct saver *s)
{
    size_t mark = s->out->len;
    put(s->out, 1);
    return mark;
}

/* What does not fit is taken back: better without it than nothing saved at all. */
static void end_one(const struct saver *s, size_t mark)
{
    if (bytes_of(s) > s->limit)
        s->out->len = mark;
}

static void put_alert(const struct saver *s, const struct sj_entry *e)
{
    struct sj_out *out = s->out;
    struct sj_now now = s->now;
    struct sj_alert shown;
    if (sj_entry_show(s->w, e, &shown) < 0) {
        out->error = ENOMEM;
        return;
    }
    /* Only an alert whose rule is gone by then needs them. */
    if (bytes_of(s) > SJ_SAVED_TEXTS_MAX)
        shown.annotations.n = 0;
    put(out, e->state);
    put(out, e->no_data);
    put_double(out, e->value);
    put_age(out, e->active_ns, now);
    put(out, e->keep_ns != INT64_MIN);
    put_age(out, e->keep_ns != INT64_MIN ? e->keep_ns : (int64_t)now.mono_ns, now);
    put_age(out, e->state == SJ_ALERT_RESOLVED ? e->resolved_ns : (int64_t)now.mono_ns, now);
    put(out, e->active_real_ns);
    put(out, e->starts_real_ns);
    put(out, e->ends_real_ns);
    put_labels(out, &shown.labels);
    put_labels(out, &shown.annotations);
    put(out, e->point != NULL);
    if (e->point)
        put_series(out, e->point->row);
}

/* From the newest slot back: bad and total, or 0 and how many empty ones follow each other. */
static void put_ring(struct sj_burn *b, unsigned at, int64_t moment_ns, struct sj_out *out)
{
    uint32_t n = sj_burn_slots(at), empty = 0;
    for (uint32_t back = 0; back < n; back++) {
        struct sj_burn_count c = sj_burn_get(b, at, back, moment_ns);
        if (c.total == 0) {
            empty++;
            continue;
        }
        if (empty) {
            put(out, 0);
            put(out, empty);
            empty = 0;
        }
        put(out, c.total);
        put(out, c.bad);
    }
    if (empty) {
        put(out, 0);
        put(out, empty);
    }
}

static void put_slo(const struct saver *s, const struct sj_point *p)
{
    struct sj_out *out = s->out;
    const struct sj_slo *slo = &s->w->config->slos[p->rule];
    put_text(out, slo->name);
    put(out, slo->latency_ns);
    put(out, slo->window_ns);
    put_series(out, p->row);
    int64_t moment_ns = sj_burn_moment(s->w, (int64_t)s->now.mono_ns), age = sj_burn_age(p->burn, moment_ns);
    put(out, age > 0 ? (uint64_t)age : 0);
    for (unsigned at = 0; at < SJ_BURN_LEVELS; at++)
        put_ring(p->burn, at, moment_ns, out);
}

static void put_alerts(const struct saver *s)
{
    for (const struct sj_entry *e = s->w->first; e; e = e->next) {
        if (e->state == SJ_ALERT_INACTIVE)
            continue;
        size_t mark = begin_one(s);
        put_alert(s, e);
        end_one(s, mark);
    }
    put(s->out, 0);
}

static void put_slos(const struct saver *s)
{
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++) {
        for (const struct sj_row *row = s->w->rows[i]; row; row = row->next) {
            for (uint32_t k = row->n_alert_points; k < row->n_points; k++) {
                if (row->points[k].pair != 0)
                    continue;
                size_t mark = begin_one(s);
                put_slo(s, &row->points[k]);
                end_one(s, mark);
            }
        }
    }
    put(s->out, 0);
}

static void put_awaited(const struct saver *s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++) {
        for (const struct sj_row *row = s->w->rows[i]; row; row = row->next) {
            if (!sj_row_awaited(s->w, row) || n++ >= SJ_SAVED_SERIES_MAX)
                continue;
            size_t mark = begin_one(s);
            put_series(s->out, row);
            put_age(s->out, row->seen_ns, s->now);
            end_one(s, mark);
        }
    }
    put(s->out, 0);
}

void sj_watch_save(struct sj_watch *w, struct sj_now now, struct sj_out *out)
{
    if (now.mono_ns < w->now.mono_ns)
        now.mono_ns = w->now.mono_ns;
    /* Left free: the ends of lists, and the sum. */
    const struct saver s = {w, now, out, out->len, SJ_SAVED_MAX - 16};
    sj_out_write(out, SJ_SAVED_MAGIC, strlen(SJ_SAVED_MAGIC));
    put(out, now.real_ns);
    put_alerts(&s);
    put_slos(&s);
    put_awaited(&s);
    if (out->error)
        return;
    uint32_t sum = (uint32_t)crc32(0, (const Bytef *)out->buf + s.start, (uInt)bytes_of(&s));
    for (int i = 0; i < 4; i++) {
        char byte = (char)(sum >> 8 * i);
        sj_out_write(out, &byte, 1);
    }
}
