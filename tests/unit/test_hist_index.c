// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hist_oracle.h"
#include "hist_random.h"
#include "model/hist.h"

#ifdef __SANITIZE_ADDRESS__
#define RANDOM_VALUES 100000
#else
#define RANDOM_VALUES 1000000
#endif

static void same_index(const struct oracle *o, uint64_t v)
{
    int expected = oracle_index(o, v);
    int index = INT32_MIN;

    assert_int_equal(sj_hist_index_at(o->schema, v, &index), 0);
    if (index != expected)
        fail_msg("schema %d, %llu ns: bucket %d, but it is in %d", o->schema, (unsigned long long)v, index, expected);
    if (o->schema == SJ_HIST_SCHEMA)
        assert_int_equal(sj_hist_index(v), expected);
}

static void index_is_exact(void **state)
{
    struct random_state r = {20261122};

    (void)state;
    for (int schema = 0; schema <= 8; schema++) {
        struct oracle o;

        oracle_init(&o, schema);
        assert_non_null(o.edge);
        assert_int_equal(o.edge[0], 0);
        assert_int_equal(o.edge[o.len - 1], INT64_MAX);
        for (size_t k = 0; k < o.len; k++)
            for (uint64_t v = o.edge[k] - (o.edge[k] > 0); v <= o.edge[k] + 1; v++)
                if (v > 0 && v <= INT64_MAX)
                    same_index(&o, v);
        for (int i = 0; i < RANDOM_VALUES; i++)
            same_index(&o, random_latency(&r));
        free(o.edge);
    }
}

/* What the text of the file format promises by number. */
static void known_answers(void **state)
{
    int index;

    (void)state;
    assert_int_equal(sj_hist_index(1000000000), 0);
    assert_int_equal(sj_hist_index(1000000001), 1);
    assert_int_equal(sj_hist_index(1000), -637);
    assert_int_equal(sj_hist_index(1), SJ_HIST_INDEX_MIN);
    assert_int_equal(sj_hist_index(INT64_MAX), SJ_HIST_INDEX_MAX);
    assert_int_equal(sj_hist_index_at(0, 1000000000, &index), 0);
    assert_int_equal(index, 0);
    assert_int_equal(sj_hist_index_at(0, 1000000001, &index), 0);
    assert_int_equal(index, 1);
    assert_int_equal(sj_hist_index_at(0, 2000000001, &index), 0);
    assert_int_equal(index, 2);
}

static void index_refuses(void **state)
{
    int index = 4711;

    (void)state;
    assert_int_equal(sj_hist_index_at(-1, 1, &index), -EINVAL);
    assert_int_equal(sj_hist_index_at(9, 1, &index), -EINVAL);
    assert_int_equal(sj_hist_index_at(5, 0, &index), -ERANGE);
    assert_int_equal(sj_hist_index_at(5, UINT64_C(1) << 63, &index), -ERANGE);
    assert_int_equal(index, 4711);
}

/* The kernel side counts leading zeros by steps, user space by an instruction. */
static void normalising_agrees(void **state)
{
    struct random_state r = {1};

    (void)state;
    for (int i = 0; i < RANDOM_VALUES; i++) {
        uint64_t v = random_latency(&r);
        __u64 x = v;
        __u32 shift = sj_hist_normalise(&x);

        assert_int_equal(shift, __builtin_clzll(v) - 1);
        assert_true(x == v << shift);
    }
}

static void bucket_edges(void **state)
{
    struct oracle o;

    (void)state;
    oracle_init(&o, SJ_HIST_SCHEMA);
    assert_non_null(o.edge);
    for (int index = SJ_HIST_INDEX_MIN; index <= SJ_HIST_INDEX_MAX; index++) {
        uint64_t low;
        uint64_t high;

        sj_hist_bucket_ns(index, &low, &high);
        assert_int_equal(low, o.edge[index - 1 - o.first] + 1);
        assert_int_equal(high, o.edge[index - o.first]);
        if (high < INT64_MAX && high > 1000000) {
            assert_true(fabs(sj_hist_upper_bound(5, index) - (double)high * 1e-9) <= 2e-9 + 1e-15 * (double)high);
            assert_true(sj_hist_lower_bound(5, index) == sj_hist_upper_bound(5, index - 1));
        }
    }
    assert_true(sj_hist_upper_bound(0, 3) == 8);
    assert_true(sj_hist_lower_bound(0, 3) == 4);
    assert_true(fabs(sj_hist_upper_bound(8, 1) - pow(2, 1 / 256.0)) < 1e-15);
    free(o.edge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_is_exact),     cmocka_unit_test(known_answers), cmocka_unit_test(index_refuses),
        cmocka_unit_test(normalising_agrees), cmocka_unit_test(bucket_edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
