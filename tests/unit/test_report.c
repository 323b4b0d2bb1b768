// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_report.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 + 1e-9 * fabs(b);
}

/* 1 ms to n ms. */
static void add_many(struct made_report *m, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++) {
        struct sj_request r = made_server_request();
        r.total_ns = r.stage_ns[SJ_STAGE_ONCPU] = i * 1000000;
        r.stage_ns[SJ_STAGE_QUEUE] = r.stage_ns[SJ_STAGE_BLOCKED] = r.stage_ns[SJ_STAGE_SEND] = 0;
        r.blocked_ns[SJ_CAUSE_SLEEP] = 0;
        made_report_add(m, &r);
    }
}

static void rates_need_a_duration(void **state)
{
    (void)state;
    struct made_report m;
    made_report_init(&m);
    add_many(&m, 25);
    const struct sj_report *r = made_report_done(&m);
    assert_true(near(sj_report_rate(r, &r->snapshot->services[0]), 2.5));
    m.outcome.duration_s = 0;
    assert_true(isnan(sj_report_rate(r, &r->snapshot->services[0])));
    made_report_fini(&m);
}

static void intervals_hold_the_quantile_or_are_none(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_interval i = {-1, -1};
    made_report_init(&m);
    add_many(&m, 100); /* the 99th of 100: nothing bounds it from above */
    assert_false(sj_report_interval(&made_report_done(&m)->snapshot->services[0], .99, &i));
    assert_true(i.low == -1 && i.high == -1);
    assert_true(sj_report_interval(&m.snapshot.services[0], .5, &i));
    assert_true(i.low < 0.05 && i.high > 0.05 && i.low > 0.03 && i.high < 0.07);
    sj_snapshot_free(&m.snapshot);
    add_many(&m, 2000);
    assert_true(sj_report_interval(&made_report_done(&m)->snapshot->services[0], .99, &i));
    double p99 = sj_hist_quantile(m.snapshot.services[0].total, .99);
    assert_true(i.low < p99 && i.high > p99);
    made_report_fini(&m);
}

static void pipelined_turns_widen_the_interval(void **state)
{
    (void)state;
    struct sj_interval plain, widened;
    for (int pipelined = 0; pipelined < 2; pipelined++) {
        struct made_report m;
        made_report_init(&m);
        add_many(&m, 4000);
        made_report_count(&m, 200, 9000000000, pipelined);
        const struct sj_service_view *v = &made_report_done(&m)->snapshot->services[0];
        assert_int_equal(v->requests, 4200);
        assert_true(sj_report_interval(v, .5, pipelined ? &widened : &plain));
        made_report_fini(&m);
    }
    /* 200 further requests that may have been faster or slower than anything: 100 ranks to either side. */
    assert_true(widened.low < plain.low - 0.08);
    assert_true(widened.high > plain.high + 0.08);
}

static void error_ratios_are_intervals_under_loss(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_interval i;
    struct sj_request bad = made_server_request();
    bad.flags = SJ_REQ_ERROR;
    made_report_init(&m);
    add_many(&m, 9);
    made_report_add(&m, &bad);
    sj_report_error_ratio(&made_report_done(&m)->snapshot->services[0], &i);
    assert_true(near(i.low, 0.1) && near(i.high, 0.1));
    sj_snapshot_free(&m.snapshot);
    made_report_count(&m, 10, 1000, false);
    sj_report_error_ratio(&made_report_done(&m)->snapshot->services[0], &i);
    assert_true(near(i.low, 1.0 / 20) && near(i.high, 11.0 / 20));
    made_report_fini(&m);
}

static void shares_add_up(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request(), other = r;
    made_longer(&other, SJ_STAGE_BLOCKED, 1000000); /* by the net */
    made_report_init(&m);
    made_report_add(&m, &r);
    made_report_add(&m, &other);
    for (int counted = 0; counted < 2; counted++) {
        if (counted)
            made_report_count(&m, 8, 5000000, false);
        const struct sj_report *report = made_report_done(&m);
        struct sj_summed s = sj_summed_service(&report->snapshot->services[0]);
        double sum = 0, mean = 0, causes = 0;
        for (int i = 0; i < SJ_STAGE_MAX_; i++) {
            if (!sj_summed_has_stage(&s, report, SJ_ROLE_SERVER, (enum sj_stage)i))
                continue;
            sum += sj_summed_stage_share(&s, (enum sj_stage)i);
            mean += sj_summed_stage_mean(&s, (enum sj_stage)i);
        }
        for (int i = 0; i < SJ_CAUSE_MAX_; i++)
            causes += sj_summed_cause_share(&s, (enum sj_cause)i);
        assert_true(near(sum, 1));
        assert_true(near(mean, sj_hist_mean(report->snapshot->services[0].total)));
        assert_true(near(causes, sj_summed_stage_share(&s, SJ_STAGE_BLOCKED)));
        assert_true(near(sj_summed_cause_mean(&s, SJ_CAUSE_SLEEP), 4 * sj_summed_cause_mean(&s, SJ_CAUSE_NET)));
        sj_snapshot_free(&m.snapshot);
    }
    made_report_fini(&m);
}

static void only_stages_of_the_role_that_were_measured(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request server = made_server_request(), client = made_client_request();
    made_report_init(&m);
    m.measurement.stages &= ~(1U << SJ_STAGE_RUNQ);
    server.flags = SJ_REQ_NO_STAGES;
    made_report_add(&m, &server);
    made_report_add(&m, &server);
    made_report_add(&m, &client);
    const struct sj_report *r = made_report_done(&m);
    struct sj_summed s = sj_summed_service(&r->snapshot->services[0]);
    struct sj_summed c = sj_summed_service(&r->snapshot->services[1]);
    static const bool of_server[SJ_STAGE_MAX_] = {[SJ_STAGE_QUEUE] = true, [SJ_STAGE_SEND] = true};
    static const bool of_client[SJ_STAGE_MAX_] = {
        [SJ_STAGE_SEND] = true, [SJ_STAGE_WAIT] = true, [SJ_STAGE_PICKUP] = true, [SJ_STAGE_RECEIVE] = true};
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        assert_int_equal(sj_summed_has_stage(&s, r, SJ_ROLE_SERVER, (enum sj_stage)i), of_server[i]);
        assert_int_equal(sj_summed_has_stage(&c, r, SJ_ROLE_CLIENT, (enum sj_stage)i), of_client[i]);
    }
    made_report_fini(&m);
}

/* The counted turns could have had any of it: whatever they had, the quantile of all is within the bounds. */
static void stage_bounds_hold_whatever_was_counted(void **state)
{
    (void)state;
    static const double quantiles[] = {.01, .5, .9, .99};
    for (uint64_t hidden = 0; hidden <= 500000000; hidden += 50000000) {
        struct made_report m;
        struct sj_hist all;
        made_report_init(&m);
        sj_hist_init(&all);
        add_many(&m, 300); /* on-cpu from 1 ms to 300 ms */
        made_report_count(&m, 100, 600000000, false);
        const struct sj_report *r = made_report_done(&m);
        struct sj_summed s = sj_summed_service(&r->snapshot->services[0]);
        assert_int_equal(sj_hist_merge(&all, s.cell->stage[SJ_STAGE_ONCPU]), 0);
        assert_int_equal(sj_hist_add_n(&all, hidden, 100), 0);
        for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
            struct sj_interval b = sj_summed_stage_bounds(&s, SJ_STAGE_ONCPU, quantiles[i]);
            double truth = sj_hist_quantile(&all, quantiles[i]);
            assert_true(b.low <= truth * 1.03 && b.high >= truth * 0.97); /* one bucket of slack */
        }
        struct sj_interval p50 = sj_summed_stage_bounds(&s, SJ_STAGE_ONCPU, .5);
        assert_true(p50.low > 0.08 && p50.low < 0.12 && p50.high > 0.18 && p50.high < 0.22);
        sj_hist_free(&all);
        made_report_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_need_a_duration),
        cmocka_unit_test(intervals_hold_the_quantile_or_are_none),
        cmocka_unit_test(pipelined_turns_widen_the_interval),
        cmocka_unit_test(error_ratios_are_intervals_under_loss),
        cmocka_unit_test(shares_add_up),
        cmocka_unit_test(only_stages_of_the_role_that_were_measured),
        cmocka_unit_test(stage_bounds_hold_whatever_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
