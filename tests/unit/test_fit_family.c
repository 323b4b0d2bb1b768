// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>

#include "fit_draw.h"
#include "model/fit_family.h"
#include "model/fit_special.h"

#define TAIL SJ_FAMILY_MAX_ /* stands for the generalised Pareto distribution */

static const struct example {
    int family;
    double theta[SJ_FAMILY_PARAMETERS];
} examples[] = {
    {SJ_FAMILY_EXPONENTIAL, {2}},
    {SJ_FAMILY_EXPONENTIAL, {4e5}},
    {SJ_FAMILY_SHIFTED_EXPONENTIAL, {0.01, 300}},
    {SJ_FAMILY_NORMAL, {10, 2}},
    {SJ_FAMILY_NORMAL, {0.05, 0.001}},
    {SJ_FAMILY_LOGNORMAL, {-5, 1.2}},
    {SJ_FAMILY_LOGNORMAL, {3, 0.05}},
    {SJ_FAMILY_GAMMA, {0.3, 20}},
    {SJ_FAMILY_GAMMA, {4, 0.05}},
    {SJ_FAMILY_GAMMA, {2500, 5e4}},
    {SJ_FAMILY_GAMMA, {4e6, 4e6}},
    {SJ_FAMILY_WEIBULL, {0.4, 0.002}},
    {SJ_FAMILY_WEIBULL, {2.2, 83}},
    {SJ_FAMILY_PARETO, {0.001, 1.5}},
    {SJ_FAMILY_PARETO, {3, 7}},
    {SJ_FAMILY_LOGNORMAL_MIXTURE, {0.7, -6, 0.4, -3, 0.8}},
    {SJ_FAMILY_HYPEREXPONENTIAL, {0.9, 1000, 3}},
    {SJ_FAMILY_NORMAL_MIXTURE, {0.25, 1, 0.1, 3, 0.5}},
    {TAIL, {0.25, 0.1}},
    {TAIL, {-0.3, 0.1}},
    {TAIL, {0, 2}},
};
#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

static const struct sj_family *family_of(const struct example *e)
{
    return e->family == TAIL ? &sj_family_generalised_pareto : sj_family_get((enum sj_family_id)e->family);
}

static void near_in(const struct example *e, const char *what, double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%s(%g, %g, ...): %s is %.17g, not %.17g", family_of(e)->name, e->theta[0], e->theta[1], what, value,
                 expected);
}

static void names_are_found(void **state)
{
    (void)state;
    for (int i = 0; i < SJ_FAMILY_MAX_; i++)
        assert_ptr_equal(sj_family_by_name(sj_family_get((enum sj_family_id)i)->name),
                         sj_family_get((enum sj_family_id)i));
    assert_null(sj_family_by_name("cauchy"));
}

/* The quantile undoes the tails, and the tails are each other's complement. */
static void quantiles_invert_the_tails(void **state)
{
    static const double ps[] = {1e-6, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-8};

    (void)state;
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct sj_family *f = family_of(&examples[i]);
        for (size_t k = 0; k < sizeof(ps) / sizeof(ps[0]); k++) {
            double x = f->quantile(examples[i].theta, ps[k]), p, q;
            f->tails(examples[i].theta, x, log(x), &p, &q);
            near_in(&examples[i], "p + q", p + q, 1, 1e-14);
            /* Narrow distributions cannot be placed better than a double can. */
            double slack =
                1e-9 + 1e-15 * x * exp(f->log_density(examples[i].theta, x, log(x))) / fmin(ps[k], 1 - ps[k]);
            near_in(&examples[i], "lower tail", p, ps[k], slack);
            near_in(&examples[i], "upper tail", q, 1 - ps[k], slack + 1e-7);
        }
    }
}

static void densities_are_slopes_of_the_tails(void **state)
{
    static const double ps[] = {0.02, 0.2, 0.5, 0.8, 0.98, 0.9999};

    (void)state;
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct sj_family *f = family_of(&examples[i]);
        const double *theta = examples[i].theta;
        double spread = f->quantile(theta, 0.6) - f->quantile(theta, 0.4);
        for (size_t k = 0; k < sizeof(ps) / sizeof(ps[0]); k++) {
            double x = f->quantile(theta, ps[k]), h = 1e-4 * fmin(spread, x), p[2], q[2];
            f->tails(theta, x - h, log(x - h), &p[0], &q[0]);
            f->tails(theta, x + h, log(x + h), &p[1], &q[1]);
            double slope = (ps[k] < 0.5 ? p[1] - p[0] : q[0] - q[1]) / (2 * h);
            near_in(&examples[i], "density", exp(f->log_density(theta, x, log(x))), slope, 1e-5);
        }
    }
}

struct survival {
    const struct sj_family *f;
    const double *theta;
};

static double survival_at(double x, void *ctx)
{
    const struct survival *s = ctx;
    double p, q;

    s->f->tails(s->theta, x, log(x), &p, &q);
    return q;
}

/* T(t) is the integral of the survival function, by adaptive quadrature between quantiles. */
static void restricted_means_are_integrals(void **state)
{
    static const double ps[] = {0.001, 0.1, 0.3, 0.5, 0.8, 0.99, 0.9999};
    gsl_integration_workspace *w = gsl_integration_workspace_alloc(1000);

    (void)state;
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct sj_family *f = family_of(&examples[i]);
        struct survival s = {f, examples[i].theta};
        gsl_function g = {.function = survival_at, .params = &s};
        double area = 0, from = 0;
        for (size_t k = 0; k < sizeof(ps) / sizeof(ps[0]); k++) {
            double to = f->quantile(s.theta, ps[k]), part, error;
            gsl_integration_qag(&g, from, to, 0, 1e-10, 1000, GSL_INTEG_GAUSS31, w, &part, &error);
            area += part;
            from = to;
            near_in(&examples[i], "restricted mean", f->restricted_mean(s.theta, to), area, 1e-6);
        }
        double mean = f->restricted_mean(s.theta, INFINITY);
        assert_true(mean >= area);
    }
    gsl_integration_workspace_free(w);
    assert_true(isinf(sj_family_pareto.restricted_mean((const double[]){1, 1}, INFINITY)));
    assert_true(isinf(sj_family_pareto.restricted_mean((const double[]){1, 0.5}, INFINITY)));
    assert_true(fabs(sj_family_pareto.restricted_mean((const double[]){1, 1}, M_E) - 2) < 1e-12);
}

/* The likelihood of bins is that of their masses; of ever finer bins, that of the density. */
static void bins_have_the_mass_between_their_edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct sj_family *f = family_of(&examples[i]);
        const double *theta = examples[i].theta;
        struct sj_sample *s = NULL;
        for (double width = 0.2; width > 1e-9; width *= 0.01) {
            double lo = f->quantile(theta, 0.3), hi = lo * (1 + width), p[2], q[2];
            const struct sj_bin bin = {.lo = lo, .hi = hi, .count = 3};
            const struct sj_censor timeout = {.at = hi, .count = 2};
            assert_int_equal(sj_sample_from_bins(&bin, 1, &timeout, 1, -1, &s, NULL), 0);
            f->tails(theta, lo, log(lo), &p[0], &q[0]);
            f->tails(theta, hi, log(hi), &p[1], &q[1]);
            double mass = p[1] - p[0], middle = 0.5 * (lo + hi);
            if (width < 1e-3 && width * lo * exp(f->log_density(theta, lo, log(lo))) < 1e-4)
                mass = exp(f->log_density(theta, middle, log(middle))) * (hi - lo);
            double got = sj_family_loglik(f, theta, s), expected = 3 * log(mass) + 2 * log(q[1]);
            sj_sample_free(s);
            if (q[1] > 0) /* a narrow distribution ends before so wide a bin does */
                near_in(&examples[i], "likelihood of a bin", got, expected, 1e-6);
        }
    }
}

/* Where all probabilities underflow the likelihood is small, finite, and still falls as the data move away. */
static void far_out_the_likelihood_stays_finite(void **state)
{
    static const struct example narrow[] = {
        {SJ_FAMILY_NORMAL, {1, 0.001}}, {SJ_FAMILY_LOGNORMAL, {0, 0.001}}, {SJ_FAMILY_GAMMA, {4000, 4000}},
        {SJ_FAMILY_WEIBULL, {50, 1}},   {SJ_FAMILY_EXPONENTIAL, {100000}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++) {
        const struct sj_family *f = family_of(&narrow[i]);
        double before = 0;
        for (double x = 2; x < 60; x *= 1.5) {
            const struct sj_bin bin = {.lo = x, .hi = 1.1 * x, .count = 1};
            const struct sj_censor timeout = {.at = x, .count = 1};
            struct sj_sample *s = NULL;
            assert_int_equal(sj_sample_from_bins(&bin, 1, &timeout, 1, -1, &s, NULL), 0);
            double l = sj_family_loglik(f, narrow[i].theta, s);
            sj_sample_free(s);
            if (!isfinite(l) || l >= before)
                fail_msg("%s at %g: %g after %g", f->name, x, l, before);
            before = l;
        }
    }
}

/* R: pgamma(x, shape, lower.tail = FALSE). */
static void incomplete_gamma_functions_keep_their_digits(void **state)
{
    static const double known[][3] = {
        {0.05, 1, 0.01152365294854},           {5, 12, 0.00760039068107},        {100, 120, 0.02786373989052},
        {12000, 12200, 0.03447593180401},      {1e6, 1002000, 0.02280409589877}, {1e8, 100020000, 0.02275553077486},
        {1e10, 10000200000, 0.02275067185514},
    };
    double p, q;

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        sj_gamma_tails(known[i][0], known[i][1], &p, &q);
        if (!(fabs(q / known[i][2] - 1) < 1e-9))
            fail_msg("Q(%g, %g) is %.12g, not %.12g", known[i][0], known[i][1], q, known[i][2]);
    }
    sj_gamma_tails(3, INFINITY, &p, &q);
    assert_true(p == 1 && q == 0);
    sj_gamma_tails(3, 0, &p, &q);
    assert_true(p == 0 && q == 1);
    assert_true(fabs(sj_deviance(1 + 1e-9) / 0.5e-18 - 1) < 1e-6);
}

/* With few values the closed forms are the maxima: no nearby parameters are better. */
static void estimates_are_maxima(void **state)
{
    struct random_state r = {.state = 6};

    (void)state;
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct sj_family *f = family_of(&examples[i]);
        if (examples[i].family == TAIL || f->mixture || examples[i].theta[0] > 1e6)
            continue;
        for (int form = 0; form < 3; form++) { /* points, points with timeouts, bins */
            double x[400], c[100], theta[SJ_FAMILY_PARAMETERS], at[SJ_FAMILY_PARAMETERS];
            struct sj_sample *s = NULL, *binned = NULL;
            size_t n = 0, m = 0;
            double timeout = f->quantile(examples[i].theta, 0.8);
            for (int k = 0; k < 400; k++) {
                double v = draw(&r, (enum sj_family_id)examples[i].family, examples[i].theta);
                if (form == 1 && v > timeout && m < 100)
                    c[m++] = timeout;
                else
                    x[n++] = v;
            }
            assert_int_equal(sj_sample_from_values(x, n, c, m, &s, NULL), 0);
            if (form == 2 && !sj_sample_to_schema(s, 8, &binned, NULL)) {
                sj_sample_free(s);
                s = binned;
            }
            assert_int_equal(sj_family_estimate(f, s, NULL, theta), 0);
            double best = sj_family_loglik(f, theta, s);
            for (int k = 0; k < 200; k++) {
                for (int j = 0; j < f->n_parameters; j++)
                    at[j] = theta[j] * (1 + 1e-3 * random_normal(&r));
                if (sj_family_loglik(f, at, s) > best + 1e-9 * fabs(best))
                    fail_msg("%s, form %d: %.12g at the estimate, %.12g beside it", f->name, form, best,
                             sj_family_loglik(f, at, s));
            }
            /* From its own result the estimate does not move. */
            memcpy(at, theta, sizeof(at));
            assert_int_equal(sj_family_estimate(f, s, theta, at), 0);
            for (int j = 0; j < f->n_parameters; j++)
                near_in(&examples[i], "second estimate", at[j], theta[j], 1e-7);
            sj_sample_free(s);
        }
    }
}

static void zeros_exclude_positive_families(void **state)
{
    const double x[] = {0, 1, 2, 3};
    struct sj_sample *s = NULL;
    double theta[SJ_FAMILY_PARAMETERS];

    (void)state;
    assert_int_equal(sj_sample_from_values(x, 4, NULL, 0, &s, NULL), 0);
    assert_int_equal(sj_family_estimate(&sj_family_lognormal, s, NULL, theta), -1);
    assert_int_equal(sj_family_estimate(&sj_family_gamma, s, NULL, theta), -1);
    assert_int_equal(sj_family_estimate(&sj_family_exponential, s, NULL, theta), 0);
    assert_true(fabs(theta[0] - 4.0 / 6) < 1e-15);
    sj_sample_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(quantiles_invert_the_tails),
        cmocka_unit_test(densities_are_slopes_of_the_tails),
        cmocka_unit_test(restricted_means_are_integrals),
        cmocka_unit_test(bins_have_the_mass_between_their_edges),
        cmocka_unit_test(far_out_the_likelihood_stays_finite),
        cmocka_unit_test(incomplete_gamma_functions_keep_their_digits),
        cmocka_unit_test(estimates_are_maxima),
        cmocka_unit_test(zeros_exclude_positive_families),
    };

    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
