// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GAIN_MIN 6        /* BIC that a mixture must gain over one component */
#define WEIGHT_LEAST 0.01 /* of a component that is believed */
#define NESTED_WITHIN 2   /* BIC within which the simpler of nested families is taken */
#define ERROR_TOLERATED 0.1
#define REJECT_P 0.05

static const struct sj_family *const families[SJ_FAMILY_MAX_] = {
    [SJ_FAMILY_EXPONENTIAL] = &sj_family_exponential,
    [SJ_FAMILY_SHIFTED_EXPONENTIAL] = &sj_family_shifted_exponential,
    [SJ_FAMILY_NORMAL] = &sj_family_normal,
    [SJ_FAMILY_LOGNORMAL] = &sj_family_lognormal,
    [SJ_FAMILY_GAMMA] = &sj_family_gamma,
    [SJ_FAMILY_WEIBULL] = &sj_family_weibull,
    [SJ_FAMILY_PARETO] = &sj_family_pareto,
    [SJ_FAMILY_LOGNORMAL_MIXTURE] = &sj_family_lognormal_mixture,
    [SJ_FAMILY_HYPEREXPONENTIAL] = &sj_family_hyperexponential,
    [SJ_FAMILY_NORMAL_MIXTURE] = &sj_family_normal_mixture,
};

const struct sj_family *sj_family_get(enum sj_family_id id)
{
    return families[id];
}

const struct sj_family *sj_family_by_name(const char *name)
{
    for (int i = 0; i < SJ_FAMILY_MAX_; i++) {
        if (!strcmp(families[i]->name, name))
            return families[i];
    }
    return NULL;
}

const char *sj_reach_name(enum sj_reach reach)
{
    static const char *const names[SJ_REACH_MAX_] = {"no quantile", "p99", "p99.9", "p99.99"};

    return names[reach];
}

struct sj_fit_options sj_fit_defaults(void)
{
    return (struct sj_fit_options){.replicates = 200, .seed = 1, .tail = true, .tail_threshold = NAN, .timeout = NAN};
}

double sj_fit_quantile(const struct sj_fit *fit, double p)
{
    return fit->family->quantile(fit->theta, p);
}

static int check_sample(const struct sj_sample *s, struct sj_err *err)
{
    if (s->n < 1)
        return sj_fail(err, EX_DATAERR, "no value: there is nothing to fit");
    if (s->seen < 1)
        return sj_fail(err, EX_DATAERR, "all %.0f values are censored: nothing was measured", s->n);
    if (s->n < 2)
        return sj_fail(err, EX_DATAERR, "one value only: a distribution needs two different ones");
    if (s->n_points == 1)
        return sj_fail(err, EX_DATAERR,
                       "every value that was measured is %g s: a distribution needs two different ones",
                       s->points[0].x);
    if (s->n_bins == 1)
        return sj_fail(err, EX_DATAERR, "all values lie in one bin, %g to %g s: a distribution needs two",
                       s->bins[0].lo, s->bins[0].hi);
    return 0;
}

/* Why the data cannot tell the parameters of f; NULL when they can. k occupied bins determine k - 1 shares. */
static const char *obstacle(const struct sj_family *f, const struct sj_sample *s)
{
    if (f->positive && s->has_zero)
        return "there are values of 0";
    if (s->n_bins && (int)s->n_bins <= f->n_parameters)
        return "too few bins";
    if (f->mixture && (s->seen < 4 * f->n_parameters || (int)(s->n_points + s->n_bins) <= f->n_parameters + 1))
        return "too few values";
    return NULL;
}

static void score(struct sj_fit *fit, const struct sj_sample *s)
{
    int k = fit->family->n_parameters;

    fit->loglik = sj_family_loglik(fit->family, fit->theta, s);
    fit->aic = 2 * k - 2 * fit->loglik;
    fit->bic = k * log(s->n) - 2 * fit->loglik;
}

static double bic_of(const struct sj_family *f, const struct sj_sample *s, const struct sj_fit_result *r)
{
    struct sj_fit fit = {.family = f};

    for (int i = 0; i < r->n_fits; i++) {
        if (r->fits[i].family == f)
            return r->fits[i].bic;
    }
    if (sj_family_estimate(f, s, NULL, fit.theta))
        return INFINITY;
    score(&fit, s);
    return fit.bic;
}

static const char *fit_family(const struct sj_family *f, const struct sj_sample *s, struct sj_fit_result *r)
{
    struct sj_fit *fit = &r->fits[r->n_fits];
    const char *why = obstacle(f, s);

    if (why)
        return why;
    *fit = (struct sj_fit){.family = f, .identified = true, .restricted_mean = NAN};
    if (sj_family_estimate(f, s, NULL, fit->theta))
        return f->mixture ? "no second component was found" : "the likelihood has no maximum";
    score(fit, s);
    if (!isfinite(fit->loglik))
        return "the likelihood is not finite";
    if (f->mixture) {
        double weight = fmin(fit->theta[0], 1 - fit->theta[0]);
        double gain = bic_of(families[f->special_case], s, r) - fit->bic;
        fit->identified = weight >= WEIGHT_LEAST && gain >= GAIN_MIN;
    }
    r->n_fits++;
    return NULL;
}

static bool ranks_before(const struct sj_fit *a, const struct sj_fit *b)
{
    return a->identified != b->identified ? a->identified : a->bic < b->bic;
}

static void move_to_front(struct sj_fit_result *r, int from)
{
    struct sj_fit best = r->fits[from];

    memmove(&r->fits[1], &r->fits[0], sizeof(best) * (size_t)from);
    r->fits[0] = best;
}

/* By BIC; then, while a family inside the first one is nearly as good, that one comes first. */
static void rank(struct sj_fit_result *r)
{
    double sum = 0;

    for (int i = 1; i < r->n_fits; i++) {
        struct sj_fit fit = r->fits[i];
        int at = i;
        for (; at > 0 && ranks_before(&fit, &r->fits[at - 1]); at--)
            r->fits[at] = r->fits[at - 1];
        r->fits[at] = fit;
    }
    r->has_best = r->fits[0].identified;
    double least = r->fits[0].bic;
    for (int i = 0; i < r->n_fits; i++) {
        r->fits[i].weight = r->fits[i].identified ? exp(-0.5 * (r->fits[i].bic - least)) : 0;
        sum += r->fits[i].weight;
    }
    for (int i = 0; i < r->n_fits && sum > 0; i++)
        r->fits[i].weight /= sum;
    for (int i = 1; i < r->n_fits; i++) {
        int special = r->fits[0].family->special_case;
        bool simpler = special >= 0 && r->fits[i].family == families[special];
        if (simpler && r->has_best && r->fits[i].bic - r->fits[0].bic <= NESTED_WITHIN) {
            move_to_front(r, i);
            i = 0;
        }
    }
}

/* A fit that misses the data's own quantiles, and not by chance, says nothing about what lies beyond them. */
static void judge(const struct sj_fit_result *r, struct sj_extrapolation *out)
{
    double error = r->fits[0].goodness.max_quantile_error;
    bool by_chance = r->boot.replicates && r->boot.ad_p >= REJECT_P;

    sj_extrapolation_judge(r->n, &r->boot, out);
    if (error > ERROR_TOLERATED && !by_chance) {
        out->reach = SJ_REACH_NOWHERE;
        snprintf(out->why, sizeof(out->why), "the fit misses the data's own quantiles by up to %.0f %%", 100 * error);
    } else if (isnan(error)) {
        out->reach = SJ_REACH_NOWHERE;
        snprintf(out->why, sizeof(out->why), "too few values to see how well the fit holds");
    }
}

static int assess(const struct sj_sample *s, const struct sj_fit_options *o, struct sj_fit_result *r,
                  struct sj_err *err)
{
    for (int i = 0; i < r->n_fits; i++) {
        struct sj_fit *fit = &r->fits[i];
        if (sj_goodness_of_fit(fit->family, fit->theta, s, &fit->goodness, err))
            return -1;
        if (!isnan(o->timeout))
            fit->restricted_mean = fit->family->restricted_mean(fit->theta, o->timeout);
    }
    r->seen_restricted_mean = NAN;
    if (!isnan(o->timeout)) {
        struct sj_ecdf e;
        if (sj_ecdf_make(s, &e, err))
            return -1;
        r->seen_restricted_mean = sj_ecdf_restricted_mean(&e, o->timeout);
        sj_ecdf_free(&e);
    }
    struct sj_boot_options boot = {.replicates = o->replicates, .seed = o->seed};
    if (o->replicates > 0 && r->has_best &&
        sj_bootstrap_fit(r->fits[0].family, r->fits[0].theta, s, &boot, &r->boot, NULL))
        r->boot = (struct sj_bootstrap){.replicates = 0};
    if (r->has_best)
        judge(r, &r->extrapolation);
    return 0;
}

int sj_fit_all(const struct sj_sample *s, const struct sj_fit_options *options, struct sj_fit_result *out,
               struct sj_err *err)
{
    struct sj_fit_result r = {.n = s->n, .censored = s->timeouts, .schema = s->schema};

    if (check_sample(s, err))
        return -1;
    for (int i = 0; i < SJ_FAMILY_MAX_; i++) {
        bool wanted = options->families ? options->families >> i & 1 : !families[i]->by_request;
        if (!wanted)
            continue;
        const char *why = fit_family(families[i], s, &r);
        if (why)
            r.skipped[r.n_skipped++] = (struct sj_fit_skipped){families[i], why};
    }
    if (!r.n_fits)
        return sj_fail(err, EX_DATAERR, "no family can be fitted (%s: %s)", r.skipped[0].family->name,
                       r.skipped[0].reason);
    rank(&r);
    if (assess(s, options, &r, err))
        return -1;
    if (options->tail) {
        struct sj_err why = {.status = 0};
        struct sj_tail_options tail = {options->tail_threshold, options->replicates, options->seed};
        r.has_tail = sj_tail_fit(s, &tail, &r.tail, &why) == 0;
        if (!r.has_tail)
            snprintf(r.no_tail, sizeof(r.no_tail), "%.150s", why.text);
    }
    *out = r;
    return 0;
}
