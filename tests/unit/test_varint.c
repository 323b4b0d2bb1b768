// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/varint.h"

static const uint64_t edges[] = {
    0, 1, 0x7f, 0x80, 0x3fff, 0x4000, UINT32_MAX, 1ULL << 35, (1ULL << 56) - 1, 1ULL << 63, UINT64_MAX - 1, UINT64_MAX};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static void every_number_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        uint8_t buf[SJ_VARINT_MAX];
        size_t n = sj_varint_put(buf, edges[i]);
        assert_in_range(n, 1, SJ_VARINT_MAX);
        const uint8_t *p = buf;
        uint64_t v = 0;
        assert_true(sj_varint_get(&p, buf + n, &v));
        assert_true(v == edges[i]);
        assert_ptr_equal(p, buf + n);
        assert_true(sj_varint_unfold(sj_varint_fold(v)) == v);
    }
}

static void lengths_are_those_of_seven_bits_a_byte(void **state)
{
    (void)state;
    uint8_t buf[SJ_VARINT_MAX];
    assert_int_equal(sj_varint_put(buf, 127), 1);
    assert_int_equal(sj_varint_put(buf, 128), 2);
    assert_memory_equal(buf, "\x80\x01", 2);
    assert_int_equal(sj_varint_put(buf, UINT64_MAX), 10);
}

static void an_end_that_comes_too_early_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        uint8_t buf[SJ_VARINT_MAX];
        size_t n = sj_varint_put(buf, edges[i]);
        for (size_t shorter = 0; shorter < n; shorter++) {
            const uint8_t *p = buf;
            uint64_t v = 42;
            assert_false(sj_varint_get(&p, buf + shorter, &v));
            assert_ptr_equal(p, buf);
            assert_int_equal(v, 42);
        }
    }
}

static void more_than_64_bits_are_refused(void **state)
{
    (void)state;
    uint8_t buf[12];
    const uint8_t *p = buf;
    uint64_t v;
    memset(buf, 0xff, sizeof(buf));
    buf[9] = 2;
    assert_false(sj_varint_get(&p, buf + sizeof(buf), &v));
    buf[9] = 0xff;
    assert_false(sj_varint_get(&p, buf + sizeof(buf), &v));
    buf[9] = 1;
    assert_true(sj_varint_get(&p, buf + sizeof(buf), &v));
    assert_true(v == UINT64_MAX);
}

static void a_number_above_its_limit_is_refused(void **state)
{
    (void)state;
    uint8_t buf[SJ_VARINT_MAX];
    size_t n = sj_varint_put(buf, 256);
    const uint8_t *p = buf;
    uint64_t v = 42;
    assert_false(sj_varint_get_max(&p, buf + n, 255, &v));
    assert_ptr_equal(p, buf);
    assert_int_equal(v, 42);
    assert_true(sj_varint_get_max(&p, buf + n, 256, &v));
    assert_int_equal(v, 256);
}

static void small_differences_stay_short(void **state)
{
    (void)state;
    const struct {
        int64_t difference;
        uint64_t folded;
    } cases[] = {{0, 0}, {-1, 1}, {1, 2}, {-2, 3}, {2, 4}, {INT64_MAX, UINT64_MAX - 1}, {INT64_MIN, UINT64_MAX}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(sj_varint_fold((uint64_t)cases[i].difference) == cases[i].folded);
        assert_true(sj_varint_unfold(cases[i].folded) == (uint64_t)cases[i].difference);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_comes_back),
        cmocka_unit_test(lengths_are_those_of_seven_bits_a_byte),
        cmocka_unit_test(an_end_that_comes_too_early_is_refused),
        cmocka_unit_test(more_than_64_bits_are_refused),
        cmocka_unit_test(a_number_above_its_limit_is_refused),
        cmocka_unit_test(small_differences_stay_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
