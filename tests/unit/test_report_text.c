// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_errno.h>

#include "base/text.h"
#include "term/fit_text.h"
#include "term/report_parts.h"
#include "term/report_text.h"

#include "made_report.h"

static const struct sj_screen plain = {.width = 120};

static const char *printed(struct sj_out *out, const struct sj_screen *screen, struct made_report *m)
{
    assert_int_equal(sj_report_text(out, screen, made_report_done(m)), 0);
    sj_snapshot_free(&m->snapshot);
    return made_text(out);
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

/* Several services of either role, with many operations, and names that are too long. */
static void fill(struct made_report *m)
{
    for (int i = 0; i < 3000; i++) {
        char operation[160], service[64];
        struct sj_request r = i % 5 ? made_server_request() : made_client_request();
        snprintf(operation, sizeof(operation),
                 "GET /%d/a/path/that/goes/on/and/on/and/does/not/end/before/the/line/:id", i % 40);
        snprintf(service, sizeof(service), "a-service-with-a-long-name-%d", i % 3);
        r.operation = operation;
        r.service = i % 7 ? r.service : service;
        r.container = i % 7 ? "" : "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        r.flags = (i % 11 ? 0 : SJ_REQ_ERROR) | (i % 13 ? 0 : SJ_REQ_CLIENT_ERROR);
        if (r.role == SJ_ROLE_SERVER)
            made_longer(&r, SJ_STAGE_BLOCKED, (uint64_t)i * 1000);
        made_report_add(m, &r);
    }
}

static void one_service(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request();
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    for (int i = 0; i < 5000; i++)
        made_report_add(&m, &r);
    m.outcome.kernel_seconds_per_request = 620e-9;
    m.outcome.user_cpu_ratio = 0.031;
    assert_string_equal(
        printed(&out, &plain, &m),
        "web1  2026-11-22 09:00:00 UTC  10.0 s\n"
        "\n"
        "SERVICE   PID  ROLE    PROTO  PORT  REQUESTS  RATE/S  ERRORS      P50      P90      P99   +-      MAX\n"
        "nginx    7201  server  http   8080     5,000     500       0  3.10 ms  3.10 ms  3.10 ms  0 %  3.10 ms\n"
        "\n"
        "nginx:8080 server, mean 3.10 ms\n"
        "              SHARE                                MEAN       P50       P99\n"
        "  queue       3.2 %  #                           100 us    100 us    100 us\n"
        "  on-cpu       32 %  ########                   1.00 ms   1.00 ms   1.00 ms\n"
        "  blocked      65 %  ###############            2.00 ms   2.00 ms   2.00 ms  sleep 65 %\n"
        "\n"
        "OPERATION       SERVICE     ROLE    REQUESTS  ERRORS      P50      P90      P99      MAX  MOSTLY\n"
        "GET /users/:id  nginx:8080  server     5,000       0  3.10 ms  3.10 ms  3.10 ms  3.10 ms  blocked 65 %\n"
        "\n"
        "complete: 5,000 requests = 5,000 detailed + 0 counted only; 0 unparsed; beside them 0 cut off, 0 lost\n"
        "cost:     620 ns of kernel time per request, 3.1 % of a CPU in user space\n");
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void nothing_is_said_to_be_nothing(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    assert_string_equal(printed(&out, &plain, &m),
                        "web1  2026-11-22 09:00:00 UTC  10.0 s\n\nno requests were seen\n\n"
                        "complete: 0 requests = 0 detailed + 0 counted only; 0 unparsed; beside them 0 cut off, "
                        "0 lost\n");
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void lines_fit_the_screen(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    fill(&m);
    made_report_fitted(&m);
    for (size_t width = SJ_SCREEN_MIN; width <= SJ_SCREEN_MAX; width++) {
        const struct sj_screen screen = {.width = width, .utf8 = width & 1};
        assert_int_equal(sj_report_text(&out, &screen, &m.report), 0);
        const char *text = made_text(&out);
        contains(text, "fit:");
        while (*text) {
            char line[1024];
            size_t n = strcspn(text, "\n");
            assert_int_equal(text[n], '\n');
            snprintf(line, sizeof(line), "%.*s", (int)n, text);
            bool prose = strncmp(line, "complete:", 9) == 0;
            if (!prose && sj_text_width(line) > width)
                fail_msg("wider than %zu: %s", width, line);
            assert_true(n == 0 || line[n - 1] != ' ');
            text += n + 1;
        }
    }
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void loss_is_visible(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request bad = made_server_request();
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    bad.flags = SJ_REQ_ERROR;
    for (int i = 0; i < 10; i++)
        made_report_add(&m, &bad);
    made_report_count(&m, 90, 1000000, true);
    m.outcome.completeness.lost = 2;
    const char *text = printed(&out, &plain, &m);
    contains(text, ">=100");
    contains(text, "10 (10-100 %)");
    contains(text,
             "complete: >=100 requests = 10 detailed + 90 counted only; 0 unparsed; beside them 0 cut off, 2 lost");
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void colours_only_where_there_are_any(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    fill(&m);
    const struct sj_screen color = {.width = 120, .color = true, .utf8 = true};
    assert_null(strchr(printed(&out, &plain, &m), '\033'));
    assert_non_null(strstr(printed(&out, &color, &m), "\033[31m"));
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void names_are_harmless(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request();
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    r.service = "x\033]0;title\007";
    r.operation = "GET /\r\n\xff";
    r.container = "\033[2J";
    snprintf(m.measurement.host, sizeof(m.measurement.host), "h\033c");
    snprintf(m.measurement.label, sizeof(m.measurement.label), "l\n");
    made_report_add(&m, &r);
    const char *text = printed(&out, &plain, &m);
    for (const char *p = text; *p; p++)
        assert_true(*p == '\n' || (unsigned char)*p >= ' ');
    contains(text, "x\\e]0;title\\x07");
    contains(text, "GET /\\r\\n\\xff");
    contains(text, "h\\ec  2026");
    contains(text, "release l\\n\n");
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void the_busiest_operations_come_first(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    for (int i = 0; i < 30; i++) {
        char operation[16];
        struct sj_request r = i & 1 ? made_server_request() : made_client_request();
        snprintf(operation, sizeof(operation), "op-%02d", i);
        r.operation = operation;
        for (int n = 0; n <= i; n++)
            made_report_add(&m, &r);
    }
    const char *text = printed(&out, &plain, &m), *last = strstr(text, "OPERATION");
    assert_non_null(last);
    for (int i = 29; i >= 10; i--) {
        char operation[16];
        snprintf(operation, sizeof(operation), "\nop-%02d", i);
        const char *here = strstr(text, operation);
        assert_non_null(here);
        assert_true(here > last);
        last = here;
    }
    assert_null(strstr(text, "op-09"));
    contains(text, "... and 10 more: --json has all of them\n");
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void the_best_fit_is_below_the_stages(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    made_report_lognormal(&m, "nginx", 5000);
    made_report_fitted(&m);
    assert_int_equal(sj_report_text(&out, &plain, &m.report), 0);
    const char *text = made_text(&out), *fit = strstr(text, "\n  fit: lognormal (quantiles within ");
    double p999 = 0, low = 0, high = 0;
    assert_non_null(fit);
    assert_true(fit > strstr(text, "\n  on-cpu ") && fit < strstr(text, "\nOPERATION "));
    assert_int_equal(sscanf(strchr(fit, ')'), "), p99.9 %lf ms (%lf ms to %lf ms)\n", &p999, &low, &high), 3);
    assert_true(p999 > 24 && p999 < 36); /* 29.4 ms is the truth */
    assert_true(low < p999 && p999 < high);
    const struct sj_screen narrow = {.width = 80};
    assert_int_equal(sj_report_text(&out, &narrow, &m.report), 0);
    fit = strstr(made_text(&out), "\n  fit: lognormal (");
    assert_non_null(fit);
    contains(fit, " %),\n       p99.9 ");
    m.report.fits = NULL; /* --fit none */
    assert_int_equal(sj_report_text(&out, &plain, &m.report), 0);
    assert_null(strstr(made_text(&out), "fit:"));
    made_report_fini(&m);
    sj_out_fini(&out);
}

static void fits_are_told_without_stages(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_out out;
    made_out(&out);
    made_report_init(&m);
    m.measurement.stages = 0;
    made_report_lognormal(&m, "nginx", 200);
    assert_null(strstr(printed(&out, &plain, &m), "nginx:8080 server, mean"));
    made_report_fitted(&m);
    assert_int_equal(sj_report_text(&out, &plain, &m.report), 0);
    const char *title = strstr(made_text(&out), "\nnginx:8080 server, mean 3.");
    assert_non_null(title);
    contains(title, " ms\n  fit: lognormal (");
    made_report_fini(&m);
    sj_out_fini(&out);
}

/* What is beyond the data, and a fit that misses them, is not shown as if it were known. */
static void a_bad_fit_says_so(void **state)
{
    (void)state;
    struct sj_fit_result r = {.has_best = true};
    struct sj_out out;
    made_out(&out);
    r.fits[0].family = sj_family_by_name("exponential");
    r.fits[0].theta[0] = 1000;
    r.fits[0].goodness.max_quantile_error = 0.83;
    r.extrapolation.reach = SJ_REACH_NOWHERE;
    sj_fit_text_best(&out, &r, ", ");
    assert_string_equal(made_text(&out), "exponential (quantiles within 83 %), no fit holds up to p99.9");
    r.fits[0].goodness.max_quantile_error = 25;
    sj_fit_text_best(&out, &r, ", ");
    assert_string_equal(made_text(&out),
                        "exponential (misses quantiles by more than 1000 %), no fit holds up to p99.9");
    r.fits[0].goodness.max_quantile_error = 0.02;
    r.extrapolation.reach = SJ_REACH_P999;
    sj_fit_text_best(&out, &r, ", ");
    assert_string_equal(made_text(&out), "exponential (quantiles within 2.0 %), p99.9 6.91 ms");
    r.has_best = false;
    sj_fit_text_best(&out, &r, ", ");
    assert_string_equal(made_text(&out), "no family, no fit holds up to p99.9");
    sj_out_fini(&out);
}

static void percentages(void **state)
{
    (void)state;
    static const struct {
        double share;
        const char *text;
    } cases[] = {{0, "0"},       {0.0001, "0.01"}, {0.00994, "0.99"}, {0.00996, "1.0"},
                 {0.034, "3.4"}, {0.0994, "9.9"},  {0.0996, "10"},    {1, "100"}};
    char out[SJ_PERCENT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(sj_percent(out, cases[i].share), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_service),
        cmocka_unit_test(nothing_is_said_to_be_nothing),
        cmocka_unit_test(lines_fit_the_screen),
        cmocka_unit_test(loss_is_visible),
        cmocka_unit_test(colours_only_where_there_are_any),
        cmocka_unit_test(names_are_harmless),
        cmocka_unit_test(the_busiest_operations_come_first),
        cmocka_unit_test(the_best_fit_is_below_the_stages),
        cmocka_unit_test(fits_are_told_without_stages),
        cmocka_unit_test(a_bad_fit_says_so),
        cmocka_unit_test(percentages),
    };
    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
