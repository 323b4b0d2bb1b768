// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_exposition.h"
#include "watch_made.h"

/* Alerts and objectives, as readers that are not ours find them in all three formats. */

#define SERVICE "protocol=\"http\",role=\"server\",service_name=\"nginx\""

static void seconds(struct made_watch *m, const struct sj_series_id *id, int n, uint64_t requests, uint64_t errors,
                    uint64_t latency_ns)
{
    for (int i = 0; i < n; i++) {
        if (requests)
            made_requests(m, id, requests, errors, latency_ns);
        made_tick(m, S);
    }
}

/* Each of the lines is in each of the formats. NULL ends them. */
static void all_formats_say(struct made_watch *w, uint64_t max_series, const char *const *lines)
{
    struct made_exposition m;
    made_exposition_init(&m, 100);
    m.e.watch = w->w;
    m.e.max_series = max_series;
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        char *text = made_exposition_read(&m, (enum sj_exposition_format)f);
        for (size_t i = 0; lines[i]; i++)
            if (!made_has_line(text, lines[i]))
                fail_msg("format %d has no line %s in\n%s", f, lines[i], text);
        free(text);
    }
    made_exposition_fini(&m);
}

#define STATE(rest, pending, firing, resolved, no_data)                                                                \
    "sojourn_alert_state{" rest ",state=\"pending\"} " pending,                                                        \
        "sojourn_alert_state{" rest ",state=\"firing\"} " firing,                                                      \
        "sojourn_alert_state{" rest ",state=\"resolved\"} " resolved,                                                  \
        "sojourn_alert_state{" rest ",state=\"no_data\"} " no_data
/* Labels come sorted: service_name is behind role, and state behind both. */
#define SLOW "alert=\"slow\",port=\"80\"," SERVICE

static void an_alert_has_a_state(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: slow, when: max > 1s, over: 5s, for: 3s, no_data: keep}\n"
                                     "- {name: other, when: error_ratio > 50%}\n");
    const struct sj_series_id id = made_id("nginx");
    static const char *const none[] = {"sojourn_alerts{alert=\"slow\",state=\"firing\"} 0.0",
                                       "sojourn_alerts{alert=\"slow\",state=\"pending\"} 0.0",
                                       "sojourn_alerts{alert=\"other\",state=\"no_data\"} 0.0", NULL};
    all_formats_say(&m, 2000, none);
    seconds(&m, &id, 1, 10, 0, 2 * S);
    static const char *const pending[] = {
        "sojourn_alerts{alert=\"slow\",state=\"pending\"} 1.0", "sojourn_alerts{alert=\"slow\",state=\"firing\"} 0.0",
        "sojourn_alerts{alert=\"other\",state=\"firing\"} 0.0", STATE(SLOW, "1.0", "0.0", "0.0", "0.0"), NULL};
    all_formats_say(&m, 2000, pending);
    seconds(&m, &id, 3, 10, 0, 2 * S);
    static const char *const firing[] = {"sojourn_alerts{alert=\"slow\",state=\"firing\"} 1.0",
                                         STATE(SLOW, "0.0", "1.0", "0.0", "0.0"), NULL};
    all_formats_say(&m, 2000, firing);
    seconds(&m, &id, 6, 0, 0, 0);
    static const char *const no_data[] = {"sojourn_alerts{alert=\"slow\",state=\"no_data\"} 1.0",
                                          STATE(SLOW, "0.0", "1.0", "0.0", "1.0"), NULL};
    all_formats_say(&m, 2000, no_data);
    seconds(&m, &id, 6, 10, 0, S / 10);
    static const char *const resolved[] = {"sojourn_alerts{alert=\"slow\",state=\"resolved\"} 1.0",
                                           STATE(SLOW, "0.0", "0.0", "1.0", "0.0"), NULL};
    all_formats_say(&m, 2000, resolved);
    made_watch_free(&m);
}

static void labels_do_not_collide(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- name: a\n  when: max > 1s\n  over: 1s\n"
                                     "  labels: {state: bad, alert: b, service_name: x, team: \"a \\\"b\\\"\"}\n");
    struct sj_series_id id = made_id("nginx");
    id.container = "c1";
    id.port = 0;
    seconds(&m, &id, 1, 10, 0, 2 * S);
    static const char *const lines[] = {
        "sojourn_alert_state{alert=\"a\",container_name=\"c1\",exported_alert=\"b\",exported_service_name=\"x\","
        "exported_state=\"bad\"," SERVICE ",state=\"firing\",team=\"a \"b\"\"} 1.0",
        NULL};
    all_formats_say(&m, 2000, lines);
    made_watch_free(&m);
}

/* An alert of a service that was forgotten goes on when the service is back: one alert, shown once. */
static void an_alert_that_comes_back_is_shown_once(void **state)
{
    (void)state;
    struct made_watch m = made_watch("forget_after: 5m\nalerts:\n- {name: a, when: max > 1s, over: 1s}\n");
    const struct sj_series_id id = made_id("nginx");
    seconds(&m, &id, 1, 10, 0, 6 * S);
    seconds(&m, &id, 330, 0, 0, 0);
    seconds(&m, &id, 1, 10, 0, 6 * S);
    assert_string_equal(made_alerts(&m), "a[nginx] firing");
    static const char *const lines[] = {"sojourn_alerts{alert=\"a\",state=\"firing\"} 1.0",
                                        "sojourn_alerts{alert=\"a\",state=\"resolved\"} 0.0",
                                        STATE("alert=\"a\",port=\"80\"," SERVICE, "0.0", "1.0", "0.0", "0.0"), NULL};
    all_formats_say(&m, 2000, lines);
    made_watch_free(&m);
}

static void alerts_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    struct made_watch w = made_watch("alerts:\n- {name: a, when: max > 1s, over: 1s}\n");
    struct made_exposition m;
    char name[16];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        const struct sj_series_id id = made_id(name);
        made_requests(&w, &id, 5, 0, 2 * S);
    }
    made_tick(&w, S);
    static const char *const lines[] = {"sojourn_alerts{alert=\"a\",state=\"firing\"} 30.0",
                                        "sojourn_alert_state{alert=\"other\",state=\"firing\"} 21.0",
                                        "sojourn_alert_state{alert=\"other\",state=\"pending\"} 0.0", NULL};
    all_formats_say(&w, 40, lines);
    made_exposition_init(&m, 100);
    m.e.watch = w.w;
    m.e.max_series = 40;
    char *text = made_exposition_read(&m, SJ_EXPOSITION_TEXT);
    assert_int_equal(made_count_lines(text, "sojourn_alert_state{"), 40);
    free(text);
    made_exposition_fini(&m);
    made_watch_free(&w);
}

#define SLO "port=\"80\"," SERVICE ",slo=\"fast\""

static void an_objective_has_a_budget(void **state)
{
    (void)state;
    struct made_watch m = made_watch("slos:\n- {name: fast, objective: 75%, latency: 100ms, window: 1d}\n");
    const struct sj_series_id id = made_id("nginx");
    seconds(&m, &id, 10, 1000, 125, S / 100);
    static const char *const lines[] = {"sojourn_slo_objective_ratio{" SLO "} 0.75",
                                        "sojourn_slo_error_budget_remaining_ratio{" SLO "} 0.5",
                                        "sojourn_slo_burn_rate{" SLO ",window=\"5m\"} 0.5",
                                        "sojourn_slo_burn_rate{" SLO ",window=\"1h\"} 0.5",
                                        "sojourn_slo_window_requests{port=\"80\",protocol=\"http\",result=\"good\","
                                        "role=\"server\",service_name=\"nginx\",slo=\"fast\"} 8750.0",
                                        "sojourn_slo_window_requests{port=\"80\",protocol=\"http\",result=\"bad\","
                                        "role=\"server\",service_name=\"nginx\",slo=\"fast\"} 1250.0",
                                        NULL};
    all_formats_say(&m, 2000, lines);
    /* without traffic for an hour nothing is known of these windows */
    seconds(&m, &id, 1, 0, 0, 0);
    made_tick(&m, 7200 * S);
    struct made_exposition e;
    made_exposition_init(&e, 100);
    e.e.watch = m.w;
    char *text = made_exposition_read(&e, SJ_EXPOSITION_OPENMETRICS);
    assert_int_equal(made_count_lines(text, "sojourn_slo_burn_rate{"), 2); /* 6h and 3d */
    assert_int_equal(made_count_lines(text, "sojourn_slo_error_budget_remaining_ratio{"), 1);
    free(text);
    made_exposition_fini(&e);
    made_watch_free(&m);
}

static void an_operation_of_an_objective_is_named(void **state)
{
    (void)state;
    struct made_watch m =
        made_watch("slos:\n- {name: fast, match: {operation: \"GET /*\"}, objective: 99%, latency: 100ms}\n");
    struct sj_series_id id = made_id("nginx");
    id.operation = "GET /a";
    seconds(&m, &id, 1, 100, 0, S);
    static const char *const lines[] = {"sojourn_slo_window_requests{operation=\"GET /a\",port=\"80\","
                                        "protocol=\"http\",result=\"bad\",role=\"server\",service_name=\"nginx\","
                                        "slo=\"fast\"} 100.0",
                                        NULL};
    all_formats_say(&m, 2000, lines);
    made_watch_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_has_a_state),
        cmocka_unit_test(labels_do_not_collide),
        cmocka_unit_test(an_alert_that_comes_back_is_shown_once),
        cmocka_unit_test(alerts_beyond_the_limit_are_counted),
        cmocka_unit_test(an_objective_has_a_budget),
        cmocka_unit_test(an_operation_of_an_objective_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
