// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>

#include "fit_draw.h"
#include "model/fit_sample.h"

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static struct sj_sample *from_values(const double *x, size_t n, const double *c, size_t m)
{
    struct sj_sample *s = NULL;
    struct sj_err err;

    assert_int_equal(sj_sample_from_values(x, n, c, m, &s, &err), 0);
    return s;
}

static void equal_values_are_joined(void **state)
{
    const double x[] = {3, 1, 2, 3, 3, 1}, c[] = {5, 2, 5};
    struct sj_sample *s = from_values(x, 6, c, 3);

    (void)state;
    assert_int_equal(s->n_points, 3);
    assert_true(s->points[0].x == 1 && s->points[0].count == 2);
    assert_true(s->points[2].x == 3 && s->points[2].count == 3);
    assert_int_equal(s->n_censored, 2);
    assert_true(s->censored[1].at == 5 && s->censored[1].count == 2);
    assert_true(s->n == 9 && s->seen == 6 && s->timeouts == 3);
    near(s->moments.mean, 13.0 / 6, 1e-15);
    near(s->moments.variance, (2 * 49.0 + 1 + 3 * 25) / 36 / 6, 1e-14);
    near(s->moments.mean_log, (log(2) + 3 * log(3)) / 6, 1e-14);
    near(s->rough.mean, 25.0 / 9, 1e-15);
    assert_false(s->has_zero);
    sj_sample_free(s);
}

static void what_cannot_be_fitted_is_refused(void **state)
{
    const double bad[] = {-1, NAN, INFINITY, -INFINITY, 1e308, 1e-308, -1e-300};
    struct sj_sample *s = NULL;
    struct sj_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(sj_sample_from_values(&bad[i], 1, NULL, 0, &s, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_int_equal(sj_sample_from_values(NULL, 0, &bad[i], 1, &s, NULL), -1);
    }
    const struct sj_bin wrong[][2] = {
        {{.lo = 1, .hi = 2, .count = 1}, {.lo = 1.5, .hi = 3, .count = 1}},
        {{.lo = 2, .hi = 3, .count = 1}, {.lo = 1, .hi = 2, .count = 1}},
        {{.lo = 2, .hi = 2, .count = 1}, {.lo = 2, .hi = 3, .count = 1}},
        {{.lo = -1, .hi = 2, .count = 1}, {.lo = 2, .hi = 3, .count = 1}},
        {{.lo = 1, .hi = INFINITY, .count = 1}, {.lo = 2, .hi = 3, .count = 1}},
        {{.lo = 1, .hi = 2, .count = -1}, {.lo = 2, .hi = 3, .count = 1}},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(sj_sample_from_bins(wrong[i], 2, NULL, 0, -1, &s, NULL), -1);
    assert_null(s);
}

/* A value equal to an edge belongs below it; the bins are those of the histogram. */
static void log_bins_are_the_histograms(void **state)
{
    struct random_state r = {.state = 4};

    (void)state;
    for (int schema = 0; schema <= 8; schema++) {
        for (int i = -40; i <= 40; i++) {
            assert_int_equal(sj_log_bin_index(schema, ldexp(1, i)), i * (1 << schema));
            assert_int_equal(sj_log_bin_index(schema, nextafter(ldexp(1, i), INFINITY)), i * (1 << schema) + 1);
        }
        for (int i = 0; i < 20000; i++) {
            uint64_t ns = random_latency(&r);
            int index;
            if (ns > UINT64_C(1) << 53) /* has no double of its own */
                continue;
            assert_int_equal(sj_hist_index_at(schema, ns, &index), 0);
            int ours = sj_log_bin_index(schema, (double)ns / 1e9);
            /* ns / 1e9 is rounded, which may carry it over an edge, but no farther. */
            bool on_edge = fabs((double)ns / 1e9 / sj_log_bin_edge(schema, index) - 1) < 1e-15 ||
                           fabs((double)ns / 1e9 / sj_log_bin_edge(schema, index - 1) - 1) < 1e-15;
            if (ours != index && !on_edge)
                fail_msg("schema %d, %" PRIu64 " ns: bin %d, not %d", schema, ns, ours, index);
        }
        for (int i = 0; i < 20000; i++) {
            double x = exp(460 * (random_unit(&r) - 0.5));
            int index = sj_log_bin_index(schema, x);
            assert_true(x <= sj_log_bin_edge(schema, index) && x > sj_log_bin_edge(schema, index - 1));
        }
    }
}

static void binning_keeps_every_value(void **state)
{
    struct sj_sample *binned = NULL, *coarse = NULL;
    const double theta[] = {-4, 1.5}, c[] = {0.5, 0.5, 0.25};
    double x[3000];

    (void)state;
    draw_many(5, SJ_FAMILY_LOGNORMAL, theta, x, 3000);
    x[17] = 0;
    struct sj_sample *s = from_values(x, 3000, c, 3);
    assert_true(s->has_zero);
    assert_int_equal(sj_sample_to_schema(s, 3, &binned, NULL), 0);
    assert_true(binned->seen == 3000 && binned->timeouts == 3 && binned->schema == 3 && !binned->has_zero);
    assert_true(binned->bins[0].lo == 0 && binned->bins[0].hi == 1e-9 && binned->bins[0].count == 1);
    for (size_t i = 1; i < binned->n_bins; i++) {
        double inside = 0;
        for (int k = 0; k < 3000; k++)
            inside += x[k] > binned->bins[i].lo && x[k] <= binned->bins[i].hi;
        assert_true(inside == binned->bins[i].count);
    }
    assert_int_equal(sj_sample_coarsen(binned, 20, true, &coarse, NULL), 0);
    assert_true(coarse->n_bins <= 20 && coarse->seen == 3000 && coarse->timeouts == 3);
    sj_sample_free(coarse);
    assert_int_equal(sj_sample_coarsen(s, 50, true, &coarse, NULL), -1); /* a logarithm of 0 */
    assert_int_equal(sj_sample_coarsen(s, 50, false, &coarse, NULL), 0);
    assert_true(coarse->n_bins <= 50 && coarse->seen == 3000);
    sj_sample_free(coarse);
    sj_sample_free(binned);
    sj_sample_free(s);
}

static void a_histogram_becomes_bins(void **state)
{
    struct sj_sample *s = NULL;
    struct sj_hist h;

    (void)state;
    sj_hist_init(&h);
    assert_int_equal(sj_sample_from_hist(&h, &s, NULL), 0);
    assert_true(s->n == 0);
    sj_sample_free(s);
    assert_int_equal(sj_hist_add_n(&h, 0, 2), 0);
    assert_int_equal(sj_hist_add_n(&h, 1000000000, 5), 0);
    assert_int_equal(sj_hist_add_n(&h, 1000000001, 7), 0);
    assert_int_equal(sj_sample_from_hist(&h, &s, NULL), 0);
    assert_int_equal(s->n_bins, 3);
    assert_true(s->bins[0].hi == 1e-9 && s->bins[0].count == 2);
    assert_true(s->bins[1].hi == 1 && s->bins[1].count == 5);
    assert_true(s->bins[2].lo == 1 && s->bins[2].count == 7);
    sj_sample_free(s);
    sj_hist_free(&h);
}

static void excesses_lie_above_the_threshold(void **state)
{
    const double x[] = {1, 2, 3, 4, 5}, c[] = {3, 6};
    struct sj_sample *s = from_values(x, 5, c, 2), *e = NULL;

    (void)state;
    assert_true(sj_sample_count_above(s, 3) == 4); /* 4, 5, and both of the censored */
    assert_int_equal(sj_sample_excess(s, 3, &e, NULL), 0);
    assert_int_equal(e->n_points, 2);
    assert_true(e->points[0].x == 1 && e->points[1].x == 2 && e->timeouts == 2 && e->censored[0].at == 0);
    sj_sample_free(e);
    assert_int_equal(sj_sample_excess(s, 5, &e, NULL), -1);
    sj_sample_free(s);

    const struct sj_bin bins[] = {{.lo = 1, .hi = 2, .count = 3}, {.lo = 2, .hi = 4, .count = 5}};
    assert_int_equal(sj_sample_from_bins(bins, 2, NULL, 0, 0, &s, NULL), 0);
    assert_true(sj_sample_edge_above(s, 1.5) == 2 && sj_sample_edge_above(s, 2) == 2 &&
                sj_sample_edge_above(s, 9) == 9);
    assert_true(sj_sample_count_above(s, 2) == 5);
    sj_sample_free(s);
}

/* R: quantile(c(1, 2, 4, 8, 16, 32), p, type = 7), and ties. */
static void quantiles_are_of_type_seven(void **state)
{
    const double x[] = {1, 2, 4, 8, 16, 32}, ties[] = {1, 1, 1, 1, 5, 5, 5, 9};
    struct sj_sample *s = from_values(x, 6, NULL, 0);
    struct sj_ecdf e;

    (void)state;
    assert_int_equal(sj_ecdf_make(s, &e, NULL), 0);
    near(sj_ecdf_quantile(&e, s, 0), 1, 0);
    near(sj_ecdf_quantile(&e, s, 0.1), 1.5, 1e-14);
    near(sj_ecdf_quantile(&e, s, 0.5), 6, 1e-14);
    near(sj_ecdf_quantile(&e, s, 0.9), 24, 1e-14);
    near(sj_ecdf_quantile(&e, s, 1), 32, 0);
    near(sj_ecdf_restricted_mean(&e, INFINITY), 63.0 / 6, 1e-14);
    near(sj_ecdf_restricted_mean(&e, 4), (1 + 2 + 4 * 4) / 6.0, 1e-14);
    sj_ecdf_free(&e);
    sj_sample_free(s);
    s = from_values(ties, 8, NULL, 0);
    assert_int_equal(sj_ecdf_make(s, &e, NULL), 0);
    near(sj_ecdf_quantile(&e, s, 0.25), 1, 0);
    near(sj_ecdf_quantile(&e, s, 0.5), 3, 1e-14); /* between the fourth and the fifth */
    near(sj_ecdf_quantile(&e, s, 6.5 / 7), 7, 1e-13);
    sj_ecdf_free(&e);
    sj_sample_free(s);
}

/* Leukaemia remission times under 6-MP (Freireich et al. 1963); R: survfit(Surv(time, event) ~ 1). */
static void censored_values_are_at_risk_until_they_leave(void **state)
{
    const double seen[] = {6, 6, 6, 7, 10, 13, 16, 22, 23};
    const double left[] = {6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35};
    const double survival[] = {0.8571429, 0.8067227, 0.7529412, 0.6901961, 0.6274510, 0.5378151, 0.4481793};
    struct sj_sample *s = from_values(seen, 9, left, 12);
    struct sj_ecdf e;

    (void)state;
    assert_int_equal(sj_ecdf_make(s, &e, NULL), 0);
    assert_int_equal(e.len, 7);
    for (int i = 0; i < 7; i++)
        near(1 - e.f[i], survival[i], 1e-6);
    near(e.resolved, 1 - 0.4481793, 1e-6);
    assert_true(isnan(sj_ecdf_quantile(&e, s, 0.6)));
    near(sj_ecdf_quantile(&e, s, 0.5), 23, 0); /* the median of that study */
    near(sj_ecdf_restricted_mean(&e, 35), 23.2871, 1e-4);
    assert_true(isnan(sj_ecdf_restricted_mean(&e, 36)));
    sj_ecdf_free(&e);
    sj_sample_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_are_joined),     cmocka_unit_test(what_cannot_be_fitted_is_refused),
        cmocka_unit_test(log_bins_are_the_histograms), cmocka_unit_test(binning_keeps_every_value),
        cmocka_unit_test(a_histogram_becomes_bins),    cmocka_unit_test(excesses_lie_above_the_threshold),
        cmocka_unit_test(quantiles_are_of_type_seven), cmocka_unit_test(censored_values_are_at_risk_until_they_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
