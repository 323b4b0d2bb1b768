// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <string.h>

#include "export/exposition_families.h"

/* What was fitted to the totals of the services with most requests, and what it says of the tail. */

#define FIT_LABELS 3
#define MORE_LABELS 3

static const struct sj_metric_family quantile_error = {
    "sojourn_fit_quantile_error", "",
    "Largest relative error of a quantile of the best fitting distribution (0.1 is 10 %), family as a label.",
    SJ_METRIC_GAUGE};
static const struct sj_metric_family parameter = {
    "sojourn_fit_parameter", "", "Parameters of the best fitting distribution; times are seconds.", SJ_METRIC_GAUGE};
static const struct sj_metric_family tail = {
    "sojourn_fit_tail_seconds", "seconds",
    "Quantile p of the duration by a generalised Pareto tail: the estimate and its 95 % interval.", SJ_METRIC_GAUGE};

static bool same_labels(const struct sj_service_view *a, const struct sj_service_view *b)
{
    return a->role == b->role && a->protocol == b->protocol && a->rest == b->rest &&
           strcmp(a->service, b->service) == 0;
}

/* The i-th service's fit. Of services that differ only in port or container, the one with most requests is shown. */
static const struct sj_fit_result *fit_of(const struct sj_exposition *e, size_t i)
{
    const struct sj_service_view *s = e->snapshot->services;
    if (!e->fits->of[i] || s[i].rest)
        return NULL;
    for (size_t k = 0; k < i; k++)
        if (e->fits->of[k] && same_labels(&s[k], &s[i]))
            return NULL;
    return e->fits->of[i];
}

static void put(struct sj_encoder *encoder, const struct sj_service_view *s, const struct sj_label *more, size_t n,
                double value)
{
    struct sj_label labels[FIT_LABELS + MORE_LABELS] = {
        {"service_name", s->service},
        {"role", sj_role_name((enum sj_role)s->role)},
        {"protocol", sj_protocol_name((enum sj_protocol)s->protocol)},
    };
    if (!isfinite(value))
        return;
    memcpy(&labels[FIT_LABELS], more, n * sizeof(*more));
    sj_encode_value(encoder, labels, FIT_LABELS + n, value);
}

static void put_error(struct sj_encoder *encoder, const struct sj_service_view *s, const struct sj_fit_result *r)
{
    if (!r->has_best)
        return;
    const struct sj_label more = {"family", r->fits[0].family->name};
    put(encoder, s, &more, 1, r->fits[0].goodness.max_quantile_error);
}

static void put_parameters(struct sj_encoder *encoder, const struct sj_service_view *s, const struct sj_fit_result *r)
{
    const struct sj_family *f = r->fits[0].family;
    for (int i = 0; r->has_best && i < f->n_parameters; i++) {
        const struct sj_label more[] = {{"family", f->name}, {"parameter", f->parameters[i]}};
        put(encoder, s, more, 2, r->fits[0].theta[i]);
    }
}

static void put_tail(struct sj_encoder *encoder, const struct sj_service_view *s, const struct sj_fit_result *r)
{
    static const char *const p[SJ_BOOT_QUANTILES_] = {"0.99", "0.999", "0.9999"};
    for (int i = 0; r->has_tail && i < SJ_BOOT_QUANTILES_; i++) {
        const struct sj_tail *t = &r->tail;
        struct sj_label more[] = {{"p", p[i]}, {"bound", "estimate"}};
        put(encoder, s, more, 2, t->quantile[i]);
        if (!t->boot.replicates || !isfinite(t->quantile[i]))
            continue;
        more[1].value = "low";
        put(encoder, s, more, 2, t->boot.quantile[i].low);
        more[1].value = "high";
        put(encoder, s, more, 2, t->boot.quantile[i].high);
    }
}

void sj_expose_fits(struct sj_encoder *encoder, const struct sj_exposition *e)
{
    static const struct {
        const struct sj_metric_family *family;
        void (*put)(struct sj_encoder *, const struct sj_service_view *, const struct sj_fit_result *);
    } metrics[] = {{&quantile_error, put_error}, {&parameter, put_parameters}, {&tail, put_tail}};
    if (!e->fits)
        return;
    for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
        sj_encode_family(encoder, metrics[m].family);
        for (size_t i = 0; i < SJ_REPORT_FITS && i < e->snapshot->n_services; i++) {
            const struct sj_fit_result *r = fit_of(e, i);
            if (r)
                metrics[m].put(encoder, &e->snapshot->services[i], r);
        }
    }
}
