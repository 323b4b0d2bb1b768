// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/exposition_encode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int sj_encoder_init(struct sj_encoder *e, enum sj_exposition_format format, struct sj_out *out, uint64_t start_real_ns)
{
    *e = (struct sj_encoder){
        .ops = format == SJ_EXPOSITION_PROTOBUF ? &sj_encoder_protobuf : &sj_encoder_text,
        .out = out,
        .format = format,
        .start_real_ns = start_real_ns,
    };
    return sj_out_init(&e->part, -1, "memory", NULL) < 0 ? -ENOMEM : 0;
}

void sj_encoder_fini(struct sj_encoder *e)
{
    sj_out_fini(&e->part);
    free(e->printable);
}

static void end_family(struct sj_encoder *e)
{
    if (e->begun)
        e->ops->family_end(e);
    e->begun = false;
}

void sj_encode_family(struct sj_encoder *e, const struct sj_metric_family *f)
{
    end_family(e);
    e->family = f;
    e->since_real_ns = e->start_real_ns;
}

void sj_encode_since(struct sj_encoder *e, uint64_t real_ns)
{
    e->since_real_ns = real_ns;
}

static void begin_sample(struct sj_encoder *e, const struct sj_label *labels, size_t n)
{
    if (!e->begun)
        e->ops->family(e);
    e->begun = true;
    e->ops->labels(e, labels, n);
}

void sj_encode_value(struct sj_encoder *e, const struct sj_label *labels, size_t n, double value)
{
    begin_sample(e, labels, n);
    e->ops->value(e, value);
}

void sj_encode_histogram(struct sj_encoder *e, const struct sj_label *labels, size_t n,
                         const struct sj_metric_histogram *h)
{
    begin_sample(e, labels, n);
    e->ops->histogram(e, h);
}

int sj_encode_end(struct sj_encoder *e)
{
    end_family(e);
    e->ops->end(e);
    return e->rc < 0 || e->part.error ? -ENOMEM : 0;
}

const char *sj_encode_printable(struct sj_encoder *e, const char *value)
{
    size_t size = SJ_TEXT_ESCAPE_MAX * strlen(value) + 1;
    if (size > e->printable_size) {
        char *grown = realloc(e->printable, size);
        if (!grown) {
            e->rc = -ENOMEM;
            return "";
        }
        e->printable = grown;
        e->printable_size = size;
    }
    sj_text_printable(e->printable, e->printable_size, value, true);
    return e->printable;
}

int sj_classic_make(const struct sj_metric_histogram *h, struct sj_classic *out)
{
    struct sj_hist_view view = {0};
    if (h->hist && sj_hist_downscale(h->hist, 0, &view) < 0)
        return -ENOMEM;
    struct sj_classic c = {.count = view.count + h->more_zeros, .sum_ns = view.sum_ns};
    uint64_t below = view.zero_count + h->more_zeros;
    uint32_t k = 0;
    for (int exponent = SJ_CLASSIC_FIRST; exponent <= SJ_CLASSIC_LAST; exponent += (int)h->step) {
        /* Bucket i of schema 0 ends at 2^i seconds. */
        for (; k < view.len && view.first + (int)k <= exponent; k++)
            below += view.counts[k];
        c.bound[c.n] = ldexp(1, exponent);
        c.cumulative[c.n++] = below;
    }
    sj_hist_view_free(&view);
    *out = c;
    return 0;
}

unsigned sj_classic_bucket(const struct sj_classic *c, uint64_t ns)
{
    int index, exponent;
    if (ns == 0)
        return 0;
    if (sj_hist_index_at(0, ns < SJ_HIST_NS_MAX ? ns : SJ_HIST_NS_MAX, &index) < 0)
        return c->n;
    for (unsigned i = 0; i < c->n; i++) {
        frexp(c->bound[i], &exponent);
        if (index <= exponent - 1)
            return i;
    }
    return c->n;
}

const struct sj_metric_exemplar *sj_classic_exemplar(const struct sj_metric_histogram *h, const struct sj_classic *c,
                                                     unsigned k)
{
    const struct sj_metric_exemplar *latest = NULL;
    for (size_t i = 0; i < h->n_exemplars; i++)
        if (sj_classic_bucket(c, h->exemplars[i].value_ns) == k &&
            (!latest || h->exemplars[i].real_ns > latest->real_ns))
            latest = &h->exemplars[i];
    return latest;
}

const char *sj_metric_suffix(enum sj_metric_type type)
{
    return type == SJ_METRIC_COUNTER ? "_total" : type == SJ_METRIC_INFO ? "_info" : "";
}
