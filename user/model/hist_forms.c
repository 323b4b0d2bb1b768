// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/hist_forms.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1e9

/* An empty bucket costs a delta of one byte, another span three or more. */
#define GAP_KEPT 2

static double seconds(uint64_t ns)
{
    return (double)ns / NS_PER_S;
}

static bool schema_known(int schema)
{
    return schema >= 0 && schema <= SJ_HIST_SCHEMA;
}

/* ---- spans ---- */

/* Where the run of buckets that begins at k ends: behind its last full one. *next: where the run after it begins. */
static uint32_t run_end(const struct sj_hist_view *v, uint32_t k, uint32_t *next)
{
    uint32_t end = k + 1;
    uint32_t at = end;

    for (; at < v->len; at++) {
        if (v->counts[at] == 0)
            continue;
        if (at - end > GAP_KEPT)
            break;
        end = at + 1;
    }
    *next = at;
    return end;
}

/* How much room the spans and the deltas of a view take; false when a count is too large for a delta. */
static bool spans_size(const struct sj_hist_view *v, uint32_t *n_spans, uint32_t *n_deltas)
{
    *n_spans = 0;
    *n_deltas = 0;
    for (uint32_t k = 0; k < v->len; k++)
        if (v->counts[k] > (uint64_t)INT64_MAX)
            return false;
    for (uint32_t k = 0; k < v->len;) {
        uint32_t next;
        uint32_t end = run_end(v, k, &next);

        *n_deltas += end - k;
        *n_spans += 1;
        k = next;
    }
    return true;
}

static void spans_fill(const struct sj_hist_view *v, struct sj_hist_spans *form)
{
    struct sj_hist_span *span = form->spans;
    int64_t *delta = form->deltas;
    int64_t before = 0;
    int32_t offset = v->first;

    *span = (struct sj_hist_span){0, 0};
    for (uint32_t k = 0; k < v->len;) {
        uint32_t next;
        uint32_t end = run_end(v, k, &next);

        *span++ = (struct sj_hist_span){offset, end - k};
        for (; k < end; k++) {
            *delta++ = (int64_t)v->counts[k] - before;
            before = (int64_t)v->counts[k];
        }
        offset = (int32_t)(next - end);
        k = next;
    }
}

int sj_hist_spans_make(const struct sj_hist_view *view, struct sj_hist_spans *out)
{
    struct sj_hist_spans form = {
        .schema = view->schema,
        .zero_count = view->zero_count,
        .count = view->count,
        .sum = seconds(view->sum_ns),
    };

    if (!schema_known(view->schema))
        return -EINVAL;
    if (!spans_size(view, &form.n_spans, &form.n_deltas))
        return -EOVERFLOW;
    if (form.n_spans == 0)
        form.n_spans = 1;
    form.spans = calloc(form.n_spans, sizeof(*form.spans));
    if (form.n_deltas)
        form.deltas = calloc(form.n_deltas, sizeof(*form.deltas));
    if (!form.spans || (form.n_deltas && !form.deltas)) {
        sj_hist_spans_free(&form);
        return -ENOMEM;
    }
    spans_fill(view, &form);
    *out = form;
    return 0;
}

void sj_hist_spans_free(struct sj_hist_spans *form)
{
    free(form->spans);
    free(form->deltas);
    *form = (struct sj_hist_spans){0};
}

/* ---- the way back ---- */

/* A schema-5 index inside bucket `index` of another schema: its last. */
static int last_inside(int schema, int64_t index)
{
    return (int)(index * (1 << (SJ_HIST_SCHEMA - schema)));
}

static bool index_known(int schema, int64_t index)
{
    int down = SJ_HIST_SCHEMA - schema;

    return index >= sj_hist_index_down(SJ_HIST_INDEX_MIN, down) && index <= sj_hist_index_down(SJ_HIST_INDEX_MAX, down);
}

/* Every bucket a latency can be in, at one schema, and what was found for them. */
struct found {
    int schema;
    int base;
    uint32_t len;
    uint64_t *counts;
    uint64_t total;
};

static int found_make(int schema, uint64_t zero_count, struct found *f)
{
    int down = SJ_HIST_SCHEMA - schema;
    int base = sj_hist_index_down(SJ_HIST_INDEX_MIN, down);

    *f = (struct found){.schema = schema, .base = base, .total = zero_count};
    f->len = (uint32_t)(sj_hist_index_down(SJ_HIST_INDEX_MAX, down) - base + 1);
    f->counts = calloc(f->len, sizeof(*f->counts));
    return f->counts ? 0 : -ENOMEM;
}

static bool found_add(struct found *f, int64_t index, uint64_t n)
{
    if (n == 0)
        return true;
    if (!index_known(f->schema, index) || __builtin_add_overflow(f->total, n, &f->total))
        return false;
    f->counts[index - f->base] += n;
    return true;
}

/* min and max as wide as the buckets allow. */
static void outermost(struct sj_hist_view *v)
{
    uint64_t other;

    v->min_ns = 0;
    v->max_ns = 0;
    if (v->len == 0)
        return;
    if (v->zero_count == 0)
        sj_hist_bucket_ns(last_inside(v->schema, (int64_t)v->first - 1) + 1, &v->min_ns, &other);
    sj_hist_bucket_ns(last_inside(v->schema, (int64_t)v->first + v->len - 1), &other, &v->max_ns);
}

/* Makes the view, which takes the counts over. */
static int found_view(struct found *f, uint64_t zero_count, uint64_t count, double sum, struct sj_hist_view *out)
{
    struct sj_hist_view v = {.schema = f->schema, .zero_count = zero_count, .count = count};
    uint32_t low = 0;
    uint32_t end = f->len;

    if (f->total != count || !(sum >= 0 && sum <= DBL_MAX))
        return -EBADMSG;
    while (end && f->counts[end - 1] == 0)
        end--;
    while (low < end && f->counts[low] == 0)
        low++;
    if (low < end) {
        v.first = f->base + (int)low;
        v.len = end - low;
        v.counts = f->counts;
        memmove(v.counts, v.counts + low, v.len * sizeof(*v.counts));
        f->counts = NULL;
    }
    v.sum_ns = sum * NS_PER_S < 0x1p64 ? (uint64_t)round(sum * NS_PER_S) : UINT64_MAX;
    outermost(&v);
    *out = v;
    return 0;
}

/* Whether every delta has its place in a span and makes no count negative. */
static bool spans_walk(const struct sj_hist_spans *form, struct found *f)
{
    int64_t index = 0;
    int64_t n = 0;
    uint32_t used = 0;

    for (uint32_t s = 0; s < form->n_spans; s++) {
        const struct sj_hist_span *span = &form->spans[s];

        if ((s > 0 && span->offset < 0) || span->length > form->n_deltas - used)
            return false;
        index += span->offset;
        for (uint32_t k = 0; k < span->length; k++, index++)
            if (__builtin_add_overflow(n, form->deltas[used++], &n) || n < 0 || !found_add(f, index, (uint64_t)n))
                return false;
    }
    return used == form->n_deltas;
}

int sj_hist_spans_read(const struct sj_hist_spans *form, struct sj_hist_view *out)
{
    struct found f;
    int rc;

    if (!schema_known(form->schema) || form->zero_threshold != 0)
        return -EBADMSG;
    rc = found_make(form->schema, form->zero_count, &f);
    if (rc < 0)
        return rc;
    rc = spans_walk(form, &f) ? found_view(&f, form->zero_count, form->count, form->sum, out) : -EBADMSG;
    free(f.counts);
    return rc;
}

/* ---- OTLP ---- */

int sj_hist_exponential_make(const struct sj_hist_view *view, struct sj_hist_exponential *out)
{
    struct sj_hist_exponential form = {
        .scale = view->schema,
        .zero_count = view->zero_count,
        .count = view->count,
        .sum = seconds(view->sum_ns),
        .min = seconds(view->min_ns),
        .max = seconds(view->max_ns),
        .offset = view->len ? view->first - 1 : 0,
        .len = view->len,
    };

    if (!schema_known(view->schema))
        return -EINVAL;
    if (view->len) {
        form.counts = malloc(view->len * sizeof(*form.counts));
        if (!form.counts)
            return -ENOMEM;
        memcpy(form.counts, view->counts, view->len * sizeof(*form.counts));
    }
    *out = form;
    return 0;
}

/* s seconds in nanoseconds if that lies from *ns to limit or from limit to *ns. */
static void narrow(double s, uint64_t limit, uint64_t *ns)
{
    double at = round(s * NS_PER_S);

    if (at >= fmin((double)*ns, (double)limit) && at <= fmax((double)*ns, (double)limit) && at < 0x1p63)
        *ns = (uint64_t)at;
}

/* The extremes of the form where they are possible, otherwise the edges stay. */
static void take_extremes(const struct sj_hist_exponential *form, struct sj_hist_view *v)
{
    uint64_t low;
    uint64_t high;
    uint64_t other;

    if (v->len == 0)
        return;
    sj_hist_bucket_ns(last_inside(v->schema, v->first), &other, &high);
    sj_hist_bucket_ns(last_inside(v->schema, (int64_t)v->first + v->len - 2) + 1, &low, &other);
    if (v->zero_count == 0)
        narrow(form->min, high, &v->min_ns);
    narrow(form->max, low, &v->max_ns);
}

int sj_hist_exponential_read(const struct sj_hist_exponential *form, struct sj_hist_view *out)
{
    struct found f;
    int rc;
    bool fits = true;

    if (!schema_known(form->scale) || form->zero_threshold != 0)
        return -EBADMSG;
    rc = found_make(form->scale, form->zero_count, &f);
    if (rc < 0)
        return rc;
    for (uint32_t k = 0; k < form->len && fits; k++)
        fits = found_add(&f, (int64_t)form->offset + k + 1, form->counts[k]);
    rc = fits ? found_view(&f, form->zero_count, form->count, form->sum, out) : -EBADMSG;
    if (rc == 0)
        take_extremes(form, out);
    free(f.counts);
    return rc;
}

void sj_hist_exponential_free(struct sj_hist_exponential *form)
{
    free(form->counts);
    *form = (struct sj_hist_exponential){0};
}
