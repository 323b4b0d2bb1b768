// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/out.h"
#include "export/exposition.h"
#include "model/hist.h"
#include "watch/labels.h"

/*
 * Families of metrics become bytes in one of the three formats. What is written is the same walk over the same numbers
 * for all of them (exposition.c); this is where they differ. For the files exposition*.c only.
 */

enum sj_metric_type { SJ_METRIC_COUNTER = 0, SJ_METRIC_GAUGE, SJ_METRIC_HISTOGRAM, SJ_METRIC_INFO, SJ_METRIC_MAX_ };

/* The name is without the suffix that the type asks for (_total, _info); the unit, if not "", is its last word. */
struct sj_metric_family {
    const char *name;
    const char *unit;
    const char *help; /* without anything to escape */
    enum sj_metric_type type;
};

/* One request that stands for those of its bucket. */
struct sj_metric_exemplar {
    uint64_t value_ns;
    uint64_t real_ns; /* when it was */
    const struct sj_label *labels;
    size_t n_labels;
};

struct sj_metric_histogram {
    const struct sj_hist *hist; /* NULL: nothing */
    uint64_t more_zeros;        /* latencies of 0 that hist does not hold */
    const struct sj_metric_exemplar *exemplars;
    size_t n_exemplars;
    unsigned step; /* an upper bound at every step-th power of two, at least 1 */
};

/* The classic buckets' upper bounds are powers of two seconds: about 1 us to 64 s. */
#define SJ_CLASSIC_FIRST (-20)
#define SJ_CLASSIC_LAST 6
#define SJ_CLASSIC_MAX (SJ_CLASSIC_LAST - SJ_CLASSIC_FIRST + 1)

/* The schema of native histograms: buckets are 9 % wide. */
#define SJ_NATIVE_SCHEMA 3

struct sj_encoder;
struct sj_encoder_ops {
    void (*family)(struct sj_encoder *e); /* of which the first sample follows */
    void (*labels)(struct sj_encoder *e, const struct sj_label *labels, size_t n);
    void (*value)(struct sj_encoder *e, double value);
    void (*histogram)(struct sj_encoder *e, const struct sj_metric_histogram *h);
    void (*family_end)(struct sj_encoder *e);
    void (*end)(struct sj_encoder *e);
};

struct sj_encoder {
    const struct sj_encoder_ops *ops;
    struct sj_out *out;
    enum sj_exposition_format format;
    uint64_t start_real_ns; /* since when what is counted is counted */
    uint64_t since_real_ns; /* the same of the samples that follow */
    const struct sj_metric_family *family;
    bool begun;                      /* the family has a sample */
    char bounds[SJ_CLASSIC_MAX][24]; /* text: of the classic buckets; "" where not made yet */
    struct sj_out part;              /* text: the labels of the sample; protobuf: the family */
    size_t metric;                   /* protobuf: where the sample begins in it */
    char *printable;                 /* a label's value made harmless */
    size_t printable_size;
    int rc;
};

extern const struct sj_encoder_ops sj_encoder_text;
extern const struct sj_encoder_ops sj_encoder_protobuf;

/* 0 or -ENOMEM. Release it with sj_encoder_fini(). */
int sj_encoder_init(struct sj_encoder *e, enum sj_exposition_format format, struct sj_out *out, uint64_t start_real_ns);
void sj_encoder_fini(struct sj_encoder *e);

/*
 * What follows belongs to f, which lives until the next call, and counts since the start unless sj_encode_since() says
 * otherwise. A family without samples leaves no trace.
 */
void sj_encode_family(struct sj_encoder *e, const struct sj_metric_family *f);

/* The samples that follow count since then. */
void sj_encode_since(struct sj_encoder *e, uint64_t real_ns);

/* A sample of a counter, a gauge or an info (then 1). No two of a family may have the same labels. */
void sj_encode_value(struct sj_encoder *e, const struct sj_label *labels, size_t n, double value);
void sj_encode_histogram(struct sj_encoder *e, const struct sj_label *labels, size_t n,
                         const struct sj_metric_histogram *h);

/* Ends the output. 0, or -ENOMEM when anything since the start had no memory. */
int sj_encode_end(struct sj_encoder *e);

/* ---- for the two encoders ---- */

/*
 * The value of a label as it is shown: sj_text_printable(), so different values stay different. "" without memory, and
 * e->rc tells. Lives until the next call.
 */
const char *sj_encode_printable(struct sj_encoder *e, const char *value);

/* Ends of the classic buckets with how many latencies do not exceed them, the zeros included. */
struct sj_classic {
    unsigned n;
    double bound[SJ_CLASSIC_MAX];
    uint64_t cumulative[SJ_CLASSIC_MAX];
    uint64_t count;
    uint64_t sum_ns;
};

/* 0 or -ENOMEM, *out untouched then. */
int sj_classic_make(const struct sj_metric_histogram *h, struct sj_classic *out);

/* Which of the bounds is the first that is not below ns nanoseconds; n when none is. */
unsigned sj_classic_bucket(const struct sj_classic *c, uint64_t ns);

/* The latest exemplar of those in classic bucket k (n: beyond the last); NULL when there is none. */
const struct sj_metric_exemplar *sj_classic_exemplar(const struct sj_metric_histogram *h, const struct sj_classic *c,
                                                     unsigned k);

/* The suffix of a sample of this type: "_total", "_info" or "". */
const char *sj_metric_suffix(enum sj_metric_type type);
