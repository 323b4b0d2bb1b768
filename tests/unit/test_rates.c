// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_errno.h>

#include "fit_draw.h"
#include "model/rates.h"

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static struct sj_rates fit(const struct sj_count *c, size_t n)
{
    struct sj_rates r;
    struct sj_err err;

    if (sj_rates_fit(c, n, &r, &err))
        fail_msg("%s", err.text);
    return r;
}

/* Deaths by horse kick in Prussian army corps, Bortkiewicz 1898. */
static void horse_kicks_are_poisson(void **state)
{
    const struct sj_count kicks[] = {{0, 109}, {1, 65}, {2, 22}, {3, 3}, {4, 1}};
    struct sj_rates r = fit(kicks, 5);

    (void)state;
    assert_int_equal(r.n, 200);
    assert_int_equal(r.events, 122);
    near(r.rate, 0.61, 1e-15);
    near(r.variance, 0.610955, 1e-5);
    near(r.dispersion, 1.0015652, 1e-7);
    near(r.p, 0.480449531, 1e-6); /* R: pchisq(199 * 1.0015652, 199, lower.tail = FALSE) */
    near(r.poisson_loglik, -206.1067, 1e-6);
    near(r.rate_ci.low, 0.506568, 1e-5); /* R: poisson.test(122, 200) */
    near(r.rate_ci.high, 0.7283408, 1e-5);
    /* Cells 0, 1 and 2 or more: the fourth expects 4.8 only. */
    assert_int_equal(r.poisson_chi2_df, 1);
    near(r.poisson_chi2, 0.062784, 1e-4);
    assert_false(r.over_dispersed);
}

/* Parasites of cats, toxocara in R's fitdistrplus, fitted there with a tolerance of 1e-15. */
static void parasites_come_in_bursts(void **state)
{
    const struct sj_count cats[] = {{0, 14}, {1, 8},  {2, 5},  {3, 1},  {4, 6},  {5, 2},  {6, 1},
                                    {7, 1},  {9, 2},  {11, 1}, {12, 1}, {16, 1}, {19, 1}, {20, 1},
                                    {21, 1}, {28, 2}, {30, 1}, {33, 1}, {40, 1}, {41, 1}, {75, 1}};
    struct sj_rates r = fit(cats, sizeof(cats) / sizeof(cats[0]));

    (void)state;
    assert_true(r.over_dispersed && r.has_negative_binomial && r.p < 1e-10);
    near(r.rate, 8.679245, 1e-6);
    near(r.size, 0.3969965, 1e-6);
    near(r.negative_binomial_loglik, -159.3441, 1e-6);
}

static uint64_t draw_poisson(struct random_state *r, double mean)
{
    uint64_t n = 0;

    for (double t = draw_exponential(r, 1); t < mean; t += draw_exponential(r, 1))
        n++;
    return n;
}

static int by_events(const void *a, const void *b)
{
    uint64_t x = ((const struct sj_count *)a)->events, y = ((const struct sj_count *)b)->events;

    return (x > y) - (x < y);
}

/* The right one is named, for rare and for frequent events; the parameters are found. */
static void bursts_are_told_from_chance(void **state)
{
    struct random_state r = {.state = 21};
    int right[2] = {0, 0};

    (void)state;
    for (int run = 0; run < 400; run++) {
        bool bursts = run % 2;
        double mean = run % 4 < 2 ? 2 : 40, size = 3;
        struct sj_count c[500];
        for (int i = 0; i < 500; i++)
            c[i] = (struct sj_count){draw_poisson(&r, bursts ? draw_gamma(&r, size, size / mean) : mean), 1};
        qsort(c, 500, sizeof(c[0]), by_events);
        struct sj_rates fitted = fit(c, 500);
        right[bursts] += fitted.over_dispersed == bursts;
        near(fitted.rate, mean, 0.3);
        if (bursts)
            near(fitted.size, size, 0.6);
    }
    assert_true(right[0] >= 190 && right[1] >= 190);
}

static void edges_are_survived(void **state)
{
    const struct sj_count none[] = {{0, 50}}, one[] = {{7, 1}}, steady[] = {{5, 40}, {6, 40}};
    const struct sj_count large[] = {{UINT64_C(1000000000000), 3}, {UINT64_C(1000000500000), 4}};
    const struct sj_count too_large[] = {{UINT64_C(1) << 53, 1}};
    struct sj_rates r = fit(none, 1);

    (void)state;
    assert_true(r.rate == 0 && r.poisson_loglik == 0 && r.rate_ci.low == 0 && isnan(r.dispersion));
    near(r.rate_ci.high, 3.688879454 / 50, 1e-8);
    assert_false(r.over_dispersed);
    r = fit(one, 1);
    assert_true(r.rate == 7 && isnan(r.dispersion) && isnan(r.p) && !r.has_negative_binomial);
    r = fit(steady, 2);
    assert_true(r.dispersion < 0.1 && r.p > 0.999 && !r.has_negative_binomial && !r.over_dispersed);
    r = fit(large, 2);
    assert_true(isfinite(r.poisson_loglik) && isfinite(r.rate_ci.low) && r.rate_ci.low < r.rate);
    r.n = 77;
    assert_int_equal(sj_rates_fit(NULL, 0, &r, NULL), -1);
    assert_int_equal(sj_rates_fit(too_large, 1, &r, NULL), -1);
    assert_int_equal(r.n, 77);
}

/* R: poisson.test(k, t)$conf.int; beyond that the limits that a normal distribution gives. */
static void rates_have_exact_intervals(void **state)
{
    struct sj_interval i;

    (void)state;
    assert_int_equal(sj_rate_interval(0, 1, 0.95, &i), 0);
    assert_true(i.low == 0);
    near(i.high, 3.688879, 1e-6);
    assert_int_equal(sj_rate_interval(5, 10, 0.95, &i), 0);
    near(i.low, 0.1623486, 1e-6);
    near(i.high, 1.1668332, 1e-6);
    assert_int_equal(sj_rate_interval(10000, 1, 0.95, &i), 0);
    near(i.low, 9804.95246726, 1e-9);
    near(i.high, 10197.9516247, 1e-9);
    assert_int_equal(sj_rate_interval(100000, 1, 0.95, &i), 0);
    near(i.low, 99381.15266374, 1e-8);
    near(i.high, 100621.7447397, 1e-8);
    assert_int_equal(sj_rate_interval(1000000, 1, 0.95, &i), 0);
    near(i.low, 998040.98334029, 1e-8);
    near(i.high, 1001961.9119454, 1e-8);
    assert_int_equal(sj_rate_interval(1, 0, 0.95, &i), -EDOM);
    assert_int_equal(sj_rate_interval(1, 1, 1, &i), -EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(horse_kicks_are_poisson),     cmocka_unit_test(parasites_come_in_bursts),
        cmocka_unit_test(bursts_are_told_from_chance), cmocka_unit_test(edges_are_survived),
        cmocka_unit_test(rates_have_exact_intervals),
    };

    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
