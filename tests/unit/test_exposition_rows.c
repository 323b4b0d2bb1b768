// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "made_exposition.h"

/* What a series of requests has beside its counts: since when it counts, an example, and its place under limits. */

#define SECOND 1000000000ULL
#define LABELS(operation) "operation=\"" operation "\",protocol=\"http\",role=\"server\",service_name=\"nginx\""

/* A series that lasts, in which nginx is asked for two things, at 5 and at 65 seconds. */
static void made_lasting(struct made_exposition *m, uint64_t series)
{
    const struct sj_series_limits limits = {
        .rows = 1000, .bytes = (size_t)64 << 20, .idle_ns = 3600 * SECOND, .series = series};
    struct sj_request r = made_server_request();
    made_exposition_limited(m, &limits);
    for (int i = 0; i < 2; i++) {
        uint64_t now = m->measurement.start_mono_ns + (uint64_t)(5 + 60 * i) * SECOND;
        assert_int_equal(sj_series_tick(m->series, now), 0);
        r.operation = i ? "GET /late" : "GET /early";
        r.start_ns = now + SECOND / 2;
        made_exposition_add(m, &r);
    }
}

static void a_series_counts_since_it_began(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "sojourn_request_duration_seconds_created{" LABELS("GET /early") "} 1795338005.1234567",
        "sojourn_request_duration_seconds_created{" LABELS("GET /late") "} 1795338065.1234567",
        "sojourn_requests_created{" LABELS("GET /late") ",status_class=\"2xx\"} 1795338065.1234567",
        "sojourn_errors_created{" LABELS("GET /early") "} 1795338005.1234567",
        "sojourn_detail_lost_created{} 1795338000.1234567"};
    struct made_exposition m;
    made_lasting(&m, 2000);
    for (int f = SJ_EXPOSITION_OPENMETRICS; f < SJ_EXPOSITION_MAX_; f++) {
        char *text = made_exposition_read(&m, (enum sj_exposition_format)f);
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            if (!made_has_line(text, lines[i]))
                fail_msg("format %d has no line %s in\n%s", f, lines[i], text);
        free(text);
    }
    made_exposition_fini(&m);
}

/* It stands behind the bucket that it belongs to, once, and in protobuf behind the native histogram too. */
static void the_slowest_request_is_an_example(void **state)
{
    (void)state;
    static const char example[] = " # {'peer': '127.0.0.1:51234', 'pid': '7201'} 0.0031003 1795338005.626557";
    struct made_exposition m;
    char line[512];
    made_lasting(&m, 2000);
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        char *text = made_exposition_read(&m, (enum sj_exposition_format)f);
        size_t n = 0;
        for (const char *p = text; (p = strstr(p, example)); p++)
            n++;
        assert_int_equal(n, f == SJ_EXPOSITION_TEXT ? 0 : f == SJ_EXPOSITION_PROTOBUF ? 2 : 1);
        snprintf(line, sizeof(line),
                 "sojourn_request_duration_seconds_bucket{le=\"0.00390625\"," LABELS("GET /early") "} 1.0%s", example);
        assert_int_equal(made_has_line(text, line), f != SJ_EXPOSITION_TEXT);
        free(text);
    }
    made_exposition_fini(&m);
}

/* Of a rest nobody knows an own beginning but the service's; all that is beyond the limits counts since the start. */
static void a_rest_counts_since_the_service_did(void **state)
{
    (void)state;
    struct made_exposition m;
    made_lasting(&m, 3 + 2); /* one operation and one service have names */
    char *text = made_exposition_read(&m, SJ_EXPOSITION_OPENMETRICS);
    assert_true(made_has_line(text, "sojourn_request_duration_seconds_count{" LABELS("GET /early") "} 1.0"));
    assert_true(made_has_line(text, "sojourn_request_duration_seconds_count{" LABELS("other") "} 1.0"));
    assert_true(
        made_has_line(text, "sojourn_request_duration_seconds_created{" LABELS("other") "} 1795338005.1234567"));
    assert_true(made_has_line(text, "sojourn_requests_total{operation=\"other\",protocol=\"unknown\",role=\"server\","
                                    "service_name=\"other\",status_class=\"2xx\"} 2.0"));
    assert_true(made_has_line(text, "sojourn_requests_created{operation=\"other\",protocol=\"unknown\",role=\"server\","
                                    "service_name=\"other\",status_class=\"2xx\"} 1795338000.1234567"));
    free(text);
    made_exposition_fini(&m);
}

/* Who is not heard of for an hour leaves no series; who comes back begins anew, and says so. */
static void the_dead_leave_nothing(void **state)
{
    (void)state;
    struct made_exposition m;
    struct sj_request r = made_server_request();
    const uint64_t hour = 3600 * SECOND;
    made_lasting(&m, 2000);
    assert_int_equal(sj_series_tick(m.series, m.measurement.start_mono_ns + hour + 70 * SECOND), 0);
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        char *text = made_exposition_read(&m, (enum sj_exposition_format)f);
        if (strstr(text, "service_name"))
            fail_msg("format %d still has the service:\n%s", f, text);
        assert_true(made_has_line(text, "sojourn_completeness_requests_total{kind=\"detailed\"} 2.0"));
        free(text);
    }
    r.operation = "GET /early";
    made_exposition_add(&m, &r);
    char *text = made_exposition_read(&m, SJ_EXPOSITION_OPENMETRICS);
    assert_true(made_has_line(text, "sojourn_request_duration_seconds_count{" LABELS("GET /early") "} 1.0"));
    assert_true(made_has_line(text, "sojourn_errors_created{" LABELS("GET /early") "} 1795341670.1234567"));
    assert_null(strstr(text, "GET /late"));
    free(text);
    made_exposition_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_counts_since_it_began),
        cmocka_unit_test(the_slowest_request_is_an_example),
        cmocka_unit_test(a_rest_counts_since_the_service_did),
        cmocka_unit_test(the_dead_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
