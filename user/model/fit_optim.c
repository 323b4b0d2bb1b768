// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_optim.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <gsl/gsl_vector.h>

/* Differences: the gradient's error is h^2/6 relative, the Hessian's need not be small for Newton to converge. */
#define GRADIENT_H 1e-4
#define HESSIAN_H 1e-3

/* GSL's simplex wants finite values; this one loses against every other. */
#define NO_VALUE 1e300

static double negated(const gsl_vector *v, void *ctx)
{
    const struct sj_objective *o = ctx;
    double eta[SJ_OPTIM_MAX];

    for (size_t i = 0; i < o->n; i++)
        eta[i] = gsl_vector_get(v, i);
    double value = o->value(eta, o->ctx);
    return isfinite(value) ? -value : NO_VALUE;
}

bool sj_optim_simplex(const struct sj_objective *o, double *eta, const double *step)
{
    struct sj_objective copy = *o;
    gsl_multimin_function f = {.f = negated, .n = o->n, .params = &copy};
    gsl_vector *x = gsl_vector_alloc(o->n), *size = gsl_vector_alloc(o->n);
    gsl_multimin_fminimizer *m = gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, o->n);
    bool ok = x && size && m && isfinite(o->value(eta, o->ctx));

    for (size_t i = 0; ok && i < o->n; i++) {
        gsl_vector_set(x, i, eta[i]);
        gsl_vector_set(size, i, 0.5 * step[i]);
    }
    ok = ok && gsl_multimin_fminimizer_set(m, &f, x, size) == GSL_SUCCESS;
    double smallest = INFINITY;
    for (size_t i = 0; i < o->n; i++)
        smallest = fmin(smallest, step[i]);
    for (int i = 0; ok && i < 400; i++) {
        if (gsl_multimin_fminimizer_iterate(m) || gsl_multimin_fminimizer_size(m) < 1e-3 * smallest)
            break;
    }
    for (size_t i = 0; ok && i < o->n; i++)
        eta[i] = gsl_vector_get(m->x, i);
    gsl_multimin_fminimizer_free(m);
    gsl_vector_free(size);
    gsl_vector_free(x);
    return ok;
}

struct surface {
    double value;
    double gradient[SJ_OPTIM_MAX];
    double hessian[SJ_OPTIM_MAX][SJ_OPTIM_MAX];
};

static double shifted(const struct sj_objective *o, const double *eta, size_t i, double di, size_t j, double dj)
{
    double at[SJ_OPTIM_MAX];

    memcpy(at, eta, sizeof(at[0]) * o->n);
    at[i] += di;
    at[j] += dj;
    return o->value(at, o->ctx);
}

static void surface_by_gradient(const struct sj_objective *o, const double *eta, const double *step, struct surface *s)
{
    double at[SJ_OPTIM_MAX], up[SJ_OPTIM_MAX], down[SJ_OPTIM_MAX];

    s->value = o->gradient(eta, s->gradient, o->ctx);
    for (size_t i = 0; i < o->n; i++) {
        double h = GRADIENT_H * step[i];
        memcpy(at, eta, sizeof(at[0]) * o->n);
        at[i] = eta[i] + h;
        o->gradient(at, up, o->ctx);
        at[i] = eta[i] - h;
        o->gradient(at, down, o->ctx);
        for (size_t j = 0; j < o->n; j++)
            s->hessian[i][j] = (up[j] - down[j]) / (2 * h);
    }
    for (size_t i = 0; i < o->n; i++) {
        for (size_t j = 0; j < i; j++)
            s->hessian[i][j] = s->hessian[j][i] = 0.5 * (s->hessian[i][j] + s->hessian[j][i]);
    }
}

static void surface_by_value(const struct sj_objective *o, const double *eta, const double *step, struct surface *s)
{
    s->value = o->value(eta, o->ctx);
    for (size_t i = 0; i < o->n; i++) {
        double g = GRADIENT_H * step[i], h = HESSIAN_H * step[i];
        s->gradient[i] = (shifted(o, eta, i, g, i, 0) - shifted(o, eta, i, -g, i, 0)) / (2 * g);
        s->hessian[i][i] = (shifted(o, eta, i, h, i, 0) - 2 * s->value + shifted(o, eta, i, -h, i, 0)) / (h * h);
        for (size_t j = 0; j < i; j++) {
            double k = HESSIAN_H * step[j];
            double mixed = shifted(o, eta, i, h, j, k) - shifted(o, eta, i, h, j, -k) - shifted(o, eta, i, -h, j, k) +
                           shifted(o, eta, i, -h, j, -k);
            s->hessian[i][j] = s->hessian[j][i] = mixed / (4 * h * k);
        }
    }
}

/* Solves (-H + damping * scale) d = g by Cholesky; false when that matrix is not positive definite. */
static bool newton_direction(const struct surface *s, size_t n, const double *step, double damping, double *d)
{
    double l[SJ_OPTIM_MAX][SJ_OPTIM_MAX];

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = -s->hessian[i][j] + (i == j ? damping / (step[i] * step[i]) : 0);
            for (size_t k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            if (i != j) {
                l[i][j] = sum / l[j][j];
                continue;
            }
            if (!(sum > 1e-12 * (fabs(s->hessian[i][i]) + damping / (step[i] * step[i]))) || !isfinite(sum))
                return false;
            l[i][i] = sqrt(sum);
        }
    }
    for (size_t i = 0; i < n; i++) {
        d[i] = s->gradient[i];
        for (size_t k = 0; k < i; k++)
            d[i] -= l[i][k] * d[k];
        d[i] /= l[i][i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            d[i] -= l[k][i] * d[k];
        d[i] /= l[i][i];
    }
    return true;
}

static bool usable(const struct surface *s, size_t n)
{
    bool ok = isfinite(s->value);

    for (size_t i = 0; i < n; i++) {
        ok = ok && isfinite(s->gradient[i]);
        for (size_t j = 0; j < n; j++)
            ok = ok && isfinite(s->hessian[i][j]);
    }
    return ok;
}

/*
 * Moves eta uphill along d, halving it until it climbs. Where the promised gain is smaller than rounding can show, the
 * whole step is taken: that is the last polish. Returns the part of d that was taken, 0 if none.
 */
static double climb(const struct sj_objective *o, double *eta, const double *d, double value, double promised)
{
    double noise = 1e-14 * fabs(value), at[SJ_OPTIM_MAX];

    for (double part = 1; part > 1e-4; part *= 0.5) {
        for (size_t i = 0; i < o->n; i++)
            at[i] = eta[i] + part * d[i];
        double reached = o->value(at, o->ctx);
        bool climbs = reached > value || (promised < 100 * noise && reached >= value - 10 * noise);
        if (!climbs)
            continue;
        memcpy(eta, at, sizeof(at[0]) * o->n);
        return part;
    }
    return 0;
}

bool sj_optim_newton(const struct sj_objective *o, double *eta, const double *step, int max_steps, double *value)
{
    double damping = 0, d[SJ_OPTIM_MAX] = {0};
    bool converged = false;
    struct surface s = {.value = 0};

    for (int round = 0; round < max_steps && !converged; round++) {
        if (o->gradient)
            surface_by_gradient(o, eta, step, &s);
        else
            surface_by_value(o, eta, step, &s);
        if (!usable(&s, o->n))
            break;
        double unit = 1e-6 * (fabs(s.value) + 1), taken = 0, promised = 0;
        for (int tries = 0; tries < 30 && taken <= 0; tries++) {
            if (newton_direction(&s, o->n, step, damping, d)) {
                promised = 0;
                for (size_t i = 0; i < o->n; i++)
                    promised += 0.5 * d[i] * s.gradient[i];
                converged = damping <= 0 && promised < 1e-12 + 1e-15 * fabs(s.value);
                taken = climb(o, eta, d, s.value, promised);
                if (converged)
                    break;
            }
            if (taken <= 0)
                damping = fmax(10 * damping, unit);
        }
        if (taken <= 0 && !converged)
            break;
        damping = taken > 0.5 && damping > unit ? damping / 10 : taken > 0.5 ? 0 : damping;
    }
    if (value)
        *value = o->value(eta, o->ctx);
    return converged;
}
