// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "export/exposition_families.h"

/* Alerts, as sj_watch has them. */

static const struct sj_metric_family by_name = {
    "sojourn_alerts", "",
    "Alerts of a rule or an objective by state; no_data: what there is nothing to judge by, alert or not.",
    SJ_METRIC_GAUGE};
static const struct sj_metric_family state_of = {
    "sojourn_alert_state", "", "1 for the state that an alert is in, 0 for the others; no_data comes on top of one.",
    SJ_METRIC_GAUGE};
static const struct sj_metric_family refused = {
    "sojourn_watch_refused", "", "Services and windows that rules ask for and that there was no memory for.",
    SJ_METRIC_COUNTER};

enum { PENDING = 0, FIRING, RESOLVED, NO_DATA, STATES };
static const char *const state_names[STATES] = {"pending", "firing", "resolved", "no_data"};

/* Which states an alert is in. */
static void states_of(const struct sj_alert *a, bool in[STATES])
{
    in[PENDING] = a->state == SJ_ALERT_PENDING;
    in[FIRING] = a->state == SJ_ALERT_FIRING;
    in[RESOLVED] = a->state == SJ_ALERT_RESOLVED;
    in[NO_DATA] = a->no_data;
}

static int put_name(void *ctx, const struct sj_name_status *s)
{
    const uint64_t counts[STATES] = {s->alerts[SJ_ALERT_PENDING], s->alerts[SJ_ALERT_FIRING],
                                     s->alerts[SJ_ALERT_RESOLVED], s->no_data};
    for (int i = 0; i < STATES; i++) {
        const struct sj_label labels[] = {{"alert", s->name}, {"state", state_names[i]}};
        sj_encode_value(ctx, labels, 2, (double)counts[i]);
    }
    return 0;
}

/* ---- one by one ---- */

struct alerts {
    struct sj_alert *v; /* owned; their strings are the watch's */
    size_t n, size;
};

static int keep_alert(void *ctx, const struct sj_alert *a)
{
    struct alerts *all = ctx;
    if (all->n < all->size)
        all->v[all->n++] = *a;
    return 0;
}

/* Rules that share all labels have alerts of one id: the one in the gravest state comes first, and is shown. */
static int compare_alerts(const void *a, const void *b)
{
    static const int gravity[SJ_ALERT_MAX_] = {[SJ_ALERT_FIRING] = 3, [SJ_ALERT_PENDING] = 2, [SJ_ALERT_RESOLVED] = 1};
    const struct sj_alert *x = a, *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : gravity[y->state] - gravity[x->state];
}

static bool is_label_name(const char *name)
{
    if (!name[0] || (name[0] >= '0' && name[0] <= '9') || strncmp(name, "__", 2) == 0)
        return false;
    return !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

/*
 * The names that other metrics have for the same, so that they can be joined. Whoever has given an alert a label of one
 * of our names finds it as Prometheus would show it.
 */
static const char *metric_label(const char *name)
{
    static const char *const others[][2] = {
        {"alertname", "alert"},
        {"service", "service_name"},
        {"container", "container_name"},
        {"alert", "exported_alert"},
        {"state", "exported_state"},
        {"service_name", "exported_service_name"},
        {"container_name", "exported_container_name"},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i][0]) == 0)
            return others[i][1];
    return name;
}

static size_t alert_labels(struct sj_label *labels, const struct sj_alert *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->labels.n; i++) {
        const char *name = metric_label(a->labels.v[i].name);
        size_t k = 0;
        while (k < n && strcmp(labels[k].name, name) != 0)
            k++;
        if (k == n && is_label_name(name))
            labels[n++] = (struct sj_label){name, a->labels.v[i].value};
    }
    return n;
}

static int put_alert(struct sj_encoder *encoder, const struct sj_alert *a)
{
    struct sj_label *labels = calloc(a->labels.n + 1, sizeof(*labels));
    bool in[STATES];
    if (!labels)
        return -ENOMEM;
    size_t n = alert_labels(labels, a);
    states_of(a, in);
    for (int i = 0; i < STATES; i++) {
        labels[n] = (struct sj_label){"state", state_names[i]};
        sj_encode_value(encoder, labels, n + 1, in[i]);
    }
    free(labels);
    return 0;
}

static void put_rest(struct sj_encoder *encoder, const uint64_t beyond[STATES])
{
    for (int i = 0; i < STATES; i++) {
        const struct sj_label labels[] = {{"alert", SJ_REST_NAME}, {"state", state_names[i]}};
        sj_encode_value(encoder, labels, 2, (double)beyond[i]);
    }
}

/* At most max_series series; of the alerts beyond, how many there are. */
static int put_alerts(struct sj_encoder *encoder, const struct alerts *all, uint64_t max_series)
{
    uint64_t room = max_series / STATES, beyond[STATES] = {0};
    bool in[STATES];
    room = room > 0 ? room - 1 : 0;
    sj_encode_family(encoder, &state_of);
    for (size_t i = 0, shown = 0; i < all->n; i++) {
        if (i > 0 && strcmp(all->v[i - 1].id, all->v[i].id) == 0)
            continue;
        if (shown++ < room) {
            if (put_alert(encoder, &all->v[i]) < 0)
                return -ENOMEM;
            continue;
        }
        states_of(&all->v[i], in);
        for (int k = 0; k < STATES; k++)
            beyond[k] += in[k];
    }
    if (beyond[PENDING] + beyond[FIRING] + beyond[RESOLVED])
        put_rest(encoder, beyond);
    return 0;
}

int sj_expose_watch(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    struct sj_watch_stats stats;
    if (!e->watch)
        return 0;
    sj_watch_stats(e->watch, &stats);
    struct alerts all = {.v = calloc(stats.alerts + 1, sizeof(*all.v)), .size = stats.alerts};
    if (!all.v)
        return -ENOMEM;
    sj_encode_family(encoder, &by_name);
    sj_watch_names(e->watch, put_name, encoder);
    sj_watch_states(e->watch, keep_alert, &all);
    qsort(all.v, all.n, sizeof(*all.v), compare_alerts);
    int rc = put_alerts(encoder, &all, e->max_series);
    free(all.v);
    sj_encode_family(encoder, &refused);
    sj_encode_value(encoder, NULL, 0, (double)stats.refused);
    return rc < 0 ? rc : sj_expose_slos(encoder, e);
}
