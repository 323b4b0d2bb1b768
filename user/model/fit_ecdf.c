// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* How many requests that were given up still count as waiting in an interval (lo, hi]; inside it they count half. */
static double censored_at_risk(const struct sj_sample *s, size_t *from, double lo, double hi)
{
    double inside = 0;

    for (; *from < s->n_censored && s->censored[*from].at < hi; ++*from) {
        if (s->censored[*from].at > lo)
            inside += 0.5 * s->censored[*from].count;
    }
    return inside;
}

int sj_ecdf_make(const struct sj_sample *s, struct sj_ecdf *out, struct sj_err *err)
{
    size_t len = s->n_points + s->n_bins, from = 0;
    double *x = malloc((len + 1) * sizeof(*x)), *lo = malloc((len + 1) * sizeof(*lo));
    double *f = malloc((len + 1) * sizeof(*f));

    if (!x || !lo || !f) {
        free(x);
        free(lo);
        free(f);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    double waiting = s->timeouts, left = s->seen, survival = 1, gone = 0;
    for (size_t i = 0; i < len; i++) {
        x[i] = s->n_points ? s->points[i].x : s->bins[i].hi;
        lo[i] = s->n_points ? s->points[i].x : s->bins[i].lo;
        double count = s->n_points ? s->points[i].count : s->bins[i].count;
        size_t before = from;
        double inside = censored_at_risk(s, &from, lo[i], x[i]);
        for (size_t k = before; k < from; k++)
            waiting -= s->censored[k].count;
        gone += count;
        survival *= 1 - count / (left + waiting + inside);
        left -= count;
        f[i] = s->timeouts > 0 ? 1 - survival : gone / s->n;
    }
    *out = (struct sj_ecdf){.len = len, .x = x, .lo = lo, .f = f, .resolved = len ? f[len - 1] : 0};
    out->horizon = fmax(len ? x[len - 1] : 0, s->n_censored ? s->censored[s->n_censored - 1].at : 0);
    if (!(s->timeouts > 0))
        out->resolved = 1;
    return 0;
}

void sj_ecdf_free(struct sj_ecdf *e)
{
    free(e->x);
    free(e->lo);
    free(e->f);
    *e = (struct sj_ecdf){0};
}

/* The first position whose share reaches p. */
static size_t reach(const struct sj_ecdf *e, double p)
{
    size_t low = 0, high = e->len - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->f[middle] >= p)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

double sj_ecdf_quantile(const struct sj_ecdf *e, const struct sj_sample *s, double p)
{
    if (!e->len || !(p >= 0) || p > e->resolved)
        return NAN;
    if (s->n_bins) {
        size_t i = reach(e, p);
        double below = i ? e->f[i - 1] : 0, part = (p - below) / (e->f[i] - below);
        part = fmin(fmax(part, 0), 1);
        if (e->lo[i] > 0)
            return e->lo[i] * pow(e->x[i] / e->lo[i], part);
        return e->x[i] * part;
    }
    if (s->timeouts > 0)
        return e->x[reach(e, p)];
    /* Hyndman and Fan's type 7. Half a count keeps equal shares on the right side of rounding. */
    double h = (s->n - 1) * p, whole = floor(h);
    double a = e->x[reach(e, (whole + 0.5) / s->n)];
    double b = e->x[reach(e, fmin(whole + 1.5, s->n - 0.5) / s->n)];
    return a + (h - whole) * (b - a);
}

double sj_ecdf_restricted_mean(const struct sj_ecdf *e, double t)
{
    double area = 0, at = 0, survival = 1;

    if (!e->len || (e->resolved < 1 && t > e->horizon))
        return NAN;
    for (size_t i = 0; i < e->len; i++) {
        double next = 1 - e->f[i];
        if (e->lo[i] >= t)
            break;
        area += survival * (e->lo[i] - at);
        at = e->lo[i];
        double width = e->x[i] - e->lo[i];
        if (width > 0) {
            double part = fmin(t - e->lo[i], width) / width;
            area += width * part * (survival + 0.5 * part * (next - survival));
            at = e->lo[i] + width * part;
        }
        survival = next;
    }
    if (survival > 0 && isfinite(t) && t > at)
        area += survival * (t - at);
    return area;
}
