// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "watch/condition.h"

#define TOTAL (-1)

static const struct {
    const char *text;
    enum sj_measure measure;
    int stage;
    double p;
    enum sj_compare compare;
    double threshold;
} right[] = {
    {"p99 > 1s", SJ_MEASURE_QUANTILE, TOTAL, 0.99, SJ_ABOVE, 1},
    {"p99>1s", SJ_MEASURE_QUANTILE, TOTAL, 0.99, SJ_ABOVE, 1},
    {"  p99.9\t>=  250ms ", SJ_MEASURE_QUANTILE, TOTAL, 0.999, SJ_AT_LEAST, 0.25},
    {"p0.1<1ns", SJ_MEASURE_QUANTILE, TOTAL, 0.001, SJ_BELOW, 1e-9},
    {"p99.999 <= 2h", SJ_MEASURE_QUANTILE, TOTAL, 0.99999, SJ_AT_MOST, 7200},
    {"p50 > 0s", SJ_MEASURE_QUANTILE, TOTAL, 0.5, SJ_ABOVE, 0},
    {"mean < 1.5ms", SJ_MEASURE_MEAN, TOTAL, 0, SJ_BELOW, 0.0015},
    {"max > 1.5m", SJ_MEASURE_MAX, TOTAL, 0, SJ_ABOVE, 90},
    {"queue.p99 > 50ms", SJ_MEASURE_QUANTILE, SJ_STAGE_QUEUE, 0.99, SJ_ABOVE, 0.05},
    {"queue.p99.9>50us", SJ_MEASURE_QUANTILE, SJ_STAGE_QUEUE, 0.999, SJ_ABOVE, 5e-5},
    {"blocked.mean >= 1d", SJ_MEASURE_MEAN, SJ_STAGE_BLOCKED, 0, SJ_AT_LEAST, 86400},
    {"runq.share > 20%", SJ_MEASURE_SHARE, SJ_STAGE_RUNQ, 0, SJ_ABOVE, 0.2},
    {"runq.share <= 0.2", SJ_MEASURE_SHARE, SJ_STAGE_RUNQ, 0, SJ_AT_MOST, 0.2},
    {"error_ratio > 1%", SJ_MEASURE_ERROR_RATIO, TOTAL, 0, SJ_ABOVE, 0.01},
    {"error_ratio >= 100%", SJ_MEASURE_ERROR_RATIO, TOTAL, 0, SJ_AT_LEAST, 1},
    {"error_ratio < 1", SJ_MEASURE_ERROR_RATIO, TOTAL, 0, SJ_BELOW, 1},
    {"error_ratio <= 0", SJ_MEASURE_ERROR_RATIO, TOTAL, 0, SJ_AT_MOST, 0},
    {"rate < 10/s", SJ_MEASURE_RATE, TOTAL, 0, SJ_BELOW, 10},
    {"rate <= 0/s", SJ_MEASURE_RATE, TOTAL, 0, SJ_AT_MOST, 0},
    {"error_rate >= 6/m", SJ_MEASURE_ERROR_RATE, TOTAL, 0, SJ_AT_LEAST, 0.1},
    {"error_rate > 36/h", SJ_MEASURE_ERROR_RATE, TOTAL, 0, SJ_ABOVE, 0.01},
    {"requests < 100", SJ_MEASURE_REQUESTS, TOTAL, 0, SJ_BELOW, 100},
    {"errors > 2.5", SJ_MEASURE_ERRORS, TOTAL, 0, SJ_ABOVE, 2.5},
};

static void what_can_be_asked_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        struct sj_condition c;
        struct sj_err err = {0};
        if (sj_condition_parse(right[i].text, &c, &err) < 0)
            fail_msg("%s: %s", right[i].text, err.text);
        assert_int_equal(c.measure, right[i].measure);
        assert_int_equal(c.stage, right[i].stage);
        assert_int_equal(c.compare, right[i].compare);
        assert_true(fabs(c.p - right[i].p) < 1e-15);
        assert_true(fabs(c.threshold - right[i].threshold) <= 1e-15 * right[i].threshold);
    }
}

static void every_stage_has_quantiles_a_mean_and_a_share(void **state)
{
    (void)state;
    for (int stage = 0; stage < SJ_STAGE_MAX_; stage++) {
        static const char *const of[] = {"p50 > 1ms", "mean > 1ms", "share > 1%"};
        for (size_t i = 0; i < 3; i++) {
            struct sj_condition c;
            char text[64];
            snprintf(text, sizeof(text), "%s.%s", sj_stage_name((enum sj_stage)stage), of[i]);
            assert_int_equal(sj_condition_parse(text, &c, NULL), 0);
            assert_int_equal(c.stage, stage);
        }
    }
}

#define FORM "a condition is a quantity, a comparison (> >= < <=) and a value, such as 'p99 > 1s'"
#define TIME " is compared with a time with its unit, such as 250us, 50ms, 1.5s or 2m, not "
#define SHARE " is compared with a share such as 1% or 0.01, at most 100%, not "
#define RATE " is compared with a number per s, m or h, such as 10/s or 600/m, not "
#define NUMBER " is compared with a number without a unit, such as 100, not "
#define RANGE " is out of range: p0.1 to p99.999 (p999 is written p99.9)"
#define QUANTILE " is no quantile; write p50, p99 or p99.9"

static const struct {
    const char *text, *why;
} wrong[] = {
    {"", FORM},
    {"p99", FORM},
    {"p99 = 1s", FORM},
    {"> 1s", FORM},
    {"p99 >", FORM},
    {"p99 >= ", FORM},
    {"p99 !> 1s", "'p99 !'" QUANTILE},
    {"p99 >> 1s", "p99" TIME "'> 1s'"},
    {"p99 => 1s", "'p99 ='" QUANTILE},
    {"p99 > 1s 2s", "p99" TIME "'1s 2s'"},
    {"p99 > -1s", "p99" TIME "'-1s'"},
    {"p99 > 1", "p99" TIME "'1'"},
    {"p99 > 1%", "p99" TIME "'1%'"},
    {"p99 > 1S", "p99" TIME "'1S'"},
    {"p99 > .5s", "p99" TIME "'.5s'"},
    {"p99 > 1e3s", "p99" TIME "'1e3s'"},
    {"p99 > 300000000000d", "p99" TIME "'300000000000d'"},
    {"p100 > 1s", "the quantile p100" RANGE},
    {"p0 > 1s", "the quantile p0" RANGE},
    {"p0.09 > 1s", "the quantile p0.09" RANGE},
    {"p999 > 1s", "the quantile p999" RANGE},
    {"p99x > 1s", "'p99x'" QUANTILE},
    {"p99. > 1s", "'p99.'" QUANTILE},
    {"p99.share > 1s", "'p99.share'" QUANTILE},
    {"queue.p200 > 1s", "the quantile p200" RANGE},
    {"queue.max > 1s", "a stage has no max; of stages there are pN, mean and share"},
    {"queue.rate > 1/s", "a stage has no rate; of stages there are pN, mean and share"},
    {"share > 20%", "share is that of a stage, such as runq.share"},
    {"cpu.p99 > 1s", "there is no stage 'cpu': queue oncpu busy runq blocked handoff send wait pickup receive"},
    {".p99 > 1s", "there is no stage '': queue oncpu busy runq blocked handoff send wait pickup receive"},
    {"speed > 1s", "unknown quantity 'speed': pN (p99, p99.9), mean, max, STAGE.pN, STAGE.mean, STAGE.share, rate, "
                   "error_rate, error_ratio, requests or errors"},
    {"error_ratio > 1.5", "error_ratio" SHARE "'1.5'"},
    {"error_ratio > 101%", "error_ratio" SHARE "'101%'"},
    {"error_ratio > 1 %", "error_ratio" SHARE "'1 %'"},
    {"runq.share > 20ms", "runq.share" SHARE "'20ms'"},
    {"rate < 10", "rate" RATE "'10'"},
    {"rate < 10/d", "rate" RATE "'10/d'"},
    {"rate < 10/", "rate" RATE "'10/'"},
    {"rate < 10/ms", "rate" RATE "'10/ms'"},
    {"rate < x/s", "rate" RATE "'x/s'"},
    {"requests < 10/s", "requests" NUMBER "'10/s'"},
    {"errors > 1k", "errors" NUMBER "'1k'"},
    {"errors > 1.", "errors" NUMBER "'1.'"},
    {"error_ratio > 100%", "'error_ratio > 100%' never holds"},
    {"error_ratio <= 1", "'error_ratio <= 1' always holds"},
    {"rate >= 0/s", "'rate >= 0/s' always holds"},
    {"rate < 0/h", "'rate < 0/h' never holds"},
    {"p99 < 0s", "'p99 < 0s' never holds"},
    {"p99 >= 0ns", "'p99 >= 0ns' always holds"},
    {"p99.99999999999999999999999999999999999999999999999999999999999999 > 1s", FORM},
    {"requests > 99999999999999999999999999999999999999999999999999999999999999999999", FORM},
};

static void what_cannot_be_asked_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct sj_condition c = {.threshold = 17};
        struct sj_err err = {0};
        assert_int_equal(sj_condition_parse(wrong[i].text, &c, &err), -1);
        assert_int_equal(err.status, EX_CONFIG);
        assert_string_equal(err.text, wrong[i].why);
        assert_true(c.threshold == 17);
    }
}

static void comparisons_are_strict_or_not(void **state)
{
    (void)state;
    static const bool holds[][3] = {[SJ_ABOVE] = {false, false, true},
                                    [SJ_AT_LEAST] = {false, true, true},
                                    [SJ_BELOW] = {true, false, false},
                                    [SJ_AT_MOST] = {true, true, false}};
    for (int compare = 0; compare <= SJ_AT_MOST; compare++) {
        const struct sj_condition c = {.compare = (enum sj_compare)compare, .threshold = 1};
        for (int i = 0; i < 3; i++)
            assert_int_equal(sj_condition_holds(&c, i), holds[compare][i]);
        assert_false(sj_condition_holds(&c, NAN));
    }
}

static void units_are_those_of_the_measure(void **state)
{
    (void)state;
    static const enum sj_unit units[] = {
        [SJ_MEASURE_QUANTILE] = SJ_UNIT_SECONDS,  [SJ_MEASURE_MEAN] = SJ_UNIT_SECONDS,
        [SJ_MEASURE_MAX] = SJ_UNIT_SECONDS,       [SJ_MEASURE_SHARE] = SJ_UNIT_RATIO,
        [SJ_MEASURE_RATE] = SJ_UNIT_PER_SECOND,   [SJ_MEASURE_ERROR_RATE] = SJ_UNIT_PER_SECOND,
        [SJ_MEASURE_ERROR_RATIO] = SJ_UNIT_RATIO, [SJ_MEASURE_REQUESTS] = SJ_UNIT_NUMBER,
        [SJ_MEASURE_ERRORS] = SJ_UNIT_NUMBER,
    };
    for (int i = 0; i < SJ_MEASURE_MAX_; i++) {
        assert_int_equal(sj_measure_unit((enum sj_measure)i), units[i]);
        assert_int_equal(sj_measure_counts((enum sj_measure)i),
                         units[i] == SJ_UNIT_PER_SECOND || units[i] == SJ_UNIT_NUMBER);
    }
}

static bool matches(struct sj_match m)
{
    return sj_match_series(&m, "nginx", "web-1", SJ_ROLE_SERVER, SJ_PROTO_HTTP, 80);
}

static void all_parts_of_a_match_must_match(void **state)
{
    (void)state;
    assert_true(matches((struct sj_match){.protocol = -1}));
    assert_true(matches((struct sj_match){"ng?nx", NULL, "web-[0-9]", SJ_PROTO_HTTP, SJ_ROLE_SERVER, 80}));
    assert_false(matches((struct sj_match){.service = "ngin", .protocol = -1}));
    assert_false(matches((struct sj_match){.service = "nginx?", .protocol = -1}));
    assert_false(matches((struct sj_match){.container = "", .protocol = -1}));
    assert_false(matches((struct sj_match){.protocol = SJ_PROTO_TLS}));
    assert_false(matches((struct sj_match){.protocol = -1, .role = SJ_ROLE_CLIENT}));
    assert_false(matches((struct sj_match){.protocol = -1, .port = 81}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_asked_is_understood),
        cmocka_unit_test(every_stage_has_quantiles_a_mean_and_a_share),
        cmocka_unit_test(what_cannot_be_asked_is_told),
        cmocka_unit_test(comparisons_are_strict_or_not),
        cmocka_unit_test(units_are_those_of_the_measure),
        cmocka_unit_test(all_parts_of_a_match_must_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
