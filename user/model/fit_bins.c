// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/fit_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int no_memory(struct sj_err *err)
{
    return sj_fail(err, EX_OSERR, "out of memory");
}

double sj_log_bin_edge(int schema, int index)
{
    int per_octave = 1 << schema;
    int octave = index >> schema;

    return ldexp(exp2((double)(index - octave * per_octave) / per_octave), octave);
}

int sj_log_bin_index(int schema, double x)
{
    int exponent;
    double mantissa = frexp(x, &exponent);
    double place = (log2(mantissa) + exponent) * (1 << schema), above = ceil(place);
    int index = (int)above;

    /* The logarithm is rounded: near an edge the edges decide. */
    if (above - place > 1e-9 && above - place < 1 - 1e-9)
        return index;
    while (x > sj_log_bin_edge(schema, index))
        index++;
    while (x <= sj_log_bin_edge(schema, index - 1))
        index--;
    return index;
}

void sj_log_bins_init(struct sj_log_bins *b, int schema)
{
    *b = (struct sj_log_bins){.schema = schema};
}

void sj_log_bins_free(struct sj_log_bins *b)
{
    free(b->cells);
    sj_log_bins_init(b, b->schema);
}

/* Makes room for bin `index`, with an octave to spare on the side that grows. */
static int make_room(struct sj_log_bins *b, int index, struct sj_err *err)
{
    int spare = 1 << b->schema;
    int first = b->len ? b->base : index, last = b->len ? b->base + (int)b->len - 1 : index;

    first = index < first || !b->len ? index - spare : first;
    last = index > last || !b->len ? index + spare : last;
    size_t len = (size_t)(last - first + 1);
    struct sj_log_cell *cells = calloc(len, sizeof(*cells));
    if (!cells)
        return no_memory(err);
    if (b->len)
        memcpy(cells + (b->base - first), b->cells, b->len * sizeof(*cells));
    free(b->cells);
    b->cells = cells;
    b->base = first;
    b->len = len;
    return 0;
}

int sj_log_bins_add(struct sj_log_bins *b, double x, uint64_t n, struct sj_err *err)
{
    if (x == 0) {
        b->zeros += n;
        b->total += n;
        return 0;
    }
    if (!(x >= SJ_SAMPLE_MIN && x <= SJ_SAMPLE_MAX))
        return sj_fail(err, EX_DATAERR, "%g s cannot be fitted: a time is 0 or from %g to %g s", x, SJ_SAMPLE_MIN,
                       SJ_SAMPLE_MAX);
    int index = sj_log_bin_index(b->schema, x);
    if ((index < b->base || index >= b->base + (int)b->len) && make_room(b, index, err))
        return -1;
    struct sj_log_cell *cell = &b->cells[index - b->base];
    cell->count += n;
    cell->sum += x * (double)n;
    b->total += n;
    return 0;
}

int sj_sample_from_log_bins(const struct sj_log_bins *seen, const struct sj_log_bins *censored, struct sj_sample **out,
                            struct sj_err *err)
{
    sj_autofree struct sj_bin *bins = calloc(seen->len + 1, sizeof(*bins));
    sj_autofree struct sj_censor *cens = calloc((censored ? censored->len : 0) + 1, sizeof(*cens));
    size_t n = 0, m = 0;

    if (!bins || !cens)
        return no_memory(err);
    if (seen->zeros)
        bins[n++] = (struct sj_bin){.hi = 1e-9, .count = (double)seen->zeros};
    for (size_t i = 0; i < seen->len; i++) {
        int index = seen->base + (int)i;
        if (!seen->cells[i].count)
            continue;
        bins[n++] = (struct sj_bin){.lo = sj_log_bin_edge(seen->schema, index - 1),
                                    .hi = sj_log_bin_edge(seen->schema, index),
                                    .count = (double)seen->cells[i].count};
        if (n == 2 && seen->zeros)
            bins[0].hi = fmin(bins[0].hi, bins[1].lo);
    }
    if (censored && censored->zeros)
        cens[m++] = (struct sj_censor){.count = (double)censored->zeros};
    for (size_t i = 0; censored && i < censored->len; i++) {
        double count = (double)censored->cells[i].count;
        if (count > 0)
            cens[m++] = (struct sj_censor){.at = censored->cells[i].sum / count, .count = count};
    }
    return sj_sample_from_bins(bins, n, cens, m, seen->schema, out, err);
}

static void log_bins_cleanup(struct sj_log_bins *b)
{
    sj_log_bins_free(b);
}

int sj_sample_to_schema(const struct sj_sample *s, int schema, struct sj_sample **out, struct sj_err *err)
{
    __attribute__((cleanup(log_bins_cleanup))) struct sj_log_bins bins = {.schema = schema};

    if (schema < 0 || schema > 8 || s->n_bins)
        return sj_fail(err, EX_SOFTWARE, "only plain values can be binned, at a schema from 0 to 8");
    for (size_t i = 0; i < s->n_points; i++) {
        if (sj_log_bins_add(&bins, s->points[i].x, (uint64_t)s->points[i].count, err))
            return -1;
    }
    struct sj_sample *binned = NULL;
    if (sj_sample_from_log_bins(&bins, NULL, &binned, err))
        return -1;
    /* Censoring points need no bins: their number is small, and an exact timeout is worth keeping. */
    int rc = sj_sample_from_bins(binned->bins, binned->n_bins, s->censored, s->n_censored, schema, out, err);
    sj_sample_free(binned);
    return rc;
}

/* An axis of equal steps over the range of a sample; the smallest and the largest value lie inside the end bins. */
struct axis {
    bool log;
    double start;
    double width;
    size_t len;
};

static double axis_edge(const struct axis *a, size_t i)
{
    double y = a->start + a->width * (double)i;

    return a->log ? exp(y) : fmax(y, 0);
}

static struct axis make_axis(const struct sj_sample *s, size_t n_bins, bool log_axis)
{
    double low = INFINITY, high = -INFINITY;

    for (size_t i = 0; i < s->n_points; i++) {
        double y = log_axis ? s->points[i].log_x : s->points[i].x;
        low = fmin(low, y);
        high = fmax(high, y);
    }
    for (size_t i = 0; i < s->n_bins; i++) {
        const struct sj_bin *b = &s->bins[i];
        low = fmin(low, !log_axis ? b->lo : b->lo > 0 ? b->log_lo : b->log_hi - M_LN2);
        high = fmax(high, log_axis ? b->log_hi : b->hi);
    }
    double width = (high - low) / (double)(n_bins - 1);
    return (struct axis){.log = log_axis, .start = low - 0.5 * width, .width = width, .len = n_bins};
}

static size_t axis_cell(const struct axis *a, double y)
{
    double cell = (y - a->start) / a->width;

    return cell <= 0 ? 0 : cell >= (double)a->len ? a->len - 1 : (size_t)cell;
}

static size_t coarsen_points(const struct sj_sample *s, const struct axis *a, struct sj_bin *bins)
{
    size_t n = 0, current = SIZE_MAX;

    for (size_t i = 0; i < s->n_points; i++) {
        const struct sj_point *p = &s->points[i];
        size_t cell = axis_cell(a, a->log ? p->log_x : p->x);
        if (cell != current) {
            current = cell;
            bins[n++] = (struct sj_bin){.lo = axis_edge(a, cell), .hi = axis_edge(a, cell + 1)};
        }
        bins[n - 1].count += p->count;
    }
    return n;
}

static size_t coarsen_bins(const struct sj_sample *s, const struct axis *a, struct sj_bin *bins)
{
    size_t n = 0, current = SIZE_MAX;

    for (size_t i = 0; i < s->n_bins; i++) {
        const struct sj_bin *b = &s->bins[i];
        double y = a->log ? (b->lo > 0 ? 0.5 * (b->log_lo + b->log_hi) : b->log_hi) : 0.5 * (b->lo + b->hi);
        size_t cell = axis_cell(a, y);
        if (cell != current) {
            current = cell;
            bins[n++] = *b;
            continue;
        }
        bins[n - 1].hi = b->hi;
        bins[n - 1].count += b->count;
    }
    return n;
}

int sj_sample_coarsen(const struct sj_sample *s, size_t n_bins, bool log_axis, struct sj_sample **out,
                      struct sj_err *err)
{
    if (n_bins < 2 || (log_axis && s->has_zero))
        return sj_fail(err, EX_SOFTWARE, "a sample cannot be coarsened so");
    struct axis axis = make_axis(s, n_bins, log_axis);
    if (!(axis.width > 0))
        return sj_fail(err, EX_DATAERR, "all values are equal");
    sj_autofree struct sj_bin *bins = calloc(n_bins + 1, sizeof(*bins));
    if (!bins)
        return no_memory(err);
    size_t n = s->n_points ? coarsen_points(s, &axis, bins) : coarsen_bins(s, &axis, bins);
    /* Many different timeouts would make up for what the bins save; up to n_bins they stay exact. */
    if (s->n_censored <= n_bins)
        return sj_sample_from_bins(bins, n, s->censored, s->n_censored, -1, out, err);
    sj_autofree struct sj_censor *cens = calloc(n_bins + 1, sizeof(*cens));
    if (!cens)
        return no_memory(err);
    for (size_t i = 0; i < s->n_censored; i++) {
        const struct sj_censor *c = &s->censored[i];
        struct sj_censor *to = &cens[axis_cell(&axis, axis.log ? c->log_at : c->at)];
        to->at += c->at * c->count;
        to->count += c->count;
    }
    for (size_t i = 0; i < n_bins; i++)
        cens[i].at = cens[i].count > 0 ? cens[i].at / cens[i].count : 0;
    return sj_sample_from_bins(bins, n, cens, n_bins, -1, out, err);
}
