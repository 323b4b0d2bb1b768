// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "model/fit_family.h"
#include "model/throughput.h"

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g, not %.17g", value, expected);
}

static void the_exponential_has_its_formula(void **state)
{
    const double two = 2;

    (void)state;
    near(sj_throughput_exponential(2, 0.5), 0.3160603, 1e-6);
    near(sj_throughput_exponential(2, 0.5), sj_family_exponential.restricted_mean(&two, 0.5), 1e-15);
    near(sj_throughput_exponential(2, INFINITY), 0.5, 0);
    near(sj_throughput_exponential(2, 1e-12), 1e-12, 1e-9); /* a short timeout is held whole */
    assert_true(sj_throughput_exponential(2, 0) == 0);
    assert_true(isnan(sj_throughput_exponential(0, 1)) && isnan(sj_throughput_exponential(2, -1)));
    assert_true(isnan(sj_throughput_exponential(NAN, 1)) && isnan(sj_throughput_exponential(2, NAN)));
}

/* NIST's Misra1a: y = b1 (1 - exp(-b2 x)) is b1 b2 T(x) at rate b2; its certified values leave their residual. */
static void it_is_misras_curve(void **state)
{
    static const double data[][2] = {
        {77.6, 10.07},  {114.9, 14.73}, {141.1, 17.94}, {190.8, 23.93}, {239.9, 29.61}, {289.0, 35.18}, {332.8, 40.02},
        {378.4, 44.82}, {434.8, 50.76}, {477.3, 55.05}, {536.8, 61.01}, {593.1, 66.40}, {689.1, 75.47}, {760.0, 81.78},
    };
    const double b1 = 238.94212918, b2 = 5.5015643181e-4;
    double residual = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        double off = data[i][1] - b1 * b2 * sj_throughput_exponential(b2, data[i][0]);
        residual += off * off;
    }
    near(residual, 1.2455138894e-1, 1e-8);
}

static void capacity_is_workers_over_time(void **state)
{
    (void)state;
    near(sj_throughput_capacity(10, 0.02), 500, 1e-15); /* Little: 500/s * 20 ms = 10 */
    assert_true(isnan(sj_throughput_capacity(0, 1)) && isnan(sj_throughput_capacity(3, 0)));
    assert_true(isnan(sj_throughput_capacity(NAN, 1)) && isnan(sj_throughput_capacity(3, NAN)));
    assert_true(sj_throughput_capacity(3, INFINITY) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exponential_has_its_formula),
        cmocka_unit_test(it_is_misras_curve),
        cmocka_unit_test(capacity_is_workers_over_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
