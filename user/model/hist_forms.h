// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#include "model/hist.h"

/*
 * A histogram in the two shapes in which others take it, and back. Only the shapes: which bytes a field becomes is for
 * exporters. Each is made of a view (sj_hist_downscale() at the schema wanted, 3 being usual) and gives a view again,
 * with the same schema and the same count in every bucket.
 *
 *     sj_hist_downscale(h, 3, &view);
 *     sj_hist_spans_make(&view, &spans);      or  sj_hist_exponential_make(&view, &exponential);
 *     ... spans.spans, spans.deltas ...
 *     sj_hist_spans_free(&spans);
 *     sj_hist_view_free(&view);
 *
 * Latencies of 0 ns alone are in the zero bucket, so its threshold is 0. All sums, minima and maxima are seconds.
 */

/* `length` buckets in a row; offset counts from the end of the span before, or for the first one is a bucket's index.
 */
struct sj_hist_span {
    int32_t offset;
    uint32_t length;
};

/*
 * Prometheus's native histogram: schema, zero_threshold, zero_count, sample count and sum, positive_span and
 * positive_delta. There is always a span, without any bucket the no-op {0, 0}, since that is how a reader tells a
 * native histogram from a classic one.
 */
struct sj_hist_spans {
    int32_t schema;
    double zero_threshold;
    uint64_t zero_count;
    uint64_t count;
    double sum;
    struct sj_hist_span *spans; /* owned */
    uint32_t n_spans;
    int64_t *deltas; /* owned: the first bucket's count, then each one's less that of the bucket before */
    uint32_t n_deltas;
};

/*
 * Fills *out. Up to two empty buckets between others stay inside a span, as they take less room than another span.
 * -EINVAL for a schema outside 0 to 5, -EOVERFLOW when a bucket holds more than 2^63 - 1, -ENOMEM; *out is untouched
 * then. Release it with sj_hist_spans_free().
 */
int sj_hist_spans_make(const struct sj_hist_view *view, struct sj_hist_spans *out);

/*
 * The way back. The form is not trusted: -EBADMSG when it is no histogram of latencies at a schema from 0 to 5 (spans
 * that do not fit the deltas, negative counts, indices beyond what a latency has, a count that is not the sum of the
 * buckets, a sum that is no number), -ENOMEM; *out is untouched then. Its sum is exact below 2^53 ns (104 days); its
 * min and max, which the form does not carry, are the outermost edges. Release it with sj_hist_view_free().
 */
int sj_hist_spans_read(const struct sj_hist_spans *form, struct sj_hist_view *out);

void sj_hist_spans_free(struct sj_hist_spans *form);

/*
 * OTLP's exponential histogram: scale, zero_count, count, sum, min, max, and the positive buckets' offset and counts:
 * counts[k] is of the bucket (2^((offset + k) / 2^scale), 2^((offset + k + 1) / 2^scale)], whose index in Prometheus's
 * counting is offset + k + 1. min and max mean something only if count > 0.
 */
struct sj_hist_exponential {
    int32_t scale;
    double zero_threshold;
    uint64_t zero_count;
    uint64_t count;
    double sum;
    double min;
    double max;
    int32_t offset;
    uint64_t *counts; /* owned; NULL if len is 0 */
    uint32_t len;
};

/* As sj_hist_spans_make(), without -EOVERFLOW. Release *out with sj_hist_exponential_free(). */
int sj_hist_exponential_make(const struct sj_hist_view *view, struct sj_hist_exponential *out);

/* As sj_hist_spans_read(); min and max are taken where they lie in the outermost buckets. */
int sj_hist_exponential_read(const struct sj_hist_exponential *form, struct sj_hist_view *out);

void sj_hist_exponential_free(struct sj_hist_exponential *form);
