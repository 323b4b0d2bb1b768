// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <string.h>

#include "base/varint.h"
#include "export/exposition_encode.h"
#include "model/hist_forms.h"

/*
 * io.prometheus.client.MetricFamily, each behind its length. Written as it goes: a message is begun, filled, and gets
 * its length when it ends; the only thing kept is the family. Histograms have classic and native buckets both, as their
 * reader takes what it understands. Numbers of fields are those of metrics.proto in Prometheus's client_model.
 */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2 };

enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC, FAMILY_UNIT };
enum { METRIC_LABEL = 1, METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM = 7 };
enum { LABEL_NAME = 1, LABEL_VALUE };
enum { VALUE_VALUE = 1, COUNTER_START = 3 };
enum { BUCKET_COUNT = 1, BUCKET_BOUND, BUCKET_EXEMPLAR };
enum { EXEMPLAR_LABEL = 1, EXEMPLAR_VALUE, EXEMPLAR_TIME };
enum { TIME_SECONDS = 1, TIME_NANOS };
enum { SPAN_OFFSET = 1, SPAN_LENGTH };
enum {
    HISTOGRAM_COUNT = 1,
    HISTOGRAM_SUM,
    HISTOGRAM_BUCKET,
    HISTOGRAM_SCHEMA = 5,
    HISTOGRAM_ZERO_THRESHOLD,
    HISTOGRAM_ZERO_COUNT,
    HISTOGRAM_SPAN = 12,
    HISTOGRAM_DELTA,
    HISTOGRAM_START = 15,
    HISTOGRAM_EXEMPLAR
};

#define NS_PER_S 1000000000U

/* ---- the wire ---- */

static void put_varint(struct sj_out *out, uint64_t v)
{
    out->len += sj_varint_put((uint8_t *)sj_out_reserve(out, SJ_VARINT_MAX), v);
}

static void put_key(struct sj_out *out, unsigned field, enum wire wire)
{
    put_varint(out, field << 3 | wire);
}

static void put_uint(struct sj_out *out, unsigned field, uint64_t v)
{
    put_key(out, field, WIRE_VARINT);
    put_varint(out, v);
}

static void put_sint(struct sj_out *out, unsigned field, int64_t v)
{
    put_uint(out, field, sj_varint_fold((uint64_t)v));
}

static void put_double(struct sj_out *out, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_key(out, field, WIRE_64);
    uint8_t *p = (uint8_t *)sj_out_reserve(out, sizeof(bits));
    for (unsigned i = 0; i < sizeof(bits); i++)
        p[i] = (uint8_t)(bits >> 8 * i);
    out->len += sizeof(bits);
}

static void put_string(struct sj_out *out, unsigned field, const char *text)
{
    size_t n = strlen(text);
    put_key(out, field, WIRE_BYTES);
    put_varint(out, n);
    sj_out_write(out, text, n);
}

/* A message inside another one; what it holds follows. */
static size_t begin(struct sj_out *out, unsigned field)
{
    put_key(out, field, WIRE_BYTES);
    return out->len;
}

/* Its length goes in front of what was written since. */
static void end(struct sj_out *out, size_t start)
{
    uint8_t length[SJ_VARINT_MAX];
    if (out->error) /* what was written is gone */
        return;
    size_t n = sj_varint_put(length, out->len - start);
    sj_out_reserve(out, n);
    if (out->error)
        return;
    memmove(out->buf + start + n, out->buf + start, out->len - start);
    memcpy(out->buf + start, length, n);
    out->len += n;
}

static void put_time(struct sj_out *out, unsigned field, uint64_t real_ns)
{
    size_t time = begin(out, field);
    put_uint(out, TIME_SECONDS, real_ns / NS_PER_S);
    put_uint(out, TIME_NANOS, real_ns % NS_PER_S);
    end(out, time);
}

/* ---- metrics ---- */

static void pb_family(struct sj_encoder *e)
{
    static const uint8_t types[SJ_METRIC_MAX_] = {
        [SJ_METRIC_COUNTER] = 0, [SJ_METRIC_GAUGE] = 1, [SJ_METRIC_HISTOGRAM] = 4, [SJ_METRIC_INFO] = 1};
    struct sj_out *out = &e->part;
    out->len = 0;
    size_t name = begin(out, FAMILY_NAME);
    sj_out_text(out, e->family->name);
    sj_out_text(out, sj_metric_suffix(e->family->type));
    end(out, name);
    put_string(out, FAMILY_HELP, e->family->help);
    put_uint(out, FAMILY_TYPE, types[e->family->type]);
    if (e->family->unit[0])
        put_string(out, FAMILY_UNIT, e->family->unit);
}

static void put_label_pairs(struct sj_encoder *e, unsigned field, const struct sj_label *labels, size_t n)
{
    struct sj_out *out = &e->part;
    for (size_t i = 0; i < n; i++) {
        size_t label = begin(out, field);
        put_string(out, LABEL_NAME, labels[i].name);
        put_string(out, LABEL_VALUE, sj_encode_printable(e, labels[i].value));
        end(out, label);
    }
}

/* The metric that this begins is ended by its value. */
static void pb_labels(struct sj_encoder *e, const struct sj_label *labels, size_t n)
{
    e->metric = begin(&e->part, FAMILY_METRIC);
    put_label_pairs(e, METRIC_LABEL, labels, n);
}

static void pb_value(struct sj_encoder *e, double value)
{
    struct sj_out *out = &e->part;
    bool counter = e->family->type == SJ_METRIC_COUNTER;
    size_t inner = begin(out, counter ? METRIC_COUNTER : METRIC_GAUGE);
    put_double(out, VALUE_VALUE, value);
    if (counter)
        put_time(out, COUNTER_START, e->since_real_ns);
    end(out, inner);
    end(out, e->metric);
}

static void put_exemplar(struct sj_encoder *e, unsigned field, const struct sj_metric_exemplar *x)
{
    struct sj_out *out = &e->part;
    size_t exemplar = begin(out, field);
    put_label_pairs(e, EXEMPLAR_LABEL, x->labels, x->n_labels);
    put_double(out, EXEMPLAR_VALUE, (double)x->value_ns / NS_PER_S);
    put_time(out, EXEMPLAR_TIME, x->real_ns);
    end(out, exemplar);
}

/* Readers that know native histograms take exemplars from the histogram, older ones from its buckets. */
static void put_classic(struct sj_encoder *e, const struct sj_metric_histogram *h, const struct sj_classic *c)
{
    struct sj_out *out = &e->part;
    for (unsigned k = 0; k < c->n; k++) {
        const struct sj_metric_exemplar *x = sj_classic_exemplar(h, c, k);
        size_t bucket = begin(out, HISTOGRAM_BUCKET);
        put_uint(out, BUCKET_COUNT, c->cumulative[k]);
        put_double(out, BUCKET_BOUND, c->bound[k]);
        if (x)
            put_exemplar(e, BUCKET_EXEMPLAR, x);
        end(out, bucket);
    }
}

static void put_native(struct sj_out *out, const struct sj_hist_spans *s)
{
    put_sint(out, HISTOGRAM_SCHEMA, s->schema);
    put_double(out, HISTOGRAM_ZERO_THRESHOLD, s->zero_threshold);
    put_uint(out, HISTOGRAM_ZERO_COUNT, s->zero_count);
    for (uint32_t i = 0; i < s->n_spans; i++) {
        size_t span = begin(out, HISTOGRAM_SPAN);
        put_sint(out, SPAN_OFFSET, s->spans[i].offset);
        put_uint(out, SPAN_LENGTH, s->spans[i].length);
        end(out, span);
    }
    if (!s->n_deltas)
        return;
    size_t deltas = begin(out, HISTOGRAM_DELTA);
    for (uint32_t i = 0; i < s->n_deltas; i++)
        put_varint(out, sj_varint_fold((uint64_t)s->deltas[i]));
    end(out, deltas);
}

static int make_spans(const struct sj_metric_histogram *h, struct sj_hist_spans *out)
{
    struct sj_hist_view view = {.schema = SJ_NATIVE_SCHEMA};
    if (h->hist && sj_hist_downscale(h->hist, SJ_NATIVE_SCHEMA, &view) < 0)
        return -ENOMEM;
    view.zero_count += h->more_zeros;
    view.count += h->more_zeros;
    int rc = sj_hist_spans_make(&view, out);
    sj_hist_view_free(&view);
    return rc;
}

static void pb_histogram(struct sj_encoder *e, const struct sj_metric_histogram *h)
{
    struct sj_out *out = &e->part;
    struct sj_classic c;
    struct sj_hist_spans spans;
    if (sj_classic_make(h, &c) < 0 || make_spans(h, &spans) < 0) {
        e->rc = -ENOMEM;
        return;
    }
    size_t histogram = begin(out, METRIC_HISTOGRAM);
    put_uint(out, HISTOGRAM_COUNT, c.count);
    put_double(out, HISTOGRAM_SUM, (double)c.sum_ns / NS_PER_S);
    put_classic(e, h, &c);
    put_native(out, &spans);
    put_time(out, HISTOGRAM_START, e->since_real_ns);
    for (size_t i = 0; i < h->n_exemplars; i++)
        put_exemplar(e, HISTOGRAM_EXEMPLAR, &h->exemplars[i]);
    end(out, histogram);
    end(out, e->metric);
    sj_hist_spans_free(&spans);
}

static void pb_family_end(struct sj_encoder *e)
{
    if (e->part.error)
        return;
    put_varint(e->out, e->part.len);
    sj_out_write(e->out, e->part.buf, e->part.len);
}

static void pb_end(struct sj_encoder *e)
{
    (void)e;
}

const struct sj_encoder_ops sj_encoder_protobuf = {
    .family = pb_family,
    .labels = pb_labels,
    .value = pb_value,
    .histogram = pb_histogram,
    .family_end = pb_family_end,
    .end = pb_end,
};
