// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_mixture.h"

#include <math.h>
#include <string.h>

#include "model/fit_em.h"
#include "model/fit_optim.h"

/* Starts are compared on a view of this many bins, the best ones followed further. */
#define COARSE_BINS 128
#define SCREEN_ROUNDS 30
#define FOLLOW_ROUNDS 60
#define FOLLOWED 3
#define NEWTON_STEPS 30
/* Part of the whole sample's sd below which a component is narrow. */
#define NARROW 0.05

/* Unbounded coordinates: logit of the weight, then location and log of the scale, or log of the scale alone. */
static size_t pack(const struct sj_em *e, const struct sj_em_state *st, double *eta, double *step)
{
    size_t n = 0;

    eta[n] = log(st->part[0].weight / st->part[1].weight);
    step[n++] = 1;
    for (int k = 0; k < 2; k++) {
        if (e->kind->component == SJ_COMPONENT_NORMAL) {
            eta[n] = st->part[k].location;
            step[n++] = st->part[k].scale;
        }
        eta[n] = log(st->part[k].scale);
        step[n++] = 1;
    }
    return n;
}

static void unpack(const struct sj_em *e, const double *eta, struct sj_em_state *st)
{
    size_t n = 1;

    st->part[0].weight = 1 / (1 + exp(-eta[0]));
    st->part[1].weight = 1 / (1 + exp(eta[0]));
    for (int k = 0; k < 2; k++) {
        st->part[k].location = e->kind->component == SJ_COMPONENT_NORMAL ? eta[n++] : 0;
        st->part[k].scale = exp(eta[n++]);
    }
}

/* Fisher's identity: the gradient is the expected gradient of the complete data's likelihood. */
static double gradient_at(const double *eta, double *gradient, void *ctx)
{
    const struct sj_em *e = ctx;
    struct sj_em_state st;
    size_t n = 1;

    unpack(e, eta, &st);
    if (!sj_em_alive(e, &st)) {
        gradient[0] = NAN;
        return -INFINITY;
    }
    struct sj_em_sums sums = sj_em_expect(e, &st);
    gradient[0] = sums.n[0] * st.part[1].weight - sums.n[1] * st.part[0].weight;
    for (int k = 0; k < 2; k++) {
        double scale = st.part[k].scale;
        if (e->kind->component == SJ_COMPONENT_NORMAL) {
            gradient[n++] = sums.first[k] / (scale * scale);
            gradient[n++] = sums.second[k] / (scale * scale) - sums.n[k];
        } else {
            gradient[n++] = sums.first[k] / scale - sums.n[k];
        }
    }
    return sums.loglik;
}

static double value_at(const double *eta, void *ctx)
{
    const struct sj_em *e = ctx;
    struct sj_em_state st;

    unpack(e, eta, &st);
    return sj_em_alive(e, &st) ? sj_em_expect(e, &st).loglik : -INFINITY;
}

static bool polish(struct sj_em *e, struct sj_em_state *st, int steps, double *loglik)
{
    double eta[SJ_OPTIM_MAX], step[SJ_OPTIM_MAX];
    size_t n = pack(e, st, eta, step);
    struct sj_objective o = {.n = n, .value = value_at, .gradient = gradient_at, .ctx = e};
    bool converged = sj_optim_newton(&o, eta, step, steps, loglik);

    unpack(e, eta, st);
    return converged;
}

/* ---- starts --------------------------------------------------------------------------------------------------------
 */

struct lump {
    double n;
    double mean;
    double variance;
};

/* Mean and variance of y between two ranks, values standing at the middles of their bins. */
static struct lump slice(const struct sj_em *e, double from, double to)
{
    struct lump l = {0};
    double rank = 0, square = 0;

    for (size_t i = 0; i < e->s->n_bins + e->s->n_points; i++) {
        const struct sj_bin *b = e->s->n_bins ? &e->s->bins[i] : NULL;
        const struct sj_point *p = b ? NULL : &e->s->points[i];
        double y = b ? 0.5 * (b->lo + b->hi) : p->x, count = b ? b->count : p->count;
        if (e->kind->log_axis)
            y = !b ? p->log_x : b->lo > 0 ? 0.5 * (b->log_lo + b->log_hi) : b->log_hi;
        double part = fmin(rank + count, to) - fmax(rank, from);
        rank += count;
        if (part <= 0)
            continue;
        double dev = y - l.mean;
        l.n += part;
        l.mean += dev * part / l.n;
        square += part * dev * (y - l.mean);
    }
    l.variance = l.n > 0 ? square / l.n : 0;
    return l;
}

/* Splits at a rank: what lies below makes one component, what lies above the other. */
static struct sj_em_state split_start(const struct sj_em *e, double share)
{
    double seen = e->s->seen;
    struct lump low = slice(e, 0, share * seen), high = slice(e, share * seen, seen), all = slice(e, 0, seen);
    struct sj_em_state st = {{{share, low.mean, 0}, {1 - share, high.mean, 0}}};
    double least = fmax(2 * e->floor, 0.05 * sqrt(all.variance));

    if (e->kind->component == SJ_COMPONENT_EXPONENTIAL) {
        st.part[0] = (struct sj_em_part){share, 0, low.mean};
        st.part[1] = (struct sj_em_part){1 - share, 0, high.mean};
        return st;
    }
    st.part[0].scale = fmax(sqrt(low.variance), least);
    st.part[1].scale = fmax(sqrt(high.variance), least);
    return st;
}

/* A narrow and a wide component around the same place; of exponentials, a short and a long one. */
static struct sj_em_state nested_start(const struct sj_em *e, double weight, double ratio)
{
    struct lump all = slice(e, 0, e->s->seen);
    double sd = sqrt(all.variance);

    if (e->kind->component == SJ_COMPONENT_EXPONENTIAL) {
        double small = all.mean / (weight + (1 - weight) * ratio);
        return (struct sj_em_state){{{weight, 0, small}, {1 - weight, 0, small * ratio}}};
    }
    double small = sd / sqrt(weight + (1 - weight) * ratio * ratio);
    return (struct sj_em_state){{{weight, all.mean, small}, {1 - weight, all.mean, small * ratio}}};
}

#define STARTS 16

static struct sj_em_state start(const struct sj_em *e, int i)
{
    static const double shares[] = {0.5, 0.3, 0.7, 0.1, 0.9, 0.2, 0.8, 0.05, 0.95, 0.4, 0.6};
    static const double nested[][2] = {{0.5, 3}, {0.8, 3}, {0.2, 3}, {0.9, 10}, {0.5, 10}};
    int n = (int)(sizeof(shares) / sizeof(shares[0]));

    _Static_assert(sizeof(shares) / sizeof(shares[0]) + sizeof(nested) / sizeof(nested[0]) == STARTS, "all starts");
    return i < n ? split_start(e, shares[i]) : nested_start(e, nested[i - n][0], nested[i - n][1]);
}

struct candidate {
    struct sj_em_state state;
    double loglik;
};

/* Keeps the best FOLLOWED candidates, best first. */
static void keep(struct candidate *best, int *n, const struct candidate *c)
{
    int at = *n < FOLLOWED ? (*n)++ : FOLLOWED;

    for (; at > 0 && best[at - 1].loglik < c->loglik; at--) {
        if (at < FOLLOWED)
            best[at] = best[at - 1];
    }
    if (at < FOLLOWED)
        best[at] = *c;
}

/* Fills found with the best ends of all starts, best first; returns how many. */
static int search(struct sj_em *e, struct candidate found[FOLLOWED])
{
    struct candidate best[FOLLOWED];
    int n = 0, n_found = 0;

    for (int i = 0; i < STARTS; i++) {
        struct candidate c = {.state = start(e, i)};
        if (sj_em_alive(e, &c.state) && sj_em_run(e, &c.state, SCREEN_ROUNDS, &c.loglik))
            keep(best, &n, &c);
    }
    for (int i = 0; i < n; i++) {
        struct candidate c = best[i];
        if (!sj_em_run(e, &c.state, FOLLOW_ROUNDS, &c.loglik))
            continue;
        polish(e, &c.state, NEWTON_STEPS, &c.loglik);
        if (isfinite(c.loglik))
            keep(found, &n_found, &c);
    }
    return n_found;
}

/* ---- the estimate --------------------------------------------------------------------------------------------------
 */

/*
 * The smallest standard deviation a normal component may have: the likelihood is unbounded where one shrinks onto a
 * single value. Half a bin; for points half a bin of schema 8, or half the step between neighbours when most values
 * occur more than once, since they were rounded then.
 */
static double sd_floor(const struct sj_mixture *m, const struct sj_sample *s)
{
    double half_bin = 0.5 * M_LN2 / (1 << (s->schema >= 0 && s->schema <= 8 ? s->schema : 8));

    if (m->component == SJ_COMPONENT_EXPONENTIAL)
        return 0;
    if (!m->log_axis)
        half_bin *= s->moments.mean;
    if (s->n_points < 2 || (double)s->n_points > 0.5 * s->seen)
        return half_bin;
    double range = m->log_axis ? s->points[s->n_points - 1].log_x - s->points[0].log_x
                               : s->points[s->n_points - 1].x - s->points[0].x;
    return fmax(half_bin, 0.5 * range / (double)(s->n_points - 1));
}

static double component_mean(const struct sj_em *e, const struct sj_em_part *c)
{
    if (e->kind->component == SJ_COMPONENT_EXPONENTIAL)
        return c->scale;
    return e->kind->log_axis ? c->location + 0.5 * c->scale * c->scale : c->location;
}

static void to_theta(const struct sj_em *e, const struct sj_em_state *st, double *theta)
{
    bool swap = component_mean(e, &st->part[0]) > component_mean(e, &st->part[1]);
    int n = 0;

    theta[n++] = st->part[swap ? 1 : 0].weight;
    for (int k = 0; k < 2; k++) {
        const struct sj_em_part *c = &st->part[swap ? 1 - k : k];
        if (e->kind->component == SJ_COMPONENT_NORMAL) {
            theta[n++] = c->location;
            theta[n++] = c->scale;
        } else {
            theta[n++] = 1 / c->scale;
        }
    }
}

static struct sj_em_state from_theta(const struct sj_em *e, const double *theta)
{
    struct sj_em_state st = {{{.weight = theta[0]}, {.weight = 1 - theta[0]}}};

    for (int k = 0; k < 2; k++) {
        if (e->kind->component == SJ_COMPONENT_NORMAL) {
            st.part[k].location = theta[1 + 2 * k];
            st.part[k].scale = theta[2 + 2 * k];
        } else {
            st.part[k].scale = 1 / theta[1 + k];
        }
    }
    return st;
}

/* The maximum over the whole sample next to st. */
static bool settle(struct sj_em *e, struct sj_em_state *st)
{
    double loglik;

    if (!sj_em_alive(e, st))
        return false;
    bool converged = polish(e, st, NEWTON_STEPS, &loglik);
    if (!converged && sj_em_run(e, st, FOLLOW_ROUNDS, &loglik))
        converged = polish(e, st, NEWTON_STEPS, &loglik);
    return converged && sj_em_alive(e, st);
}

/* The best of what a search over `view` finds that also is a maximum over the whole sample. */
static bool search_and_settle(struct sj_em *e, const struct sj_sample *view, double floor, struct sj_em_state *out)
{
    struct sj_em screen = {.kind = e->kind, .s = view, .floor = floor};
    struct candidate found[FOLLOWED];
    int n = search(&screen, found);

    for (int i = 0; i < n; i++) {
        if (settle(e, &found[i].state)) {
            *out = found[i].state;
            return true;
        }
    }
    return false;
}

int sj_mixture_estimate(const struct sj_family *f, const struct sj_sample *s, const double *near, double *theta)
{
    struct sj_em e = {.kind = f->mixture, .s = s, .floor = sd_floor(f->mixture, s)};
    struct sj_sample *coarse = NULL;
    struct sj_em_state st;
    bool found;

    if (near) {
        st = from_theta(&e, near);
        found = settle(&e, &st);
    } else {
        bool log_axis = !s->has_zero && (e.kind->log_axis || e.kind->component == SJ_COMPONENT_EXPONENTIAL);
        size_t n_bins = log_axis ? COARSE_BINS : 4 * COARSE_BINS;
        if (s->n_points + s->n_bins > n_bins && sj_sample_coarsen(s, n_bins, log_axis, &coarse, NULL))
            coarse = NULL;
        const struct sj_sample *view = coarse ? coarse : s;
        found = search_and_settle(&e, view, e.floor, &st);
        /* Where all ways lead onto a single value, look for components that are not so narrow. */
        double width = sqrt(slice(&(struct sj_em){.kind = e.kind, .s = view}, 0, s->seen).variance);
        if (!found && e.kind->component == SJ_COMPONENT_NORMAL)
            found = search_and_settle(&e, view, fmax(e.floor, NARROW * width), &st);
        sj_sample_free(coarse);
    }
    if (found)
        to_theta(&e, &st, theta);
    return found ? 0 : -1;
}
