// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hist_random.h"
#include "model/hist_codec.h"
#include "model/hist_forms.h"

#define MS UINT64_C(1000000)

/* Requests around a few places, or anything at all, or next to nothing. */
static void fill(struct sj_hist *h, struct random_state *r)
{
    int n = (int)(random_bits(r) % 400) >> (random_bits(r) % 9);

    for (int i = 0; i < n; i++) {
        uint64_t v = random_latency(r);

        if (random_bits(r) % 4)
            v = (uint64_t)(4e6 * exp(0.6 * random_normal(r)));
        if (random_bits(r) % 40 == 0)
            v = 0;
        assert_int_equal(sj_hist_add_n(h, v, 1 + (random_bits(r) >> (20 + random_bits(r) % 44))), 0);
    }
}

static void same_view(const struct sj_hist_view *a, const struct sj_hist_view *b)
{
    assert_int_equal(a->schema, b->schema);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->zero_count, b->zero_count);
    assert_int_equal(a->len, b->len);
    if (a->len) {
        assert_int_equal(a->first, b->first);
        assert_memory_equal(a->counts, b->counts, a->len * sizeof(*a->counts));
    }
}

/* The sum comes back to a nanosecond, or to what a double holds. */
static void same_sum(const struct sj_hist_view *a, const struct sj_hist_view *b)
{
    double off = (double)(a->sum_ns > b->sum_ns ? a->sum_ns - b->sum_ns : b->sum_ns - a->sum_ns);

    assert_true(off <= fmax(a->sum_ns < UINT64_C(1) << 51 ? 0 : 1, (double)a->sum_ns * 0x1p-51));
}

/* Every request of h is counted in the view, in the bucket that the definition gives, and nothing else is. */
static void is_the_histogram(const struct sj_hist_view *v, const struct sj_hist *h)
{
    uint64_t left = h->count - h->zero_count;

    for (uint32_t k = 0; k < v->len; k++) {
        int last = (v->first + (int)k) * (1 << (SJ_HIST_SCHEMA - v->schema));
        uint64_t n = 0;

        for (int i = last; i > last - (1 << (SJ_HIST_SCHEMA - v->schema)); i--)
            n += sj_hist_count_at(h, i);
        assert_int_equal(v->counts[k], n);
        left -= n;
    }
    assert_int_equal(left, 0);
}

static void round_trip(const struct sj_hist *h, int schema)
{
    struct sj_hist_view view;
    struct sj_hist_view back;
    struct sj_hist_spans spans;
    struct sj_hist_exponential exponential;

    assert_int_equal(sj_hist_downscale(h, schema, &view), 0);
    assert_int_equal(sj_hist_spans_make(&view, &spans), 0);
    assert_int_equal(sj_hist_spans_read(&spans, &back), 0);
    same_view(&view, &back);
    same_sum(&view, &back);
    is_the_histogram(&back, h);
    if (h->count)
        assert_true(back.min_ns <= h->min_ns && back.max_ns >= h->max_ns);
    sj_hist_view_free(&back);
    sj_hist_spans_free(&spans);

    assert_int_equal(sj_hist_exponential_make(&view, &exponential), 0);
    assert_int_equal(sj_hist_exponential_read(&exponential, &back), 0);
    same_view(&view, &back);
    same_sum(&view, &back);
    is_the_histogram(&back, h);
    if (h->count) {
        assert_true(back.min_ns == h->min_ns || h->min_ns >= UINT64_C(1) << 51);
        assert_true(back.max_ns == h->max_ns || h->max_ns >= UINT64_C(1) << 51);
    }
    sj_hist_view_free(&back);
    sj_hist_exponential_free(&exponential);
    sj_hist_view_free(&view);
}

static void every_form_keeps_every_count(void **state)
{
    struct random_state r = {31};

    (void)state;
    for (int round = 0; round < 1000; round++) {
        struct sj_hist h;
        struct sj_hist recorded;
        uint8_t *bytes;
        size_t len;

        sj_hist_init(&h);
        sj_hist_init(&recorded);
        fill(&h, &r);
        for (int schema = 0; schema <= SJ_HIST_SCHEMA; schema++)
            round_trip(&h, schema);
        assert_int_equal(sj_hist_encode(&h, &bytes, &len), 0); /* through a recording first */
        assert_int_equal(sj_hist_decode(bytes, len, NULL, &recorded), 0);
        assert_true(sj_hist_equal(&h, &recorded));
        round_trip(&recorded, SJ_HIST_SCHEMA);
        free(bytes);
        sj_hist_free(&h);
        sj_hist_free(&recorded);
    }
}

static void extremes(void **state)
{
    struct sj_hist h;

    (void)state;
    for (int schema = 0; schema <= SJ_HIST_SCHEMA; schema++) {
        sj_hist_init(&h);
        round_trip(&h, schema);
        assert_int_equal(sj_hist_add_n(&h, 0, 7), 0);
        round_trip(&h, schema);
        assert_int_equal(sj_hist_add(&h, 1), 0);
        assert_int_equal(sj_hist_add_n(&h, INT64_MAX, INT64_MAX), 0);
        round_trip(&h, schema);
        sj_hist_free(&h);
    }
}

/* What the definitions of the two formats say about a histogram that is small enough to work out by hand. */
static void the_forms_of_a_known_histogram(void **state)
{
    const struct sj_hist_span spans[] = {{-6, 4}, {3, 2}};
    const int64_t deltas[] = {1, -1, 2, -1, 1, 1};
    const uint64_t dense[] = {1, 0, 2, 1, 0, 0, 0, 2, 3};
    struct sj_hist h = {0};
    struct sj_hist_view view;
    struct sj_hist_spans sparse;
    struct sj_hist_exponential exponential;

    (void)state;
    assert_int_equal(sj_hist_add(&h, 0), 0);
    assert_int_equal(sj_hist_add_n(&h, 1000 * MS / 64, 1), 0); /* the upper edge of bucket -6 at schema 0 */
    assert_int_equal(sj_hist_add_n(&h, 1000 * MS / 16, 2), 0); /* bucket -4 */
    assert_int_equal(sj_hist_add_n(&h, 100 * MS, 1), 0);       /* bucket -3 */
    assert_int_equal(sj_hist_add_n(&h, 2000 * MS, 2), 0);      /* bucket 1 */
    assert_int_equal(sj_hist_add_n(&h, 2000 * MS + 1, 3), 0);  /* bucket 2 */
    assert_int_equal(sj_hist_downscale(&h, 0, &view), 0);

    assert_int_equal(sj_hist_spans_make(&view, &sparse), 0);
    assert_int_equal(sparse.schema, 0);
    assert_int_equal(sparse.n_spans, 2);
    assert_memory_equal(sparse.spans, spans, sizeof(spans));
    assert_int_equal(sparse.n_deltas, 6);
    assert_memory_equal(sparse.deltas, deltas, sizeof(deltas));
    assert_int_equal(sparse.zero_count, 1);
    assert_int_equal(sparse.count, 10);
    assert_true(fabs(sparse.sum - (1 / 64.0 + 2 / 16.0 + 0.1 + 4 + 6.000000003)) < 1e-12);

    assert_int_equal(sj_hist_exponential_make(&view, &exponential), 0);
    assert_int_equal(exponential.scale, 0);
    assert_int_equal(exponential.offset, -7); /* (2^-7, 2^-6] seconds */
    assert_int_equal(exponential.len, 9);
    assert_memory_equal(exponential.counts, dense, sizeof(dense));
    assert_int_equal(exponential.zero_count, 1);
    assert_true(exponential.min == 0 && exponential.max == 2.000000001);
    sj_hist_spans_free(&sparse);
    sj_hist_exponential_free(&exponential);
    sj_hist_view_free(&view);
    sj_hist_free(&h);
}

static void an_empty_one_has_the_span_that_says_native(void **state)
{
    struct sj_hist h = {0};
    struct sj_hist_view view;
    struct sj_hist_spans sparse;

    (void)state;
    assert_int_equal(sj_hist_downscale(&h, 3, &view), 0);
    assert_int_equal(sj_hist_spans_make(&view, &sparse), 0);
    assert_int_equal(sparse.n_spans, 1);
    assert_int_equal(sparse.spans[0].offset, 0);
    assert_int_equal(sparse.spans[0].length, 0);
    assert_int_equal(sparse.n_deltas, 0);
    sj_hist_spans_free(&sparse);
    sj_hist_view_free(&view);
}

static void refuses_what_does_not_fit(void **state)
{
    uint64_t counts[] = {1, UINT64_MAX / 2 + 1};
    const struct sj_hist_view much = {.schema = 3, .counts = counts, .len = 2, .count = UINT64_MAX / 2 + 2};
    const struct sj_hist_view finer = {.schema = 6};
    struct sj_hist_spans sparse = {.schema = 4711};
    struct sj_hist_exponential exponential = {.scale = 4711};

    (void)state;
    assert_int_equal(sj_hist_spans_make(&much, &sparse), -EOVERFLOW);
    assert_int_equal(sj_hist_spans_make(&finer, &sparse), -EINVAL);
    assert_int_equal(sj_hist_exponential_make(&finer, &exponential), -EINVAL);
    assert_int_equal(sparse.schema, 4711);
    assert_int_equal(exponential.scale, 4711);
}

static void bad_spans(struct sj_hist_spans form)
{
    struct sj_hist_view v = {.first = 4711};

    assert_int_equal(sj_hist_spans_read(&form, &v), -EBADMSG);
    assert_int_equal(v.first, 4711);
}

static void refuses_spans_that_are_none(void **state)
{
    struct sj_hist_span spans[] = {{2, 1}, {3, 2}};
    int64_t deltas[] = {2, 3, -1};
    const struct sj_hist_spans good = {
        .schema = 5, .count = 11, .sum = 1, .spans = spans, .n_spans = 2, .deltas = deltas, .n_deltas = 3};
    struct sj_hist_spans form = good;
    struct sj_hist_view v;

    (void)state;
    assert_int_equal(sj_hist_spans_read(&good, &v), 0);
    assert_int_equal(v.first, 2);
    assert_int_equal(v.len, 6);
    assert_int_equal(v.counts[4], 5);
    sj_hist_view_free(&v);
    form.schema = 6;
    bad_spans(form);
    form.schema = -1;
    bad_spans(form);
    form = good;
    form.count = 12;
    bad_spans(form);
    form = good;
    form.zero_threshold = 1e-9;
    bad_spans(form);
    form = good;
    form.n_deltas = 2;
    bad_spans(form);
    form = good;
    form.n_spans = 1; /* a delta without a place */
    bad_spans(form);
    form = good;
    form.sum = NAN;
    bad_spans(form);
    form.sum = INFINITY;
    bad_spans(form);
    form.sum = -1;
    bad_spans(form);
    form = good;
    spans[1].offset = -1;
    bad_spans(form);
    spans[1].offset = INT32_MAX;
    bad_spans(form);
    spans[1].offset = 3;
    spans[0].offset = INT32_MIN;
    bad_spans(form);
    spans[0].offset = 2;
    spans[1].length = UINT32_MAX;
    bad_spans(form);
    spans[1].length = 2;
    deltas[1] = -3;
    bad_spans(form);
    deltas[1] = INT64_MAX;
    bad_spans(form);
}

static void refuses_exponential_ones_that_are_none(void **state)
{
    uint64_t counts[] = {2, 0, 3};
    const struct sj_hist_exponential good = {.scale = 5,
                                             .zero_count = 1,
                                             .count = 6,
                                             .sum = 1,
                                             .min = 7,
                                             .max = -7,
                                             .offset = -3,
                                             .counts = counts,
                                             .len = 3};
    struct sj_hist_exponential form = good;
    struct sj_hist_view v = {.first = 4711};

    (void)state;
    form.scale = 6;
    assert_int_equal(sj_hist_exponential_read(&form, &v), -EBADMSG);
    form = good;
    form.count = 5;
    assert_int_equal(sj_hist_exponential_read(&form, &v), -EBADMSG);
    form = good;
    form.offset = INT32_MAX;
    assert_int_equal(sj_hist_exponential_read(&form, &v), -EBADMSG);
    form.offset = INT32_MIN;
    assert_int_equal(sj_hist_exponential_read(&form, &v), -EBADMSG);
    form = good;
    form.sum = -0.5;
    assert_int_equal(sj_hist_exponential_read(&form, &v), -EBADMSG);
    assert_int_equal(v.first, 4711);
    counts[1] = UINT64_MAX;
    assert_int_equal(sj_hist_exponential_read(&good, &v), -EBADMSG);
    counts[1] = 0;
    assert_int_equal(sj_hist_exponential_read(&good, &v), 0); /* impossible extremes give way to the edges */
    assert_int_equal(v.first, -2);
    assert_int_equal(v.min_ns, 0);
    assert_int_equal(v.max_ns, 1000 * MS);
    sj_hist_view_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_keeps_every_count),
        cmocka_unit_test(extremes),
        cmocka_unit_test(the_forms_of_a_known_histogram),
        cmocka_unit_test(an_empty_one_has_the_span_that_says_native),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_spans_that_are_none),
        cmocka_unit_test(refuses_exponential_ones_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
