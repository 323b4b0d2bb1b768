// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_em.h"

#include <math.h>

#define LOG_SQRT_2PI 0.91893853320467274178

/*
 * What one component makes of one observation: its probability (or the log of it, where that underflows), and the mean
 * and the mean square of y - location given the observation.
 */
struct view {
    double mass;
    double log_mass; /* set if mass is 0 */
    double first;
    double second;
};

/* Below this a probability is kept as its logarithm. */
#define MASS_MIN 1e-250

/* An edge of a bin as a normal component sees it. */
struct edge {
    double z;
    double p;
    double q;
    double phi;
};

static struct edge normal_edge(const struct sj_em_part *c, double y)
{
    double z = (y - c->location) / c->scale;

    if (isinf(z))
        return (struct edge){.z = z, .p = z > 0, .q = z < 0};
    double small = 0.5 * erfc(fabs(z) * M_SQRT1_2);
    return (struct edge){.z = z,
                         .p = z < 0 ? small : 1 - small,
                         .q = z < 0 ? 1 - small : small,
                         .phi = exp(-0.5 * z * z - LOG_SQRT_2PI)};
}

/*
 * Moments of the normal distribution cut to an interval of y of some width; q and phi of an upper edge at infinity
 * are 0.
 */
static struct view normal_interval(const struct sj_em_part *c, const struct edge *a, const struct edge *b, double width)
{
    double mass = a->z > 0 ? a->q - b->q : b->p - a->p, edge = a->z > 0 ? a->q : b->p;

    if (mass > 1e-6 * edge && mass > MASS_MIN) {
        double za = isinf(a->z) ? 0 : a->z * a->phi, zb = isinf(b->z) ? 0 : b->z * b->phi;
        return (struct view){mass, 0, c->scale * (a->phi - b->phi) / mass,
                             c->scale * c->scale * (1 + (za - zb) / mass)};
    }
    if (edge > MASS_MIN) {
        /* So narrow that the difference has lost its digits: the density in the middle. */
        double z = 0.5 * (a->z + b->z), dev = z * c->scale;
        return (struct view){exp(-0.5 * z * z - LOG_SQRT_2PI) * width / c->scale, 0, dev, dev * dev};
    }
    /* Far out, all of it sits at the nearer edge (Mills' ratio is 1/z there). */
    double z = a->z > 0 ? a->z : b->z, dev = z * c->scale;
    return (struct view){0, -0.5 * z * z - LOG_SQRT_2PI - log(fabs(z)), dev, dev * dev};
}

/* An exponential of mean m between x = a and x = a + width, which may be INFINITY. */
static struct view exponential_interval(double m, double a, double width)
{
    double u = width / m, share = isfinite(u) ? -expm1(-u) : 1, beyond = m;

    if (u < 1e-4)
        beyond = width * (0.5 - u / 12);
    else if (isfinite(u))
        beyond = m - width * (1 - share) / share;
    double mass = exp(-a / m) * share;
    if (mass > MASS_MIN)
        return (struct view){mass, 0, a + beyond, 0};
    return (struct view){0, log(share) - a / m, a + beyond, 0};
}

static void add_shares(struct sj_em_sums *sums, const struct view v[2], double share0, double count)
{
    for (int k = 0; k < 2; k++) {
        double n = count * (k ? 1 - share0 : share0);
        sums->n[k] += n;
        sums->first[k] += n * v[k].first;
        sums->second[k] += n * v[k].second;
    }
}

/* From the logarithms of weight times density. */
static void add_logs(struct sj_em_sums *sums, const struct view v[2], double l0, double l1, double count)
{
    double ratio = exp(-fabs(l0 - l1)), larger = 1 / (1 + ratio);

    sums->loglik += count * (fmax(l0, l1) + log1p(ratio));
    add_shares(sums, v, l0 >= l1 ? larger : ratio * larger, count);
}

static void add(struct sj_em_sums *sums, const struct sj_em_state *st, const struct view v[2], double count)
{
    double p0 = st->part[0].weight * v[0].mass, p1 = st->part[1].weight * v[1].mass, l[2];

    if (p0 > 0 && p1 > 0) {
        sums->loglik += count * log(p0 + p1);
        add_shares(sums, v, p0 / (p0 + p1), count);
        return;
    }
    for (int k = 0; k < 2; k++)
        l[k] = log(st->part[k].weight) + (v[k].mass > 0 ? log(v[k].mass) : v[k].log_mass);
    add_logs(sums, v, l[0], l[1], count);
}

static void add_points(const struct sj_em *e, const struct sj_em_state *st, struct sj_em_sums *sums)
{
    bool normal = e->kind->component == SJ_COMPONENT_NORMAL;
    double height[2], inverse[2], l[2];
    struct view v[2] = {{.mass = 0}, {.mass = 0}};

    for (int k = 0; k < 2; k++) {
        const struct sj_em_part *c = &st->part[k];
        height[k] = log(c->weight) - log(c->scale) - (normal ? LOG_SQRT_2PI : 0);
        inverse[k] = 1 / c->scale;
    }
    for (size_t i = 0; i < e->s->n_points; i++) {
        const struct sj_point *p = &e->s->points[i];
        double y = e->kind->log_axis ? p->log_x : p->x;
        for (int k = 0; k < 2; k++) {
            double dev = y - st->part[k].location, z = dev * inverse[k];
            v[k].first = dev;
            v[k].second = dev * dev;
            l[k] = height[k] - (normal ? 0.5 * z * z : z);
        }
        add_logs(sums, v, l[0], l[1], p->count);
    }
    /* These were densities of y; those of x have the Jacobian of the logarithm. */
    if (e->kind->log_axis && e->s->n_points)
        sums->loglik -= e->s->seen * e->s->moments.mean_log;
}

static void add_bins(const struct sj_em *e, const struct sj_em_state *st, struct sj_em_sums *sums)
{
    struct edge edge[2] = {{.z = 0}, {.z = 0}};
    double known_at = NAN;

    for (size_t i = 0; i < e->s->n_bins; i++) {
        const struct sj_bin *b = &e->s->bins[i];
        struct view v[2];
        for (int k = 0; k < 2; k++) {
            const struct sj_em_part *c = &st->part[k];
            if (e->kind->component == SJ_COMPONENT_EXPONENTIAL) {
                v[k] = exponential_interval(c->scale, b->lo, b->hi - b->lo);
                continue;
            }
            struct edge from = known_at == b->lo ? edge[k] : normal_edge(c, e->kind->log_axis ? b->log_lo : b->lo);
            edge[k] = normal_edge(c, e->kind->log_axis ? b->log_hi : b->hi);
            v[k] = normal_interval(c, &from, &edge[k], e->kind->log_axis ? b->log_hi - b->log_lo : b->hi - b->lo);
        }
        known_at = b->hi;
        add(sums, st, v, b->count);
    }
}

struct sj_em_sums sj_em_expect(const struct sj_em *e, const struct sj_em_state *st)
{
    struct sj_em_sums sums = {.loglik = 0};
    const struct edge end = {.z = INFINITY, .p = 1};
    struct view v[2];

    add_points(e, st, &sums);
    add_bins(e, st, &sums);
    for (size_t i = 0; i < e->s->n_censored; i++) {
        const struct sj_censor *c = &e->s->censored[i];
        for (int k = 0; k < 2; k++) {
            if (e->kind->component == SJ_COMPONENT_EXPONENTIAL) {
                v[k] = exponential_interval(st->part[k].scale, c->at, INFINITY);
                continue;
            }
            struct edge from = normal_edge(&st->part[k], e->kind->log_axis ? c->log_at : c->at);
            v[k] = normal_interval(&st->part[k], &from, &end, INFINITY);
        }
        add(&sums, st, v, c->count);
    }
    return sums;
}

bool sj_em_alive(const struct sj_em *e, const struct sj_em_state *st)
{
    for (int k = 0; k < 2; k++) {
        const struct sj_em_part *c = &st->part[k];
        if (!(c->weight > SJ_EM_WEIGHT_MIN) || !isfinite(c->location) || !(c->scale > 0) || !isfinite(c->scale))
            return false;
        if (e->kind->component == SJ_COMPONENT_NORMAL && c->scale <= e->floor)
            return false;
    }
    return true;
}

bool sj_em_run(const struct sj_em *e, struct sj_em_state *st, int rounds, double *loglik)
{
    double before = -INFINITY;

    for (int round = 0; round < rounds; round++) {
        struct sj_em_sums sums = sj_em_expect(e, st);
        double n = sums.n[0] + sums.n[1];
        *loglik = sums.loglik;
        if (!isfinite(sums.loglik))
            return false;
        for (int k = 0; k < 2; k++) {
            struct sj_em_part *c = &st->part[k];
            double first = sums.first[k] / sums.n[k];
            c->weight = sums.n[k] / n;
            if (e->kind->component == SJ_COMPONENT_EXPONENTIAL) {
                c->scale = first;
                continue;
            }
            c->location += first;
            c->scale = sqrt(fmax(sums.second[k] / sums.n[k] - first * first, 0));
        }
        if (!sj_em_alive(e, st))
            return false;
        if (sums.loglik - before < 1e-12 * fabs(sums.loglik))
            break;
        before = sums.loglik;
    }
    return true;
}
