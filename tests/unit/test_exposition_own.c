// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "made_exposition.h"

/* Metrics that are not about rows of requests: what is open, what was fitted, and the daemon itself. */

#define GAUGE(name, service, role) "sojourn_" name "{role=\"" role "\",service_name=\"" service "\"} "

/* All formats have these lines, to NULL. */
static void all_formats_say(struct made_exposition *m, const char *const *lines)
{
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        char *text = made_exposition_read(m, (enum sj_exposition_format)f);
        for (size_t i = 0; lines[i]; i++)
            if (!made_has_line(text, lines[i]))
                fail_msg("format %d has no line %s in\n%s", f, lines[i], text);
        free(text);
    }
}

static size_t count(struct made_exposition *m, const char *start)
{
    char *text = made_exposition_read(m, SJ_EXPOSITION_TEXT);
    size_t n = made_count_lines(text, start);
    free(text);
    return n;
}

/* Ports are one series; a name may fill its field to the last byte. */
static void what_is_open_is_told_by_service(void **state)
{
    (void)state;
    static const struct sj_live_gauge gauges[] = {
        {"nginx", SJ_ROLE_SERVER, 80, 7, 2},
        {"nginx", SJ_ROLE_CLIENT, 9000, 3, 0},
        {"nginx", SJ_ROLE_SERVER, 81, 5, 1},
        {{"sixteen bytes..!"}, SJ_ROLE_SERVER, 80, 1, 0},
    };
    static const char *const lines[] = {GAUGE("connections", "nginx", "server") "12.0",
                                        GAUGE("requests_in_flight", "nginx", "server") "3.0",
                                        GAUGE("connections", "nginx", "client") "3.0",
                                        GAUGE("requests_in_flight", "nginx", "client") "0.0",
                                        GAUGE("connections", "sixteen bytes..!", "server") "1.0",
                                        NULL};
    struct made_exposition m;
    made_exposition_init(&m, 10);
    m.status.gauges = gauges;
    m.status.n_gauges = 4;
    m.status.connections[SJ_ROLE_SERVER] = 13;
    m.status.connections[SJ_ROLE_CLIENT] = 3;
    m.status.in_flight[SJ_ROLE_SERVER] = 3;
    all_formats_say(&m, lines);
    assert_int_equal(count(&m, "sojourn_connections{"), 3);
    made_exposition_fini(&m);
}

/* What is beyond the limit is the rest, together with what no service is known of. */
static void what_is_open_has_a_limit(void **state)
{
    (void)state;
    static struct sj_live_gauge gauges[50];
    static const char *const lines[] = {GAUGE("connections", "s00", "server") "2.0",
                                        GAUGE("connections", "other", "server") "94.0",
                                        GAUGE("requests_in_flight", "other", "server") "44.0",
                                        GAUGE("requests_in_flight", "other", "client") "4.0", NULL};
    struct made_exposition m;
    for (int i = 0; i < 50; i++) {
        gauges[i] = (struct sj_live_gauge){.role = SJ_ROLE_SERVER, .port = 80, .connections = 2, .in_flight = 1};
        snprintf(gauges[i].service, sizeof(gauges[i].service), "s%02d", 49 - i);
    }
    made_exposition_init(&m, 10);
    m.e.max_series = 10;
    m.status.gauges = gauges;
    m.status.n_gauges = 50;
    m.status.connections[SJ_ROLE_SERVER] = 100 + 8;
    m.status.in_flight[SJ_ROLE_SERVER] = 51;
    m.status.in_flight[SJ_ROLE_CLIENT] = 4;
    all_formats_say(&m, lines);
    assert_true(count(&m, "sojourn_connections{") <= 10 && count(&m, "sojourn_requests_in_flight{") <= 10);
    made_exposition_fini(&m);
}

/* Of services that differ in their port only, the larger one's fit is shown: labels are there once. */
static void a_fit_is_shown_once(void **state)
{
    (void)state;
    struct random_state random = {.state = 3};
    struct sj_report_fits fits;
    struct sj_err err;
    struct made_exposition m;
    char error[256], parameter[256];
    made_exposition_init(&m, 100);
    for (int i = 0; i < 900; i++) {
        struct sj_request r = made_server_request();
        memset(r.stage_ns, 0, sizeof(r.stage_ns));
        memset(r.blocked_ns, 0, sizeof(r.blocked_ns));
        r.service = i % 9 ? "nginx" : "shop";
        r.port = i % 3 ? 80 : 81;
        r.total_ns = r.stage_ns[SJ_STAGE_ONCPU] = (uint64_t)(1e9 * draw_lognormal(&random, -6, 0.8));
        made_exposition_add(&m, &r);
    }
    made_exposition_write(&m, SJ_EXPOSITION_TEXT);
    assert_int_equal(m.snapshot.n_services, 3);
    assert_int_equal(sj_report_fits_make(&m.snapshot, &fits, &err), 0);
    assert_true(fits.of[0] && fits.of[1] && fits.of[2]);
    m.e.fits = &fits;
    const char *family = fits.of[0]->fits[0].family->name;
    snprintf(error, sizeof(error),
             "sojourn_fit_quantile_error{family=\"%s\",protocol=\"http\",role=\"server\",service_name=\"nginx\"} ",
             family);
    snprintf(parameter, sizeof(parameter), "sojourn_fit_parameter{family=\"%s\",parameter=\"%s\",protocol=", family,
             fits.of[0]->fits[0].family->parameters[0]);
    assert_int_equal(count(&m, error), 1);
    assert_true(count(&m, parameter) >= 1);
    assert_int_equal(count(&m, "sojourn_fit_quantile_error{"), 2);
    assert_int_equal(count(&m, "sojourn_fit_tail_seconds{bound=\"estimate\",p=\"0.999\""),
                     (size_t)fits.of[0]->has_tail + fits.of[2]->has_tail);
    static const char *const none[] = {NULL};
    all_formats_say(&m, none); /* the readers refuse what comes twice */
    sj_report_fits_free(&fits);
    made_exposition_fini(&m);
}

/* What is not known is absent, not 0. */
static void what_the_daemon_takes_is_told(void **state)
{
    (void)state;
    static const struct sj_courier_status courier = {
        .cpu_seconds = 1.5,
        .rss_bytes = 7340032,
        .requests = 11,
        .requests_denied = 2,
        .connections = 1,
        .state_errors = 3,
        .reloads_failed = 4,
        .notifiers = {[SJ_NOTIFY_PAGERDUTY] = {.delivered = 5, .failed = 6, .dropped = 7, .waiting = 8}}};
    static const char *const lines[] = {"sojourn_cpu_seconds_total{process=\"collector\"} 2.25",
                                        "sojourn_cpu_seconds_total{process=\"courier\"} 1.5",
                                        "sojourn_resident_memory_bytes{process=\"collector\"} 9437184.0",
                                        "sojourn_resident_memory_bytes{process=\"courier\"} 7340032.0",
                                        "sojourn_probe_cpu_seconds_total{} 0.125",
                                        "sojourn_probe_request_cost_seconds{} 1.25e-06",
                                        "sojourn_completeness_requests_total{kind=\"detailed\"} 100.0",
                                        "sojourn_completeness_requests_total{kind=\"counted_only\"} 20.0",
                                        "sojourn_completeness_requests_total{kind=\"unparsed\"} 3.0",
                                        "sojourn_completeness_requests_total{kind=\"cut_off\"} 4.0",
                                        "sojourn_completeness_requests_total{kind=\"lost\"} 5.0",
                                        "sojourn_detail_lost_total{} 6.0",
                                        "sojourn_notifications_total{notifier=\"pagerduty\",result=\"delivered\"} 5.0",
                                        "sojourn_notifications_total{notifier=\"pagerduty\",result=\"failed\"} 6.0",
                                        "sojourn_notifications_total{notifier=\"pagerduty\",result=\"dropped\"} 7.0",
                                        "sojourn_notifications_waiting{notifier=\"pagerduty\"} 8.0",
                                        "sojourn_notifications_total{notifier=\"exec\",result=\"dropped\"} 0.0",
                                        "sojourn_http_requests_total{} 11.0",
                                        "sojourn_http_requests_denied_total{} 2.0",
                                        "sojourn_state_write_errors_total{} 3.0",
                                        "sojourn_config_reload_failures_total{} 4.0",
                                        "sojourn_config_last_reload_successful{} 0.0",
                                        NULL};
    struct made_exposition m;
    made_exposition_init(&m, 10);
    m.e.collector_cpu_seconds = 2.25;
    m.e.collector_rss_bytes = 9437184;
    m.status.completeness = (struct sj_completeness){
        .detailed = 100, .counted_only = 20, .unparsed = 3, .cut_off = 4, .lost = 5, .detail_lost = 6};
    assert_int_equal(count(&m, "sojourn_probe_"), 0);
    assert_int_equal(count(&m, "sojourn_cpu_seconds_total{"), 1);
    assert_int_equal(count(&m, "sojourn_http_") + count(&m, "sojourn_notifications_"), 0);
    m.e.courier = &courier;
    m.status.kernel_seconds = 0.125;
    m.status.kernel_seconds_per_request = 1.25e-6;
    all_formats_say(&m, lines);
    made_exposition_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_open_is_told_by_service),
        cmocka_unit_test(what_is_open_has_a_limit),
        cmocka_unit_test(a_fit_is_shown_once),
        cmocka_unit_test(what_the_daemon_takes_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
