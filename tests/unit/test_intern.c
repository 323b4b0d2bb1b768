// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collect/intern.h"

static void numbers_follow_the_order_of_first_sight(void **state)
{
    (void)state;
    struct sj_intern *s = sj_intern_new(1000, 10000, 1);
    assert_non_null(s);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            char key[16];
            uint32_t id = UINT32_MAX;
            int n = snprintf(key, sizeof(key), "key%u", i);
            assert_int_equal(sj_intern(s, key, (uint32_t)n, &id), round == 0);
            assert_int_equal(id, i);
        }
    }
    sj_intern_free(s);
}

static void length_and_zeros_tell_keys_apart(void **state)
{
    (void)state;
    static const uint8_t zeros[20] = {0};
    struct sj_intern *s = sj_intern_new(21, 210, 7);
    assert_non_null(s);
    for (uint32_t n = 0; n <= sizeof(zeros); n++) {
        uint32_t id;
        assert_true(sj_intern(s, zeros, n, &id));
        assert_int_equal(id, n);
    }
    uint32_t id;
    assert_false(sj_intern(s, zeros, 8, &id));
    assert_int_equal(id, 8);
    sj_intern_free(s);
}

static void it_says_when_it_is_full_and_begins_anew(void **state)
{
    (void)state;
    struct sj_intern *s = sj_intern_new(2, 100, 3);
    uint32_t id;
    assert_non_null(s);
    assert_true(sj_intern_has_room(s, 2, 100));
    assert_false(sj_intern_has_room(s, 3, 1));
    assert_false(sj_intern_has_room(s, 1, 101));
    assert_true(sj_intern(s, "one", 3, &id));
    assert_true(sj_intern_has_room(s, 1, 97));
    assert_false(sj_intern_has_room(s, 1, 98));
    assert_true(sj_intern(s, "two", 3, &id));
    assert_false(sj_intern_has_room(s, 1, 1));
    sj_intern_reset(s);
    assert_true(sj_intern_has_room(s, 2, 100));
    assert_true(sj_intern(s, "two", 3, &id));
    assert_int_equal(id, 0);
    sj_intern_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_the_order_of_first_sight),
        cmocka_unit_test(length_and_zeros_tell_keys_apart),
        cmocka_unit_test(it_says_when_it_is_full_and_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
