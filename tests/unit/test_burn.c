// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hist_random.h"
#include "model/binomial.h"
#include "watch/burn.h"

#define S 1000000000LL
#define HOUR (3600 * S)
#define DAY (24 * HOUR)

static void the_numbers_are_those_of_the_workbook(void **state)
{
    (void)state;
    /* Share of a budget of 30 days that is used up in the long window when the alert begins. */
    static const double shares[] = {[SJ_BURN_FAST] = 0.02, [SJ_BURN_SLOW] = 0.05, [SJ_BURN_TICKET] = 0.1};
    static const int64_t longs[] = {HOUR, 6 * HOUR, 3 * DAY};
    for (int i = 0; i < SJ_BURN_PAIR_MAX_; i++) {
        const struct sj_burn_alert *a = &sj_burn_alerts[i];
        assert_int_equal(a->long_ns, longs[i]);
        assert_int_equal(a->short_ns, longs[i] / 12);
        assert_true(fabs(a->factor - shares[i] * 30 * DAY / (double)longs[i]) < 1e-12);
        assert_string_equal(a->severity, i == SJ_BURN_TICKET ? "ticket" : "page");
    }
    assert_string_equal(sj_burn_alerts[SJ_BURN_FAST].long_name, "1h");
    assert_string_equal(sj_burn_alerts[SJ_BURN_FAST].short_name, "5m");
    assert_string_equal(sj_burn_alerts[SJ_BURN_SLOW].long_name, "6h");
    assert_string_equal(sj_burn_alerts[SJ_BURN_SLOW].short_name, "30m");
    assert_string_equal(sj_burn_alerts[SJ_BURN_TICKET].long_name, "3d");
    assert_string_equal(sj_burn_alerts[SJ_BURN_TICKET].short_name, "6h");
}

static void a_burn_rate_is_a_multiple_of_the_budget(void **state)
{
    (void)state;
    assert_true(fabs(sj_burn_rate((struct sj_burn_count){144, 10000}, 0.999) - 14.4) < 1e-9);
    assert_true(fabs(sj_burn_rate((struct sj_burn_count){7, 7}, 0.9) - 10) < 1e-12);
    assert_true(sj_burn_rate((struct sj_burn_count){0, 5}, 0.999) == 0);
    assert_true(isnan(sj_burn_rate((struct sj_burn_count){0, 0}, 0.999)));
}

static void pairs_that_cannot_fire_do_not(void **state)
{
    (void)state;
    static const struct {
        double objective;
        int64_t window_ns;
        bool can[SJ_BURN_PAIR_MAX_];
    } cases[] = {
        {0.999, 30 * DAY, {true, true, true}}, {0.94, 30 * DAY, {true, true, true}},
        {0.93, 30 * DAY, {false, true, true}}, /* at most 1/0.07 = 14.3 times */
        {0.8, 30 * DAY, {false, false, true}}, {0.999, 3 * DAY, {true, true, true}},
        {0.999, 2 * DAY, {true, true, false}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sj_slo slo = {.objective = cases[i].objective, .window_ns = (uint64_t)cases[i].window_ns};
        for (int pair = 0; pair < SJ_BURN_PAIR_MAX_; pair++)
            assert_int_equal(sj_burn_can_fire(&slo, (enum sj_burn_pair)pair), cases[i].can[pair]);
    }
}

/* Requests of one latency, the first of them errors. */
static struct sj_burn_count bad_of(uint64_t n, uint64_t errors, uint64_t latency_ns, uint64_t limit_ns,
                                   uint64_t counted)
{
    struct sj_hist slow = {0}, turns = {0};
    struct sj_cell cell = {.requests = n, .errors = errors, .error_total = errors ? &slow : NULL};
    assert_int_equal(sj_hist_add_n(&cell.total, latency_ns, n), 0);
    assert_int_equal(sj_hist_add_n(&slow, latency_ns, errors), 0);
    assert_int_equal(sj_hist_add_n(&turns, latency_ns, counted), 0);
    struct sj_burn_count bad = sj_burn_of(n ? &cell : NULL, counted ? &turns : NULL, limit_ns);
    sj_hist_free(&slow);
    sj_hist_free(&turns);
    sj_hist_free(&cell.total);
    return bad;
}

static void assert_count(struct sj_burn_count got, uint64_t bad, uint64_t total)
{
    assert_int_equal(got.bad, bad);
    assert_int_equal(got.total, total);
}

static void bad_is_what_failed_or_was_slow_once(void **state)
{
    (void)state;
    const uint64_t limit = S / 4;                    /* the edge of a bucket */
    assert_count(bad_of(10, 0, 5 * S, 0, 0), 0, 10); /* no limit */
    assert_count(bad_of(10, 3, 5 * S, 0, 0), 3, 10);
    assert_count(bad_of(10, 0, limit, limit, 0), 0, 10);
    assert_count(bad_of(10, 3, limit, limit, 0), 3, 10);
    assert_count(bad_of(10, 0, limit + 1, limit, 0), 10, 10);
    assert_count(bad_of(10, 3, limit + 1, limit, 0), 10, 10); /* slow errors count once */
    assert_count(bad_of(10, 10, 0, limit, 0), 10, 10);
    assert_count(bad_of(10, 1, limit + 1, limit, 5), 15, 15); /* turns without detail are bad when they were slow */
    assert_count(bad_of(0, 0, limit, limit, 5), 0, 5);
    assert_count(sj_burn_of(NULL, NULL, limit), 0, 0);
}

static void the_limit_is_at_most_half_a_bucket_off(void **state)
{
    (void)state;
    struct random_state random = {5};
    for (int i = 0; i < 20000; i++) {
        uint64_t limit = 1000 + random_bits(&random) % (100ULL * S);
        assert_int_equal(bad_of(1, 0, limit - limit / 90, limit, 0).bad, 0);
        assert_int_equal(bad_of(1, 0, limit + limit / 90, limit, 0).bad, 1);
    }
}

static const int64_t spans[SJ_BURN_WINDOW_MAX_] = {
    [SJ_BURN_5M] = 300 * S,  [SJ_BURN_30M] = 1800 * S, [SJ_BURN_1H] = HOUR,
    [SJ_BURN_6H] = 6 * HOUR, [SJ_BURN_3D] = 3 * DAY,   [SJ_BURN_BUDGET] = 30 * DAY,
};
static const int64_t steps[SJ_BURN_WINDOW_MAX_] = {
    [SJ_BURN_5M] = 10 * S, [SJ_BURN_30M] = 10 * S, [SJ_BURN_1H] = 10 * S,
    [SJ_BURN_6H] = 60 * S, [SJ_BURN_3D] = 600 * S, [SJ_BURN_BUDGET] = HOUR,
};

/*
 * Against the plain sum of all that was ever added: between a window that is one slot shorter and the whole window, and
 * the whole one where a slot ends. start: the clock may begin anywhere, below zero too.
 */
static void windows_are_summed_from(int64_t start)
{
    enum { N = 4000 };
    struct sj_burn *b = sj_burn_new(30 * DAY, start);
    struct random_state random = {(uint64_t)start};
    static int64_t at[N];
    static struct sj_burn_count n[N];
    int64_t now = start;
    assert_non_null(b);
    for (int i = 0; i < N; i++) {
        now += 1 + (int64_t)(random_bits(&random) % (uint64_t)(random_bits(&random) % 20 ? 400 * S : 20 * HOUR));
        at[i] = now;
        n[i].total = random_bits(&random) % 1000;
        n[i].bad = random_bits(&random) % (n[i].total + 1);
        sj_burn_add(b, now, n[i]);
        for (int w = 0; w < SJ_BURN_WINDOW_MAX_; w++) {
            int64_t q = now / steps[w] - (now % steps[w] < 0);
            int64_t from = (q + 1) * steps[w] - spans[w];
            struct sj_burn_count sum = {0};
            for (int k = i; k >= 0 && at[k] >= from; k--) {
                sum.bad += n[k].bad;
                sum.total += n[k].total;
            }
            struct sj_burn_count got = sj_burn_sum(b, (enum sj_burn_window)w, now);
            assert_count(got, sum.bad, sum.total);
        }
        assert_int_equal(sj_burn_age(b, now), now - start);
    }
    now += 31 * DAY;
    for (int w = 0; w < SJ_BURN_WINDOW_MAX_; w++)
        assert_count(sj_burn_sum(b, (enum sj_burn_window)w, now), 0, 0);
    free(b);
}

static void windows_are_sums_of_whole_slots(void **state)
{
    (void)state;
    windows_are_summed_from(0);
    windows_are_summed_from(12345678901234);
    windows_are_summed_from(-3 * HOUR - 1);
}

static void slots_are_handed_over_one_by_one(void **state)
{
    (void)state;
    const int64_t now = 1000 * HOUR + 7;
    struct sj_burn *a = sj_burn_new(30 * DAY, now - 2 * HOUR), *b = sj_burn_new(30 * DAY, now);
    assert_true(a && b);
    for (int64_t t = now - 2 * HOUR; t <= now; t += 7 * S)
        sj_burn_add(a, t, (struct sj_burn_count){(uint64_t)t % 3, 3});
    for (unsigned level = 0; level < SJ_BURN_LEVELS; level++)
        for (uint32_t back = 0; back < sj_burn_slots(level); back++)
            sj_burn_set(b, level, back, now, sj_burn_get(a, level, back, now));
    sj_burn_set_age(b, sj_burn_age(a, now), now);
    assert_int_equal(sj_burn_age(b, now + S), 2 * HOUR + S);
    for (int w = 0; w < SJ_BURN_WINDOW_MAX_; w++) {
        struct sj_burn_count n = sj_burn_sum(a, (enum sj_burn_window)w, now);
        assert_true(n.total > 0);
        assert_count(sj_burn_sum(b, (enum sj_burn_window)w, now), n.bad, n.total);
    }
    assert_int_equal(sj_burn_slots_between(b, 0, now, now + 10 * S), 1);
    assert_int_equal(sj_burn_slots_between(b, 0, now, now - HOUR), 0);
    assert_int_equal(sj_burn_slots_between(b, 0, now, now + 100 * DAY), 360);
    free(a);
    free(b);
}

/* An hour of requests at once, of which some were bad, seen by a pair of windows; age: how long it was watched. */
static int judge(uint64_t bad, uint64_t total, double objective, enum sj_burn_pair pair, uint64_t min_requests,
                 int64_t age_ns, double *rate)
{
    const struct sj_slo slo = {.objective = objective, .window_ns = 30 * DAY, .min_requests = min_requests};
    const int64_t now = 400 * DAY;
    struct sj_burn *b = sj_burn_new(slo.window_ns, now - age_ns);
    assert_non_null(b);
    sj_burn_add(b, now, (struct sj_burn_count){bad, total});
    int judged = sj_burn_judge(b, &slo, pair, now, rate);
    free(b);
    return judged;
}

/*
 * With how many bad requests of n the exact lower bound (Clopper and Pearson 1934; the 5 % quantile of the beta
 * distribution with k and n - k + 1) is above the limit: computed with R's qbeta().
 */
static void alerts_want_confidence(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        uint64_t bad[4];
    } known[] = {
        {100, {5, 21, 3, 2}},
        {1000, {22, 163, 11, 4}},
        {10000, {165, 1499, 74, 16}},
        {100000, {1503, 14584, 641, 118}},
        {1000000, {14597, 144579, 6128, 1053}},
    };
    static const struct {
        double objective;
        enum sj_burn_pair pair;
    } of[] = {{0.999, SJ_BURN_FAST}, {0.99, SJ_BURN_FAST}, {0.999, SJ_BURN_SLOW}, {0.999, SJ_BURN_TICKET}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        for (size_t k = 0; k < 4; k++) {
            uint64_t bad = known[i].bad[k], n = known[i].n;
            double rate;
            assert_int_equal(judge(bad, n, of[k].objective, of[k].pair, 1, DAY, &rate), 1);
            assert_true(fabs(rate - (double)bad / (double)n / (1 - of[k].objective)) < 1e-9 * rate);
            assert_int_equal(judge(bad - 1, n, of[k].objective, of[k].pair, 1, DAY, &rate), 0);
        }
    }
}

/* Were the true burn rate just at the limit, chance alone would not alert more often than once in 20. */
static void chance_alerts_seldom(void **state)
{
    (void)state;
    static const uint64_t ns[] = {20, 100, 500, 2500};
    static const double objectives[] = {0.95, 0.99, 0.999};
    for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
        for (size_t k = 0; k < sizeof(objectives) / sizeof(objectives[0]); k++) {
            for (int pair = 0; pair < SJ_BURN_PAIR_MAX_; pair++) {
                double p = sj_burn_alerts[pair].factor * (1 - objectives[k]), chance = 0, rate;
                for (uint64_t bad = 0; bad <= ns[i]; bad++)
                    if (judge(bad, ns[i], objectives[k], (enum sj_burn_pair)pair, 1, DAY, &rate) == 1)
                        chance += sj_binomial_pmf((double)bad, (double)ns[i], p, 1 - p);
                assert_true(chance <= 0.05 + 1e-9);
                assert_true(chance > 0.001); /* and it does alert */
            }
        }
    }
}

static void few_requests_do_not_alert(void **state)
{
    (void)state;
    double rate;
    assert_int_equal(judge(99, 99, 0.999, SJ_BURN_FAST, 100, DAY, &rate), 0);
    assert_true(fabs(rate - 1000) < 1e-6); /* it is told all the same */
    assert_int_equal(judge(100, 100, 0.999, SJ_BURN_FAST, 100, DAY, &rate), 1);
    assert_int_equal(judge(1, 1, 0.999, SJ_BURN_FAST, 1, DAY, &rate), 1);
    assert_int_equal(judge(0, 0, 0.999, SJ_BURN_FAST, 1, DAY, &rate), 0);
    assert_true(isnan(rate));
}

static void the_short_window_was_watched_once(void **state)
{
    (void)state;
    static const int64_t short_ns[] = {300 * S, 1800 * S, 6 * HOUR};
    double rate;
    for (int pair = 0; pair < SJ_BURN_PAIR_MAX_; pair++) {
        assert_int_equal(judge(500, 1000, 0.999, (enum sj_burn_pair)pair, 1, short_ns[pair] - 1, &rate), 0);
        assert_int_equal(judge(500, 1000, 0.999, (enum sj_burn_pair)pair, 1, short_ns[pair], &rate), 1);
    }
}

/* The long window remembers; the short one says whether it is still going on. */
static void what_is_over_does_not_alert(void **state)
{
    (void)state;
    const struct sj_slo slo = {.objective = 0.999, .window_ns = 30 * DAY, .min_requests = 1};
    struct sj_burn *b = sj_burn_new(slo.window_ns, 0);
    double rate;
    int64_t now = DAY;
    assert_non_null(b);
    sj_burn_add(b, now, (struct sj_burn_count){1000, 10000});
    assert_int_equal(sj_burn_judge(b, &slo, SJ_BURN_FAST, now, &rate), 1);
    sj_burn_add(b, now + 290 * S, (struct sj_burn_count){0, 10000});
    assert_int_equal(sj_burn_judge(b, &slo, SJ_BURN_FAST, now + 290 * S, &rate), 1);
    assert_int_equal(sj_burn_judge(b, &slo, SJ_BURN_FAST, now + 300 * S, &rate), 0);
    assert_true(fabs(rate - 50) < 1e-9);
    /* Without any traffic nobody knows. */
    assert_int_equal(sj_burn_judge(b, &slo, SJ_BURN_FAST, now + 600 * S, &rate), -1);
    assert_int_equal(sj_burn_judge(b, &slo, SJ_BURN_FAST, now + 2 * HOUR, &rate), 0);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_workbook),
        cmocka_unit_test(a_burn_rate_is_a_multiple_of_the_budget),
        cmocka_unit_test(pairs_that_cannot_fire_do_not),
        cmocka_unit_test(bad_is_what_failed_or_was_slow_once),
        cmocka_unit_test(the_limit_is_at_most_half_a_bucket_off),
        cmocka_unit_test(windows_are_sums_of_whole_slots),
        cmocka_unit_test(slots_are_handed_over_one_by_one),
        cmocka_unit_test(alerts_want_confidence),
        cmocka_unit_test(chance_alerts_seldom),
        cmocka_unit_test(few_requests_do_not_alert),
        cmocka_unit_test(the_short_window_was_watched_once),
        cmocka_unit_test(what_is_over_does_not_alert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
