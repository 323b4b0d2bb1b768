// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "export/exposition_encode.h"

/*
 * The text formats: Prometheus's own, version 0.0.4, and OpenMetrics 1.0.0, which adds units, the time since when a
 * counter counts, exemplars and an end mark, and names counters' families without _total. Labels are rendered once per
 * sample, as a histogram has them on some thirty lines.
 */

static bool is_openmetrics(const struct sj_encoder *e)
{
    return e->format == SJ_EXPOSITION_OPENMETRICS;
}

static const char *type_name(const struct sj_encoder *e)
{
    static const char *const names[SJ_METRIC_MAX_] = {"counter", "gauge", "histogram", "info"};
    enum sj_metric_type type = e->family->type;
    return names[type == SJ_METRIC_INFO && !is_openmetrics(e) ? SJ_METRIC_GAUGE : type];
}

static void put_comment(struct sj_encoder *e, const char *word, const char *suffix, const char *text)
{
    sj_out_text(e->out, word);
    sj_out_text(e->out, e->family->name);
    sj_out_text(e->out, suffix);
    sj_out_write(e->out, " ", 1);
    sj_out_text(e->out, text);
    sj_out_write(e->out, "\n", 1);
}

static void text_family(struct sj_encoder *e)
{
    const char *suffix = is_openmetrics(e) ? "" : sj_metric_suffix(e->family->type);
    put_comment(e, "# HELP ", suffix, e->family->help);
    put_comment(e, "# TYPE ", suffix, type_name(e));
    if (is_openmetrics(e) && e->family->unit[0])
        put_comment(e, "# UNIT ", suffix, e->family->unit);
}

static void put_escaped(struct sj_out *out, const char *text)
{
    for (;;) {
        size_t n = strcspn(text, "\\\"\n");
        sj_out_write(out, text, n);
        text += n;
        if (!*text)
            return;
        sj_out_write(out, "\\", 1);
        sj_out_write(out, *text == '\n' ? "n" : text, 1);
        text++;
    }
}

static void put_labels(struct sj_encoder *e, struct sj_out *out, const struct sj_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            sj_out_write(out, ",", 1);
        sj_out_text(out, labels[i].name);
        sj_out_write(out, "=\"", 2);
        put_escaped(out, sj_encode_printable(e, labels[i].value));
        sj_out_write(out, "\"", 1);
    }
}

static void text_labels(struct sj_encoder *e, const struct sj_label *labels, size_t n)
{
    e->part.len = 0;
    put_labels(e, &e->part, labels, n);
}

/* The shortest decimal digits that are read as the same number. */
static size_t real_digits(char *digits, size_t size, double value)
{
    int n = 0;
    for (int precision = 15; precision <= 17; precision++) {
        n = snprintf(digits, size, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    return (size_t)n;
}

static void put_real(struct sj_out *out, double value)
{
    char digits[32];
    if (isnan(value))
        sj_out_text(out, "NaN");
    else if (isinf(value))
        sj_out_text(out, value > 0 ? "+Inf" : "-Inf");
    else if (value >= 0 && value < 0x1p53 && value == floor(value))
        sj_out_write(out, digits, sj_digits(digits, (uint64_t)value));
    else
        sj_out_write(out, digits, real_digits(digits, sizeof(digits), value));
}

static void put_count(struct sj_out *out, uint64_t n)
{
    char digits[20];
    sj_out_write(out, digits, sj_digits(digits, n));
}

static void put_seconds(struct sj_out *out, uint64_t ns)
{
    char digits[21];
    sj_out_write(out, digits, sj_seconds_exact(digits, ns));
}

/* The line up to its value; le "" for none. */
static void put_head(struct sj_encoder *e, const char *suffix, const char *le)
{
    struct sj_out *out = e->out;
    sj_out_text(out, e->family->name);
    sj_out_text(out, suffix);
    if (e->part.len || le[0]) {
        sj_out_write(out, "{", 1);
        sj_out_write(out, e->part.buf, e->part.len);
        if (le[0]) {
            sj_out_text(out, e->part.len ? ",le=\"" : "le=\"");
            sj_out_text(out, le);
            sj_out_write(out, "\"", 1);
        }
        sj_out_write(out, "}", 1);
    }
    sj_out_write(out, " ", 1);
}

static void end_line(struct sj_encoder *e)
{
    sj_out_write(e->out, "\n", 1);
}

static void put_created(struct sj_encoder *e)
{
    put_head(e, "_created", "");
    put_seconds(e->out, e->since_real_ns);
    end_line(e);
}

static void text_value(struct sj_encoder *e, double value)
{
    put_head(e, sj_metric_suffix(e->family->type), "");
    put_real(e->out, value);
    end_line(e);
    if (is_openmetrics(e) && e->family->type == SJ_METRIC_COUNTER)
        put_created(e);
}

static void put_bucket(struct sj_encoder *e, const char *le, uint64_t cumulative, const struct sj_metric_exemplar *x)
{
    put_head(e, "_bucket", le);
    put_count(e->out, cumulative);
    if (x && is_openmetrics(e)) {
        sj_out_text(e->out, " # {");
        put_labels(e, e->out, x->labels, x->n_labels);
        sj_out_text(e->out, "} ");
        put_seconds(e->out, x->value_ns);
        sj_out_write(e->out, " ", 1);
        put_seconds(e->out, x->real_ns);
    }
    end_line(e);
}

/*
 * As Prometheus names the bounds of buckets from protobuf: "1.0", "0.5", "9.5367431640625e-07". They are the same in
 * all histograms, and their digits are most of the work, so they are made once.
 */
static const char *bound_text(struct sj_encoder *e, unsigned at, double bound)
{
    char *text = e->bounds[at];
    size_t size = sizeof(e->bounds[at]);
    if (text[0])
        return text;
    size_t n = real_digits(text, size, bound);
    if (!strpbrk(text, ".e"))
        snprintf(text + n, size - n, ".0");
    return text;
}

static void text_histogram(struct sj_encoder *e, const struct sj_metric_histogram *h)
{
    struct sj_classic c;
    if (sj_classic_make(h, &c) < 0) {
        e->rc = -ENOMEM;
        return;
    }
    for (unsigned k = 0; k < c.n; k++)
        put_bucket(e, bound_text(e, k * h->step, c.bound[k]), c.cumulative[k], sj_classic_exemplar(h, &c, k));
    put_bucket(e, "+Inf", c.count, sj_classic_exemplar(h, &c, c.n));
    put_head(e, "_sum", "");
    put_seconds(e->out, c.sum_ns);
    end_line(e);
    put_head(e, "_count", "");
    put_count(e->out, c.count);
    end_line(e);
    if (is_openmetrics(e))
        put_created(e);
}

static void text_family_end(struct sj_encoder *e)
{
    (void)e;
}

static void text_end(struct sj_encoder *e)
{
    if (is_openmetrics(e))
        sj_out_text(e->out, "# EOF\n");
}

const struct sj_encoder_ops sj_encoder_text = {
    .family = text_family,
    .labels = text_labels,
    .value = text_value,
    .histogram = text_histogram,
    .family_end = text_family_end,
    .end = text_end,
};
