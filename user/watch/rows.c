// SPDX-License-Identifier: GPL-3.0-or-later
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "watch/store.h"

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 1099511628211ULL;
    return h;
}

static uint64_t hash_of(const struct sj_series_id *id, bool whole)
{
    const unsigned char rest[] = {id->role, id->protocol, (unsigned char)(id->port >> 8), (unsigned char)id->port,
                                  whole};
    uint64_t h = mix(14695981039346656037ULL, id->service, strlen(id->service) + 1);
    h = mix(h, id->container, strlen(id->container) + 1);
    if (!whole)
        h = mix(h, id->operation, strlen(id->operation) + 1);
    h = mix(h, rest, sizeof(rest));
    return h ^ h >> 29;
}

static bool is(const struct sj_row *row, uint64_t hash, const struct sj_series_id *id, bool whole)
{
    return row->hash == hash && row->whole == whole && row->id.role == id->role && row->id.protocol == id->protocol &&
           row->id.port == id->port && strcmp(row->id.service, id->service) == 0 &&
           strcmp(row->id.container, id->container) == 0 && (whole || strcmp(row->id.operation, id->operation) == 0);
}

struct sj_row *sj_row_find(const struct sj_watch *w, const struct sj_series_id *id, bool whole)
{
    uint64_t hash = hash_of(id, whole);
    struct sj_row *row = w->rows[hash % SJ_ROW_SLOTS];
    while (row && !is(row, hash, id, whole))
        row = row->next;
    return row;
}

bool sj_row_matches(const struct sj_match *m, const struct sj_series_id *id, bool whole)
{
    if (whole != !m->operation)
        return false;
    if (!whole && (!id->operation[0] || fnmatch(m->operation, id->operation, 0) != 0))
        return false;
    return sj_match_series(m, id->service, id->container, id->role, id->protocol, id->port);
}

bool sj_row_awaited(const struct sj_watch *w, const struct sj_row *row)
{
    for (uint32_t i = 0; i < row->n_alert_points; i++) {
        const struct sj_alert_rule *rule = &w->config->rules[row->points[i].rule];
        bool low = rule->when.compare == SJ_BELOW || rule->when.compare == SJ_AT_MOST;
        if (rule->no_data == SJ_NO_DATA_ALERT || (low && sj_measure_counts(rule->when.measure)))
            return true;
    }
    return false;
}

/* What a condition needs of its window. */
static struct sj_tracks tracks_of(const struct sj_condition *c)
{
    struct sj_tracks t = {0};
    if (c->stage >= 0)
        t.sums = 1U << c->stage;
    if (c->measure == SJ_MEASURE_QUANTILE)
        t.hists = c->stage >= 0 ? 1U << c->stage : SJ_TALLY_TOTAL;
    return t;
}

/* Rules of one length share a window. */
struct span {
    uint64_t over_ns;
    struct sj_tracks tracks;
    struct sj_window *window;
};

/* What looks at a new row. */
struct plan {
    struct span spans[SJ_CONFIG_RULES_MAX];
    uint16_t rules[SJ_CONFIG_RULES_MAX];
    uint16_t span_of[SJ_CONFIG_RULES_MAX];
    uint16_t slos[SJ_CONFIG_SLOS_MAX];
    uint32_t n_spans, n_rules, n_slos, n_pairs;
};

static void make_plan(const struct sj_config *c, const struct sj_series_id *id, bool whole, struct plan *p)
{
    p->n_spans = p->n_rules = p->n_slos = p->n_pairs = 0;
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct sj_alert_rule *rule = &c->rules[i];
        struct sj_tracks t = tracks_of(&rule->when);
        uint32_t s = 0;
        if (!sj_row_matches(&rule->match, id, whole))
            continue;
        while (s < p->n_spans && p->spans[s].over_ns != rule->over_ns)
            s++;
        if (s == p->n_spans)
            p->spans[p->n_spans++] = (struct span){.over_ns = rule->over_ns};
        p->spans[s].tracks.hists |= t.hists;
        p->spans[s].tracks.sums |= t.sums;
        p->rules[p->n_rules] = (uint16_t)i;
        p->span_of[p->n_rules++] = (uint16_t)s;
    }
    for (size_t i = 0; i < c->n_slos; i++) {
        if (!sj_row_matches(&c->slos[i].match, id, whole))
            continue;
        p->slos[p->n_slos++] = (uint16_t)i;
        p->n_pairs += SJ_BURN_PAIR_MAX_;
    }
}

static struct sj_row *row_alloc(struct sj_watch *w, const struct sj_series_id *id, bool whole, const struct plan *p)
{
    size_t service = strlen(id->service) + 1, container = strlen(id->container) + 1;
    size_t operation = whole ? 1 : strlen(id->operation) + 1;
    uint32_t n_points = p->n_rules + p->n_pairs;
    size_t bytes = sizeof(struct sj_row) + service + container + operation + n_points * sizeof(struct sj_point) +
                   p->n_spans * sizeof(struct sj_window *);
    if (w->budget.used + bytes > w->budget.limit) {
        w->budget.refused++;
        return NULL;
    }
    struct sj_row *row = calloc(1, sizeof(*row) + service + container + operation);
    struct sj_point *points = n_points ? calloc(n_points, sizeof(*points)) : NULL;
    struct sj_window **windows = p->n_spans ? calloc(p->n_spans, sizeof(struct sj_window *)) : NULL;
    if (!row || (n_points && !points) || (p->n_spans && !windows)) {
        free(row);
        free(points);
        free(windows);
        return NULL;
    }
    row->id = *id;
    row->id.service = memcpy(row->text, id->service, service);
    row->id.container = memcpy(row->text + service, id->container, container);
    row->id.operation = memcpy(row->text + service + container, whole ? "" : id->operation, operation);
    row->whole = whole;
    row->hash = hash_of(id, whole);
    row->points = points;
    row->windows = windows;
    row->bytes = (uint32_t)bytes;
    w->budget.used += bytes;
    return row;
}

static void row_free(struct sj_watch *w, struct sj_row *row)
{
    struct sj_window_room room = sj_room(w);
    for (uint32_t i = 0; i < row->n_windows; i++)
        sj_window_free(&room, row->windows[i]);
    for (uint32_t i = row->n_alert_points; i < row->n_points; i++) {
        if (row->points[i].pair == 0 && row->points[i].burn) {
            free(row->points[i].burn);
            w->budget.used -= sj_burn_bytes();
            w->n_burns--;
        }
    }
    w->budget.used -= row->bytes;
    free(row->windows);
    free(row->points);
    free(row);
}

/* An SLO's counts and its pairs of burn rates. One that finds no room is left out, and counted. */
static void add_slo(struct sj_watch *w, struct sj_row *row, uint16_t slo)
{
    if (w->n_burns >= SJ_BURNS_MAX || w->budget.used + sj_burn_bytes() > w->budget.limit) {
        w->budget.refused++;
        return;
    }
    struct sj_burn *b = sj_burn_new(w->config->slos[slo].window_ns, sj_burn_moment(w, (int64_t)w->now.mono_ns));
    if (!b)
        return;
    w->n_burns++;
    w->budget.used += sj_burn_bytes();
    for (int pair = 0; pair < SJ_BURN_PAIR_MAX_; pair++)
        row->points[row->n_points++] =
            (struct sj_point){.row = row, .rule = slo, .pair = (uint8_t)pair, .slo = true, .burn = b};
}

static bool fill(struct sj_watch *w, struct sj_row *row, struct plan *p)
{
    struct sj_window_room room = sj_room(w);
    for (uint32_t s = 0; s < p->n_spans; s++) {
        struct sj_window *window = sj_window_new(&room, p->spans[s].over_ns, w->config->interval_ns, p->spans[s].tracks,
                                                 (int64_t)w->now.mono_ns);
        if (!window)
            return false;
        row->windows[row->n_windows++] = window;
        for (uint32_t i = 0; i < p->n_rules; i++) {
            if (p->span_of[i] != s)
                continue;
            enum sj_measure measure = w->config->rules[p->rules[i]].when.measure;
            window->rates = window->rates || sj_measure_unit(measure) == SJ_UNIT_PER_SECOND;
            row->points[row->n_points++] = (struct sj_point){.row = row, .rule = p->rules[i], .window = window};
        }
    }
    row->n_alert_points = row->n_points;
    for (uint32_t i = 0; i < p->n_slos; i++)
        add_slo(w, row, p->slos[i]);
    return true;
}

struct sj_row *sj_row_get(struct sj_watch *w, const struct sj_series_id *id, bool whole)
{
    struct sj_row *row = sj_row_find(w, id, whole);
    struct plan plan;
    if (row)
        return row;
    make_plan(w->config, id, whole, &plan);
    row = row_alloc(w, id, whole, &plan);
    if (!row)
        return NULL;
    if (!fill(w, row, &plan)) {
        row_free(w, row);
        return NULL;
    }
    row->seen_ns = (int64_t)w->now.mono_ns;
    row->next = w->rows[row->hash % SJ_ROW_SLOTS];
    w->rows[row->hash % SJ_ROW_SLOTS] = row;
    w->n_rows++;
    return row;
}

void sj_row_drop(struct sj_watch *w, struct sj_row *row)
{
    struct sj_row **at = &w->rows[row->hash % SJ_ROW_SLOTS];
    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
    w->n_rows--;
    row_free(w, row);
}
