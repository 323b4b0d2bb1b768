// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "export/exposition_families.h"
#include "export/slos.h"

/* Objectives, and how much of their error budgets is left. */

static const struct sj_metric_family objective = {"sojourn_slo_objective_ratio", "ratio",
                                                  "Share of requests that shall be good.", SJ_METRIC_GAUGE};
static const struct sj_metric_family remaining = {
    "sojourn_slo_error_budget_remaining_ratio", "ratio",
    "What is left of the error budget of the objective's window; below 0 when it is overspent.", SJ_METRIC_GAUGE};
static const struct sj_metric_family burn = {
    "sojourn_slo_burn_rate", "",
    "How fast the error budget is spent over a window: 1 would just use it up in the objective's own.",
    SJ_METRIC_GAUGE};
static const struct sj_metric_family judged = {
    "sojourn_slo_window_requests", "", "Requests in the objective's window, as far as it was watched, by result.",
    SJ_METRIC_GAUGE};

#define SLO_LABELS 8

struct walk {
    struct sj_encoder *encoder;
    uint64_t room; /* series that may still be shown */
};

/* One more label (NULL: none) and the value, unless that is not known. */
static void put(struct walk *w, const struct sj_slo_status *s, const char *more, const char *is, double value)
{
    char port[8];
    struct sj_label labels[SLO_LABELS];
    size_t n = 0;
    if (isnan(value) || w->room == 0)
        return;
    w->room--;
    snprintf(port, sizeof(port), "%u", s->id.port);
    labels[n++] = (struct sj_label){"slo", s->slo};
    labels[n++] = (struct sj_label){"service_name", s->id.service};
    labels[n++] = (struct sj_label){"role", sj_role_name((enum sj_role)s->id.role)};
    labels[n++] = (struct sj_label){"protocol", sj_protocol_name((enum sj_protocol)s->id.protocol)};
    if (s->id.port)
        labels[n++] = (struct sj_label){"port", port};
    if (s->id.container[0])
        labels[n++] = (struct sj_label){"container_name", s->id.container};
    if (s->id.operation[0])
        labels[n++] = (struct sj_label){"operation", s->id.operation};
    if (more)
        labels[n++] = (struct sj_label){more, is};
    sj_encode_value(w->encoder, labels, n, value);
}

static void put_objective(struct walk *w, const struct sj_slo_status *s)
{
    put(w, s, NULL, NULL, s->objective);
}

static void put_remaining(struct walk *w, const struct sj_slo_status *s)
{
    put(w, s, NULL, NULL, s->budget_remaining);
}

static void put_burn(struct walk *w, const struct sj_slo_status *s)
{
    for (size_t i = 0; i < SJ_SLO_WINDOWS; i++)
        put(w, s, "window", sj_slo_window_name(i), sj_slo_burn(s, i));
}

static void put_judged(struct walk *w, const struct sj_slo_status *s)
{
    put(w, s, "result", "good", (double)s->good);
    put(w, s, "result", "bad", (double)(s->total - s->good));
}

int sj_expose_slos(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    static const struct {
        const struct sj_metric_family *family;
        void (*put)(struct walk *, const struct sj_slo_status *);
    } metrics[] = {{&objective, put_objective}, {&remaining, put_remaining}, {&burn, put_burn}, {&judged, put_judged}};
    struct sj_slos slos;
    if (sj_slos_make(e->watch, &slos) < 0)
        return -ENOMEM;
    for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
        struct walk w = {encoder, e->max_series};
        sj_encode_family(encoder, metrics[m].family);
        for (size_t i = 0; i < slos.n; i++)
            metrics[m].put(&w, &slos.v[i]);
    }
    free(slos.v);
    return 0;
}
