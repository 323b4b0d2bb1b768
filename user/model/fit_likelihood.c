// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_family.h"

#include <math.h>
#include <string.h>

#include "model/fit_mixture.h"
#include "model/fit_optim.h"

#define NEWTON_STEPS 40

/* Samples with more distinct values than this are fitted coarsely first, so that only the last steps see them all. */
#define MANY_VALUES 4096
#define COARSE_BINS 1024

/* Gauss-Legendre, five points: the density of a narrow bin, where a difference of tails would lose its digits. */
static double narrow_mass(const struct sj_family *f, const double *theta, const struct sj_bin *b)
{
    static const double at[] = {0, 0.5384693101056831, 0.9061798459386640};
    static const double weight[] = {0.5688888888888889, 0.4786286704993665, 0.2369268850561891};
    double middle = 0.5 * (b->lo + b->hi), half = 0.5 * (b->hi - b->lo), sum = 0;

    for (int i = -2; i <= 2; i++) {
        int k = i < 0 ? -i : i;
        double x = middle + (i < 0 ? -half : half) * at[k];
        sum += weight[k] * exp(f->log_density(theta, x, log(x)));
    }
    return sum * half;
}

/*
 * So far out that probabilities underflow, where only a family that does not fit has data at all: the density goes on
 * from the edge on the side of the middle as exp(-slope t - bend t^2 / 2) does, the bend to first order. Integrated
 * over 0 < t < width; for a normal distribution these are the first two terms of Mills' ratio.
 */
static double far_log_mass(const struct sj_family *f, const double *theta, double x, double width)
{
    double h = 1e-4 * x, here = f->log_density(theta, x, log(x));
    double above = f->log_density(theta, x + h, log(x + h)), below = f->log_density(theta, x - h, log(x - h));
    double slope = fabs(above - below) / (2 * h), bend = (2 * here - above - below) / (h * h);

    if (!(slope > 0) || !isfinite(here))
        return -INFINITY;
    double u = slope * width, share = isfinite(u) ? -expm1(-u) : 1;
    double square = isfinite(u) ? 2 - exp(-u) * (u * u + 2 * u + 2) : 2;
    double bent = -0.5 * bend / (slope * slope) * square / share;
    return here - log(slope) + log(share) + (fabs(bent) < 0.5 ? log1p(bent) : 0);
}

struct tails {
    double p;
    double q;
};

static double bin_log_mass(const struct sj_family *f, const double *theta, const struct sj_bin *b, struct tails lo,
                           struct tails hi)
{
    bool upper = lo.p > 0.5;
    double mass = upper ? lo.q - hi.q : hi.p - lo.p, edge = upper ? lo.q : hi.p;

    if (mass > 1e-5 * edge && mass > 1e-280)
        return log(mass);
    if (edge > 1e-280) {
        mass = narrow_mass(f, theta, b);
        return mass > 0 ? log(mass) : -INFINITY;
    }
    return far_log_mass(f, theta, upper ? b->lo : b->hi, b->hi - b->lo);
}

static struct tails tails_at(const struct sj_family *f, const double *theta, double x, double log_x)
{
    struct tails t;

    f->tails(theta, x, log_x, &t.p, &t.q);
    return t;
}

/*
 * The mass of each component by itself: between a short and a long one the mixture's own tails hardly change, though
 * its density may fall steeply.
 */
static double mixture_log_mass(const struct sj_family *f, const double *theta, const struct sj_bin *b)
{
    const struct sj_family *c = f->component;
    double l[2];

    for (int k = 0; k < 2; k++) {
        const double *own = theta + 1 + k * c->n_parameters;
        l[k] = log(k ? 1 - theta[0] : theta[0]) +
               bin_log_mass(c, own, b, tails_at(c, own, b->lo, b->log_lo), tails_at(c, own, b->hi, b->log_hi));
    }
    double high = fmax(l[0], l[1]);
    return isinf(high) ? high : high + log1p(exp(-fabs(l[0] - l[1])));
}

static double bins_loglik(const struct sj_family *f, const double *theta, const struct sj_sample *s)
{
    double sum = 0, known_at = NAN;
    struct tails lo, hi = {0};

    for (size_t i = 0; i < s->n_bins; i++) {
        const struct sj_bin *b = &s->bins[i];
        double mass = f->bin_mass ? f->bin_mass(theta, b) : NAN;
        if (f->component) {
            sum += b->count * mixture_log_mass(f, theta, b);
            continue;
        }
        if (mass > 1e-280) {
            sum += b->count * log(mass);
            continue;
        }
        lo = known_at == b->lo ? hi : tails_at(f, theta, b->lo, b->log_lo);
        hi = tails_at(f, theta, b->hi, b->log_hi);
        known_at = b->hi;
        sum += b->count * bin_log_mass(f, theta, b, lo, hi);
    }
    return sum;
}

double sj_family_loglik(const struct sj_family *f, const double *theta, const struct sj_sample *s)
{
    double sum = 0;

    if (s->n_points && f->points_loglik) {
        sum = f->points_loglik(theta, s);
    } else {
        for (size_t i = 0; i < s->n_points; i++)
            sum += s->points[i].count * f->log_density(theta, s->points[i].x, s->points[i].log_x);
    }
    sum += bins_loglik(f, theta, s);
    for (size_t i = 0; i < s->n_censored; i++) {
        const struct sj_censor *c = &s->censored[i];
        struct tails t = tails_at(f, theta, c->at, c->log_at);
        double log_q = t.q > 1e-280 ? log(t.q) : far_log_mass(f, theta, c->at, INFINITY);
        sum += c->count * log_q;
    }
    return isnan(sum) ? -INFINITY : sum;
}

struct problem {
    const struct sj_family *family;
    const struct sj_sample *sample;
};

static double loglik_at(const double *eta, void *ctx)
{
    const struct problem *p = ctx;
    double theta[SJ_FAMILY_PARAMETERS];

    p->family->unpack(eta, theta);
    for (int i = 0; i < p->family->n_parameters; i++) {
        if (!isfinite(theta[i]))
            return -INFINITY;
    }
    return sj_family_loglik(p->family, theta, p->sample);
}

static bool maximise(const struct sj_family *f, const struct sj_sample *s, bool simplex, double *theta)
{
    struct problem problem = {f, s};
    struct sj_objective o = {.n = (size_t)f->n_parameters, .value = loglik_at, .ctx = &problem};
    double eta[SJ_OPTIM_MAX], step[SJ_OPTIM_MAX];

    f->pack(theta, eta, step);
    if (simplex && !sj_optim_simplex(&o, eta, step))
        return false;
    if (simplex) {
        f->unpack(eta, theta);
        f->pack(theta, eta, step);
    }
    if (!sj_optim_newton(&o, eta, step, NEWTON_STEPS, NULL))
        return false;
    f->unpack(eta, theta);
    return true;
}

/* The start for Newton's method over many values: the estimate from a coarse view of them. */
static bool coarse_start(const struct sj_family *f, const struct sj_sample *s, double *theta)
{
    struct sj_sample *coarse = NULL;

    if (s->n_points + s->n_bins <= MANY_VALUES || s->has_zero || sj_sample_coarsen(s, COARSE_BINS, true, &coarse, NULL))
        return false;
    bool found = sj_family_estimate(f, coarse, NULL, theta) == 0;
    sj_sample_free(coarse);
    return found;
}

int sj_family_estimate(const struct sj_family *f, const struct sj_sample *s, const double *near, double *theta)
{
    double found[SJ_FAMILY_PARAMETERS], start[SJ_FAMILY_PARAMETERS];
    size_t size = sizeof(found[0]) * (size_t)f->n_parameters;

    if (f->positive && s->has_zero)
        return -1;
    if (f->mixture)
        return sj_mixture_estimate(f, s, near, theta);
    if (f->estimate)
        return f->estimate(s, theta);
    if (near)
        memcpy(start, near, size);
    else if (!coarse_start(f, s, start))
        f->start(s, start);
    memcpy(found, start, size);
    bool done = maximise(f, s, false, found);
    if (!done) {
        memcpy(found, start, size);
        done = maximise(f, s, true, found);
    }
    if (!done)
        return -1;
    memcpy(theta, found, size);
    return 0;
}

double sj_family_search_quantile(const struct sj_family *f, const double *theta, double p, double low, double high)
{
    bool log_axis = low > 0, upper = p > 0.5;
    double a = log_axis ? log(low) : low, b = log_axis ? log(high) : high, y = 0.5 * (a + b);

    for (int i = 0; i < 200 && b - a > 1e-15 * (fabs(a) + fabs(b)); i++) {
        double x = log_axis ? exp(y) : y, log_x = log_axis ? y : log(y), below, above;
        f->tails(theta, x, log_x, &below, &above);
        double excess = upper ? (1 - p) - above : below - p;
        if (excess > 0)
            b = y;
        else
            a = y;
        double next = y - excess / (exp(f->log_density(theta, x, log_x)) * (log_axis ? x : 1));
        if (fabs(next - y) <= 1e-14 * (fabs(y) + (log_axis ? 1 : 0)))
            return log_axis ? exp(next) : next;
        y = next > a && next < b ? next : 0.5 * (a + b);
    }
    return log_axis ? exp(y) : y;
}
