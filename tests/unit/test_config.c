// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "config/config.h"

#define S 1000000000ULL

static struct sj_config *good(const char *text)
{
    struct sj_config *c = NULL;
    struct sj_err err = {0};
    int rc = sj_config_parse(text, strlen(text), "f.yaml", &c, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    return c;
}

static void nothing_is_a_configuration_of_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "---\n", "# nothing\n", "{}", "alerts:\nnotify: ~\n", "~"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sj_config *c = good(texts[i]);
        assert_string_equal(c->listen_host, "127.0.0.1");
        assert_int_equal(c->listen_port, 10435);
        assert_string_equal(c->state_dir, "/var/lib/sojourn");
        assert_null(c->web_config_file);
        assert_int_equal(c->max_series, 2000);
        assert_int_equal(c->interval_ns, S);
        assert_int_equal(c->resend_ns, 60 * S);
        assert_int_equal(c->forget_ns, 3600 * S);
        assert_int_equal(c->ring_bytes, 0);
        assert_int_equal(c->stages, SJ_CONFIG_STAGES_ALL);
        assert_int_equal(c->payload_off, 0);
        assert_int_equal(c->probe_set, SJ_CONFIG_SET_AUTO);
        assert_int_equal(c->n_rules + c->n_slos + c->n_notifiers + c->labels.n + c->n_warnings, 0);
        sj_config_free(c);
    }
}

static void the_simplest_rule_is_three_lines(void **state)
{
    (void)state;
    struct sj_config *c = good("alerts:\n- name: slow\n  when: p99 > 1s\n  for: 60s\n");
    assert_int_equal(c->n_rules, 1);
    const struct sj_alert_rule *r = &c->rules[0];
    assert_string_equal(r->name, "slow");
    assert_int_equal(r->when.measure, SJ_MEASURE_QUANTILE);
    assert_true(r->when.p == 0.99 && r->when.threshold == 1 && r->when.compare == SJ_ABOVE && r->when.stage == -1);
    assert_int_equal(r->for_ns, 60 * S);
    assert_int_equal(r->over_ns, 60 * S);
    assert_int_equal(r->keep_firing_ns, 0);
    assert_int_equal(r->min_requests, 1);
    assert_int_equal(r->no_data, SJ_NO_DATA_KEEP);
    assert_int_equal(r->match.protocol, -1);
    assert_int_equal(r->match.role, SJ_ROLE_UNKNOWN);
    assert_null(r->match.service);
    assert_int_equal(r->line, 2);
    assert_int_equal(c->n_warnings, 1); /* nobody is told */
    sj_config_free(c);
}

static const char full[] =
    "listen: \"[::1]:9999\"\n"
    "state_dir: state\n"
    "web_config_file: web.yml\n"
    "max_series: 500\n"
    "interval: 500ms\n"
    "resend: 30s\n"
    "forget_after: 10m\n"
    "ring: 4MiB\n"
    "stages: queue\n"
    "payload: auto\n"
    "probe_set: syscall\n"
    "labels: {cluster: a}\n"
    "alerts:\n"
    "  - name: slow\n"
    "    match: {service: nginx*, role: server, port: 80, protocol: http, operation: \"GET /*\", container: c}\n"
    "    when: queue.p99.9 >= 250us\n"
    "    over: 5m\n"
    "    for: 0s\n"
    "    keep_firing_for: 2m\n"
    "    no_data: alert\n"
    "    min_requests: 20\n"
    "    labels: {severity: critical, b: x}\n"
    "    annotations: {summary: \"{{ $labels.service }} {{$value}} {{ $labels.cluster }}\"}\n"
    "slos:\n"
    "  - name: checkout\n"
    "    match: {service: api}\n"
    "    objective: 99.9%\n"
    "    latency: 250ms\n"
    "    window: 7d\n"
    "    min_requests: 5\n"
    "    annotations: {summary: \"{{ $labels.long_window }} {{ $value | humanizePercentage }}\"}\n"
    "notify:\n"
    "  - alertmanager: {url: \"http://127.0.0.1:9093\", username: u, password_file: p, headers: {X-Scope: t}}\n"
    "  - pagerduty: {routing_key_file: key, only: {severity: critical}}\n"
    "  - webhook: {url_file: hook.url, template_file: hook.json, bearer_token_file: t, timeout: 3s}\n"
    "  - webhook: {url: \"https://h/x?y=1\", ca_file: ca.pem, server_name: other}\n"
    "  - exec: {command: [/bin/page, --now, ''], name: pager}\n"
    "  - syslog: {facility: local3}\n"
    "  - syslog:\n";

static void every_key_is_taken(void **state)
{
    (void)state;
    struct sj_config *c = good(full);
    assert_string_equal(c->listen_host, "::1");
    assert_int_equal(c->listen_port, 9999);
    assert_string_equal(c->state_dir, "state");
    assert_string_equal(c->web_config_file, "web.yml");
    assert_int_equal(c->max_series, 500);
    assert_int_equal(c->interval_ns, S / 2);
    assert_int_equal(c->resend_ns, 30 * S);
    assert_int_equal(c->forget_ns, 600 * S);
    assert_int_equal(c->ring_bytes, 4 << 20);
    assert_int_equal(c->stages, SJ_CONFIG_STAGES_QUEUE);
    assert_int_equal(c->payload_off, 0);
    assert_int_equal(c->probe_set, SJ_CONFIG_SET_SYSCALL);
    assert_string_equal(sj_labels_get(&c->labels, "cluster"), "a");
    const struct sj_alert_rule *r = &c->rules[0];
    assert_string_equal(r->match.service, "nginx*");
    assert_string_equal(r->match.operation, "GET /*");
    assert_string_equal(r->match.container, "c");
    assert_int_equal(r->match.role, SJ_ROLE_SERVER);
    assert_int_equal(r->match.port, 80);
    assert_int_equal(r->match.protocol, SJ_PROTO_HTTP);
    assert_int_equal(r->when.stage, SJ_STAGE_QUEUE);
    assert_true(fabs(r->when.p - 0.999) < 1e-12 && r->when.compare == SJ_AT_LEAST && r->when.threshold == 250e-6);
    assert_int_equal(r->over_ns, 300 * S);
    assert_int_equal(r->for_ns, 0);
    assert_int_equal(r->keep_firing_ns, 120 * S);
    assert_int_equal(r->no_data, SJ_NO_DATA_ALERT);
    assert_int_equal(r->min_requests, 20);
    assert_int_equal(r->labels.n, 2);
    assert_string_equal(r->labels.v[0].name, "b"); /* sorted */
    assert_string_equal(sj_labels_get(&r->labels, "severity"), "critical");
    assert_int_equal(r->annotations.n, 1);
    const struct sj_slo *s = &c->slos[0];
    assert_string_equal(s->name, "checkout");
    assert_true(fabs(s->objective - 0.999) < 1e-12);
    assert_int_equal(s->latency_ns, S / 4);
    assert_int_equal(s->window_ns, 7 * 86400 * S);
    assert_int_equal(s->min_requests, 5);
    assert_int_equal(s->line, 25);
    sj_config_free(c);
}

static void every_notifier_is_taken(void **state)
{
    (void)state;
    static const char *const names[] = {"alertmanager", "pagerduty", "webhook", "webhook-2",
                                        "pager",        "syslog",    "syslog-2"};
    struct sj_config *c = good(full);
    const struct sj_notifier *n = c->notifiers;
    assert_int_equal(c->n_notifiers, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(n[i].name, names[i]);
        assert_int_equal(n[i].line, 33 + i);
    }
    assert_int_equal(n[0].kind, SJ_NOTIFY_ALERTMANAGER);
    assert_string_equal(n[0].url, "http://127.0.0.1:9093");
    assert_string_equal(n[0].username, "u");
    assert_string_equal(n[0].password_file, "p");
    assert_string_equal(sj_labels_get(&n[0].headers, "X-Scope"), "t");
    assert_int_equal(n[0].timeout_ns, 10 * S);
    assert_int_equal(n[1].kind, SJ_NOTIFY_PAGERDUTY);
    assert_string_equal(n[1].url, "https://events.pagerduty.com/v2/enqueue");
    assert_string_equal(sj_labels_get(&n[1].only, "severity"), "critical");
    assert_null(n[2].url);
    assert_string_equal(n[2].url_file, "hook.url");
    assert_string_equal(n[2].template_file, "hook.json");
    assert_int_equal(n[2].timeout_ns, 3 * S);
    assert_string_equal(n[3].ca_file, "ca.pem");
    assert_string_equal(n[3].server_name, "other");
    assert_string_equal(n[4].command[0], "/bin/page");
    assert_string_equal(n[4].command[2], "");
    assert_null(n[4].command[3]);
    assert_int_equal(n[5].facility, LOG_LOCAL3);
    assert_int_equal(n[6].facility, LOG_DAEMON);
    assert_int_equal(n[6].kind, SJ_NOTIFY_SYSLOG);
    sj_config_free(c);
}

static void a_stage_tells_the_role(void **state)
{
    (void)state;
    struct sj_config *c = good("alerts: [{name: a, when: runq.share > 20%}, {name: b, when: wait.p50 > 1ms}, "
                               "{name: c, when: send.mean > 1ms}]");
    assert_int_equal(c->rules[0].match.role, SJ_ROLE_SERVER);
    assert_int_equal(c->rules[1].match.role, SJ_ROLE_CLIENT);
    assert_int_equal(c->rules[2].match.role, SJ_ROLE_UNKNOWN);
    assert_int_equal(c->rules[0].over_ns, SJ_OVER_DEFAULT_NS);
    sj_config_free(c);
}

static void what_is_hardly_meant_is_warned_about(void **state)
{
    (void)state;
    struct sj_config *c = good("slos:\n- name: s\n  objective: 90%\n  window: 1d\nnotify: [syslog: {}]\n");
    assert_int_equal(c->n_warnings, 2);
    assert_string_equal(c->warnings[0], "f.yaml:3: SLO 's': the page at 14.4 times the budget can never fire, as even "
                                        "nothing but errors burns no faster than 10 times");
    assert_non_null(strstr(c->warnings[1], "f.yaml:4: SLO 's': the ticket at the budget is left out"));
    sj_config_free(c);
}

static void files_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    char path[] = "/tmp/sojourn-test-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    sj_autofree char *big = malloc(SJ_CONFIG_MAX + 1);
    assert_non_null(big);
    memset(big, '#', SJ_CONFIG_MAX + 1);
    assert_int_equal(write(fd, big, SJ_CONFIG_MAX), SJ_CONFIG_MAX);
    struct sj_err err = {0};
    sj_autofree char *text = NULL;
    size_t n = 0;
    assert_int_equal(sj_config_read(path, &text, &n, &err), 0);
    assert_int_equal(n, SJ_CONFIG_MAX);
    assert_int_equal(text[n], 0);
    char *untouched = NULL;
    assert_int_equal(write(fd, big, 1), 1);
    assert_int_equal(sj_config_read(path, &untouched, &n, &err), -1);
    assert_int_equal(err.status, EX_CONFIG);
    close(fd);
    unlink(path);
    assert_int_equal(sj_config_read(path, &untouched, &n, &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(sj_config_read("/tmp", &untouched, &n, &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_null(untouched);
    struct sj_config *c = NULL;
    assert_int_equal(sj_config_parse(big, SJ_CONFIG_MAX + 1, "x", &c, &err), -1);
    assert_string_equal(err.text, "x:1: longer than 1024 KiB");
    assert_null(c);
    sj_config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_a_configuration_of_defaults),
        cmocka_unit_test(the_simplest_rule_is_three_lines),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(every_notifier_is_taken),
        cmocka_unit_test(a_stage_tells_the_role),
        cmocka_unit_test(what_is_hardly_meant_is_warned_about),
        cmocka_unit_test(files_are_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
