// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <string.h>

#include "hist_random.h"
#include "model/hist.h"

#define MS UINT64_C(1000000)

static void near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g, not %.17g", value, expected);
}

/* Counts n random latencies: now and then zero, now and then many at once. */
static void fill(struct sj_hist *h, struct random_state *r, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t v = random_bits(r) % 50 == 0 ? 0 : random_latency(r) >> 20;

        if (random_bits(r) % 10 == 0)
            assert_int_equal(sj_hist_add_n(h, v, random_bits(r) % 1000), 0);
        else
            assert_int_equal(sj_hist_add(h, v), 0);
    }
}

/* What every histogram must satisfy. */
static void consistent(const struct sj_hist *h)
{
    uint64_t count = h->zero_count;

    assert_int_equal(h->base % 32, 0);
    assert_int_equal(h->len % 32, 0);
    for (uint32_t k = 0; k < h->len; k++)
        count += h->counts[k];
    assert_int_equal(count, h->count);
    if (h->count)
        assert_true(h->min_ns <= h->max_ns);
}

static void counts_what_was_added(void **state)
{
    struct random_state r = {5};
    struct sj_hist h;
    static uint64_t expected[SJ_HIST_INDEX_MAX - SJ_HIST_INDEX_MIN + 1];
    uint64_t sum = 0;
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;

    (void)state;
    sj_hist_init(&h);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = random_latency(&r) >> 15;

        assert_int_equal(sj_hist_add(&h, v), 0);
        if (v)
            expected[sj_hist_index(v) - SJ_HIST_INDEX_MIN]++;
        sum += v;
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    consistent(&h);
    assert_int_equal(h.count, 20000);
    assert_int_equal(h.sum_ns, sum);
    assert_int_equal(h.min_ns, min);
    assert_int_equal(h.max_ns, max);
    for (int index = SJ_HIST_INDEX_MIN; index <= SJ_HIST_INDEX_MAX; index++)
        assert_int_equal(sj_hist_count_at(&h, index), expected[index - SJ_HIST_INDEX_MIN]);
    assert_int_equal(sj_hist_count_at(&h, INT_MIN), 0);
    assert_int_equal(sj_hist_count_at(&h, INT_MAX), 0);
    near(sj_hist_mean(&h), (double)sum / 20000 / 1e9, 1e-9);
    sj_hist_reset(&h);
    assert_int_equal(h.count, 0);
    assert_true(h.len > 0);
    assert_int_equal(sj_hist_add(&h, 7), 0);
    assert_int_equal(h.min_ns, 7);
    assert_int_equal(h.max_ns, 7);
    sj_hist_free(&h);
    assert_null(h.counts);
}

static void zeroed_memory_is_empty(void **state)
{
    struct sj_hist h = {0};
    int first = 1;
    int last = 2;

    (void)state;
    assert_true(isnan(sj_hist_mean(&h)));
    assert_true(isnan(sj_hist_quantile(&h, 0.5)));
    assert_false(sj_hist_range(&h, &first, &last));
    assert_int_equal(first, 1);
    assert_int_equal(last, 2);
    assert_int_equal(sj_hist_add(&h, 5 * MS), 0);
    assert_int_equal(h.min_ns, 5 * MS);
    assert_int_equal(h.max_ns, 5 * MS);
    sj_hist_free(&h);
}

static void extremes_of_range(void **state)
{
    struct sj_hist h;
    int first;
    int last;

    (void)state;
    sj_hist_init(&h);
    assert_int_equal(sj_hist_add(&h, 0), 0);
    assert_int_equal(h.zero_count, 1);
    assert_int_equal(h.min_ns, 0);
    assert_int_equal(h.max_ns, 0);
    assert_true(sj_hist_quantile(&h, 1) == 0);
    assert_int_equal(sj_hist_add(&h, 1), 0);
    assert_int_equal(sj_hist_add(&h, UINT64_MAX), 0);
    assert_true(sj_hist_range(&h, &first, &last));
    assert_int_equal(first, SJ_HIST_INDEX_MIN);
    assert_int_equal(last, SJ_HIST_INDEX_MAX);
    assert_int_equal(h.max_ns, INT64_MAX);
    assert_int_equal(h.sum_ns, (uint64_t)INT64_MAX + 1);
    assert_int_equal(sj_hist_add_n(&h, INT64_MAX, 3), 0);
    assert_int_equal(h.sum_ns, UINT64_MAX);
    assert_int_equal(sj_hist_add(&h, INT64_MAX), 0);
    assert_int_equal(h.sum_ns, UINT64_MAX);
    assert_int_equal(h.count, 7);
    consistent(&h);
    sj_hist_free(&h);
}

static void count_does_not_wrap(void **state)
{
    struct sj_hist h;
    struct sj_hist other;

    (void)state;
    sj_hist_init(&h);
    sj_hist_init(&other);
    assert_int_equal(sj_hist_add_n(&h, 0, UINT64_MAX - 1), 0);
    assert_int_equal(sj_hist_add_n(&h, MS, 2), -EOVERFLOW);
    assert_int_equal(sj_hist_add_bucket(&h, 0, 2, 0), -EOVERFLOW);
    assert_int_equal(sj_hist_add_n(&other, MS, 2), 0);
    assert_int_equal(sj_hist_merge(&h, &other), -EOVERFLOW);
    assert_int_equal(h.count, UINT64_MAX - 1);
    assert_int_equal(h.max_ns, 0);
    assert_int_equal(sj_hist_add(&h, MS), 0);
    assert_int_equal(sj_hist_add(&h, 2 * MS), -EOVERFLOW);
    consistent(&h);
    sj_hist_free(&h);
    sj_hist_free(&other);
}

static void merge_is_associative_and_commutative(void **state)
{
    struct random_state r = {6};

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct sj_hist h[3];
        struct sj_hist left;
        struct sj_hist right;

        sj_hist_init(&left);
        sj_hist_init(&right);
        for (int i = 0; i < 3; i++) {
            sj_hist_init(&h[i]);
            fill(&h[i], &r, (int)(random_bits(&r) % 100));
        }
        /* (a + b) + c beside c + (b + a), and a + (b + c). */
        assert_int_equal(sj_hist_merge(&left, &h[0]), 0);
        assert_int_equal(sj_hist_merge(&left, &h[1]), 0);
        assert_int_equal(sj_hist_merge(&left, &h[2]), 0);
        assert_int_equal(left.count, h[0].count + h[1].count + h[2].count);
        consistent(&left);
        assert_int_equal(sj_hist_copy(&right, &h[2]), 0);
        assert_int_equal(sj_hist_merge(&right, &h[1]), 0);
        assert_int_equal(sj_hist_merge(&right, &h[0]), 0);
        assert_true(sj_hist_equal(&left, &right));
        assert_int_equal(sj_hist_merge(&h[1], &h[2]), 0);
        assert_int_equal(sj_hist_merge(&h[0], &h[1]), 0);
        assert_true(sj_hist_equal(&left, &h[0]));
        for (int i = 0; i < 3; i++)
            sj_hist_free(&h[i]);
        sj_hist_free(&left);
        sj_hist_free(&right);
    }
}

static void merge_with_itself_doubles(void **state)
{
    struct random_state r = {9};
    struct sj_hist h;
    struct sj_hist twice;

    (void)state;
    sj_hist_init(&h);
    sj_hist_init(&twice);
    fill(&h, &r, 100);
    assert_int_equal(sj_hist_merge(&twice, &h), 0);
    assert_int_equal(sj_hist_merge(&twice, &h), 0);
    assert_int_equal(sj_hist_merge(&h, &h), 0);
    assert_true(sj_hist_equal(&h, &twice));
    sj_hist_free(&h);
    sj_hist_free(&twice);
}

/* later - earlier has the counts and the sum of what came between, and its min and max to within a bucket. */
static void subtract_gives_the_interval(void **state)
{
    struct random_state r = {7};

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct sj_hist earlier;
        struct sj_hist later;
        struct sj_hist between;

        sj_hist_init(&earlier);
        sj_hist_init(&later);
        sj_hist_init(&between);
        fill(&earlier, &r, (int)(random_bits(&r) % 100));
        fill(&between, &r, (int)(random_bits(&r) % 5));
        assert_int_equal(sj_hist_copy(&later, &earlier), 0);
        assert_int_equal(sj_hist_merge(&later, &between), 0);
        assert_int_equal(sj_hist_subtract(&later, &earlier), 0);
        consistent(&later);
        assert_int_equal(later.count, between.count);
        if (between.count) {
            assert_int_equal(later.sum_ns, between.sum_ns);
            assert_true(later.min_ns <= between.min_ns && later.max_ns >= between.max_ns);
            if (between.min_ns)
                assert_int_equal(sj_hist_index(later.min_ns), sj_hist_index(between.min_ns));
            if (between.max_ns)
                assert_int_equal(sj_hist_index(later.max_ns), sj_hist_index(between.max_ns));
            later.min_ns = between.min_ns;
            later.max_ns = between.max_ns;
        }
        assert_true(sj_hist_equal(&later, &between));
        sj_hist_free(&earlier);
        sj_hist_free(&later);
        sj_hist_free(&between);
    }
}

static void subtract_refuses_what_was_not_earlier(void **state)
{
    struct sj_hist h;
    struct sj_hist other;
    struct sj_hist before;

    (void)state;
    sj_hist_init(&h);
    sj_hist_init(&other);
    sj_hist_init(&before);
    assert_int_equal(sj_hist_add_n(&h, 5 * MS, 10), 0);
    assert_int_equal(sj_hist_copy(&before, &h), 0);
    assert_int_equal(sj_hist_add(&other, 6 * MS), 0);
    assert_int_equal(sj_hist_subtract(&h, &other), -ERANGE);
    assert_true(sj_hist_equal(&h, &before));
    sj_hist_reset(&other);
    assert_int_equal(sj_hist_add(&other, 0), 0);
    assert_int_equal(sj_hist_subtract(&h, &other), -ERANGE);
    sj_hist_reset(&other);
    assert_int_equal(sj_hist_add_bucket(&other, sj_hist_index(5 * MS), 10, 1), 0);
    assert_int_equal(sj_hist_subtract(&h, &other), -ERANGE);
    assert_true(sj_hist_equal(&h, &before));
    assert_int_equal(sj_hist_add_n(&h, INT64_MAX, 3), 0);
    assert_int_equal(sj_hist_subtract(&h, &before), 0);
    assert_int_equal(h.sum_ns, UINT64_MAX); /* how far beyond it was is not known */
    assert_int_equal(h.count, 3);
    sj_hist_free(&h);
    sj_hist_free(&other);
    sj_hist_free(&before);
}

static void buckets_of_the_kernel_side(void **state)
{
    struct random_state r = {8};
    struct sj_hist exact;
    struct sj_hist binned;

    (void)state;
    sj_hist_init(&exact);
    sj_hist_init(&binned);
    for (int i = 0; i < 1000; i++) {
        uint64_t v = random_latency(&r) >> 20;

        if (v == 0)
            continue;
        assert_int_equal(sj_hist_add(&exact, v), 0);
        assert_int_equal(sj_hist_add_bucket(&binned, sj_hist_index(v), 1, v), 0);
    }
    assert_true(binned.min_ns <= exact.min_ns && binned.max_ns >= exact.max_ns);
    assert_int_equal(sj_hist_index(binned.min_ns), sj_hist_index(exact.min_ns));
    assert_int_equal(sj_hist_index(binned.max_ns), sj_hist_index(exact.max_ns));
    binned.min_ns = exact.min_ns;
    binned.max_ns = exact.max_ns;
    assert_true(sj_hist_equal(&exact, &binned));
    assert_int_equal(sj_hist_add_bucket(&binned, SJ_HIST_INDEX_MIN - 1, 1, 1), -ERANGE);
    assert_int_equal(sj_hist_add_bucket(&binned, SJ_HIST_INDEX_MAX + 1, 1, 1), -ERANGE);
    assert_int_equal(sj_hist_add_bucket(&binned, SJ_HIST_INDEX_MIN + 1, 1, 1), -ERANGE); /* between 1 and 2 ns */
    assert_int_equal(sj_hist_add_bucket(&binned, 0, 0, 1), 0);
    binned.min_ns = exact.min_ns;
    assert_true(sj_hist_equal(&exact, &binned));
    sj_hist_free(&exact);
    sj_hist_free(&binned);
}

static void quantiles(void **state)
{
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    for (uint64_t i = 1; i <= 10000; i++)
        assert_int_equal(sj_hist_add(&h, i * 10000), 0); /* 10 us .. 100 ms, evenly */
    for (int i = 0; i <= 1000; i++) {
        double p = i / 1000.0;

        near(sj_hist_quantile(&h, p), fmax(1e-5, p * 0.1), 1.1e-5);
    }
    assert_true(sj_hist_quantile(&h, 0) == 1e-5);
    assert_true(sj_hist_quantile(&h, 1) == 0.1);
    assert_true(isnan(sj_hist_quantile(&h, -0.01)));
    assert_true(isnan(sj_hist_quantile(&h, 1.01)));
    assert_true(isnan(sj_hist_quantile(&h, NAN)));
    sj_hist_reset(&h);
    assert_int_equal(sj_hist_add_n(&h, 25 * MS, 3), 0);
    for (int i = 0; i <= 10; i++)
        assert_true(sj_hist_quantile(&h, i / 10.0) == 0.025);
    assert_int_equal(sj_hist_add_n(&h, 0, 3), 0);
    assert_true(sj_hist_quantile(&h, 0.5) == 0);
    assert_true(sj_hist_quantile(&h, 0.51) > 0.024);
    sj_hist_free(&h);
}

static void quantile_is_monotone(void **state)
{
    struct random_state r = {10};
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    for (int round = 0; round < 100; round++) {
        double before = 0;

        sj_hist_reset(&h);
        fill(&h, &r, 30);
        for (int i = 0; i <= 1000; i++) {
            double q = sj_hist_quantile(&h, i / 1000.0);

            assert_true(q >= before);
            before = q;
        }
        assert_true(sj_hist_quantile(&h, 0) == (double)h.min_ns / 1e9);
        assert_true(before == (double)h.max_ns / 1e9);
    }
    sj_hist_free(&h);
}

static void ranks(void **state)
{
    struct sj_hist h;
    int index = 0;

    (void)state;
    sj_hist_init(&h);
    assert_int_equal(sj_hist_add_n(&h, 0, 2), 0);
    assert_true(sj_hist_at_rank(&h, 1.5, &index) == 0);
    assert_int_equal(index, INT_MIN);
    assert_true(sj_hist_at_rank(&h, 3, &index) == 0);
    assert_int_equal(sj_hist_add_n(&h, MS, 2), 0);
    assert_int_equal(sj_hist_add_n(&h, 9 * MS, 1), 0);
    assert_true(sj_hist_at_rank(&h, 4, &index) > 0);
    assert_int_equal(index, sj_hist_index(MS));
    assert_true(sj_hist_at_rank(&h, 5, &index) == 0.009);
    assert_int_equal(index, sj_hist_index(9 * MS));
    assert_true(sj_hist_at_rank(&h, 6, &index) == 0.009);
    sj_hist_free(&h);
}

/* Downscaling equals having recorded at the coarser schema, and counting up through schemas loses nothing. */
static void downscale_is_lossless(void **state)
{
    struct random_state r = {11};

    (void)state;
    for (int schema = 0; schema <= SJ_HIST_SCHEMA; schema++) {
        struct sj_hist_view view;
        struct sj_hist h;
        uint64_t seen = 0;

        sj_hist_init(&h);
        fill(&h, &r, 500);
        assert_int_equal(sj_hist_downscale(&h, schema, &view), 0);
        assert_int_equal(view.schema, schema);
        assert_int_equal(view.count, h.count);
        assert_int_equal(view.zero_count, h.zero_count);
        assert_int_equal(view.sum_ns, h.sum_ns);
        assert_true(view.len > 0 && view.counts[0] && view.counts[view.len - 1]);
        for (uint32_t k = 0; k < view.len; k++) {
            uint64_t expected = 0;

            for (uint32_t s = 0; s < h.len; s++) {
                uint64_t low;
                uint64_t high;
                int index;

                sj_hist_bucket_ns(h.base + (int)s, &low, &high);
                if (h.counts[s] == 0)
                    continue;
                assert_int_equal(sj_hist_index_at(schema, high, &index), 0);
                if (index == view.first + (int)k)
                    expected += h.counts[s];
            }
            assert_int_equal(view.counts[k], expected);
            seen += expected;
        }
        assert_int_equal(seen + view.zero_count, h.count);
        sj_hist_view_free(&view);
        assert_null(view.counts);
        sj_hist_free(&h);
    }
}

static void downscale_refuses(void **state)
{
    struct sj_hist h = {0};
    struct sj_hist_view view = {.first = 4711};

    (void)state;
    assert_int_equal(sj_hist_downscale(&h, 6, &view), -EINVAL);
    assert_int_equal(sj_hist_downscale(&h, -1, &view), -EINVAL);
    assert_int_equal(view.first, 4711);
    assert_int_equal(sj_hist_downscale(&h, 3, &view), 0);
    assert_int_equal(view.len, 0);
    assert_null(view.counts);
    sj_hist_view_free(&view);
}

static void copies(void **state)
{
    struct random_state r = {12};
    struct sj_hist h;
    struct sj_hist copy;

    (void)state;
    sj_hist_init(&h);
    sj_hist_init(&copy);
    fill(&h, &r, 50);
    fill(&copy, &r, 50);
    assert_false(sj_hist_equal(&h, &copy));
    assert_int_equal(sj_hist_copy(&copy, &h), 0);
    assert_int_equal(sj_hist_copy(&copy, &copy), 0);
    assert_true(sj_hist_equal(&h, &copy));
    assert_ptr_not_equal(h.counts, copy.counts);
    copy.counts[0]++;
    copy.zero_count = h.zero_count;
    assert_false(sj_hist_equal(&h, &copy));
    sj_hist_free(&h);
    sj_hist_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_was_added),
        cmocka_unit_test(zeroed_memory_is_empty),
        cmocka_unit_test(extremes_of_range),
        cmocka_unit_test(count_does_not_wrap),
        cmocka_unit_test(merge_is_associative_and_commutative),
        cmocka_unit_test(merge_with_itself_doubles),
        cmocka_unit_test(subtract_gives_the_interval),
        cmocka_unit_test(subtract_refuses_what_was_not_earlier),
        cmocka_unit_test(buckets_of_the_kernel_side),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(quantile_is_monotone),
        cmocka_unit_test(ranks),
        cmocka_unit_test(downscale_is_lossless),
        cmocka_unit_test(downscale_refuses),
        cmocka_unit_test(copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
