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

static void put_alert(struct sj_watch *w, const struct sj_entry *e, struct sj_now now, struct sj_out *out)
{
    struct sj_alert shown;
    if (sj_entry_show(w, e, &shown) < 0) {
        out->error = ENOMEM;
        return;
    }
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
static void put_ring(struct sj_burn *b, unsigned at, struct sj_now now, struct sj_out *out)
{
    uint32_t n = sj_burn_slots(at), empty = 0;
    for (uint32_t back = 0; back < n; back++) {
        struct sj_burn_count c = sj_burn_get(b, at, back, (int64_t)now.mono_ns);
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

static void put_slo(struct sj_watch *w, const struct sj_point *p, struct sj_now now, struct sj_out *out)
{
    const struct sj_slo *slo = &w->config->slos[p->rule];
    put_text(out, slo->name);
    put(out, slo->latency_ns);
    put(out, slo->window_ns);
    put_series(out, p->row);
    int64_t age = sj_burn_age(p->burn, (int64_t)now.mono_ns);
    put(out, age > 0 ? (uint64_t)age : 0);
    for (unsigned at = 0; at < SJ_BURN_LEVELS; at++)
        put_ring(p->burn, at, now, out);
}

static size_t count_alerts(const struct sj_watch *w)
{
    size_t n = 0;
    for (const struct sj_entry *e = w->first; e; e = e->next)
        n += e->state != SJ_ALERT_INACTIVE;
    return n;
}

void sj_watch_save(struct sj_watch *w, struct sj_now now, struct sj_out *out)
{
    if (now.mono_ns < w->now.mono_ns)
        now.mono_ns = w->now.mono_ns;
    size_t start = out->len;
    sj_out_write(out, SJ_SAVED_MAGIC, strlen(SJ_SAVED_MAGIC));
    put(out, now.real_ns);
    put(out, count_alerts(w));
    for (const struct sj_entry *e = w->first; e; e = e->next)
        if (e->state != SJ_ALERT_INACTIVE)
            put_alert(w, e, now, out);
    put(out, w->n_burns);
    for (size_t i = 0; i < SJ_ROW_SLOTS; i++)
        for (const struct sj_row *row = w->rows[i]; row; row = row->next)
            for (uint32_t k = row->n_alert_points; k < row->n_points; k++)
                if (row->points[k].pair == 0)
                    put_slo(w, &row->points[k], now, out);
    if (out->error)
        return;
    uint32_t sum = (uint32_t)crc32(0, (const Bytef *)out->buf + start, (uInt)(out->len - start));
    for (int i = 0; i < 4; i++) {
        char byte = (char)(sum >> 8 * i);
        sj_out_write(out, &byte, 1);
    }
}
