// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

/* What is wrong, where, and what would be right: word by word, since these lines are all that a user gets. */
static const struct {
    const char *text;
    size_t n;
    const char *line; /* after "f.yaml:" */
} wrong[] = {
    {"alertz: []\n", 11, "1: unknown key 'alertz' in the configuration; is 'alerts' meant?"},
    {"a: 1\n", 5,
     "1: unknown key 'a' in the configuration; the keys are: listen web_config_file state_dir interval resend "
     "forget_after max_series ring stages payload probe_set labels alerts slos notify"},
    {"alerts:\n  - name: a\n    when: p99 > 1s\n    fore: 60s\n", 53,
     "4: unknown key 'fore' in an alert; is 'for' meant?"},
    {"alerts:\n  name: a\n", 18, "2: alerts is a list: each of its values begins with '- '"},
    {"- a\n", 4, "1: the configuration is a mapping of keys and values, such as 'listen: ...'"},
    {"hello\n", 6, "1: the configuration is a mapping of keys and values, such as 'listen: ...'"},
    {"alerts:\n- name: a\n", 18, "2: an alert needs when, such as 'when: p99 > 1s'"},
    {"alerts:\n- when: p99 > 1s\n", 25, "2: an alert needs name, such as 'name: slow'"},
    {"alerts:\n- name: a\n  when: p99 > 1\n", 34,
     "3: when: p99 is compared with a time with its unit, such as 250us, 50ms, 1.5s or 2m, not '1'"},
    {"alerts:\n- name: a\n  when: error_ratio > 101%\n", 45,
     "3: when: error_ratio is compared with a share such as 1% or 0.01, at most 100%, not '101%'"},
    {"alerts:\n- name: a\n  when: rate < 10\n", 36,
     "3: when: rate is compared with a number per s, m or h, such as 10/s or 600/m, not '10'"},
    {"alerts:\n- name: a\n  when: p999 > 1s\n", 36,
     "3: when: the quantile p999 is out of range: p0.1 to p99.999 (p999 is written p99.9)"},
    {"alerts:\n- name: a\n  when: speed > 1s\n", 37,
     "3: when: unknown quantity 'speed': pN (p99, p99.9), mean, max, STAGE.pN, STAGE.mean, STAGE.share, rate, "
     "error_rate, error_ratio, requests or errors"},
    {"alerts:\n- name: a\n  when: error_ratio > 100%\n", 45, "3: when: 'error_ratio > 100%' never holds"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  for: 60\n", 45,
     "4: for takes a time with its unit, such as 500ms, 60s, 5m, 2h or 30d, not '60'"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  for: 500ms\n", 48,
     "4: for is shorter than interval, at which rules are evaluated"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  over: 2d\n", 46, "4: over is at most 1d"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  over: 0s\n", 46, "4: over must be longer than 0s"},
    {"alerts:\n- name: a\n  when: rate < 1/s\n  min_requests: 5\n", 55,
     "4: min_requests makes no sense here: no requests are a rate and a count too"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n- name: a\n  when: p50 > 1s\n", 62,
     "4: two alerts are called 'a', the other one in line 2; give one of them another name or label"},
    {"alerts:\n- name: a\n  name: b\n  when: p99 > 1s\n", 45, "3: 'name' is given twice, before in line 2"},
    {"alerts:\n- name: a\n  when: wait.p99 > 1s\n  match: {role: server}\n", 64,
     "3: this can never match: wait is a stage of role client, match asks for server"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  match: {protocol: tls,\n   operation: x}\n", 77,
     "5: this can never match: protocol tls has no operations"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  match: {port: 70000}\n", 58,
     "4: port is a number from 1 to 65535, not '70000'"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  match: {role: peer}\n", 57,
     "4: role is server (the side that answers) or client (that asks), not 'peer'"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  no_data: ok\n", 49, "4: no_data is keep, resolve or alert, not 'ok'"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  labels: {service: x}\n", 58,
     "4: the label 'service' is set by the program itself; choose another name"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  labels: {a-b: x}\n", 54,
     "4: 'a-b' is no name of a label: letters, digits and _, no digit first, no two _ first, at most 64"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  labels: {a: ''}\n", 53, "4: 'a' takes a text of 1 to 512 bytes"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  annotations:\n    s: '{{ $labels.servce }}'\n", 80,
     "5: s: a template names the label 'servce', which the alert does not have"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  annotations:\n    s: '{{ $val }}'\n", 70,
     "5: s: a template knows {{ $labels.NAME }}, {{ $value }}, {{ $threshold }}, and behind them | humanize, "
     "humanizeDuration or humanizePercentage"},
    {"alerts:\n- name: a\n  when: p99 > 1s\n  annotations:\n    s: '{{ $value'\n", 69,
     "5: s: a template's {{ is not closed by }}, or holds more than {{ $labels.NAME }}, {{ $value }}, {{ $threshold "
     "}}, and behind them | humanize, humanizeDuration or humanizePercentage"},
    {"slos:\n- name: a\n  objective: 100%\n", 34,
     "3: objective is the share of good requests, between 0% and 100% without these, such as 99.9%, not '100%'"},
    {"slos:\n- name: a\n  objective: 99.9\n", 34,
     "3: objective is the share of good requests, between 0% and 100% without these, such as 99.9%, not '99.9'"},
    {"slos:\n- name: a\n  objective: 99.9%\n  latency: 0s\n", 49, "4: latency must be longer than 0s"},
    {"slos:\n- name: a\n  objective: 99.9%\n- name: a\n  objective: 99%\n", 62,
     "4: two SLOs are called 'a', the other one in line 2"},
    {"slos:\n- name: a\n  objective: 99.9%\n  window: 1h\n", 48, "4: window is from 1d to 90d"},
    {"slos:\n- name: a\n  objective: 99.9%\n  labels: {severity: x}\n", 59,
     "4: the label 'severity' is set by the program itself; choose another name"},
    {"notify: [x]\n", 12,
     "1: each value of notify is one of alertmanager, pagerduty, webhook, exec and syslog, such as '- syslog: {}'"},
    {"notify:\n- webhook:\n", 19, "2: webhook is empty; write its keys indented below it"},
    {"notify:\n- webhook: {}\n", 22, "2: webhook needs url, or url_file where the URL is a secret"},
    {"notify:\n- webhook: {url: ftp://x}\n", 34, "2: url takes http://HOST... or https://HOST..., not 'ftp://x'"},
    {"notify:\n- webhook: {url: 'http://u:p@x/'}\n", 42,
     "2: a URL has no user and password here; use username and password_file"},
    {"notify:\n- alertmanager: {url: http://h, username: a}\n", 53,
     "2: username and password_file go together; password_file is missing"},
    {"notify:\n- alertmanager: {url: http://h, ca_file: a}\n", 52,
     "2: there are no certificates without https; write https:// in url or leave this out"},
    {"notify:\n- exec: {command: page}\n", 32,
     "2: command is a list of words, such as [/usr/local/bin/page, --now]; no shell reads it"},
    {"notify:\n- exec: {command: [page]}\n", 34,
     "2: command begins with an absolute path, such as /usr/local/bin/page"},
    {"notify:\n- pagerduty: {}\n", 24, "2: pagerduty needs routing_key_file, a file that holds the key"},
    {"notify:\n- alertmanager: {url: http://h, headers: {Authorization: x}}\n", 69,
     "2: secrets are not written here; use bearer_token_file, or username and password_file"},
    {"notify:\n- syslog: {facility: x}\n", 32, "2: facility is daemon, user or local0 to local7, not 'x'"},
    {"notify:\n- syslog: {name: x}\n- syslog: {name: x}\n", 48,
     "3: two notifiers are called 'x', the other one in line 2; give one of them another name"},
    {"notify:\n- webhook: {url: http://h, timeout: 1ms}\n", 49, "2: timeout is from 100ms to 5m"},
    {"listen: 80\n", 11,
     "1: listen takes an address and a port, such as 127.0.0.1:10435, [::1]:10435 or :10435 for all addresses, not "
     "'80'"},
    {"listen: a:b:80\n", 15,
     "1: listen takes an address and a port, such as 127.0.0.1:10435, [::1]:10435 or :10435 for all addresses, not "
     "'a:b:80'"},
    {"listen: 127.0.0.1:0\n", 20,
     "1: listen takes an address and a port, such as 127.0.0.1:10435, [::1]:10435 or :10435 for all addresses, not "
     "'127.0.0.1:0'"},
    {"interval: 1ms\n", 14, "1: interval is from 100ms to 5m"},
    {"interval: 2m\nresend: 1m\n", 24, "2: resend must not be shorter than interval"},
    {"ring: 1k\n", 9, "1: ring takes a size from 4KiB to 1GiB, such as 2MiB, not '1k'"},
    {"stages: some\n", 13, "1: stages takes all, queue or none, not 'some'"},
    {"stages: []\n", 11, "1: stages takes all, queue or none, not ''"},
    {"payload: on\n", 12, "1: payload takes auto or off, not 'on'"},
    {"probe_set: kprobe\n", 18, "1: probe_set takes auto, socket or syscall, not 'kprobe'"},
    {"payload: off\nalerts:\n- name: a\n  when: p99 > 1s\n  match: {operation: \"GET /\"}\n", 77,
     "5: this can never match: with 'payload: off' no operation is known"},
    {"payload: off\nslos:\n- name: a\n  objective: 99%\n  match: {protocol: http}\n", 71,
     "5: this can never match: with 'payload: off' no protocol is known"},
    {"stages: queue\nalerts:\n- name: a\n  when: runq.share > 20%\n", 57,
     "4: there is never any runq with 'stages: queue'"},
    {"stages: none\nalerts:\n- name: a\n  when: queue.p99 > 1s\n", 54,
     "4: there is never any queue with 'stages: none'"},
    {"max_series: 0\n", 14, "1: max_series takes a number from 1 to 1000000000, not '0'"},
    {"max_series: -1\n", 15, "1: max_series takes a number from 1 to 1000000000, not '-1'"},
    {"forget_after: 1s\n", 17, "1: forget_after is at least 5m"},
    {"a: &x 1\n", 8,
     "1: anchors (&) and aliases (*) are not supported; write the value out, and quote text that begins with & or *"},
    {"a: *x\n", 6,
     "1: anchors (&) and aliases (*) are not supported; write the value out, and quote text that begins with & or *"},
    {"a: !!str 1\n", 11, "1: tags such as !!str are not supported; write the value alone"},
    {"--- \na: 1\n---\nb: 1\n", 19, "3: a second document; a configuration is one"},
    {"alerts:\n\t- name: a\n", 19,
     "2: not YAML: found character that cannot start any token; indent with spaces, not tabs, and quote what begins "
     "with @ or `"},
    {"a: [1\n", 6, "2: not YAML: while parsing a flow sequence, did not find expected ',' or ']'"},
    {"a: 'x\n", 6, "2: not YAML: while scanning a quoted scalar, found unexpected end of stream"},
    {"\000\001", 2, "1: not UTF-8 text: control characters are not allowed"},
    {"listen: \"a\\eb\"\n", 15, "1: a control character in a value"},
    {"[[[[[[[[[[[[[[[[[[[[[\n", 22, "1: nested more than 16 deep"},
    {"? [a]\n: b\n", 10, "1: a key must be a word"},
    {"<<: {a: 1}\n", 11, "1: merging with << is not supported; write the keys out"},
    {"listen: {a: 1}\n", 15,
     "1: listen takes an address and a port, such as 127.0.0.1:10435, [::1]:10435 or :10435 for all addresses, not ''"},
    {"labels:\n  service: a\n", 21, "2: the label 'service' is set by the program itself; choose another name"},
    {"state_dir: ''\n", 14, "1: state_dir takes a text that is not empty"},
};

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct sj_config *c = NULL;
        struct sj_err err = {0};
        assert_int_equal(sj_config_parse(wrong[i].text, wrong[i].n, "f.yaml", &c, &err), -1);
        assert_int_equal(err.status, EX_CONFIG);
        assert_null(c);
        assert_memory_equal(err.text, "f.yaml:", 7);
        assert_string_equal(err.text + 7, wrong[i].line);
        assert_null(strchr(err.text, '\n'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
