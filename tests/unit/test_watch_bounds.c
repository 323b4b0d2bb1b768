// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_made.h"

/* However many names come from outside, memory and the number of alerts have an end, and what gave way is counted. */

static struct sj_watch_stats stats_of(const struct made_watch *m)
{
    struct sj_watch_stats stats;
    sj_watch_stats(m->w, &stats);
    return stats;
}

/* One slow request of each of n services. */
static void slow_services(struct made_watch *m, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "service-%u", i);
        const struct sj_series_id id = made_id(name);
        made_requests(m, &id, 1, 0, 2 * S);
    }
}

static int count(void *ctx, const struct sj_alert *a)
{
    unsigned *n = ctx;
    n[a->state]++;
    return 0;
}

static void tick(struct made_watch *m, unsigned told[SJ_ALERT_MAX_])
{
    memset(told, 0, SJ_ALERT_MAX_ * sizeof(*told));
    m->now.mono_ns += S;
    m->now.real_ns += S;
    assert_int_equal(sj_watch_evaluate(m->w, m->now, count, told), 0);
}

#define ALERTS_MAX 2000

static void no_more_alerts_than_there_may_be(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s, over: 1s}\n");
    unsigned told[SJ_ALERT_MAX_];
    slow_services(&m, 0, ALERTS_MAX + 500);
    tick(&m, told);
    assert_int_equal(told[SJ_ALERT_FIRING], ALERTS_MAX);
    assert_int_equal(stats_of(&m).alerts, ALERTS_MAX);
    assert_int_equal(stats_of(&m).refused, 500);
    assert_true(stats_of(&m).bytes <= SJ_WATCH_BYTES + (2 << 20));
    /* Those that there are go on: they are resolved, and room comes back with them. */
    for (unsigned i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "service-%u", i);
        const struct sj_series_id id = made_id(name);
        made_requests(&m, &id, 1, 0, 1);
    }
    tick(&m, told);
    unsigned resolved = told[SJ_ALERT_RESOLVED];
    assert_true(resolved > 0 && resolved <= 1000);
    for (int i = 0; i < 901; i++)
        tick(&m, told);
    assert_int_equal(told[SJ_ALERT_INACTIVE], resolved);
    uint64_t refused = stats_of(&m).refused;
    slow_services(&m, 2 * ALERTS_MAX, resolved + 10);
    tick(&m, told);
    assert_int_equal(stats_of(&m).alerts, ALERTS_MAX);
    assert_int_equal(told[SJ_ALERT_FIRING], resolved);
    assert_int_equal(stats_of(&m).refused, refused + 10);
    made_watch_free(&m);
}

static void texts_of_alerts_have_an_end(void **state)
{
    (void)state;
    char text[8192] = "labels:\n";
    for (int i = 0; i < 10; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "  l%d: %0500d\n", i, i);
    }
    strncat(text, "alerts:\n- {name: a, when: max > 1s, over: 1s}\n", sizeof(text) - strlen(text) - 1);
    struct made_watch m = made_watch(text);
    unsigned told[SJ_ALERT_MAX_];
    slow_services(&m, 0, ALERTS_MAX);
    size_t before = stats_of(&m).bytes;
    tick(&m, told);
    assert_true(told[SJ_ALERT_FIRING] > 300 && told[SJ_ALERT_FIRING] < 500);
    assert_true(stats_of(&m).bytes - before <= (2 << 20) + 8192);
    assert_int_equal(stats_of(&m).refused, ALERTS_MAX - told[SJ_ALERT_FIRING]);
    made_watch_free(&m);
}

static void names_without_end_are_refused(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: p99 > 1h, over: 60s}\n"
                                     "- {name: b, when: runq.p99 > 1h, over: 60s}\n");
    unsigned told[SJ_ALERT_MAX_];
    for (unsigned i = 0; i < 40; i++) {
        slow_services(&m, 1000 * i, 1000);
        tick(&m, told);
        assert_true(stats_of(&m).bytes <= SJ_WATCH_BYTES);
    }
    struct sj_watch_stats full = stats_of(&m);
    assert_true(full.series > 5000 && full.series < 40000);
    assert_true(full.refused > 0);
    made_watch_free(&m);
}

static void objectives_have_an_end(void **state)
{
    (void)state;
    struct made_watch m = made_watch("slos:\n- {name: o, objective: 99%}\n");
    unsigned told[SJ_ALERT_MAX_];
    slow_services(&m, 0, 200);
    tick(&m, told);
    assert_int_equal(stats_of(&m).slos, 128);
    assert_int_equal(stats_of(&m).refused, 72);
    assert_true(stats_of(&m).bytes <= SJ_WATCH_BYTES);
    made_watch_free(&m);
}

/* Saves, and begins again with what was saved; returns how many alerts fire then. */
static unsigned again(struct made_watch *m)
{
    struct sj_out out;
    struct sj_err err = {0};
    unsigned alerts[SJ_ALERT_MAX_] = {0};
    assert_int_equal(sj_out_init(&out, -1, "memory", &err), 0);
    sj_watch_save(m->w, m->now, &out);
    assert_int_equal(out.error, 0);
    assert_true(out.len <= 4 << 20);
    sj_watch_free(m->w);
    m->w = sj_watch_new(m->config, m->now);
    if (sj_watch_restore(m->w, out.buf, out.len, m->now, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(sj_watch_alerts(m->w, count, alerts), 0);
    sj_out_fini(&out);
    return alerts[SJ_ALERT_FIRING];
}

/* A full watch is still saved and restored within its limits. */
static void what_is_full_is_saved(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s, over: 1s, no_data: alert}\n"
                                     "slos:\n- {name: o, objective: 99%}\n");
    unsigned told[SJ_ALERT_MAX_];
    slow_services(&m, 0, 3000);
    tick(&m, told);
    assert_int_equal(again(&m), ALERTS_MAX);
    assert_int_equal(stats_of(&m).slos, 128);
    made_watch_free(&m);
}

/* Requests of 128 services, so many that their numbers are long, over all that their SLOs remember. */
static void a_busy_month(struct made_watch *m)
{
    static const struct {
        int n;
        unsigned every_s;
    } parts[] = {{720, 3600}, {432, 600}, {360, 60}, {360, 10}};
    const uint64_t requests = 10000000000000, errors = requests / 1000 * 9; /* below the budget: no alert */
    unsigned told[SJ_ALERT_MAX_];
    for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
        for (int i = 0; i < parts[k].n; i++) {
            for (int service = 0; service < 128; service++) {
                char name[16];
                snprintf(name, sizeof(name), "busy-%d", service);
                const struct sj_cell cell = {.requests = requests, .errors = errors};
                const struct sj_slice slice = {.id = made_id(name), .cell = &cell};
                assert_int_equal(sj_watch_slice(m->w, &slice), 0);
            }
            m->now.mono_ns += (parts[k].every_s - 1) * S;
            m->now.real_ns += (parts[k].every_s - 1) * S;
            tick(m, told);
        }
    }
}

static void what_does_not_fit_is_left_out_in_order(void **state)
{
    (void)state;
    char text[16384];
    int n = snprintf(text, sizeof(text),
                     "slos:\n- {name: o, objective: 99%%, match: {service: 'busy-*'}}\n"
                     "alerts:\n- name: a\n  when: max > 1s\n  over: 1s\n  match: {service: 'service-*'}\n"
                     "  annotations:\n");
    for (int i = 0; i < 10; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "    a%d: %01000d\n", i, i);
    struct made_watch m = made_watch(text);
    unsigned told[SJ_ALERT_MAX_];
    a_busy_month(&m);
    slow_services(&m, 0, 1500);
    tick(&m, told);
    assert_int_equal(told[SJ_ALERT_FIRING], 1500);
    assert_int_equal(again(&m), 1500);
    assert_true(stats_of(&m).slos > 64 && stats_of(&m).slos < 128);
    made_watch_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_alerts_than_there_may_be),
        cmocka_unit_test(texts_of_alerts_have_an_end),
        cmocka_unit_test(names_without_end_are_refused),
        cmocka_unit_test(objectives_have_an_end),
        cmocka_unit_test(what_is_full_is_saved),
        cmocka_unit_test(what_does_not_fit_is_left_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
