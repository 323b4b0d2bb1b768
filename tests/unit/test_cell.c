// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "series/cell.h"

static void add(struct sj_cell *c, uint64_t total_ns, uint32_t flags)
{
    const struct sj_request r = {.service = "s",
                                 .comm = "",
                                 .container = "",
                                 .operation = "",
                                 .status = "",
                                 .unix_path = "",
                                 .role = SJ_ROLE_SERVER,
                                 .total_ns = total_ns,
                                 .flags = flags};
    assert_int_equal(sj_cell_add(c, &r), 0);
}

static void errors_have_a_histogram_of_their_own(void **state)
{
    (void)state;
    struct sj_cell a = {0}, b = {0};
    struct sj_hist expected = {0};
    add(&a, 1000000, 0);
    assert_null(a.error_total);
    size_t before = sj_cell_bytes(&a);
    add(&a, 2000000, SJ_REQ_ERROR);
    assert_true(sj_cell_bytes(&a) > before);
    add(&a, 3000000, SJ_REQ_CLIENT_ERROR);
    add(&b, 900000000, SJ_REQ_ERROR | SJ_REQ_INTERLEAVED);
    assert_int_equal(sj_cell_merge(&a, &b), 0);
    assert_int_equal(sj_hist_add(&expected, 2000000), 0);
    assert_int_equal(sj_hist_add(&expected, 900000000), 0);
    assert_true(sj_hist_equal(a.error_total, &expected));
    assert_int_equal(a.errors, 2);
    assert_int_equal(a.total.count, 4);
    sj_hist_free(&expected);
    sj_cell_clear(&a);
    sj_cell_clear(&b);
    assert_null(a.error_total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_a_histogram_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
