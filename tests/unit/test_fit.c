// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <gsl/gsl_errno.h>

#include "fit_data.h"
#include "fit_draw.h"
#include "model/fit.h"

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static struct sj_sample *from_values(const double *x, size_t n, const double *c, size_t m)
{
    struct sj_sample *s = NULL;

    assert_int_equal(sj_sample_from_values(x, n, c, m, &s, NULL), 0);
    return s;
}

static struct sj_fit_result fit(const struct sj_sample *s, unsigned families, int replicates)
{
    struct sj_fit_options o = sj_fit_defaults();
    struct sj_fit_result r;
    struct sj_err err;

    o.families = families;
    o.replicates = replicates;
    if (sj_fit_all(s, &o, &r, &err))
        fail_msg("%s", err.text);
    return r;
}

static const struct sj_fit *fit_of(const struct sj_fit_result *r, const struct sj_family *f)
{
    for (int i = 0; i < r->n_fits; i++)
        if (r->fits[i].family == f)
            return &r->fits[i];
    fail_msg("no %s", f->name);
    return NULL;
}

static void check(const struct sj_fit_result *r, const struct sj_family *f, double a, double b, double loglik)
{
    const struct sj_fit *got = fit_of(r, f);

    near(got->theta[0], a, 1e-6);
    near(got->theta[1], b, 1e-6);
    near(got->loglik, loglik, 1e-6);
    near(got->aic, 4 - 2 * loglik, 1e-6);
    near(got->bic, 2 * log(r->n) - 2 * loglik, 1e-6);
}

/* R's fitdistrplus, its optimiser made to go on until nothing is gained; KS and AD by its gofstat(). */
static void ground_beef_has_its_known_answers(void **state)
{
    double x[254];
    struct sj_sample *s = from_values(x, ground_beef_values(x), NULL, 0), *binned = NULL;
    struct sj_fit_result r = fit(s, 0, 0);

    (void)state;
    assert_true(r.has_best && r.n == 254 && r.censored == 0 && r.n_fits == 9);
    assert_ptr_equal(r.fits[0].family, &sj_family_gamma);
    check(&r, &sj_family_weibull, 2.185612, 83.34667, -1255.225);
    check(&r, &sj_family_gamma, 4.008339, 0.05442736, -1253.625);
    check(&r, &sj_family_lognormal, 4.16937, 0.5366095, -1261.319);
    near(fit_of(&r, &sj_family_weibull)->goodness.ks, 0.1396256, 1e-6);
    near(fit_of(&r, &sj_family_weibull)->goodness.ad, 3.573072, 1e-6);
    near(fit_of(&r, &sj_family_gamma)->goodness.ks, 0.1280479, 1e-6);
    near(fit_of(&r, &sj_family_gamma)->goodness.ad, 3.567091, 1e-6);
    near(fit_of(&r, &sj_family_lognormal)->goodness.ks, 0.149309, 1e-6);
    near(fit_of(&r, &sj_family_lognormal)->goodness.ad, 4.543654, 1e-6);
    double weights = 0;
    for (int i = 0; i < r.n_fits; i++) {
        weights += r.fits[i].weight;
        if (i && r.fits[i].identified)
            near(r.fits[i].weight / r.fits[0].weight, exp(-0.5 * (r.fits[i].bic - r.fits[0].bic)), 1e-9);
    }
    near(weights, 1, 1e-12);
    /* The heaps at round sizes look like components, and are not. */
    assert_false(fit_of(&r, &sj_family_lognormal_mixture)->identified);
    assert_false(fit_of(&r, &sj_family_hyperexponential)->identified);

    assert_int_equal(sj_sample_to_schema(s, 3, &binned, NULL), 0);
    r = fit(binned, 0, 0);
    check(&r, &sj_family_weibull, 2.176084, 84.11440, -818.3320);
    check(&r, &sj_family_gamma, 4.009005, 0.05393383, -816.1590);
    check(&r, &sj_family_lognormal, 4.178668, 0.5361795, -823.6441);
    assert_ptr_equal(r.fits[0].family, &sj_family_gamma);
    assert_int_equal(r.schema, 3);
    sj_sample_free(binned);
    sj_sample_free(s);
}

/* Normal scores: an easy case to compute by hand. Cells of equal probability, n/5 of them at most. */
static void chi_square_counts_what_it_should(void **state)
{
    struct sj_goodness g;
    double x[100];
    const double theta[] = {1};

    (void)state;
    for (int i = 0; i < 100; i++)
        x[i] = -log1p(-(i + 0.5) / 100);
    struct sj_sample *s = from_values(x, 100, NULL, 0);
    assert_int_equal(sj_goodness_of_fit(&sj_family_exponential, theta, s, &g, NULL), 0);
    assert_int_equal(g.chi2_df, 12 - 1 - 1); /* 2 * 100^0.4 = 12.6 */
    assert_true(g.chi2 >= 0 && g.chi2 < 1);
    near(g.ks, 0.005, 1e-9);
    sj_sample_free(s);

    /* Bins of the exponential distribution: 632, 233, 86, 31, 12, 4, 2 expected, the last two pooled. */
    struct sj_bin bins[7];
    double expected[7], x2 = 0;
    for (int i = 0; i < 7; i++) {
        bins[i] = (struct sj_bin){.lo = i, .hi = i + 1, .count = round(1000 * (exp(-i) - exp(-i - 1)))};
        expected[i] = i < 5 ? exp(-i) - exp(-i - 1) : exp(-5);
    }
    bins[3].count += 10;
    assert_int_equal(sj_sample_from_bins(bins, 7, NULL, 0, -1, &s, NULL), 0);
    for (int i = 0; i < 6; i++) {
        double seen = bins[i].count + (i == 5 ? bins[6].count : 0), e = expected[i] * s->n;
        x2 += (seen - e) * (seen - e) / e;
    }
    assert_int_equal(sj_goodness_of_fit(&sj_family_exponential, theta, s, &g, NULL), 0);
    near(g.chi2, x2, 1e-9);
    assert_int_equal(g.chi2_df, 6 - 1 - 1);
    near(g.chi2_p, exp(-x2 / 2) * (1 + x2 / 2), 1e-9); /* four degrees of freedom have a closed form */
    sj_sample_free(s);
}

static void censored_data_have_no_distances(void **state)
{
    const double theta[] = {-3, 0.5};
    double x[1000], timeouts[1000];
    size_t n = 0, m = 0;

    (void)state;
    draw_many(8, SJ_FAMILY_LOGNORMAL, theta, x, 1000);
    for (int i = 0; i < 1000; i++) {
        if (x[i] > 0.08)
            timeouts[m++] = 0.08;
        else
            x[n++] = x[i];
    }
    struct sj_sample *s = from_values(x, n, timeouts, m);
    struct sj_fit_result r = fit(s, 0, 50);
    assert_ptr_equal(r.fits[0].family, &sj_family_lognormal);
    near(r.fits[0].theta[0], -3, 0.02);
    near(r.fits[0].theta[1], 0.5, 0.1);
    for (int i = 0; i < r.n_fits; i++) {
        const struct sj_goodness *g = &r.fits[i].goodness;
        assert_true(isnan(g->ks) && isnan(g->ad) && isnan(g->chi2) && isnan(g->chi2_p) && g->chi2_df == 0);
    }
    assert_true(isnan(r.boot.ks_p) && isnan(r.boot.ad_p));
    /* What lies below the timeout is seen, so there the quantiles still are compared. */
    assert_true(r.fits[0].goodness.max_quantile_error < 0.2);
    assert_true(r.boot.quantile[SJ_BOOT_P99].low < 0.159 && r.boot.quantile[SJ_BOOT_P99].high > 0.159);
    sj_sample_free(s);
}

/* A shift that gains next to nothing is not taken: of nested families within 2 the simpler comes first. */
static void the_simpler_of_nested_families_is_taken(void **state)
{
    const unsigned both = 1U << SJ_FAMILY_EXPONENTIAL | 1U << SJ_FAMILY_SHIFTED_EXPONENTIAL;
    int simpler = 0, close = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        const double theta[] = {0.0005, 10};
        double x[400];
        draw_many(seed, SJ_FAMILY_SHIFTED_EXPONENTIAL, theta, x, 400);
        struct sj_sample *s = from_values(x, 400, NULL, 0);
        struct sj_fit_result r = fit(s, both, 0);
        double gain = fit_of(&r, &sj_family_exponential)->bic - fit_of(&r, &sj_family_shifted_exponential)->bic;
        assert_ptr_equal(r.fits[0].family, gain > 2 ? &sj_family_shifted_exponential : &sj_family_exponential);
        simpler += r.fits[0].family == &sj_family_exponential;
        close += gain > 0 && gain <= 2;
        sj_sample_free(s);
    }
    assert_true(close > 10 && simpler > close && simpler < 400); /* all three cases occurred */
}

/* One value that occurs often, as a timeout does, has an unbounded likelihood; the mixture beside it is found. */
static void a_heap_of_equal_values_is_no_component(void **state)
{
    const double theta[] = {0.65, -5, 0.4, -3, 0.4};
    double x[4000];

    (void)state;
    draw_many(14, SJ_FAMILY_LOGNORMAL_MIXTURE, theta, x, 4000);
    for (int i = 0; i < 4000; i += 20)
        x[i] = 1;
    struct sj_sample *s = from_values(x, 4000, NULL, 0);
    struct sj_fit_result r = fit(s, 0, 0);
    const struct sj_fit *m = fit_of(&r, &sj_family_lognormal_mixture);
    assert_true(m->identified && m->theta[2] > 0.3 && m->theta[4] > 0.3);
    near(m->theta[1], -5, 0.02);
    sj_sample_free(s);
}

static void what_cannot_be_fitted_says_so(void **state)
{
    const double same[] = {3, 3, 3}, one[] = {3};
    const struct sj_bin bin = {.lo = 1, .hi = 2, .count = 9};
    struct sj_sample *samples[] = {from_values(NULL, 0, NULL, 0), from_values(one, 1, NULL, 0),
                                   from_values(same, 3, NULL, 0), from_values(NULL, 0, same, 3), NULL};
    struct sj_fit_options o = sj_fit_defaults();
    struct sj_fit_result r = {.n = 77};

    (void)state;
    assert_int_equal(sj_sample_from_bins(&bin, 1, NULL, 0, 0, &samples[4], NULL), 0);
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct sj_err err = {.status = 0};
        assert_int_equal(sj_fit_all(samples[i], &o, &r, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_true(strlen(err.text) > 10 && r.n == 77);
        sj_sample_free(samples[i]);
    }
}

static void few_values_and_odd_ones_are_survived(void **state)
{
    static const double sets[][4] = {
        {1, 2, 2, 2}, {1, 1, 1, 1.0000000001},  {1e-100, 1e100, 1, 1}, {1e-9, 2e-9, 3e-9, 60}, {0, 0, 0, 1},
        {5, 6, 7, 8}, {1e99, 2e99, 3e99, 9e99}, {0, 1e-100, 1, 1e100},
    };
    struct random_state r = {.state = 3};

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        double x[12];
        size_t n = 4;
        memcpy(x, sets[i % 8], sizeof(sets[0]));
        for (; i >= 8 && n < 12; n++)
            x[n] = x[random_bits(&r) % n] * (i % 3 ? 1 : 1 + 0.1 * random_unit(&r));
        for (size_t k = 0; k < n; k++)
            x[k] = fmin(x[k], 1e100);
        struct sj_sample *s = from_values(x, n, x, i % 4);
        struct sj_fit_result result = fit(s, 0, i % 7 ? 0 : 20);
        for (int k = 0; k < result.n_fits; k++) {
            assert_true(isfinite(result.fits[k].loglik));
            for (int j = 0; j < result.fits[k].family->n_parameters; j++)
                assert_true(isfinite(result.fits[k].theta[j]));
        }
        sj_sample_free(s);
    }
}

static void the_same_data_give_the_same_answer(void **state)
{
    const double theta[] = {0.6, -5, 0.4, -3, 0.5};
    double x[2000];
    struct sj_fit_result a, b;

    (void)state;
    draw_many(12, SJ_FAMILY_LOGNORMAL_MIXTURE, theta, x, 2000);
    struct sj_sample *s = from_values(x, 2000, NULL, 0);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    a = fit(s, 0, 40);
    b = fit(s, 0, 40);
    assert_memory_equal(a.fits[0].theta, b.fits[0].theta, sizeof(a.fits[0].theta));
    assert_memory_equal(a.boot.quantile, b.boot.quantile, sizeof(a.boot.quantile));
    assert_memory_equal(a.tail.boot.quantile, b.tail.boot.quantile, sizeof(a.tail.boot.quantile));
    /* Bins that are fine change it only a little. */
    struct sj_sample *binned = NULL;
    assert_int_equal(sj_sample_to_schema(s, 8, &binned, NULL), 0);
    b = fit(binned, 0, 0);
    for (int j = 0; j < 5; j++)
        near(b.fits[0].theta[j], a.fits[0].theta[j], 2e-3);
    sj_sample_free(binned);
    sj_sample_free(s);
}

/* Beyond a few thousand values the first steps see bins only; the last ones see all. */
static void many_values_are_fitted_exactly(void **state)
{
    static double x[60000];
    const double theta[] = {1.7, 0.05};

    (void)state;
    draw_many(13, SJ_FAMILY_WEIBULL, theta, x, 60000);
    struct sj_sample *s = from_values(x, 60000, NULL, 0);
    struct sj_fit_result r = fit(s, 0, 0);
    assert_ptr_equal(r.fits[0].family, &sj_family_weibull);
    /* The score of a Weibull distribution is zero at its maximum. */
    double k = r.fits[0].theta[0], log_scale = log(r.fits[0].theta[1]), shape_score = 0, scale_score = 0;
    for (int i = 0; i < 60000; i++) {
        double y = log(x[i]) - log_scale;
        shape_score += 1 / k + y - y * exp(k * y);
        scale_score += exp(k * y) - 1;
    }
    assert_true(fabs(shape_score) < 1e-3 && fabs(scale_score) < 1e-3); /* a step of 1e-8 */
    sj_sample_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ground_beef_has_its_known_answers),
        cmocka_unit_test(chi_square_counts_what_it_should),
        cmocka_unit_test(censored_data_have_no_distances),
        cmocka_unit_test(the_simpler_of_nested_families_is_taken),
        cmocka_unit_test(a_heap_of_equal_values_is_no_component),
        cmocka_unit_test(what_cannot_be_fitted_says_so),
        cmocka_unit_test(few_values_and_odd_ones_are_survived),
        cmocka_unit_test(the_same_data_give_the_same_answer),
        cmocka_unit_test(many_values_are_fitted_exactly),
    };

    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
