// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <gsl/gsl_errno.h>

#include "fit_draw.h"
#include "model/tail.h"

#define VALUES 5000

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static struct sj_sample *sample(uint64_t seed, enum sj_family_id id, const double *theta, size_t n)
{
    static double x[VALUES];
    struct sj_sample *s = NULL;

    draw_many(seed, id, theta, x, n);
    assert_int_equal(sj_sample_from_values(x, n, NULL, 0, &s, NULL), 0);
    return s;
}

/* Above any threshold a Pareto distribution is a generalised one with xi = 1/shape, beta = threshold/shape. */
static void a_pareto_tail_is_found(void **state)
{
    const double theta[] = {0.01, 4};
    const struct sj_tail_options options = {.threshold = 0.015, .replicates = 100, .seed = 3};
    int inside[4] = {0}, runs = 20;

    (void)state;
    for (int i = 0; i < runs; i++) {
        struct sj_sample *s = sample((uint64_t)i, SJ_FAMILY_PARETO, theta, VALUES);
        struct sj_tail t;
        assert_int_equal(sj_tail_fit(s, &options, &t, NULL), 0);
        assert_true(t.threshold == 0.015);
        near(t.exceedances, VALUES * pow(1.5, -4), 0.1);
        near(t.beta, 0.015 / 4, 0.25);
        for (int k = 0; k < SJ_BOOT_QUANTILES_; k++) {
            double u = t.threshold, share = t.exceedances / VALUES;
            double formula = u + t.beta / t.xi * (pow((1 - sj_boot_p[k]) / share, -t.xi) - 1);
            near(t.quantile[k], formula, 1e-9);
            double truth = 0.01 * pow(1 - sj_boot_p[k], -0.25);
            inside[k] += t.boot.quantile[k].low <= truth && truth <= t.boot.quantile[k].high;
        }
        inside[3] += t.boot.theta[0].low <= 0.25 && 0.25 <= t.boot.theta[0].high;
        sj_sample_free(s);
    }
    for (int k = 0; k < 4; k++) /* of 20 at 95 %: 15 or fewer happen once in 4,000 times */
        assert_true(inside[k] > 15);
}

/* Bins move the threshold to an edge; what is above it is the same, so the tail nearly is. */
static void bins_give_nearly_the_same_tail(void **state)
{
    const double theta[] = {0.01, 4};
    struct sj_sample *s = sample(5, SJ_FAMILY_PARETO, theta, VALUES), *binned = NULL;
    struct sj_tail a, b;

    (void)state;
    assert_int_equal(sj_sample_to_schema(s, 5, &binned, NULL), 0);
    assert_int_equal(sj_tail_fit(binned, &(struct sj_tail_options){.threshold = 0.0151}, &b, NULL), 0);
    assert_true(b.threshold >= 0.0151 && b.threshold < 0.0151 * 1.022);
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = b.threshold}, &a, NULL), 0);
    assert_true(a.exceedances == b.exceedances);
    assert_true(fabs(a.xi - b.xi) < 0.01);
    near(b.beta, a.beta, 0.01);
    assert_int_equal(b.boot.replicates, 0);
    sj_sample_free(binned);
    sj_sample_free(s);
}

static void the_threshold_is_chosen(void **state)
{
    const double theta[] = {-3, 1};
    struct sj_sample *s = sample(6, SJ_FAMILY_LOGNORMAL, theta, VALUES);
    struct sj_tail t;

    (void)state;
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = NAN}, &t, NULL), 0);
    assert_true(t.exceedances == 0.1 * VALUES);
    near(t.threshold, exp(-3 + 1.2816), 0.1);
    sj_sample_free(s);
}

static void short_tails_are_refused(void **state)
{
    const double theta[] = {2};
    struct sj_sample *s = sample(7, SJ_FAMILY_EXPONENTIAL, theta, 200), *binned = NULL;
    struct sj_tail t = {.xi = 77};
    struct sj_err err;

    (void)state;
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = NAN}, &t, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = 100}, &t, &err), -1);
    assert_int_equal(sj_sample_to_schema(s, 0, &binned, NULL), 0);
    assert_int_equal(sj_tail_fit(binned, &(struct sj_tail_options){.threshold = 0.3}, &t, &err), -1); /* three bins */
    assert_true(t.xi == 77);
    sj_sample_free(binned);
    sj_sample_free(s);
}

/* Nothing is seen beyond a timeout, but those who were given up count as above the threshold. */
static void timeouts_lie_above_the_threshold(void **state)
{
    const double theta[] = {10};
    static double x[VALUES], c[VALUES];
    size_t n = 0, m = 0;
    struct sj_sample *s = NULL;
    struct sj_tail t;

    (void)state;
    draw_many(8, SJ_FAMILY_EXPONENTIAL, theta, x, VALUES);
    for (int i = 0; i < VALUES; i++) {
        if (x[i] > 0.5)
            c[m++] = 0.5;
        else
            x[n++] = x[i];
    }
    assert_int_equal(sj_sample_from_values(x, n, c, m, &s, NULL), 0);
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = 0.1, .replicates = 30}, &t, NULL), 0);
    near(t.exceedances, VALUES * exp(-1), 0.05);
    assert_true(fabs(t.xi) < 0.1);
    near(t.beta, 0.1, 0.1);
    assert_true(isnan(t.ks) && isnan(t.ad) && isnan(t.boot.ad_p));
    near(t.quantile[SJ_BOOT_P999], 0.69, 0.15);
    sj_sample_free(s);
}

static void the_word_on_extrapolation_is_plain(void **state)
{
    struct sj_bootstrap none = {.replicates = 0}, wide = {.replicates = 200};
    struct sj_extrapolation e;

    (void)state;
    sj_extrapolation_judge(1000, &none, &e);
    assert_int_equal(e.reach, SJ_REACH_P9999);
    assert_string_equal(e.why, "");
    sj_extrapolation_judge(999, &none, &e);
    assert_int_equal(e.reach, SJ_REACH_P999);
    assert_non_null(strstr(e.why, "p99.99 lies more than 10 times beyond 999 values"));
    sj_extrapolation_judge(9, &none, &e);
    assert_int_equal(e.reach, SJ_REACH_NOWHERE);
    for (int i = 0; i < SJ_BOOT_QUANTILES_; i++)
        wide.quantile[i] = (struct sj_interval){1, i == SJ_BOOT_P9999 ? 3.1 : 2.9};
    sj_extrapolation_judge(1e6, &wide, &e);
    assert_int_equal(e.reach, SJ_REACH_P999);
    assert_non_null(strstr(e.why, "factor of 3.1"));
}

/* What follows no such tail is said not to: two heaps, the second far out. */
static void a_tail_that_does_not_fit_is_not_trusted(void **state)
{
    static double x[VALUES];
    struct random_state r = {.state = 9};
    struct sj_sample *s = NULL;
    struct sj_tail t;

    (void)state;
    for (int i = 0; i < VALUES; i++)
        x[i] = i % 10 ? 0.1 * random_unit(&r) : (i % 20 ? 0.1 : 1) + draw_exponential(&r, 50);
    assert_int_equal(sj_sample_from_values(x, VALUES, NULL, 0, &s, NULL), 0);
    assert_int_equal(sj_tail_fit(s, &(struct sj_tail_options){.threshold = 0.1, .replicates = 50}, &t, NULL), 0);
    assert_true(t.boot.ad_p < 0.05);
    assert_int_equal(t.extrapolation.reach, SJ_REACH_NOWHERE);
    assert_non_null(strstr(t.extrapolation.why, "does not follow"));
    sj_sample_free(s);
}

/* Under the fitted distribution itself p-values are spread evenly. */
static void bootstrap_p_values_are_fair(void **state)
{
    const double theta[] = {-3, 0.8};
    int rejected = 0, runs = 60;

    (void)state;
    for (int i = 0; i < runs; i++) {
        struct sj_sample *s = sample(100 + (uint64_t)i, SJ_FAMILY_LOGNORMAL, theta, 500);
        double fitted[SJ_FAMILY_PARAMETERS];
        struct sj_bootstrap b;
        const struct sj_boot_options o = {.replicates = 60, .seed = 1};
        assert_int_equal(sj_family_estimate(&sj_family_lognormal, s, NULL, fitted), 0);
        assert_int_equal(sj_bootstrap_fit(&sj_family_lognormal, fitted, s, &o, &b, NULL), 0);
        assert_int_equal(b.replicates, 60);
        rejected += b.ad_p < 0.2;
        assert_true(b.theta[0].low < fitted[0] && fitted[0] < b.theta[0].high);
        /* The standard error of a mean is known: sd / sqrt(n), and 3.92 of it lie between the bounds. */
        near(b.theta[0].high - b.theta[0].low, 3.92 * fitted[1] / sqrt(500), 0.5);
        sj_sample_free(s);
    }
    assert_true(rejected >= 3 && rejected <= 23); /* of 60, 12 expected; beyond this once in 1,000 times */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pareto_tail_is_found),
        cmocka_unit_test(bins_give_nearly_the_same_tail),
        cmocka_unit_test(the_threshold_is_chosen),
        cmocka_unit_test(short_tails_are_refused),
        cmocka_unit_test(timeouts_lie_above_the_threshold),
        cmocka_unit_test(the_word_on_extrapolation_is_plain),
        cmocka_unit_test(a_tail_that_does_not_fit_is_not_trusted),
        cmocka_unit_test(bootstrap_p_values_are_fair),
    };

    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
