// SPDX-License-Identifier: GPL-3.0-or-later
#include "fit_input.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/input.h"
#include "collect/ndjson_read.h"
#include "collect/recording.h"

/* No number that anyone writes is longer. */
#define NUMBER_MAX 128

/* A growing array of numbers. */
struct numbers {
    double *v;
    size_t len;
    size_t cap;
};

/* The values as they come: kept, until there are too many of them. */
struct gather {
    int schema; /* asked for; -1 */
    struct numbers values;
    struct numbers censored;
    bool binning;
    struct sj_log_bins seen;
    struct sj_log_bins given_up;
    struct sj_hist counted; /* known by their bins alone */
};

static void gather_free(struct gather *g)
{
    free(g->values.v);
    free(g->censored.v);
    sj_log_bins_free(&g->seen);
    sj_log_bins_free(&g->given_up);
    sj_hist_free(&g->counted);
}

static int out_of_memory(struct sj_err *err)
{
    return sj_fail(err, EX_OSERR, "out of memory");
}

static int append(struct numbers *n, double x, struct sj_err *err)
{
    if (n->len == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 1024;
        double *grown = realloc(n->v, cap * sizeof(*grown));
        if (!grown)
            return out_of_memory(err);
        n->v = grown;
        n->cap = cap;
    }
    n->v[n->len++] = x;
    return 0;
}

static int bin_all(const struct numbers *n, struct sj_log_bins *bins, struct sj_err *err)
{
    for (size_t i = 0; i < n->len; i++) {
        if (sj_log_bins_add(bins, n->v[i], 1, err))
            return -1;
    }
    return 0;
}

static int start_binning(struct gather *g, struct sj_err *err)
{
    int schema = g->schema >= 0 ? g->schema : SJ_FIT_RAW_SCHEMA;

    sj_log_bins_init(&g->seen, schema);
    sj_log_bins_init(&g->given_up, schema);
    g->binning = true;
    if (bin_all(&g->values, &g->seen, err) || bin_all(&g->censored, &g->given_up, err))
        return -1;
    free(g->values.v);
    free(g->censored.v);
    g->values = g->censored = (struct numbers){0};
    return 0;
}

static int take(struct gather *g, double x, bool is_censored, struct sj_err *err)
{
    if (!g->binning && g->values.len + g->censored.len >= SJ_FIT_RAW_MAX && start_binning(g, err))
        return -1;
    if (g->binning)
        return sj_log_bins_add(is_censored ? &g->given_up : &g->seen, x, 1, err);
    return append(is_censored ? &g->censored : &g->values, x, err);
}

/* The upper edge of a fine bin lies in the coarse bin that holds all of it. */
static int merge_counted(struct gather *g, struct sj_sample **out, struct sj_err *err)
{
    int schema = g->schema >= 0 && g->schema < SJ_HIST_SCHEMA ? g->schema : SJ_HIST_SCHEMA, first, last;
    struct sj_log_bins all;

    sj_log_bins_init(&all, schema);
    int rc = bin_all(&g->values, &all, err);
    if (!rc)
        rc = sj_log_bins_add(&all, 0, g->seen.zeros + g->counted.zero_count, err);
    for (size_t i = 0; i < g->seen.len && !rc; i++) {
        if (g->seen.cells[i].count)
            rc = sj_log_bins_add(&all, sj_log_bin_edge(g->seen.schema, g->seen.base + (int)i), g->seen.cells[i].count,
                                 err);
    }
    if (!rc && sj_hist_range(&g->counted, &first, &last)) {
        for (int i = first; i <= last && !rc; i++) {
            uint64_t n = sj_hist_count_at(&g->counted, i);
            if (n)
                rc = sj_log_bins_add(&all, sj_log_bin_edge(SJ_HIST_SCHEMA, i), n, err);
        }
    }
    if (!rc)
        rc = sj_sample_from_log_bins(&all, NULL, out, err);
    sj_log_bins_free(&all);
    return rc;
}

static int finish(struct gather *g, struct sj_sample **out, struct sj_err *err)
{
    struct sj_sample *raw = NULL;

    if (g->counted.count)
        return merge_counted(g, out, err);
    if (g->binning)
        return sj_sample_from_log_bins(&g->seen, &g->given_up, out, err);
    if (sj_sample_from_values(g->values.v, g->values.len, g->censored.v, g->censored.len, &raw, err))
        return -1;
    if (g->schema < 0) {
        *out = raw;
        return 0;
    }
    int rc = sj_sample_to_schema(raw, g->schema, out, err);
    sj_sample_free(raw);
    return rc;
}

/* ---- lines of numbers ----------------------------------------------------------------------------------------------
 */

static int bad_line(const struct sj_input *in, uint64_t number, struct sj_err *err, const char *what, const char *text)
{
    return sj_fail(err, EX_DATAERR, "%s: line %" PRIu64 ": '%.40s' %s", sj_input_name(in), number, text, what);
}

/* The line without what surrounds it, terminated; false when there is nothing in it. Too long ones are cut. */
static bool trim(const struct sj_line *line, bool first, char text[NUMBER_MAX])
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors put it at the start of a file */
    const char *p = line->text;
    size_t n = line->len;

    if (first && n >= 3 && !memcmp(p, mark, 3)) {
        p += 3;
        n -= 3;
    }
    while (n && isspace((unsigned char)*p)) {
        p++;
        n--;
    }
    while (n && isspace((unsigned char)p[n - 1]))
        n--;
    if (!n || *p == '#')
        return false;
    n = n < NUMBER_MAX - 1 ? n : NUMBER_MAX - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = p[i] ? p[i] : '?'; /* a NUL would end the text, and hide what follows */
    text[n] = '\0';
    return true;
}

/* NULL and *x, or what is wrong with the number in text. */
static const char *parse_number(const char *text, double *x)
{
    char *end;
    size_t digits = strspn(text, "0123456789.eE+-");

    errno = 0;
    double v = strtod(text, &end);
    if (end != text && !*end && !isfinite(v) && errno != ERANGE)
        return "is not a finite number";
    if (text[digits] || end == text || *end)
        return "is not a number";
    if (v < 0)
        return "is negative; a time and a count are not";
    if (v > SJ_SAMPLE_MAX)
        return "is too large; times up to 1e100 s can be fitted";
    if ((v > 0 && v < SJ_SAMPLE_MIN) || (v == 0 && errno == ERANGE))
        return "is too small; times from 1e-100 s, and 0, can be fitted";
    *x = v == 0 ? 0 : v; /* -0 */
    return NULL;
}

/* The same with a '+' behind the number that marks a censored one. */
static const char *parse_time(const char *text, double *x, bool *is_censored)
{
    char number[NUMBER_MAX];
    size_t n = strlen(text);

    *is_censored = n > 1 && text[n - 1] == '+';
    if (!*is_censored)
        return parse_number(text, x);
    for (n--; n > 0 && isspace((unsigned char)text[n - 1]); n--)
        ;
    memcpy(number, text, n);
    number[n] = '\0';
    return parse_number(number, x);
}

static int read_numbers(struct sj_input *in, struct gather *g, uint64_t *lines, struct sj_err *err)
{
    char text[NUMBER_MAX];
    struct sj_line line;
    uint64_t number = 0;
    int rc;

    while ((rc = sj_input_line(in, &line, err)) > 0) {
        double x;
        number++;
        if (!trim(&line, number == 1, text))
            continue;
        bool is_censored = false;
        const char *wrong = parse_time(text, &x, &is_censored);
        if (wrong)
            return bad_line(in, number, err, wrong, text);
        if (take(g, x, is_censored, err))
            return -1;
    }
    *lines = number ? number : 1;
    if (rc < 0 && err && err->status == EX_DATAERR)
        return sj_fail_prefix(err, "line %" PRIu64, number + 1);
    if (!rc && sj_input_cut_off(in))
        return sj_fail(err, EX_DATAERR, "%s: line %" PRIu64 ": the compressed data end early", sj_input_name(in),
                       number);
    return rc;
}

/* ---- requests ------------------------------------------------------------------------------------------------------
 */

static int on_request(void *ctx, const struct sj_request *req, struct sj_err *err)
{
    return take(ctx, (double)req->total_ns / 1e9, false, err);
}

static int on_counted(void *ctx, const struct sj_counted *counted, struct sj_err *err)
{
    struct gather *g = ctx;

    return sj_hist_merge(&g->counted, &counted->total) ? out_of_memory(err) : 0;
}

enum kind { NUMBERS, LINES_OF_JSON, RECORDING };

static int look(struct sj_input *in, enum kind *kind, struct sj_err *err)
{
    const uint8_t *p;
    size_t n, i = 0;

    /* No more is asked for than is needed: on a pipe it would have to be waited for. */
    for (size_t want = 1; want <= 512; want *= 8) {
        if (sj_input_peek(in, want, &p, &n, err) < 0)
            return -1;
        while (i < n && isspace(p[i]))
            i++;
        if (i < n || n < want)
            break;
    }
    *kind = i < n && p[i] == '{' ? LINES_OF_JSON : n > 0 && sj_recording_probe(p, n) ? RECORDING : NUMBERS;
    return 0;
}

static int read_any(struct sj_input *in, struct gather *g, struct sj_fit_input *out, struct sj_err *err)
{
    const struct sj_sink sink = {.ctx = g, .request = on_request, .counted = on_counted};
    enum kind kind;

    if (look(in, &kind, err))
        return -1;
    if (kind == NUMBERS)
        return read_numbers(in, g, &out->lines, err);
    int rc = kind == RECORDING ? sj_recording_read(in, &sink, err) : sj_ndjson_read(in, &sink, err);
    if (rc > 0)
        snprintf(out->note, sizeof(out->note), "%.190s", err->text);
    return rc < 0 ? -1 : 0;
}

int sj_fit_input_read(const char *path, int schema, struct sj_fit_input *out, struct sj_err *err)
{
    struct sj_fit_input result = {.schema_binned = -1};
    struct gather g = {.schema = schema};
    struct sj_input *in;

    if (sj_input_open(path, &in, err))
        return -1;
    sj_hist_init(&g.counted);
    int rc = read_any(in, &g, &result, err);
    if (!rc)
        rc = finish(&g, &result.sample, err);
    if (!rc) {
        result.schema_binned = result.sample->n_bins ? result.sample->schema : -1;
        if (g.binning && schema < 0)
            snprintf(result.note, sizeof(result.note), "more than %d values: binned at schema %d (%.2g %% wide)",
                     SJ_FIT_RAW_MAX, SJ_FIT_RAW_SCHEMA, 100 * (exp2(1.0 / (1 << SJ_FIT_RAW_SCHEMA)) - 1));
        *out = result;
    }
    gather_free(&g);
    sj_input_close(in);
    return rc;
}

void sj_fit_input_free(struct sj_fit_input *in)
{
    sj_sample_free(in->sample);
    in->sample = NULL;
}

/* ---- counts --------------------------------------------------------------------------------------------------------
 */

/* Counts by their number of events, open addressing; intervals 0 marks a free slot. */
struct table {
    struct sj_count *slots;
    size_t cap; /* a power of two */
    size_t len;
};

static struct sj_count *slot_of(const struct table *t, uint64_t events)
{
    size_t at = (size_t)(events * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (t->cap - 1);

    while (t->slots[at].intervals && t->slots[at].events != events)
        at = (at + 1) & (t->cap - 1);
    return &t->slots[at];
}

static int grow(struct table *t, struct sj_err *err)
{
    struct table bigger = {.cap = t->cap ? 2 * t->cap : 256, .len = t->len};

    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    if (!bigger.slots)
        return out_of_memory(err);
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i].intervals)
            *slot_of(&bigger, t->slots[i].events) = t->slots[i];
    }
    free(t->slots);
    *t = bigger;
    return 0;
}

static int count(struct table *t, uint64_t events, struct sj_err *err)
{
    if (2 * t->len >= t->cap && grow(t, err))
        return -1;
    struct sj_count *slot = slot_of(t, events);
    if (!slot->intervals && t->len >= SJ_FIT_COUNTS_MAX)
        return sj_fail(err, EX_DATAERR, "more than %d different counts; take longer intervals", SJ_FIT_COUNTS_MAX);
    t->len += !slot->intervals;
    slot->events = events;
    slot->intervals++;
    return 0;
}

static int compare_counts(const void *a, const void *b)
{
    uint64_t x = ((const struct sj_count *)a)->events, y = ((const struct sj_count *)b)->events;

    return (x > y) - (x < y);
}

static int read_counts(struct sj_input *in, struct table *t, uint64_t *lines, struct sj_err *err)
{
    char text[NUMBER_MAX];
    struct sj_line line;
    uint64_t number = 0;
    int rc;

    while ((rc = sj_input_line(in, &line, err)) > 0) {
        double x;
        number++;
        if (!trim(&line, number == 1, text))
            continue;
        const char *wrong = parse_number(text, &x);
        if (wrong)
            return bad_line(in, number, err, wrong, text);
        if (x != floor(x) || x >= 0x1p53)
            return bad_line(in, number, err, "is not a count: a whole number below 2^53", text);
        if (count(t, (uint64_t)x, err))
            return sj_fail_prefix(err, "%s: line %" PRIu64, sj_input_name(in), number);
    }
    *lines = number ? number : 1;
    if (rc < 0 && err && err->status == EX_DATAERR)
        return sj_fail_prefix(err, "line %" PRIu64, number + 1);
    return rc;
}

int sj_fit_counts_read(const char *path, struct sj_fit_counts *out, struct sj_err *err)
{
    struct sj_fit_counts result = {0};
    struct table t = {0};
    struct sj_input *in;

    if (sj_input_open(path, &in, err))
        return -1;
    int rc = read_counts(in, &t, &result.lines, err);
    sj_input_close(in);
    if (rc) {
        free(t.slots);
        return -1;
    }
    for (size_t i = 0; i < t.cap; i++) {
        if (t.slots[i].intervals)
            t.slots[result.len++] = t.slots[i];
    }
    if (result.len)
        qsort(t.slots, result.len, sizeof(*t.slots), compare_counts);
    result.counts = t.slots;
    *out = result;
    return 0;
}

void sj_fit_counts_free(struct sj_fit_counts *c)
{
    free(c->counts);
    *c = (struct sj_fit_counts){0};
}
