// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch/store.h"
#include "watch/template.h"

/* A configuration's 32 labels, 32 of every alert, and our own. */
#define LABELS_MAX 80
#define ANNOTATION_MAX 1024

const char *sj_alert_state_name(enum sj_alert_state state)
{
    static const char *const names[] = {"inactive", "pending", "firing", "resolved"};
    return state < SJ_ALERT_MAX_ ? names[state] : "";
}

/* The labels of an alert before they are copied: they point to where they come from. */
struct gathered {
    struct sj_label v[LABELS_MAX];
    size_t n;
    char port[8];
};

static void gather(struct gathered *g, const char *name, const char *value)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->v[i].name, name) == 0)
            return;
    if (g->n < LABELS_MAX && value[0])
        g->v[g->n++] = (struct sj_label){name, value};
}

static void gather_all(struct gathered *g, const struct sj_labels *l)
{
    for (size_t i = 0; i < l->n; i++)
        gather(g, l->v[i].name, l->v[i].value);
}

static void labels_of(const struct sj_watch *w, const struct sj_point *p, struct gathered *g)
{
    const struct sj_series_id *id = &p->row->id;
    g->n = 0;
    gather(g, "alertname", p->slo ? w->config->slos[p->rule].name : w->config->rules[p->rule].name);
    gather(g, "service", id->service);
    gather(g, "role", sj_role_name((enum sj_role)id->role));
    gather(g, "protocol", sj_protocol_name((enum sj_protocol)id->protocol));
    if (id->port) {
        snprintf(g->port, sizeof(g->port), "%u", id->port);
        gather(g, "port", g->port);
    }
    gather(g, "container", id->container);
    gather(g, "operation", id->operation);
    if (p->slo) {
        const struct sj_burn_alert *a = &sj_burn_alerts[p->pair];
        gather(g, "slo", w->config->slos[p->rule].name);
        gather(g, "severity", a->severity);
        gather(g, "long_window", a->long_name);
        gather(g, "short_window", a->short_name);
        gather_all(g, &w->config->slos[p->rule].labels);
    } else {
        gather_all(g, &w->config->rules[p->rule].labels);
    }
    gather_all(g, &w->config->labels);
    struct sj_labels all = {g->v, g->n};
    sj_labels_sort(&all);
}

static uint64_t stir(uint64_t h)
{
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}

/* 128 bits of all names and values, their ends included. Told apart by chance alone, not against who wants them equal.
 */
static void make_id(char out[SJ_ALERT_ID_SIZE], const struct sj_label *v, size_t n)
{
    uint64_t a = 0x736f6a6f75726eULL, b = 0x616c65727473ULL;
    for (size_t i = 0; i < 2 * n; i++) {
        const char *text = i % 2 ? v[i / 2].value : v[i / 2].name;
        for (const char *p = text;; p++) {
            a = stir(a ^ (unsigned char)*p);
            b = stir(b + a + (unsigned char)*p);
            if (!*p)
                break;
        }
    }
    snprintf(out, SJ_ALERT_ID_SIZE, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
}

void sj_point_id(const struct sj_watch *w, const struct sj_point *point, char id[SJ_ALERT_ID_SIZE])
{
    struct gathered g;
    labels_of(w, point, &g);
    make_id(id, g.v, g.n);
}

static size_t bytes_of(const struct sj_label *v, size_t n)
{
    size_t bytes = n * sizeof(*v);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(v[i].name) + strlen(v[i].value) + 2;
    return bytes;
}

static const char *copy_text(char **to, const char *text)
{
    size_t n = strlen(text) + 1;
    const char *copy = memcpy(*to, text, n);
    *to += n;
    return copy;
}

/* One piece of memory for all of it, which is freed by out->v. */
static int copy_labels(const struct sj_label *v, size_t n, struct sj_labels *out)
{
    struct sj_label *copy = malloc(n ? bytes_of(v, n) : 1);
    if (!copy)
        return -ENOMEM;
    char *text = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i].name = copy_text(&text, v[i].name);
        copy[i].value = copy_text(&text, v[i].value);
    }
    *out = (struct sj_labels){copy, n};
    return 0;
}

static void forget_told(struct sj_watch *w, struct sj_entry *e)
{
    w->entry_bytes -= bytes_of(e->told.v, e->told.n);
    free(e->told.v);
    e->told = (struct sj_labels){0};
}

static int keep_told(struct sj_watch *w, struct sj_entry *e, const struct sj_labels *told)
{
    forget_told(w, e);
    if (copy_labels(told->v, told->n, &e->told) < 0)
        return -ENOMEM;
    w->entry_bytes += bytes_of(e->told.v, e->told.n);
    return 0;
}

static bool is_full(const struct sj_watch *w)
{
    return w->n_entries >= SJ_ENTRIES_MAX || w->entry_bytes >= SJ_ENTRY_BYTES_MAX;
}

/* Without a point as yet. */
static struct sj_entry *entry_new(struct sj_watch *w, const struct sj_label *v, size_t n)
{
    if (is_full(w)) {
        w->budget.refused++;
        return NULL;
    }
    struct sj_entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    if (copy_labels(v, n, &e->labels) < 0) {
        free(e);
        return NULL;
    }
    make_id(e->id, v, n);
    e->keep_ns = INT64_MIN;
    e->value = NAN;
    e->before = w->last;
    if (w->last)
        w->last->next = e;
    else
        w->first = e;
    w->last = e;
    w->n_entries++;
    w->n_orphans++;
    w->entry_bytes += sizeof(*e) + bytes_of(v, n);
    return e;
}

bool sj_point_has(const struct sj_watch *w, const struct sj_point *point, const struct sj_labels *labels)
{
    struct gathered g;
    labels_of(w, point, &g);
    return sj_labels_equal(&(struct sj_labels){g.v, g.n}, labels);
}

struct sj_entry *sj_entry_new(struct sj_watch *w, struct sj_point *point)
{
    struct gathered g;
    /* In an endless storm this is asked for again at each evaluation. */
    if (is_full(w) && w->n_orphans == 0) {
        w->budget.refused++;
        return NULL;
    }
    labels_of(w, point, &g);
    const struct sj_labels labels = {g.v, g.n};
    /* Its rule or series may be back while the end is still told: there are never two of one name. */
    struct sj_entry *e = w->n_orphans ? w->first : NULL;
    while (e && (e->point || !sj_labels_equal(&e->labels, &labels)))
        e = e->next;
    if (!e)
        e = entry_new(w, g.v, g.n);
    if (e)
        sj_entry_attach(w, e, point);
    return e;
}

struct sj_entry *sj_entry_orphan(struct sj_watch *w, const struct sj_alert *alert)
{
    struct sj_entry *e = entry_new(w, alert->labels.v, alert->labels.n);
    if (!e)
        return NULL;
    if (keep_told(w, e, &alert->annotations) < 0) {
        sj_entry_drop(w, e);
        return NULL;
    }
    return e;
}

void sj_entry_drop(struct sj_watch *w, struct sj_entry *e)
{
    if (e->before)
        e->before->next = e->next;
    else
        w->first = e->next;
    if (e->next)
        e->next->before = e->before;
    else
        w->last = e->before;
    if (e->point)
        e->point->entry = NULL;
    else
        w->n_orphans--;
    w->n_entries--;
    forget_told(w, e);
    w->entry_bytes -= sizeof(*e) + bytes_of(e->labels.v, e->labels.n);
    free(e->labels.v);
    free(e);
}

/* What says it where nobody has written a summary. */
static void usual_summary(const struct sj_watch *w, const struct sj_point *p, char *out, size_t size)
{
    const char *whose =
        p->row->id.operation[0] ? "{{ $labels.service }} {{ $labels.operation }}" : "{{ $labels.service }}";
    if (p->slo)
        snprintf(out, size,
                 "%s: the error budget of {{ $labels.slo }} is used up {{ $value }} times as fast as it may be (over "
                 "{{ $labels.long_window }})",
                 whose);
    else
        snprintf(out, size, "%s: %s, it is {{ $value }}", whose, w->config->rules[p->rule].when_text);
}

static int fill_annotations(struct sj_watch *w, const struct sj_entry *e, struct sj_labels *out)
{
    const struct sj_point *p = e->point;
    const struct sj_alert_rule *rule = p->slo ? NULL : &w->config->rules[p->rule];
    const struct sj_labels *templates = p->slo ? &w->config->slos[p->rule].annotations : &rule->annotations;
    const struct sj_template_values values = {
        .labels = &e->labels,
        .value = e->value,
        .threshold = p->slo ? sj_burn_alerts[p->pair].factor : rule->when.threshold,
        .unit = p->slo ? SJ_UNIT_NUMBER : sj_measure_unit(rule->when.measure),
    };
    char usual[512], text[ANNOTATION_MAX];
    bool own = !sj_labels_get(templates, "summary");
    struct sj_label *v = sj_arena_alloc(&w->told, (templates->n + 1) * sizeof(*v));
    if (!v)
        return -ENOMEM;
    usual_summary(w, p, usual, sizeof(usual));
    for (size_t i = 0; i < templates->n + own; i++) {
        const char *template = i < templates->n ? templates->v[i].value : usual;
        size_t n = sj_template_fill(text, sizeof(text), template, &values);
        v[i].name = i < templates->n ? templates->v[i].name : "summary";
        v[i].value = sj_arena_text(&w->told, text, n);
        if (!v[i].value)
            return -ENOMEM;
    }
    *out = (struct sj_labels){v, templates->n + own};
    sj_labels_sort(out);
    return 0;
}

void sj_entry_state(const struct sj_entry *e, struct sj_alert *out)
{
    *out = (struct sj_alert){
        .labels = e->labels,
        .annotations = e->told,
        .state = e->state,
        .no_data = e->no_data,
        .value = e->value,
        .active_real_ns = e->active_real_ns,
        .starts_real_ns = e->starts_real_ns,
        .ends_real_ns = e->ends_real_ns,
    };
    memcpy(out->id, e->id, sizeof(out->id));
    out->name = sj_labels_get(&e->labels, "alertname");
}

int sj_entry_show(struct sj_watch *w, const struct sj_entry *e, struct sj_alert *out)
{
    sj_arena_free(&w->told);
    sj_entry_state(e, out);
    return e->point ? fill_annotations(w, e, &out->annotations) : 0;
}

int sj_entry_keep(struct sj_watch *w, struct sj_entry *e)
{
    struct sj_alert shown;
    if (sj_entry_show(w, e, &shown) < 0)
        return -ENOMEM;
    return keep_told(w, e, &shown.annotations);
}

void sj_entry_detach(struct sj_watch *w, struct sj_entry *e)
{
    w->n_orphans++;
    e->point->entry = NULL;
    e->point = NULL;
}

void sj_entry_attach(struct sj_watch *w, struct sj_entry *e, struct sj_point *point)
{
    forget_told(w, e);
    w->n_orphans--;
    e->point = point;
    point->entry = e;
}
