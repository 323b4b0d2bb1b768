// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <string.h>

#include <zlib.h>

#include "base/varint.h"
#include "watch/saved.h"

/* Longer ages are damage, or a clock that was not set: ten years. */
#define AGE_MAX (10LL * 366 * 86400 * 1000000000)
/* A restart that took longer than this took this long: by then everything that is counted has aged out anyway. */
#define DOWN_MAX (100LL * 86400 * 1000000000)
#define TEXT_MAX 4096u
#define LABELS_MAX 128u

/*
 * What is read. Everything is read twice: first to see whether it is sound, then to take it, so that damaged bytes
 * change nothing. Failing is sticky, and what is read then is zeros.
 */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct sj_arena arena; /* of the texts, until the next alert */
    bool bad;
    bool no_memory;
};

static uint64_t get(struct reader *r, uint64_t most)
{
    uint64_t v = 0;
    if (!r->bad && (!sj_varint_get(&r->at, r->end, &v) || v > most)) {
        r->bad = true;
        v = 0;
    }
    return r->bad ? 0 : v;
}

static const char *get_text(struct reader *r)
{
    size_t n = get(r, TEXT_MAX);
    if (r->bad || n > (size_t)(r->end - r->at) || memchr(r->at, 0, n)) {
        r->bad = true;
        return "";
    }
    const char *text = sj_arena_text(&r->arena, (const char *)r->at, n);
    r->at += n;
    if (!text)
        r->bad = r->no_memory = true;
    return text ? text : "";
}

static double get_double(struct reader *r)
{
    double v = NAN;
    if (r->bad || sizeof(v) > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NAN;
    }
    memcpy(&v, r->at, sizeof(v));
    r->at += sizeof(v);
    return v;
}

/* Sorted and unique, or it is not what was written. */
static void get_labels(struct reader *r, struct sj_labels *out)
{
    size_t n = get(r, LABELS_MAX);
    struct sj_label *v = sj_arena_alloc(&r->arena, n * sizeof(*v));
    *out = (struct sj_labels){v, 0};
    if (!v)
        r->bad = r->no_memory = true;
    for (size_t i = 0; !r->bad && i < n; i++) {
        v[i].name = get_text(r);
        v[i].value = get_text(r);
        r->bad = r->bad || (i > 0 && strcmp(v[i - 1].name, v[i].name) >= 0);
        out->n = i + 1;
    }
}

static void get_series(struct reader *r, struct sj_series_id *id, bool *whole)
{
    id->service = get_text(r);
    id->container = get_text(r);
    id->operation = get_text(r);
    id->role = (uint8_t)get(r, SJ_ROLE_MAX_ - 1);
    id->protocol = (uint8_t)get(r, SJ_PROTO_MAX_ - 1);
    id->port = (uint16_t)get(r, UINT16_MAX);
    *whole = get(r, 1);
    r->bad = r->bad || (*whole ? id->operation[0] : !id->operation[0]);
}

struct saved_alert {
    struct sj_alert alert;
    int64_t active_age, keep_age, resolved_age;
    bool kept;
    bool has_series;
    bool whole;
    struct sj_series_id id;
};

static void get_alert(struct reader *r, struct saved_alert *s)
{
    sj_arena_free(&r->arena);
    *s = (struct saved_alert){0};
    s->alert.state = (enum sj_alert_state)get(r, SJ_ALERT_MAX_ - 1);
    s->alert.no_data = get(r, 1);
    s->alert.value = get_double(r);
    s->active_age = (int64_t)get(r, AGE_MAX);
    s->kept = get(r, 1);
    s->keep_age = (int64_t)get(r, AGE_MAX);
    s->resolved_age = (int64_t)get(r, AGE_MAX);
    s->alert.active_real_ns = get(r, UINT64_MAX);
    s->alert.starts_real_ns = get(r, UINT64_MAX);
    s->alert.ends_real_ns = get(r, UINT64_MAX);
    get_labels(r, &s->alert.labels);
    get_labels(r, &s->alert.annotations);
    s->has_series = get(r, 1);
    if (s->has_series)
        get_series(r, &s->id, &s->whole);
    r->bad = r->bad || s->alert.state == SJ_ALERT_INACTIVE || !sj_labels_get(&s->alert.labels, "alertname");
}

/* Where an alert belongs under this configuration; NULL: nowhere. */
static struct sj_point *find_point(struct sj_watch *w, const struct saved_alert *s)
{
    struct sj_row *row = s->has_series ? sj_row_get(w, &s->id, s->whole) : NULL;
    const char *name = sj_labels_get(&s->alert.labels, "alertname");
    for (uint32_t i = 0; row && i < row->n_points; i++) {
        struct sj_point *p = &row->points[i];
        const char *of = p->slo ? w->config->slos[p->rule].name : w->config->rules[p->rule].name;
        if (!p->entry && strcmp(of, name) == 0 && sj_point_has(w, p, &s->alert.labels))
            return sj_entry_new(w, p) ? p : NULL;
    }
    return NULL;
}

static void take_alert(struct sj_watch *w, const struct saved_alert *s, int64_t down_ns)
{
    int64_t now_ns = (int64_t)w->now.mono_ns;
    struct sj_point *p = find_point(w, s);
    struct sj_entry *e = p ? p->entry : s->alert.state == SJ_ALERT_PENDING ? NULL : sj_entry_orphan(w, &s->alert);
    if (!e)
        return;
    e->state = s->alert.state;
    e->no_data = s->alert.no_data;
    e->value = s->alert.value;
    /* Time without data does not count: not towards `for`, nor towards keep_firing_for. */
    e->active_ns = now_ns - s->active_age;
    e->keep_ns = s->kept ? now_ns - s->keep_age : INT64_MIN;
    e->resolved_ns = now_ns - s->resolved_age - down_ns;
    e->active_real_ns = s->alert.active_real_ns;
    e->starts_real_ns = s->alert.starts_real_ns;
    e->ends_real_ns = s->alert.ends_real_ns;
}

static struct sj_point *find_slo(struct sj_watch *w, const char *name, uint64_t latency_ns, uint64_t window_ns,
                                 const struct sj_series_id *id, bool whole)
{
    struct sj_row *row = sj_row_get(w, id, whole);
    for (uint32_t i = row ? row->n_alert_points : 0; row && i < row->n_points; i++) {
        const struct sj_slo *slo = &w->config->slos[row->points[i].rule];
        if (row->points[i].pair == 0 && strcmp(slo->name, name) == 0 && slo->latency_ns == latency_ns &&
            slo->window_ns == window_ns)
            return &row->points[i];
    }
    return NULL;
}

/* The slots lie as far back as they did, and the time in between further; what is too old by now falls off. */
static void take_ring(struct reader *r, struct sj_burn *b, unsigned at, int64_t now_ns, int64_t then_ns)
{
    uint32_t n = sj_burn_slots(at);
    uint32_t shift = b ? sj_burn_slots_between(b, at, then_ns, now_ns) : 0;
    for (uint32_t back = 0; !r->bad && back < n;) {
        struct sj_burn_count c = {.total = get(r, UINT64_MAX / SJ_BURN_SLOTS_MAX)};
        if (c.total == 0) {
            uint64_t empty = get(r, n - back);
            r->bad = r->bad || empty == 0;
            back += (uint32_t)empty;
            continue;
        }
        c.bad = get(r, c.total);
        if (b && !r->bad && back + shift < n)
            sj_burn_set(b, at, back + shift, now_ns, c);
        back++;
    }
}

/* w NULL: only looks. */
static void read_slo(struct reader *r, struct sj_watch *w, int64_t down_ns)
{
    struct sj_series_id id;
    bool whole;
    sj_arena_free(&r->arena);
    const char *name = get_text(r);
    uint64_t latency_ns = get(r, UINT64_MAX), window_ns = get(r, UINT64_MAX);
    get_series(r, &id, &whole);
    int64_t age = (int64_t)get(r, AGE_MAX);
    struct sj_point *p = w && !r->bad ? find_slo(w, name, latency_ns, window_ns, &id, whole) : NULL;
    int64_t now_ns = w ? sj_burn_moment(w, (int64_t)w->now.mono_ns) : 0;
    for (unsigned at = 0; at < SJ_BURN_LEVELS; at++)
        take_ring(r, p ? p->burn : NULL, at, now_ns, now_ns - down_ns);
    if (p)
        sj_burn_set_age(p->burn, age + down_ns, now_ns);
}

static void read_awaited(struct reader *r, struct sj_watch *w, int64_t down_ns)
{
    struct sj_series_id id;
    bool whole;
    sj_arena_free(&r->arena);
    get_series(r, &id, &whole);
    int64_t idle = (int64_t)get(r, AGE_MAX);
    struct sj_row *row = w && !r->bad ? sj_row_get(w, &id, whole) : NULL;
    if (row)
        row->seen_ns = (int64_t)w->now.mono_ns - idle - down_ns;
}

/* Does a list, of which there were n, go on? */
static bool another(struct reader *r, uint32_t n, uint32_t most)
{
    bool more = get(r, 1);
    r->bad = r->bad || (more && n == most);
    return more && !r->bad;
}

static void read_all(struct reader *r, struct sj_watch *w, struct sj_now now)
{
    uint64_t saved_ns = get(r, UINT64_MAX);
    int64_t down_ns = now.real_ns > saved_ns ? (int64_t)((now.real_ns - saved_ns) & INT64_MAX) : 0;
    if (down_ns > DOWN_MAX)
        down_ns = DOWN_MAX;
    for (uint32_t i = 0; another(r, i, SJ_ENTRIES_MAX); i++) {
        struct saved_alert s;
        get_alert(r, &s);
        if (w && !r->bad)
            take_alert(w, &s, down_ns);
    }
    for (uint32_t i = 0; another(r, i, SJ_BURNS_MAX); i++)
        read_slo(r, w, down_ns);
    for (uint32_t i = 0; another(r, i, SJ_SAVED_SERIES_MAX); i++)
        read_awaited(r, w, down_ns);
    r->bad = r->bad || r->at != r->end;
    sj_arena_free(&r->arena);
}

int sj_watch_restore(struct sj_watch *w, const void *data, size_t n, struct sj_now now, struct sj_err *err)
{
    const uint8_t *p = data;
    const size_t magic = strlen(SJ_SAVED_MAGIC);
    if (now.mono_ns > w->now.mono_ns)
        w->now.mono_ns = now.mono_ns;
    w->now.real_ns = now.real_ns;
    if (n < magic + 4 || n > SJ_SAVED_MAX || memcmp(p, SJ_SAVED_MAGIC, magic - 1) != 0)
        return sj_fail(err, EX_DATAERR, "the saved state is no state of alerts; it begins anew");
    if (p[magic - 1] != (uint8_t)SJ_SAVED_MAGIC[magic - 1])
        return sj_fail(err, EX_DATAERR, "the saved state is of version %u, which is not known here; it begins anew",
                       p[magic - 1]);
    uint32_t sum = p[n - 4] | (uint32_t)p[n - 3] << 8 | (uint32_t)p[n - 2] << 16 | (uint32_t)p[n - 1] << 24;
    if (sum != (uint32_t)crc32(0, p, (uInt)(n - 4)))
        return sj_fail(err, EX_DATAERR, "the saved state is damaged (checksum); it begins anew");
    struct reader look = {.at = p + magic, .end = p + n - 4}, take = look;
    read_all(&look, NULL, now);
    if (look.no_memory)
        return sj_fail(err, EX_OSERR, "out of memory");
    if (look.bad)
        return sj_fail(err, EX_DATAERR, "the saved state is damaged; it begins anew");
    read_all(&take, w, now);
    return 0;
}
