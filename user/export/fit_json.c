// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fit_json.h"

#include <math.h>
#include <stdio.h>

#include "model/throughput.h"

static const char *const boot_keys[SJ_BOOT_QUANTILES_] = {"p99", "p999", "p9999"};
static const char *const ci_keys[SJ_BOOT_QUANTILES_] = {"p99_ci", "p999_ci", "p9999_ci"};

static void put_string(struct sj_json *w, const char *key, const char *text)
{
    sj_json_key(w, key);
    sj_json_string(w, text);
}

static void put_count(struct sj_json *w, const char *key, double n)
{
    sj_json_key(w, key);
    sj_json_uint(w, (uint64_t)n);
}

static void put_interval(struct sj_json *w, const char *key, struct sj_interval i)
{
    if (!isfinite(i.low) || !isfinite(i.high))
        return;
    sj_json_key(w, key);
    sj_json_array(w);
    sj_json_real(w, i.low);
    sj_json_real(w, i.high);
    sj_json_array_end(w);
}

static void put_parameters(struct sj_json *w, const struct sj_fit *fit)
{
    sj_json_key(w, "parameters");
    sj_json_object(w);
    for (int i = 0; i < fit->family->n_parameters; i++)
        sj_json_key_real(w, fit->family->parameters[i], fit->theta[i]);
    sj_json_object_end(w);
}

static void put_chi2(struct sj_json *w, double x2, int df, double p)
{
    if (df < 1)
        return;
    sj_json_key(w, "chi2");
    sj_json_object(w);
    sj_json_key_real(w, "x2", x2);
    put_count(w, "df", df);
    sj_json_key_real(w, "p", p);
    sj_json_object_end(w);
}

static void put_goodness(struct sj_json *w, const struct sj_goodness *g)
{
    sj_json_key_real(w, "ks", g->ks);
    sj_json_key_real(w, "ad", g->ad);
    put_chi2(w, g->chi2, g->chi2_df, g->chi2_p);
    sj_json_key_real(w, "max_quantile_error", g->max_quantile_error);
}

static void put_quantiles(struct sj_json *w, const struct sj_fit *fit)
{
    static const struct {
        const char *key;
        double p;
    } quantiles[] = {{"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p999", .999}, {"p9999", .9999}};

    sj_json_key(w, "quantiles");
    sj_json_object(w);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
        sj_json_key_real(w, quantiles[i].key, sj_fit_quantile(fit, quantiles[i].p));
    sj_json_object_end(w);
}

/* "warranted", "up to p99.9" or "not warranted", and why no further. */
static void put_extrapolation(struct sj_json *w, const struct sj_extrapolation *e)
{
    char word[32];

    snprintf(word, sizeof(word), "up to %s", sj_reach_name(e->reach));
    put_string(w, "extrapolation",
               e->reach == SJ_REACH_P9999     ? "warranted"
               : e->reach == SJ_REACH_NOWHERE ? "not warranted"
                                              : word);
    if (e->reach != SJ_REACH_P9999)
        put_string(w, "reason", e->why);
}

/* What is known of the best fit alone: bootstraps cost too much for all. */
static void put_trust(struct sj_json *w, const struct sj_fit_result *r)
{
    if (r->boot.replicates) {
        sj_json_key_real(w, "ks_p", r->boot.ks_p);
        sj_json_key_real(w, "ad_p", r->boot.ad_p);
        for (int i = 0; i < SJ_BOOT_QUANTILES_; i++)
            put_interval(w, ci_keys[i], r->boot.quantile[i]);
    }
    put_extrapolation(w, &r->extrapolation);
}

static void put_fit(struct sj_json *w, const struct sj_fit_view *v, int i)
{
    const struct sj_fit *fit = &v->result->fits[i];

    sj_json_object(w);
    put_string(w, "family", fit->family->name);
    put_parameters(w, fit);
    sj_json_key_real(w, "loglik", fit->loglik);
    sj_json_key_real(w, "aic", fit->aic);
    sj_json_key_real(w, "bic", fit->bic);
    put_goodness(w, &fit->goodness);
    sj_json_key_real(w, "weight", fit->weight);
    put_quantiles(w, fit);
    sj_json_key_real(w, "restricted_mean", fit->restricted_mean);
    sj_json_key_real(w, "capacity", sj_throughput_capacity(v->workers, fit->restricted_mean));
    if (fit->family->mixture) {
        sj_json_key(w, "identified");
        sj_json_bool(w, fit->identified);
    }
    if (i == 0 && v->result->has_best)
        put_trust(w, v->result);
    sj_json_object_end(w);
}

static void put_tail(struct sj_json *w, const struct sj_tail *t)
{
    sj_json_key(w, "tail");
    sj_json_object(w);
    sj_json_key_real(w, "threshold", t->threshold);
    put_count(w, "exceedances", t->exceedances);
    sj_json_key_real(w, "xi", t->xi);
    sj_json_key_real(w, "beta", t->beta);
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++)
        sj_json_key_real(w, boot_keys[i], t->quantile[i]);
    if (t->boot.replicates) {
        put_interval(w, "xi_ci", t->boot.theta[0]);
        put_interval(w, "beta_ci", t->boot.theta[1]);
        for (int i = 0; i < SJ_BOOT_QUANTILES_; i++) {
            if (isfinite(t->quantile[i]))
                put_interval(w, ci_keys[i], t->boot.quantile[i]);
        }
    }
    sj_json_key_real(w, "ks", t->ks);
    sj_json_key_real(w, "ad", t->ad);
    if (t->boot.replicates)
        sj_json_key_real(w, "ad_p", t->boot.ad_p);
    put_extrapolation(w, &t->extrapolation);
    sj_json_object_end(w);
}

static void put_skipped(struct sj_json *w, const struct sj_fit_result *r)
{
    if (!r->n_skipped)
        return;
    sj_json_key(w, "skipped");
    sj_json_array_lines(w);
    for (int i = 0; i < r->n_skipped; i++) {
        sj_json_object(w);
        put_string(w, "family", r->skipped[i].family->name);
        put_string(w, "reason", r->skipped[i].reason);
        sj_json_object_end(w);
    }
    sj_json_array_end(w);
}

static void put_throughput(struct sj_json *w, const struct sj_fit_view *v)
{
    if (isnan(v->timeout))
        return;
    sj_json_key(w, "throughput");
    sj_json_object(w);
    sj_json_key_real(w, "timeout", v->timeout);
    sj_json_key_real(w, "workers", v->workers);
    sj_json_key_real(w, "restricted_mean", v->result->seen_restricted_mean);
    sj_json_key_real(w, "capacity", sj_throughput_capacity(v->workers, v->result->seen_restricted_mean));
    sj_json_object_end(w);
}

void sj_fit_json(struct sj_out *out, const struct sj_fit_view *view)
{
    const struct sj_fit_result *r = view->result;
    struct sj_json w;

    sj_json_init(&w, out, true);
    sj_json_object_lines(&w);
    put_string(&w, "schema", "sojourn.fit/1");
    put_count(&w, "n", r->n);
    put_count(&w, "censored", r->censored);
    if (view->schema_binned >= 0)
        put_count(&w, "schema_binned", view->schema_binned);
    sj_json_key(&w, "fits");
    sj_json_array_lines(&w);
    for (int i = 0; i < r->n_fits; i++)
        put_fit(&w, view, i);
    sj_json_array_end(&w);
    put_skipped(&w, r);
    if (r->has_best)
        put_string(&w, "best", r->fits[0].family->name);
    if (r->has_tail)
        put_tail(&w, &r->tail);
    else if (r->no_tail[0])
        put_string(&w, "no_tail", r->no_tail);
    put_throughput(&w, view);
    sj_json_object_end(&w);
    sj_out_text(out, "\n");
}

void sj_fit_json_best(struct sj_json *w, const struct sj_fit_result *result)
{
    const struct sj_fit *fit = &result->fits[0];

    sj_json_object(w);
    if (result->has_best) {
        put_string(w, "family", fit->family->name);
        put_parameters(w, fit);
        put_goodness(w, &fit->goodness);
        sj_json_key_real(w, "weight", fit->weight);
        put_quantiles(w, fit);
        put_trust(w, result);
    }
    if (result->has_tail)
        put_tail(w, &result->tail);
    sj_json_object_end(w);
}

void sj_counts_json(struct sj_out *out, const struct sj_rates *r)
{
    struct sj_json w;

    sj_json_init(&w, out, true);
    sj_json_object_lines(&w);
    put_string(&w, "schema", "sojourn.counts/1");
    sj_json_key(&w, "n");
    sj_json_uint(&w, r->n);
    sj_json_key(&w, "events");
    sj_json_uint(&w, r->events);
    sj_json_key(&w, "poisson");
    sj_json_object(&w);
    sj_json_key_real(&w, "rate", r->rate);
    put_interval(&w, "rate_ci", r->rate_ci);
    sj_json_key_real(&w, "loglik", r->poisson_loglik);
    put_chi2(&w, r->poisson_chi2, r->poisson_chi2_df, r->poisson_chi2_p);
    sj_json_object_end(&w);
    if (r->has_negative_binomial) {
        sj_json_key(&w, "negative_binomial");
        sj_json_object(&w);
        sj_json_key_real(&w, "size", r->size);
        sj_json_key_real(&w, "mean", r->rate);
        sj_json_key_real(&w, "loglik", r->negative_binomial_loglik);
        sj_json_object_end(&w);
    }
    sj_json_key_real(&w, "dispersion", r->dispersion);
    sj_json_key_real(&w, "p", r->p);
    put_string(&w, "best", r->over_dispersed ? "negative_binomial" : "poisson");
    sj_json_object_end(&w);
    sj_out_text(out, "\n");
}
