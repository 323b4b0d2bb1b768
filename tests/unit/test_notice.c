// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_notice.h"

typedef void (*write_fn)(const struct sj_notice *n, struct sj_out *out);

static json_t *written(write_fn fn, const struct sj_notice *n)
{
    struct sj_out out = made_memory();
    fn(n, &out);
    return made_json(&out);
}

static void pagerduty(const struct sj_notice *n, struct sj_out *out)
{
    sj_notice_pagerduty(n, "key", out);
}

static void alertmanager(const struct sj_notice *n, struct sj_out *out)
{
    struct sj_json j;
    sj_json_init(&j, out, false);
    sj_notice_alertmanager(n, &j);
}

static void assert_at(json_t *j, const char *path, const char *wanted)
{
    if (strcmp(made_at(j, path), wanted) != 0)
        fail_msg("%s is '%s', not '%s'", path, made_at(j, path), wanted);
}

/* The document that receivers of Alertmanager's webhooks know. */
static void webhooks_get_alertmanagers_document(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    json_t *j = written(sj_notice_webhook, &m.notice);
    static const char *const wanted[][2] = {
        {"version", "4"},
        {"status", "firing"},
        {"receiver", "sojourn"},
        {"groupKey", "0123456789abcdef0123456789abcdef"},
        {"truncatedAlerts", "0"},
        {"groupLabels.alertname", "slow"},
        {"commonLabels.service", "api"},
        {"commonLabels.instance", "node1"},
        {"commonAnnotations.summary", "p99 is 1.2 s"},
        {"externalURL", ""},
        {"alerts.0.status", "firing"},
        {"alerts.0.labels.nasty", MADE_NASTY_READ},
        {"alerts.0.annotations.nasty", MADE_NASTY_READ},
        {"alerts.0.startsAt", "2026-11-25T20:00:00.000000001Z"},
        {"alerts.0.endsAt", "0001-01-01T00:00:00Z"},
        {"alerts.0.fingerprint", "0123456789abcdef0123456789abcdef"},
        {"alerts.0.generatorURL", ""},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        assert_at(j, wanted[i][0], wanted[i][1]);
    assert_int_equal(json_array_size(json_object_get(j, "alerts")), 1);
    json_decref(j);
    made_notice(&m, false);
    j = written(sj_notice_webhook, &m.notice);
    assert_at(j, "status", "resolved");
    assert_at(j, "alerts.0.status", "resolved");
    assert_at(j, "alerts.0.endsAt", "2026-11-25T20:01:01.500000000Z");
    json_decref(j);
}

static void commands_get_the_alert_on_a_line(void **state)
{
    (void)state;
    struct made_notice m;
    struct sj_out out = made_memory();
    made_notice(&m, false);
    m.alert.value = NAN;
    m.alert.no_data = true;
    sj_notice_own(&m.notice, &out);
    assert_true(out.len > 0 && memchr(out.buf, '\n', out.len) == out.buf + out.len - 1);
    json_t *j = made_json(&out);
    assert_at(j, "schema", "sojourn.alert/1");
    assert_at(j, "host", "node1");
    assert_at(j, "id", "0123456789abcdef0123456789abcdef");
    assert_at(j, "status", "resolved");
    assert_at(j, "severity", "critical");
    assert_at(j, "no_data", "true");
    assert_at(j, "value", "(nothing)");
    assert_at(j, "labels.nasty", MADE_NASTY_READ);
    assert_at(j, "starts_at", "2026-11-25T20:00:00.000000001Z");
    assert_at(j, "ends_at", "2026-11-25T20:01:01.500000000Z");
    json_decref(j);
}

/* A firing alert ends by itself when it is not told again; one that is over ended when it did. */
static void alertmanager_is_told_how_long_it_lasts(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    json_t *j = written(alertmanager, &m.notice);
    assert_at(j, "labels.alertname", "slow");
    assert_at(j, "labels.instance", "node1");
    assert_at(j, "startsAt", "2026-11-25T20:00:00.000000001Z");
    assert_at(j, "endsAt", "2026-11-25T20:05:40.000000000Z"); /* now and four minutes */
    json_decref(j);
    made_notice(&m, false);
    j = written(alertmanager, &m.notice);
    assert_at(j, "endsAt", "2026-11-25T20:01:01.500000000Z");
    json_decref(j);
    /* it was over before anybody could be told that it fired: that comes first, and its end after */
    m.notice.firing = true;
    j = written(alertmanager, &m.notice);
    assert_at(j, "endsAt", "2026-11-25T20:05:40.000000000Z");
    json_decref(j);
}

static void pagerduty_gets_one_incident_for_an_alert(void **state)
{
    (void)state;
    struct made_notice m;
    char key[256], long_host[512];
    made_notice(&m, true);
    json_t *j = written(pagerduty, &m.notice);
    snprintf(key, sizeof(key), "%s", made_at(j, "dedup_key"));
    assert_at(j, "routing_key", "key");
    assert_at(j, "event_action", "trigger");
    assert_at(j, "payload.summary", "p99 is 1.2 s");
    assert_at(j, "payload.source", "node1");
    assert_at(j, "payload.severity", "critical");
    assert_at(j, "payload.component", "api");
    assert_at(j, "payload.class", "slow");
    assert_at(j, "payload.timestamp", "2026-11-25T20:00:00.000000001Z");
    assert_at(j, "payload.custom_details.value", "1.25");
    assert_at(j, "payload.custom_details.labels.nasty", MADE_NASTY_READ);
    json_decref(j);
    made_notice(&m, false);
    j = written(pagerduty, &m.notice);
    assert_at(j, "event_action", "resolve");
    assert_at(j, "dedup_key", key); /* that of the trigger */
    assert_at(j, "payload", "(nothing)");
    json_decref(j);
    m.notice.host = "node2";
    j = written(pagerduty, &m.notice);
    assert_string_not_equal(made_at(j, "dedup_key"), key);
    json_decref(j);
    memset(long_host, 'h', sizeof(long_host));
    long_host[sizeof(long_host) - 1] = '\0';
    m.notice.host = long_host;
    j = written(pagerduty, &m.notice);
    assert_true(strlen(made_at(j, "dedup_key")) < 255); /* what PagerDuty takes; it ends with the alert's id */
    assert_non_null(strstr(made_at(j, "dedup_key"), "/0123456789abcdef0123456789abcdef"));
    json_decref(j);
}

static void summaries_are_cut_between_characters(void **state)
{
    (void)state;
    struct made_notice m;
    char text[4096] = "x", out[1024], small[8];
    made_notice(&m, true);
    for (size_t i = 1; i + 3 < 3000; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 4);
    m.annotations[1].value = text;
    json_t *j = written(pagerduty, &m.notice);
    const char *summary = made_at(j, "payload.summary");
    assert_int_equal(strlen(summary), 1 + 340 * 3); /* at most 1,024 with its NUL */
    assert_null(strstr(summary, "\xef\xbf\xbd"));
    json_decref(j);
    assert_string_equal(sj_notice_summary(&m.notice, small, sizeof(small)), "x\xe2\x82\xac\xe2\x82\xac");
    m.annotations[1].value = "";
    assert_string_equal(sj_notice_summary(&m.notice, out, sizeof(out)), "slow: api");
    m.alert.annotations.n = 1;
    assert_string_equal(sj_notice_summary(&m.notice, out, sizeof(out)), "slow: api");
    m.labels[1] = (struct sj_label){"role", "server"};
    assert_string_equal(sj_notice_summary(&m.notice, out, sizeof(out)), "slow: api server");
    m.alert.labels.n = 1;
    assert_string_equal(sj_notice_summary(&m.notice, out, sizeof(out)), "slow");
}

static void severities_are_those_that_pagerduty_knows(void **state)
{
    (void)state;
    static const char *const known[][2] = {{"critical", "critical"}, {"page", "critical"},    {"Emergency", "critical"},
                                           {"error", "error"},       {"WARNING", "warning"},  {"ticket", "warning"},
                                           {"info", "info"},         {"information", "info"}, {"", "warning"},
                                           {"whatever", "warning"}};
    struct made_notice m;
    made_notice(&m, true);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        m.labels[3].value = known[i][0];
        assert_string_equal(sj_notice_severity(&m.notice), known[i][1]);
    }
    m.alert.labels.n = 3;
    assert_string_equal(sj_notice_severity(&m.notice), "warning");
}

static void an_instance_of_its_own_is_kept(void **state)
{
    (void)state;
    struct made_notice m;
    made_notice(&m, true);
    m.labels[1] = (struct sj_label){"instance", "other"};
    json_t *j = written(sj_notice_webhook, &m.notice);
    assert_at(j, "commonLabels.instance", "other");
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(webhooks_get_alertmanagers_document),
        cmocka_unit_test(commands_get_the_alert_on_a_line),
        cmocka_unit_test(alertmanager_is_told_how_long_it_lasts),
        cmocka_unit_test(pagerduty_gets_one_incident_for_an_alert),
        cmocka_unit_test(summaries_are_cut_between_characters),
        cmocka_unit_test(severities_are_those_that_pagerduty_knows),
        cmocka_unit_test(an_instance_of_its_own_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
