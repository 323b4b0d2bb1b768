// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/timefmt.h"

static void times_of_day_are_those_of_gmtime(void **state)
{
    (void)state;
    char mine[SJ_TIME_SIZE], theirs[SJ_TIME_SIZE + 16];
    /* Steps of 11 days and some, through leap years and the years 2000, 2100 and 2400, which differ. */
    for (uint64_t s = 0; s < 18446744073U; s += 1000003) {
        time_t t = (time_t)s;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        size_t n = strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(theirs + n, sizeof(theirs) - n, ".%09uZ", (unsigned)(s % 999999937));
        assert_string_equal(sj_time_rfc3339(mine, s * 1000000000U + s % 999999937), theirs);
    }
    assert_string_equal(sj_time_rfc3339(mine, 0), "1970-01-01T00:00:00.000000000Z");
    assert_string_equal(sj_time_rfc3339(mine, 951782399999999999U), "2000-02-28T23:59:59.999999999Z");
    assert_string_equal(sj_time_rfc3339(mine, 951782400000000000U), "2000-02-29T00:00:00.000000000Z");
    assert_string_equal(sj_time_rfc3339(mine, 4107542400000000000U), "2100-03-01T00:00:00.000000000Z");
    assert_string_equal(sj_time_rfc3339(mine, UINT64_MAX), "2554-07-21T23:34:33.709551615Z");
}

static void times_for_people_have_three_digits(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0 s"},
        {1e-9, "1 ns"},
        {1.5e-9, "1.5 ns"},
        {850e-9, "850 ns"},
        {999.4e-9, "999 ns"},
        {999.6e-9, "1.00 us"},
        {1.2e-3, "1.20 ms"},
        {9.994e-3, "9.99 ms"},
        {9.996e-3, "10.0 ms"},
        {26.7e-3, "26.7 ms"},
        {99.96e-3, "100 ms"},
        {0.9994, "999 ms"},
        {0.9996, "1.00 s"},
        {45, "45.0 s"},
        {599, "599 s"},
        {600, "10.0 min"},
        {36000, "10.0 h"},
        {1e9, "277778 h"},
        {-0.0012, "-1.20 ms"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "-"},
    };
    char out[SJ_HUMAN_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(sj_time_human(out, cases[i].seconds), cases[i].text);
}

static void counts_are_grouped(void **state)
{
    (void)state;
    char out[SJ_HUMAN_SIZE];
    assert_string_equal(sj_count_human(out, 0), "0");
    assert_string_equal(sj_count_human(out, 999), "999");
    assert_string_equal(sj_count_human(out, 1000), "1,000");
    assert_string_equal(sj_count_human(out, 10007), "10,007");
    assert_string_equal(sj_count_human(out, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void seconds_are_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0"},          {1, "0.000000001"},  {1200000, "0.0012"},          {999999999, "0.999999999"},
        {1000000000, "1"}, {1500000000, "1.5"}, {10000000010, "10.00000001"}, {UINT64_MAX, "18446744073.709551615"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[24];
        memset(out, 'x', sizeof(out));
        size_t n = sj_seconds_exact(out, cases[i].ns);
        assert_int_equal(n, strlen(cases[i].text));
        assert_memory_equal(out, cases[i].text, n);
        assert_int_equal(out[n], 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_day_are_those_of_gmtime),
        cmocka_unit_test(times_for_people_have_three_digits),
        cmocka_unit_test(counts_are_grouped),
        cmocka_unit_test(seconds_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
