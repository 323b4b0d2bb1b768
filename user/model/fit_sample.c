// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/fit_special.h"

static int no_memory(struct sj_err *err)
{
    return sj_fail(err, EX_OSERR, "out of memory");
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool in_range(double x)
{
    return x == 0 || (x >= SJ_SAMPLE_MIN && x <= SJ_SAMPLE_MAX);
}

void sj_sample_free(struct sj_sample *s)
{
    if (!s)
        return;
    free(s->points);
    free(s->bins);
    free(s->censored);
    free(s);
}

static void sample_free_ptr(struct sj_sample **s)
{
    sj_sample_free(*s);
}

/* Where a bin stands in for its values. */
static double bin_middle(const struct sj_bin *b)
{
    return b->lo > 0 ? exp(0.5 * (b->log_lo + b->log_hi)) : 0.5 * b->hi;
}

/* Calls with_value for every distinct value, bin or (if asked for) censoring point. */
static void each_value(const struct sj_sample *s, bool censored, void (*with_value)(void *, double, double), void *ctx)
{
    for (size_t i = 0; i < s->n_points; i++)
        with_value(ctx, s->points[i].x, s->points[i].count);
    for (size_t i = 0; i < s->n_bins; i++)
        with_value(ctx, bin_middle(&s->bins[i]), s->bins[i].count);
    for (size_t i = 0; censored && i < s->n_censored; i++)
        with_value(ctx, s->censored[i].at, s->censored[i].count);
}

static void first_pass(void *ctx, double x, double count)
{
    struct sj_moments *m = ctx;

    m->n += count;
    m->mean += count * x;
    m->mean_log += count * log(x);
}

static void second_pass(void *ctx, double x, double count)
{
    struct sj_moments *m = ctx;
    double ratio = x / m->mean, dev = x - m->mean, dev_log = log(x) - m->mean_log;

    m->variance += count * dev * dev;
    m->variance_log += count * dev_log * dev_log;
    m->gamma_deviance += count * sj_deviance(ratio);
}

static void take_moments(const struct sj_sample *s, bool censored, struct sj_moments *m)
{
    memset(m, 0, sizeof(*m));
    each_value(s, censored, first_pass, m);
    if (m->n <= 0)
        return;
    m->mean /= m->n;
    m->mean_log /= m->n;
    each_value(s, censored, second_pass, m);
    m->variance /= m->n;
    m->variance_log /= m->n;
    m->gamma_deviance /= m->n;
}

static void finish(struct sj_sample *s)
{
    for (size_t i = 0; i < s->n_points; i++)
        s->seen += s->points[i].count;
    for (size_t i = 0; i < s->n_bins; i++)
        s->seen += s->bins[i].count;
    for (size_t i = 0; i < s->n_censored; i++)
        s->timeouts += s->censored[i].count;
    s->n = s->seen + s->timeouts;
    s->has_zero = s->n_points && s->points[0].x <= 0;
    take_moments(s, false, &s->moments);
    take_moments(s, true, &s->rough);
}

static int copy_points(struct sj_sample *s, double *sorted, size_t n, struct sj_err *err)
{
    qsort(sorted, n, sizeof(*sorted), compare_doubles);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        distinct += i == 0 || sorted[i] != sorted[i - 1];
    s->points = calloc(distinct ? distinct : 1, sizeof(*s->points));
    if (!s->points)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1])
            s->points[s->n_points++] = (struct sj_point){.x = sorted[i], .log_x = log(sorted[i])};
        s->points[s->n_points - 1].count++;
    }
    return 0;
}

static int compare_censored(const void *a, const void *b)
{
    double x = ((const struct sj_censor *)a)->at, y = ((const struct sj_censor *)b)->at;

    return (x > y) - (x < y);
}

/* Takes `all` (any order, n of them) as the sample's censoring points, equal ones joined. */
static void take_censored(struct sj_sample *s, struct sj_censor *all, size_t n)
{
    size_t kept = 0;

    qsort(all, n, sizeof(*all), compare_censored);
    for (size_t i = 0; i < n; i++) {
        if (!(all[i].count > 0))
            continue;
        if (kept && all[kept - 1].at == all[i].at) {
            all[kept - 1].count += all[i].count;
            continue;
        }
        all[kept] = all[i];
        all[kept++].log_at = log(all[i].at);
    }
    s->censored = all;
    s->n_censored = kept;
}

int sj_sample_from_values(const double *values, size_t n, const double *censored, size_t m, struct sj_sample **out,
                          struct sj_err *err)
{
    __attribute__((cleanup(sample_free_ptr))) struct sj_sample *s = calloc(1, sizeof(*s));
    sj_autofree double *sorted = malloc((n + 1) * sizeof(*sorted));
    sj_autofree struct sj_censor *cens = calloc(m + 1, sizeof(*cens));

    if (!s || !sorted || !cens)
        return no_memory(err);
    for (size_t i = 0; i < n + m; i++) {
        double x = i < n ? values[i] : censored[i - n];
        if (!in_range(x))
            return sj_fail(err, EX_DATAERR, "%g s cannot be fitted: a time is 0 or from %g to %g s", x, SJ_SAMPLE_MIN,
                           SJ_SAMPLE_MAX);
    }
    s->schema = -1;
    if (n)
        memcpy(sorted, values, n * sizeof(*sorted));
    if (copy_points(s, sorted, n, err))
        return -1;
    for (size_t i = 0; i < m; i++)
        cens[i] = (struct sj_censor){.at = censored[i], .count = 1};
    take_censored(s, SJ_TAKE(cens), m);
    finish(s);
    *out = SJ_TAKE(s);
    return 0;
}

int sj_sample_from_bins(const struct sj_bin *bins, size_t n, const struct sj_censor *censored, size_t m, int schema,
                        struct sj_sample **out, struct sj_err *err)
{
    __attribute__((cleanup(sample_free_ptr))) struct sj_sample *s = calloc(1, sizeof(*s));
    sj_autofree struct sj_censor *cens = calloc(m + 1, sizeof(*cens));

    if (!s || !cens || !(s->bins = calloc(n + 1, sizeof(*s->bins))))
        return no_memory(err);
    s->schema = schema;
    for (size_t i = 0; i < n; i++) {
        struct sj_bin b = bins[i];
        bool ordered = b.lo >= 0 && b.lo < b.hi && b.hi <= 2 * SJ_SAMPLE_MAX && (i == 0 || bins[i - 1].hi <= b.lo);
        if (!ordered || !(b.count >= 0))
            return sj_fail(err, EX_DATAERR, "bin %zu (%g to %g s, %g values) is not in order", i + 1, b.lo, b.hi,
                           b.count);
        b.log_lo = log(b.lo);
        b.log_hi = log(b.hi);
        if (b.count > 0)
            s->bins[s->n_bins++] = b;
    }
    for (size_t i = 0; i < m; i++) {
        if (!in_range(censored[i].at))
            return sj_fail(err, EX_DATAERR, "a timeout of %g s cannot be fitted", censored[i].at);
        cens[i] = censored[i];
    }
    take_censored(s, SJ_TAKE(cens), m);
    finish(s);
    *out = SJ_TAKE(s);
    return 0;
}

int sj_sample_from_hist(const struct sj_hist *h, struct sj_sample **out, struct sj_err *err)
{
    int first = 0, last = -1;
    size_t n = 0;

    if (!sj_hist_range(h, &first, &last))
        last = first - 1;
    sj_autofree struct sj_bin *bins = calloc((size_t)(last - first + 2), sizeof(*bins));
    if (!bins)
        return no_memory(err);
    if (h->zero_count) {
        double floor = last >= first ? fmin(1e-9, sj_hist_lower_bound(SJ_HIST_SCHEMA, first)) : 1e-9;
        bins[n++] = (struct sj_bin){.lo = 0, .hi = floor, .count = (double)h->zero_count};
    }
    for (int i = first; i <= last; i++) {
        uint64_t count = sj_hist_count_at(h, i);
        if (count)
            bins[n++] = (struct sj_bin){.lo = sj_hist_lower_bound(SJ_HIST_SCHEMA, i),
                                        .hi = sj_hist_upper_bound(SJ_HIST_SCHEMA, i),
                                        .count = (double)count};
    }
    return sj_sample_from_bins(bins, n, NULL, 0, SJ_HIST_SCHEMA, out, err);
}

double sj_sample_edge_above(const struct sj_sample *s, double u)
{
    for (size_t i = 0; i < s->n_bins; i++) {
        if (s->bins[i].lo < u && u < s->bins[i].hi)
            return s->bins[i].hi;
    }
    return u;
}

double sj_sample_count_above(const struct sj_sample *s, double u)
{
    double n = 0;

    for (size_t i = 0; i < s->n_points; i++)
        n += s->points[i].x > u ? s->points[i].count : 0;
    for (size_t i = 0; i < s->n_bins; i++)
        n += s->bins[i].lo >= u ? s->bins[i].count : 0;
    for (size_t i = 0; i < s->n_censored; i++)
        n += s->censored[i].at >= u ? s->censored[i].count : 0;
    return n;
}

int sj_sample_with_counts(const struct sj_sample *s, const double *counts, struct sj_sample **out, struct sj_err *err)
{
    __attribute__((cleanup(sample_free_ptr))) struct sj_sample *r = calloc(1, sizeof(*r));
    if (!r || !(r->points = calloc(s->n_points + 1, sizeof(*r->points))) ||
        !(r->bins = calloc(s->n_bins + 1, sizeof(*r->bins))) ||
        !(r->censored = calloc(s->n_censored + 1, sizeof(*r->censored))))
        return no_memory(err);
    r->schema = s->schema;
    for (size_t i = 0; i < s->n_points; i++, counts++) {
        r->points[r->n_points] = s->points[i];
        r->points[r->n_points].count = *counts;
        r->n_points += *counts > 0;
    }
    for (size_t i = 0; i < s->n_bins; i++, counts++) {
        r->bins[r->n_bins] = s->bins[i];
        r->bins[r->n_bins].count = *counts;
        r->n_bins += *counts > 0;
    }
    for (size_t i = 0; i < s->n_censored; i++, counts++) {
        r->censored[r->n_censored] = s->censored[i];
        r->censored[r->n_censored].count = *counts;
        r->n_censored += *counts > 0;
    }
    finish(r);
    *out = SJ_TAKE(r);
    return 0;
}

int sj_sample_excess(const struct sj_sample *s, double u, struct sj_sample **out, struct sj_err *err)
{
    __attribute__((cleanup(sample_free_ptr))) struct sj_sample *e = calloc(1, sizeof(*e));
    if (!e || !(e->points = calloc(s->n_points + 1, sizeof(*e->points))) ||
        !(e->bins = calloc(s->n_bins + 1, sizeof(*e->bins))) ||
        !(e->censored = calloc(s->n_censored + 1, sizeof(*e->censored))))
        return no_memory(err);
    e->schema = -1;
    for (size_t i = 0; i < s->n_points; i++) {
        double y = s->points[i].x - u;
        if (y > 0)
            e->points[e->n_points++] = (struct sj_point){.x = y, .log_x = log(y), .count = s->points[i].count};
    }
    for (size_t i = 0; i < s->n_bins; i++) {
        double lo = s->bins[i].lo - u, hi = s->bins[i].hi - u;
        if (lo >= 0)
            e->bins[e->n_bins++] = (struct sj_bin){lo, hi, log(lo), log(hi), s->bins[i].count};
    }
    for (size_t i = 0; i < s->n_censored; i++) {
        double at = s->censored[i].at - u;
        if (at >= 0)
            e->censored[e->n_censored++] = (struct sj_censor){at, log(at), s->censored[i].count};
    }
    finish(e);
    if (e->seen <= 0)
        return sj_fail(err, EX_DATAERR, "nothing measured lies above the threshold of %g s", u);
    *out = SJ_TAKE(e);
    return 0;
}
