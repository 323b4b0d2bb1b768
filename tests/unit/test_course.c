// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hist_random.h"
#include "made_report.h"
#include "series/course.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static uint64_t total(const struct sj_course *c)
{
    uint64_t n = 0;

    for (size_t i = 0; i < (size_t)c->intervals * c->buckets; i++)
        n += c->counts[i];
    for (size_t i = (size_t)c->intervals * c->buckets; i < (size_t)c->capacity * c->buckets; i++)
        assert_int_equal(c->counts[i], 0);
    return n;
}

/* Whatever comes: every latency is in its interval and its bucket, in bounded memory. */
static void everything_is_counted_in_its_place(void **state)
{
    enum { N = 3000 };
    static uint64_t at[N], ns[N];
    struct random_state r = {1};

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct sj_course c = {0};
        uint64_t reach = SECOND << (random_bits(&r) % 16);
        double spread = 0.01 * pow(1.15, (double)(random_bits(&r) % 50));
        int n = 1 + (int)(random_bits(&r) % N);

        if (round % 3 == 0)
            c.buckets_max = 8;
        for (int i = 0; i < n; i++) {
            at[i] = 1000 * SECOND + random_bits(&r) % reach;
            ns[i] = (uint64_t)fmin(3e7 * exp(spread * random_normal(&r)), 0x1p62);
            assert_int_equal(sj_course_add(&c, at[i], ns[i]), 0);
            if (round % 2 && i == n / 2)
                sj_course_coarsen(&c, 8);
        }
        assert_int_equal(total(&c), n);
        assert_true(sj_course_bytes(&c) <= 16400 && c.intervals <= SJ_COURSE_INTERVALS);
        assert_true(c.interval_ns < 2 * SJ_COURSE_INTERVAL_NS + reach / (SJ_COURSE_INTERVALS / 2));
        for (int i = 0; i < n; i++) {
            uint64_t since = at[i] > c.origin_ns ? at[i] - c.origin_ns : 0;
            int index;

            assert_int_equal(sj_hist_index_at(c.schema, ns[i] > 1000 ? ns[i] : 1000, &index), 0);
            assert_true(since / c.interval_ns < c.intervals && index >= c.base && index < c.base + c.buckets);
            c.counts[since / c.interval_ns * c.buckets + (size_t)(index - c.base)]--;
        }
        assert_int_equal(total(&c), 0);
        sj_course_free(&c);
        assert_int_equal(sj_course_bytes(&c), 0);
    }
}

static void extremes(void **state)
{
    struct sj_course c = {0};

    (void)state;
    assert_true(sj_course_inflation(&c, 0.99) == 1);
    sj_course_coarsen(&c, 32);
    assert_int_equal(sj_course_add(&c, 0, 0), 0);
    assert_int_equal(sj_course_add(&c, 0, UINT64_MAX), 0);
    assert_int_equal(sj_course_add(&c, UINT64_MAX, 1), 0);
    assert_int_equal(sj_course_add(&c, 7, 1), 0);
    assert_int_equal(total(&c), 4);
    assert_true(sj_course_inflation(&c, 0.99) == 1);
    sj_course_coarsen(&c, 2);
    assert_int_equal(total(&c), 4);
    sj_course_free(&c);
}

/* Ten minutes of a service; while it is slow, every tenth request takes ten times as long. */
static void fill(struct sj_course *c, struct random_state *r, bool slow(int second, struct random_state *r))
{
    for (int s = 0; s < 600; s++) {
        bool is_slow = slow(s, r);

        for (int i = 0; i < 50; i++) {
            double x = 5e6 * exp(0.3 * random_normal(r)) * (is_slow && i % 10 == 0 ? 10 : 1);
            assert_int_equal(sj_course_add(c, (uint64_t)s * SECOND + (uint64_t)i * 20 * MS, (uint64_t)x), 0);
        }
    }
}

static bool now_and_then(int second, struct random_state *r)
{
    (void)second;
    return random_unit(r) < 0.1;
}

static bool for_a_minute(int second, struct random_state *r)
{
    (void)r;
    return second % 600 >= 540;
}

static bool never(int second, struct random_state *r)
{
    (void)second;
    (void)r;
    return false;
}

static void dependence_shows(void **state)
{
    struct random_state r = {2};
    struct sj_course scattered = {0};
    struct sj_course minutes = {0};

    (void)state;
    fill(&scattered, &r, now_and_then);
    fill(&minutes, &r, for_a_minute);
    /* Five slow ones of fifty in a tenth of the seconds; those scattered, or a minute on end. */
    assert_true(sj_course_inflation(&scattered, 0.99) > 2);
    assert_true(sj_course_inflation(&minutes, 0.99) > 5 * sj_course_inflation(&scattered, 0.99));
    sj_course_free(&scattered);
    sj_course_free(&minutes);
}

static void independence_widens_nothing(void **state)
{
    struct random_state r = {3};
    int widened = 0;

    (void)state;
    for (int run = 0; run < 100; run++) {
        struct sj_course c = {0};

        fill(&c, &r, never);
        widened += sj_course_inflation(&c, 0.99) > 1;
        sj_course_free(&c);
    }
    assert_true(widened <= 10); /* two or three are expected */
}

/* The same latencies once as they come, slow ones together, and once in any order. */
static void add(struct made_report *m, const char *service, const uint64_t *ns, int n)
{
    for (int i = 0; i < n; i++) {
        struct sj_request req = made_server_request();

        req.service = service;
        req.total_ns = ns[i];
        req.start_ns = 5 * SECOND + (uint64_t)i * 10 * MS;
        made_report_add(m, &req);
    }
}

static void a_report_allows_for_it(void **state)
{
    enum { N = 6000 };
    static uint64_t ns[N];
    struct random_state r = {4};
    struct made_report m;
    double width[2] = {0};

    (void)state;
    made_report_init(&m);
    for (int i = 0; i < N; i++)
        ns[i] = (uint64_t)(5e6 * exp(0.5 * random_normal(&r) + (i % 1000 < 100 ? 1 : 0)));
    add(&m, "together", ns, N);
    for (int i = N - 1; i > 0; i--) {
        int k = (int)(random_bits(&r) % (uint64_t)(i + 1));
        uint64_t other = ns[i];

        ns[i] = ns[k];
        ns[k] = other;
    }
    add(&m, "shuffled", ns, N);
    const struct sj_report *report = made_report_done(&m);
    for (size_t i = 0; i < report->snapshot->n_services; i++) {
        const struct sj_service_view *s = &report->snapshot->services[i];
        struct sj_interval interval, plain;

        assert_true(sj_report_interval(s, 0.99, &interval));
        assert_int_equal(sj_quantile_interval(s->total, 0.99, 0.95, NULL, &plain), 0);
        width[strcmp(s->service, "together") == 0] = interval.high - interval.low;
        if (strcmp(s->service, "shuffled") == 0)
            assert_true(interval.low == plain.low && interval.high == plain.high);
    }
    assert_true(width[1] > 1.5 * width[0]);
    made_report_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_counted_in_its_place),
        cmocka_unit_test(extremes),
        cmocka_unit_test(dependence_shows),
        cmocka_unit_test(independence_widens_nothing),
        cmocka_unit_test(a_report_allows_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
