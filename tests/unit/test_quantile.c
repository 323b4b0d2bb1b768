// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "hist_random.h"
#include "model/quantile.h"

#define MS UINT64_C(1000000)

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

/* 1 ms, 2 ms, ... n ms, once each. */
static void fill_steps(struct sj_hist *h, uint64_t n)
{
    sj_hist_init(h);
    for (uint64_t i = 1; i <= n; i++)
        assert_int_equal(sj_hist_add(h, i * MS), 0);
}

/* The bounds of 1,000 known latencies are order statistics 469 and 532 (R: qbinom), give or take a bucket. */
static void bounds_are_order_statistics(void **state)
{
    struct sj_interval i;
    struct sj_hist h;

    (void)state;
    fill_steps(&h, 1000);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, NULL, &i), 0);
    assert_true(i.low > 0.469 * 0.978 && i.low <= 0.469);
    assert_true(i.high >= 0.532 && i.high < 0.532 * 1.022);
    assert_int_equal(sj_quantile_interval(&h, 0.99, 0.95, NULL, &i), 0);
    assert_true(i.low > 0.983 * 0.978 && i.low <= 0.983);
    assert_true(i.high >= 0.997 && i.high <= 1.0);
    sj_hist_free(&h);
}

static void too_few_requests_bound_nothing(void **state)
{
    struct sj_interval i;
    struct sj_hist h;

    (void)state;
    fill_steps(&h, 100);
    assert_int_equal(sj_quantile_interval(&h, 0.99, 0.95, NULL, &i), 0);
    assert_true(isinf(i.high));
    assert_true(i.low > 0.09 && i.low < 0.1);
    assert_int_equal(sj_quantile_interval(&h, 0.01, 0.95, NULL, &i), 0);
    assert_true(i.low == 0);
    assert_true(i.high > 0 && i.high < 0.01);
    sj_hist_free(&h);
    fill_steps(&h, 1);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, NULL, &i), 0);
    assert_true(i.low == 0 && isinf(i.high));
    sj_hist_free(&h);
}

static void refuses(void **state)
{
    struct sj_quantile_widen w = {0, 0.5};
    struct sj_interval i = {4711, 4711};
    struct sj_hist h = {0};

    (void)state;
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, NULL, &i), -EDOM);
    assert_int_equal(sj_hist_add(&h, MS), 0);
    assert_int_equal(sj_quantile_interval(&h, 0, 0.95, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, 1, 0.95, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, NAN, 0.95, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 1, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, 0.5, NAN, NULL, &i), -EDOM);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, &w, &i), -EDOM);
    w.variance_inflation = NAN;
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, &w, &i), -EDOM);
    w.variance_inflation = INFINITY;
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, &w, &i), -EDOM);
    assert_int_equal(sj_ratio_interval(2, 1, 0.95, &i), -EDOM);
    assert_int_equal(sj_ratio_interval(1, 2, 1, &i), -EDOM);
    assert_true(i.low == 4711 && i.high == 4711);
    sj_hist_free(&h);
}

/* However the uncertain requests turn out, the interval of the complete data lies inside. */
static void uncertain_requests_widen(void **state)
{
    struct sj_quantile_widen w = {50, 1};
    struct sj_interval wide;
    struct sj_interval i;
    struct sj_hist h;
    struct sj_hist all;

    (void)state;
    fill_steps(&h, 1000);
    sj_hist_init(&all);
    assert_int_equal(sj_quantile_interval(&h, 0.9, 0.95, &w, &wide), 0);
    for (uint64_t unknown = 0; unknown <= 3000; unknown += 100) {
        assert_int_equal(sj_hist_copy(&all, &h), 0);
        assert_int_equal(sj_hist_add_n(&all, unknown * MS, 50), 0);
        assert_int_equal(sj_quantile_interval(&all, 0.9, 0.95, NULL, &i), 0);
        assert_true(wide.low <= i.low && wide.high >= i.high);
    }
    w.uncertain = 5000; /* were all of them fastest, the 5,354th of 6,000 would be the 354th here */
    assert_int_equal(sj_quantile_interval(&h, 0.9, 0.95, &w, &wide), 0);
    assert_true(isinf(wide.high) && wide.low > 0.34 && wide.low <= 0.356);
    w.uncertain = UINT64_MAX;
    assert_int_equal(sj_quantile_interval(&h, 0.9, 0.95, &w, &wide), 0);
    assert_true(isinf(wide.high) && wide.low == 0);
    sj_hist_free(&h);
    sj_hist_free(&all);
}

/* A variance four times as large makes the interval about twice as wide. */
static void inflation_widens(void **state)
{
    struct sj_quantile_widen w = {0, 4};
    struct sj_interval i;
    struct sj_interval wide;
    struct sj_hist h;

    (void)state;
    fill_steps(&h, 10000);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, NULL, &i), 0);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, &w, &wide), 0);
    assert_true(wide.low < i.low && wide.high > i.high);
    near(wide.high - wide.low, 0.392, 0.08);
    w.variance_inflation = 1e9;
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, &w, &wide), 0);
    assert_true(wide.low == 0 && isinf(wide.high));
    sj_hist_free(&h);
}

static void zeros_have_a_place(void **state)
{
    struct sj_interval i;
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    assert_int_equal(sj_hist_add_n(&h, 0, 600), 0);
    assert_int_equal(sj_hist_add_n(&h, MS, 400), 0);
    assert_int_equal(sj_quantile_interval(&h, 0.5, 0.95, NULL, &i), 0);
    assert_true(i.low == 0 && i.high == 0);
    assert_int_equal(sj_quantile_interval(&h, 0.6, 0.95, NULL, &i), 0);
    assert_true(i.low == 0 && i.high == 0.001);
    sj_hist_free(&h);
}

/* The expected numbers come from R 4.2: qbeta. */
static void ratios(void **state)
{
    static const struct {
        uint64_t k, n;
        double level, low, high;
    } known[] = {
        {0, 1, 0.95, 0, 0.975},
        {0, 1, 0.999, 0, 0.9995},
        {1, 1, 0.95, 0.025, 1},
        {1, 1, 0.999, 0.0005, 1},
        {0, 10, 0.95, 0, 0.308497107818761},
        {0, 10, 0.999, 0, 0.532375776088694},
        {10, 10, 0.95, 0.691502892181239, 1},
        {10, 10, 0.999, 0.467624223911311, 1},
        {1, 10, 0.95, 0.00252857854446179, 0.445016117028195},
        {1, 10, 0.999, 5.00112535637919e-05, 0.653130333094736},
        {3, 10, 0.95, 0.0667395111777345, 0.652452850059997},
        {3, 10, 0.999, 0.016566615049873, 0.81639437695927},
        {0, 1000, 0.95, 0, 0.00368208389686567},
        {0, 1000, 0.999, 0, 0.00757208865031134},
        {1, 1000, 0.95, 2.53174874912941e-05, 0.00555892427982663},
        {1, 1000, 0.999, 5.00124916619791e-07, 0.00995381434095088},
        {20, 10007, 0.95, 0.00122121148300689, 0.00308499766741202},
        {20, 10007, 0.999, 0.000845165045216583, 0.00393440746900914},
        {9999, 10000, 0.95, 0.999442963002053, 0.999997468222407},
        {9999, 10000, 0.999, 0.999000582000105, 0.999999949987497},
        {500, 1000, 0.95, 0.468549172971792, 0.531450827028208},
        {500, 1000, 0.999, 0.447629419858604, 0.552370580141396},
        {1, 1000000000, 0.95, 2.53178079839694e-11, 5.57164337820311e-09},
        {1, 1000000000, 0.999, 5.00125041682174e-13, 9.99867745263648e-09},
        {123456, 1000000, 0.95, 0.12281184162963, 0.124102340276803},
        {123456, 1000000, 0.999, 0.122375895259139, 0.124541795584679},
        {700000000, 1000000000, 0.95, 0.699971596344647, 0.700028402497603},
        {700000000, 1000000000, 0.999, 0.699952313727204, 0.700047683252067},
        {100000, 1000000000, 0.95, 9.93811833657097e-05, 0.000100621713458449},
        {100000, 1000000000, 0.999, 9.89627701045518e-05, 0.000101044785287683},
        {250000, 1000000000000, 0.95, 2.49020965626097e-07, 2.50981930637754e-07},
        {250000, 1000000000000, 0.999, 2.4835801199168e-07, 2.51649543001781e-07},
    };
    struct sj_interval i;

    (void)state;
    for (size_t j = 0; j < sizeof(known) / sizeof(known[0]); j++) {
        assert_int_equal(sj_ratio_interval(known[j].k, known[j].n, known[j].level, &i), 0);
        near(i.low, known[j].low, known[j].n > 100000 && known[j].k > 10 ? 1e-7 : 1e-9);
        near(i.high, known[j].high, known[j].n > 100000 && known[j].k > 10 ? 1e-7 : 1e-9);
    }
    assert_int_equal(sj_ratio_interval(0, 0, 0.95, &i), 0);
    assert_true(i.low == 0 && i.high == 1);
}

static void ratios_are_ordered(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 2000; n = n * 3 / 2 + 1) {
        double low = -1;
        double high = 0;

        for (uint64_t k = 0; k <= n; k++) {
            struct sj_interval i;

            assert_int_equal(sj_ratio_interval(k, n, 0.95, &i), 0);
            assert_true(i.low > low && i.high > high && i.low <= (double)k / (double)n);
            assert_true(i.high >= (double)k / (double)n && i.high <= 1);
            low = i.low;
            high = i.high;
        }
    }
}

/* A series whose ratio follows a slow wave, a spike at a time, or nothing at all. */
static void inflation_of_a_series(void **state)
{
    struct sj_exceedance series[600] = {{0}};
    struct random_state r = {3};
    double mean = 0;

    (void)state;
    assert_true(sj_variance_inflation(series, 600) == 1);
    assert_true(sj_variance_inflation(NULL, 0) == 1);
    for (int i = 0; i < 600; i++)
        series[i] = (struct sj_exceedance){1000, 10};
    assert_true(sj_variance_inflation(series, 600) == 1); /* steadier than chance */
    assert_true(sj_variance_inflation(series, 9) == 1);
    for (int i = 0; i < 600; i++)
        series[i].above = i % 60 == 0 ? 500 : 1;
    assert_true(sj_variance_inflation(series, 600) > 100);
    for (int i = 0; i < 600; i++)
        series[i].above = i % 200 < 100 ? 5 : 15;
    /* Blocks of 100 alike: by how much a block's sum varies more than chance allows. */
    assert_true(sj_variance_inflation(series, 600) > 100 * 25 / (1000 * 0.01 * 0.99) / 2);
    for (int run = 0; run < 200; run++) {
        for (int i = 0; i < 60; i++) {
            series[i] = (struct sj_exceedance){100, 0};
            for (int k = 0; k < 100; k++)
                series[i].above += random_unit(&r) < 0.1;
        }
        mean += sj_variance_inflation(series, 60) / 200;
    }
    assert_true(mean > 1 && mean < 1.8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_order_statistics),
        cmocka_unit_test(too_few_requests_bound_nothing),
        cmocka_unit_test(refuses),
        cmocka_unit_test(uncertain_requests_widen),
        cmocka_unit_test(inflation_widens),
        cmocka_unit_test(zeros_have_a_place),
        cmocka_unit_test(ratios),
        cmocka_unit_test(ratios_are_ordered),
        cmocka_unit_test(inflation_of_a_series),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
