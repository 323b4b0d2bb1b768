// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "model/binomial.h"

/* The expected numbers come from R 4.2: dbinom, pbinom, qbinom. */

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static void probabilities(void **state)
{
    static const struct {
        double k, n, p, pmf, cdf;
    } known[] = {
        {0, 10, 0.3, 0.02824752489999998, 0.028247524899999987},
        {3, 10, 0.3, 0.26682793199999993, 0.64961071840000018},
        {10, 10, 0.3, 5.9048999999999949e-06, 1},
        {500, 1000, 0.5, 0.025225018178360804, 0.51261250908918043},
        {990, 1000, 0.99, 0.12574021112620723, 0.54269940782511106},
        {1000, 1000000000, 1e-06, 0.012614617656031907, 0.50840936716850704},
        {500000000, 1000000000, 0.5, 2.5231325213893771e-05, 0.50001261566260691},
        {5, 1000000000000000, 1e-14, 0.037833274802070355, 0.067085962879030528},
        {17, 40, 0.2, 0.00068653352810973262, 0.99969551450812377},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        double q = 1 - known[i].p;
        /* Beyond the variance of exact sums the distribution function is an approximation. */
        double relative = known[i].n * known[i].p * q > 1e5 ? 1e-6 : 1e-12;

        near(sj_binomial_pmf(known[i].k, known[i].n, known[i].p, q), known[i].pmf, 1e-12);
        near(sj_binomial_cdf(known[i].k, known[i].n, known[i].p, q), known[i].cdf, relative);
    }
}

static void sums_to_one(void **state)
{
    (void)state;
    for (int n = 1; n <= 300; n += 13) {
        for (double p = 0.01; p < 1; p += 0.07) {
            double sum = 0;

            for (int k = 0; k <= n; k++) {
                sum += sj_binomial_pmf(k, n, p, 1 - p);
                if (sum > 1e-290 && sum < 0.999999)
                    near(sj_binomial_cdf(k, n, p, 1 - p), sum, 1e-11);
            }
            near(sum, 1, 1e-12);
        }
    }
    assert_true(sj_binomial_cdf(-1, 10, 0.5, 0.5) == 0);
    assert_true(sj_binomial_cdf(10, 10, 0.5, 0.5) == 1);
}

/* The exact sums and the approximation meet. */
static void approximation_continues_the_sums(void **state)
{
    (void)state;
    for (double z = -3.5; z <= 3.5; z += 0.25) {
        double exact_n = 1e6;
        double p = 0.1;
        double sd = sqrt(exact_n * p * (1 - p));
        double k = floor(exact_n * p + z * sd);
        /* One more than the variance of exact sums allows, by scaling n; compared at the same deviation. */
        double n = 1.2e6;
        double k2 = floor(n * p + z * sqrt(n * p * (1 - p)));
        double d = (k2 + 0.5 - n * p) / sqrt(n * p * (1 - p)) - (k + 0.5 - exact_n * p) / sd;
        double density = exp(-z * z / 2) / sqrt(2 * M_PI);

        assert_true(fabs(sj_binomial_cdf(k2, n, p, 1 - p) - sj_binomial_cdf(k, exact_n, p, 1 - p) - d * density) <
                    5e-5);
    }
}

static void ranks(void **state)
{
    static const struct {
        double n, p, alpha, rank;
    } known[] = {
        {1, 0.001, 0.025, 0},
        {1, 0.5, 0.025, 0},
        {1, 0.9, 0.025, 0},
        {1, 0.99, 0.025, 1},
        {1, 0.999, 0.025, 1},
        {10, 0.001, 0.025, 0},
        {10, 0.5, 0.025, 2},
        {10, 0.9, 0.025, 7},
        {10, 0.99, 0.025, 9},
        {10, 0.999, 0.025, 10},
        {100, 0.001, 0.025, 0},
        {100, 0.5, 0.025, 40},
        {100, 0.9, 0.025, 84},
        {100, 0.99, 0.025, 97},
        {100, 0.999, 0.025, 99},
        {1000, 0.001, 0.025, 0},
        {1000, 0.5, 0.025, 469},
        {1000, 0.9, 0.025, 881},
        {1000, 0.99, 0.025, 983},
        {1000, 0.999, 0.025, 997},
        {100000, 0.001, 0.025, 81},
        {100000, 0.5, 0.025, 49690},
        {100000, 0.9, 0.025, 89814},
        {100000, 0.99, 0.025, 98938},
        {100000, 0.999, 0.025, 99880},
        {1000000, 0.001, 0.025, 939},
        {1000000, 0.5, 0.025, 499020},
        {1000000, 0.9, 0.025, 899412},
        {1000000, 0.99, 0.025, 989805},
        {1000000, 0.999, 0.025, 998938},
        {3000000000, 0.001, 0.025, 2996607},
        {3000000000, 0.5, 0.025, 1499946324},
        {3000000000, 0.9, 0.025, 2699967794},
        {3000000000, 0.99, 0.025, 2969989318},
        {3000000000, 0.999, 0.025, 2996996606},
        {50, 0.3, 0.0005, 5},
        {50, 0.3, 0.1, 11},
        {50, 0.3, 1e-09, 0},
        {50, 0.99, 0.0005, 46},
        {50, 0.99, 0.1, 49},
        {50, 0.99, 1e-09, 41},
        {1000, 0.3, 0.0005, 253},
        {1000, 0.3, 0.1, 281},
        {1000, 0.3, 1e-09, 216},
        {1000, 0.99, 0.0005, 978},
        {1000, 0.99, 0.1, 986},
        {1000, 0.99, 1e-09, 966},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        double rank = sj_binomial_low_rank(known[i].n, known[i].p, known[i].alpha);

        if (rank != known[i].rank)
            fail_msg("n %g p %g: rank %.0f, not %.0f", known[i].n, known[i].p, rank, known[i].rank);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities),
        cmocka_unit_test(sums_to_one),
        cmocka_unit_test(approximation_continues_the_sums),
        cmocka_unit_test(ranks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
