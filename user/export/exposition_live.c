// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export/exposition_families.h"
#include "series/report.h"

/* How many connections and unanswered requests there are at this moment. */

#define GAUGE_LABELS 2

static const struct sj_metric_family in_flight = {"sojourn_requests_in_flight", "",
                                                  "Requests that are not answered yet.", SJ_METRIC_GAUGE};
static const struct sj_metric_family connections = {
    "sojourn_connections", "", "Open connections on which requests are, or were, measured.", SJ_METRIC_GAUGE};

static int compare(const void *a, const void *b)
{
    const struct sj_live_gauge *x = a, *y = b;
    int c = strncmp(x->service, y->service, sizeof(x->service));
    return c ? c : x->role - y->role;
}

/* Ports are not told apart. Returns how many are left. */
static size_t merge(struct sj_live_gauge *g, size_t n)
{
    size_t kept = 0;
    qsort(g, n, sizeof(*g), compare);
    for (size_t i = 0; i < n; i++) {
        if (kept && compare(&g[kept - 1], &g[i]) == 0) {
            g[kept - 1].connections += g[i].connections;
            g[kept - 1].in_flight += g[i].in_flight;
        } else {
            g[kept++] = g[i];
        }
    }
    return kept;
}

static void put(struct sj_encoder *encoder, const char *service, uint8_t role, uint64_t value)
{
    const struct sj_label labels[GAUGE_LABELS] = {{"service_name", service},
                                                  {"role", sj_role_name((enum sj_role)role)}};
    sj_encode_value(encoder, labels, GAUGE_LABELS, (double)value);
}

static uint64_t value_of(const struct sj_live_gauge *g, const struct sj_metric_family *f)
{
    return f == &in_flight ? g->in_flight : g->connections;
}

/* Whose total is larger than the sum of what is shown, the difference is shown as the rest. */
static void put_family(struct sj_encoder *encoder, const struct sj_metric_family *f, const struct sj_live_gauge *g,
                       size_t n, const uint64_t total[SJ_ROLE_SLOTS])
{
    uint64_t shown[SJ_ROLE_SLOTS] = {0};
    sj_encode_family(encoder, f);
    for (size_t i = 0; i < n; i++) {
        char service[sizeof(g->service) + 1] = "";
        memcpy(service, g[i].service, sizeof(g->service));
        if (strcmp(service, SJ_REST_NAME) == 0)
            continue;
        put(encoder, service, g[i].role, value_of(&g[i], f));
        shown[g[i].role % SJ_ROLE_SLOTS] += value_of(&g[i], f);
    }
    for (int role = 0; role < SJ_ROLE_MAX_; role++)
        if (total[role] > shown[role])
            put(encoder, SJ_REST_NAME, (uint8_t)role, total[role] - shown[role]);
}

int sj_expose_live(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    const struct sj_live_status *s = e->status;
    size_t room = e->max_series > SJ_ROLE_MAX_ ? (size_t)e->max_series - SJ_ROLE_MAX_ : 0;
    struct sj_live_gauge *g = malloc((s->n_gauges + 1) * sizeof(*g));
    if (!g)
        return -ENOMEM;
    if (s->n_gauges)
        memcpy(g, s->gauges, s->n_gauges * sizeof(*g));
    size_t n = merge(g, s->n_gauges);
    n = n < room ? n : room;
    put_family(encoder, &in_flight, g, n, s->in_flight);
    put_family(encoder, &connections, g, n, s->connections);
    free(g);
    return 0;
}
