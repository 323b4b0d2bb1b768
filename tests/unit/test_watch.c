// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_made.h"

/* Seconds of traffic, one evaluation each; returns what the last one told. */
static const char *seconds(struct made_watch *m, const struct sj_series_id *id, int n, uint64_t requests,
                           uint64_t errors, uint64_t latency_ns)
{
    const char *told = "";
    for (int i = 0; i < n; i++) {
        if (requests)
            made_requests(m, id, requests, errors, latency_ns);
        told = made_tick(m, S);
    }
    return told;
}

static void slow_for_a_minute_fires_after_a_minute(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- name: slow\n  when: p99 > 1s\n  for: 60s\n");
    const struct sj_series_id id = made_id("nginx");
    assert_string_equal(seconds(&m, &id, 1, 10, 0, 2 * S), "slow[nginx] pending");
    assert_string_equal(seconds(&m, &id, 59, 10, 0, 2 * S), "");
    assert_string_equal(seconds(&m, &id, 1, 10, 0, 2 * S), "slow[nginx] firing");
    assert_string_equal(seconds(&m, &id, 10, 10, 0, 2 * S), "");
    /* The window holds slow requests for a minute longer. */
    assert_string_equal(seconds(&m, &id, 59, 10, 0, S / 10), "");
    assert_string_equal(seconds(&m, &id, 1, 10, 0, S / 10), "slow[nginx] resolved");
    assert_string_equal(made_alerts(&m), "slow[nginx] resolved");
    assert_string_equal(seconds(&m, &id, 900, 10, 0, S / 10), "");
    assert_string_equal(seconds(&m, &id, 1, 10, 0, S / 10), "slow[nginx] inactive");
    assert_string_equal(made_alerts(&m), "");
    made_watch_free(&m);
}

static void a_pending_alert_that_was_nothing_goes(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s, over: 1s, for: 5s}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "a[s] pending");
    assert_string_equal(seconds(&m, &id, 4, 1, 0, 2 * S), "");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, S), "a[s] inactive");
    assert_string_equal(made_alerts(&m), "");
    made_watch_free(&m);
}

static void keep_firing_for_holds_from_firing_only(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s, over: 1s, keep_firing_for: 3s}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "a[s] firing");
    assert_string_equal(seconds(&m, &id, 3, 1, 0, 1), "");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "");
    assert_string_equal(seconds(&m, &id, 3, 1, 0, 1), "");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 1), "a[s] resolved");
    /* Active again before it is forgotten: it begins anew. */
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "a[s] firing");
    made_watch_free(&m);
}

static void no_traffic_is_what_no_data_says(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n"
                                     "- {name: keep, when: max > 1s, over: 2s, for: 4s}\n"
                                     "- {name: resolve, when: max > 1s, over: 2s, no_data: resolve}\n"
                                     "- {name: alert, when: max > 10s, over: 2s, for: 3s, no_data: alert}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "keep[s] pending; resolve[s] firing");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "");
    assert_string_equal(seconds(&m, &id, 1, 0, 0, 0), ""); /* still in the window */
    assert_string_equal(seconds(&m, &id, 1, 0, 0, 0), "resolve[s] resolved; alert[s] pending");
    assert_string_equal(seconds(&m, &id, 3, 0, 0, 0), "alert[s] firing");
    assert_string_equal(seconds(&m, &id, 100, 0, 0, 0), "");
    /* The pending one stood still for 104 s; it had 2 s before that. */
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "resolve[s] firing; alert[s] resolved");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "keep[s] firing");
    made_watch_free(&m);
}

static int note_no_data(void *ctx, const struct sj_alert *a)
{
    unsigned *n = ctx;
    assert_true(!a->no_data || isnan(a->value) || a->state == SJ_ALERT_FIRING);
    *n += a->no_data;
    return 0;
}

static void no_data_is_told_with_the_alert(void **state)
{
    (void)state;
    unsigned n = 0;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s, over: 2s, no_data: alert}\n");
    const struct sj_series_id id = made_id("s");
    seconds(&m, &id, 2, 1, 0, 1);
    assert_string_equal(seconds(&m, &id, 2, 0, 0, 0), "a[s] firing");
    assert_int_equal(sj_watch_alerts(m.w, note_no_data, &n), 0);
    assert_int_equal(n, 1);
    made_watch_free(&m);
}

static int note_names(void *ctx, const struct sj_name_status *s)
{
    char *to = ctx;
    size_t used = strlen(to);
    snprintf(to + used, 256 - used, "%s %d %d %d; ", s->name, (int)s->no_data, (int)s->alerts[SJ_ALERT_PENDING],
             (int)s->alerts[SJ_ALERT_FIRING]);
    return 0;
}

static const char *names(struct made_watch *m, char to[256])
{
    to[0] = '\0';
    assert_int_equal(sj_watch_names(m->w, note_names, to), 0);
    return to;
}

/* It is a state of its own: whoever has no alert may have no data either. */
static void no_data_is_counted_without_alerts_too(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n"
                                     "- {name: a, when: max > 1s, over: 2s}\n"
                                     "- {name: a, when: mean > 9s, over: 2s, min_requests: 3, labels: {x: y}}\n"
                                     "- {name: b, when: rate > 5/s, over: 2s}\n");
    const struct sj_series_id s = made_id("s"), slow = made_id("slow");
    char text[256];
    assert_string_equal(names(&m, text), "a 0 0 0; b 0 0 0; ");
    made_requests(&m, &slow, 4, 0, 2 * S);
    seconds(&m, &s, 1, 2, 0, 1);
    assert_string_equal(names(&m, text), "a 1 0 1; b 0 0 0; ");
    seconds(&m, &s, 1, 2, 0, 1);
    assert_string_equal(names(&m, text), "a 0 0 1; b 0 0 0; ");
    seconds(&m, &s, 2, 0, 0, 1);
    assert_string_equal(names(&m, text), "a 4 0 1; b 0 0 0; ");
    made_watch_free(&m);
}

static void few_requests_are_no_data(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: error_ratio >= 50%, over: 10s, min_requests: 20}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 9, 2, 2, 1), "");
    assert_string_equal(seconds(&m, &id, 1, 2, 2, 1), "a[s] firing");
    made_watch_free(&m);
}

static void a_low_rate_needs_a_window_that_was_watched(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: low, when: rate < 10/s, over: 10s}\n"
                                     "- {name: high, when: rate > 10/s, over: 10s}\n"
                                     "- {name: few, when: requests <= 50, over: 10s}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 9, 5, 0, 1), "");
    assert_string_equal(seconds(&m, &id, 1, 5, 0, 1), "low[s] firing; few[s] firing");
    /* 100 in 10 s is not less than 10/s. */
    assert_string_equal(seconds(&m, &id, 1, 55, 0, 1), "low[s] resolved; few[s] resolved");
    assert_string_equal(seconds(&m, &id, 1, 6, 0, 1), "high[s] firing");
    /* No traffic at all is a rate too. */
    assert_string_equal(seconds(&m, &id, 1, 0, 0, 1), "low[s] firing; high[s] resolved");
    assert_string_equal(seconds(&m, &id, 7, 0, 0, 1), "");
    assert_string_equal(seconds(&m, &id, 1, 0, 0, 1), "few[s] firing");
    made_watch_free(&m);
}

static void rates_above_use_the_time_that_was_watched(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: high, when: rate > 10/s, over: 60s}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 11, 0, 1), "high[s] firing");
    made_watch_free(&m);
}

static void stages_and_shares_are_measured(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n"
                                     "- {name: q, when: queue.p50 > 400ms}\n"
                                     "- {name: qm, when: queue.mean >= 500ms}\n"
                                     "- {name: share, when: oncpu.share >= 50%}\n"
                                     "- {name: zero, when: runq.p99 > 0s}\n"
                                     "- {name: none, when: runq.share > 0%}\n"
                                     "- {name: client, when: wait.p50 > 0s}\n"
                                     "- {name: errors, when: errors > 2}\n"
                                     "- {name: rate, when: error_rate > 1/s}\n");
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 5, 3, S),
                        "q[s] firing; qm[s] firing; share[s] firing; errors[s] firing; rate[s] firing");
    made_watch_free(&m);
}

static void operations_are_told_apart_and_summed_up(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n"
                                     "- {name: op, when: p50 > 1s, match: {operation: 'GET *'}}\n"
                                     "- {name: all, when: requests >= 3}\n");
    struct sj_series_id id = made_id("s");
    assert_true(sj_watch_wants(m.w, &id));
    made_requests(&m, &id, 1, 0, 2 * S);
    id.operation = "POST /";
    made_requests(&m, &id, 1, 0, 2 * S);
    id.operation = "GET /";
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "op[s] firing; all[s] firing");
    made_watch_free(&m);
}

static void what_none_looks_at_is_not_wanted(void **state)
{
    (void)state;
    struct made_watch m =
        made_watch("alerts:\n- {name: a, when: p50 > 1s, match: {service: 'n*', role: server, port: 80}}\n"
                   "- {name: b, when: p50 > 1s, match: {service: op, operation: 'GET *'}}\n");
    struct sj_series_id id = made_id("nginx");
    assert_true(sj_watch_wants(m.w, &id));
    id.port = 81;
    assert_false(sj_watch_wants(m.w, &id));
    id = made_id("other");
    assert_false(sj_watch_wants(m.w, &id));
    id = made_id("op");
    assert_false(sj_watch_wants(m.w, &id));
    id.operation = "GET /";
    assert_true(sj_watch_wants(m.w, &id));
    made_watch_free(&m);
}

static void what_vanished_is_resolved(void **state)
{
    (void)state;
    struct made_watch m = made_watch("forget_after: 5m\nalerts:\n- {name: a, when: max > 1s, over: 1s}\n");
    struct sj_watch_stats stats;
    const struct sj_series_id id = made_id("s");
    assert_string_equal(seconds(&m, &id, 1, 1, 0, 2 * S), "a[s] firing");
    assert_string_equal(seconds(&m, &id, 299, 0, 0, 0), "");
    assert_string_equal(seconds(&m, &id, 1, 0, 0, 0), "a[s] resolved");
    sj_watch_stats(m.w, &stats);
    assert_int_equal(stats.series, 0);
    assert_int_equal(stats.alerts, 1);
    made_watch_free(&m);
}

static int stop(void *ctx, const struct sj_alert *a)
{
    (void)a;
    return --*(int *)ctx < 0 ? -1 : 0;
}

static void what_was_not_taken_is_told_again(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: a, when: max > 1s}\n- {name: b, when: max > 1s}\n");
    const struct sj_series_id id = made_id("s");
    int takes = 1;
    made_requests(&m, &id, 1, 0, 2 * S);
    m.now.mono_ns += S;
    assert_int_equal(sj_watch_evaluate(m.w, m.now, stop, &takes), -1);
    assert_string_equal(made_tick(&m, S), "b[s] firing");
    made_watch_free(&m);
}

/* However long the start takes: what was not measured is not taken for time without requests. */
static void the_first_interval_begins_with_the_measurement(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: high, when: rate > 100/s, over: 5s}\n");
    const struct sj_series_id id = made_id("s");
    struct sj_out saved;
    struct sj_err err;
    made_requests(&m, &id, 200, 0, S / 10);
    assert_string_equal(made_tick(&m, S), "high[s] firing");
    assert_int_equal(sj_out_init(&saved, -1, "test", &err), 0);
    sj_watch_save(m.w, m.now, &saved);
    sj_watch_free(m.w);
    m.now.mono_ns += 60 * S;
    m.now.real_ns += 60 * S;
    m.w = sj_watch_new(m.config, m.now);
    assert_non_null(m.w);
    assert_int_equal(sj_watch_restore(m.w, saved.buf, saved.len, m.now, &err), 0);
    m.now.mono_ns += 9 * S;
    m.now.real_ns += 9 * S;
    sj_watch_begin(m.w, m.now);
    made_requests(&m, &id, 200, 0, S / 10);
    assert_string_equal(made_tick(&m, S), "");
    assert_string_equal(made_tick(&m, S), "high[s] resolved");
    sj_out_fini(&saved);
    made_watch_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_for_a_minute_fires_after_a_minute),
        cmocka_unit_test(a_pending_alert_that_was_nothing_goes),
        cmocka_unit_test(keep_firing_for_holds_from_firing_only),
        cmocka_unit_test(no_traffic_is_what_no_data_says),
        cmocka_unit_test(no_data_is_told_with_the_alert),
        cmocka_unit_test(no_data_is_counted_without_alerts_too),
        cmocka_unit_test(few_requests_are_no_data),
        cmocka_unit_test(a_low_rate_needs_a_window_that_was_watched),
        cmocka_unit_test(rates_above_use_the_time_that_was_watched),
        cmocka_unit_test(the_first_interval_begins_with_the_measurement),
        cmocka_unit_test(stages_and_shares_are_measured),
        cmocka_unit_test(operations_are_told_apart_and_summed_up),
        cmocka_unit_test(what_none_looks_at_is_not_wanted),
        cmocka_unit_test(what_vanished_is_resolved),
        cmocka_unit_test(what_was_not_taken_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
