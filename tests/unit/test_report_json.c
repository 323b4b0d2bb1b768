// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <gsl/gsl_errno.h>
#include <jansson.h>

#include "export/report_json.h"

#include "made_report.h"
#include "watch_made.h"

static json_t *parsed_with(const struct sj_report *r, const struct sj_watch *watch)
{
    struct sj_out out;
    made_out(&out);
    assert_int_equal(sj_report_json(&out, r, watch), 0);
    assert_int_equal(out.buf[out.len - 1], '\n');
    json_t *doc = json_loadb(out.buf, out.len, 0, NULL);
    assert_non_null(doc);
    sj_out_fini(&out);
    return doc;
}

static json_t *parsed(const struct sj_report *r)
{
    return parsed_with(r, NULL);
}

/* The value under a path of keys and array positions: "services.0.total.p50". */
static const json_t *at(const json_t *v, const char *path)
{
    while (v && *path) {
        char key[64];
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, strtoul(key, NULL, 10)) : json_object_get(v, key);
        path += n + (path[n] == '.');
    }
    return v;
}

static const char *text(const json_t *doc, const char *path)
{
    const char *s = json_string_value(at(doc, path));
    return s ? s : "(absent)";
}

static double number(const json_t *doc, const char *path)
{
    const json_t *v = at(doc, path);
    if (!json_is_number(v))
        fail_msg("%s is no number", path);
    return json_number_value(v);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 + 1e-8 * fabs(b);
}

/* Neither null nor an empty key nor an empty string anywhere: what is unknown is absent. */
static void nothing_is_null(const json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;
    assert_false(json_is_null(v));
    if (json_is_string(v))
        assert_true(json_string_length(v) > 0);
    json_array_foreach (v, i, child)
        nothing_is_null(child);
    if (!json_is_object(v))
        return;
    void *it = json_object_iter(json_incref((json_t *)(uintptr_t)v));
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
        key = json_object_iter_key(it);
        assert_true(*key);
        nothing_is_null(json_object_iter_value(it));
    }
    json_decref((json_t *)(uintptr_t)v);
}

static void the_document_has_the_agreed_shape(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request();
    r.container = "abc";
    made_report_init(&m);
    for (int i = 0; i < 5000; i++)
        made_report_add(&m, &r);
    m.outcome.completeness.cut_off = 3;
    m.outcome.kernel_seconds_per_request = 0.6e-6;
    m.outcome.user_cpu_ratio = 0.03;
    snprintf(m.measurement.label, sizeof(m.measurement.label), "v2");
    json_t *doc = parsed(made_report_done(&m));
    nothing_is_null(doc);
    assert_string_equal(text(doc, "schema"), "sojourn.report/1");
    assert_string_equal(text(doc, "host"), "web1");
    assert_string_equal(text(doc, "label"), "v2");
    assert_string_equal(text(doc, "start"), "2026-11-22T09:00:00.123456789Z");
    assert_true(number(doc, "duration_s") == 10);
    assert_string_equal(text(doc, "probe.set"), "socket");
    assert_int_equal(json_array_size(at(doc, "probe.stages")), SJ_STAGE_MAX_);
    assert_string_equal(text(doc, "probe.stages.1"), "oncpu");
    assert_true(number(doc, "completeness.requests") == 5000);
    assert_true(number(doc, "completeness.detailed") == 5000);
    assert_true(number(doc, "completeness.counted_only") == 0);
    assert_true(number(doc, "completeness.unparsed") == 0);
    assert_true(number(doc, "completeness.cut_off") == 3);
    assert_true(number(doc, "completeness.lost") == 0);
    assert_null(at(doc, "completeness.lower_bound"));
    assert_true(near(number(doc, "cost.kernel_seconds_per_request"), 0.6e-6));
    assert_true(near(number(doc, "cost.user_cpu_ratio"), 0.03));
    assert_int_equal(json_array_size(at(doc, "services")), 1);
    assert_string_equal(text(doc, "services.0.service"), "nginx");
    assert_string_equal(text(doc, "services.0.role"), "server");
    assert_string_equal(text(doc, "services.0.protocol"), "http");
    assert_string_equal(text(doc, "services.0.container"), "abc");
    assert_true(number(doc, "services.0.port") == 8080);
    assert_true(number(doc, "services.0.pid") == 7201);
    assert_true(number(doc, "services.0.requests") == 5000);
    assert_true(number(doc, "services.0.errors") == 0);
    assert_true(number(doc, "services.0.client_errors") == 0);
    assert_true(number(doc, "services.0.rate") == 500);
    assert_true(number(doc, "services.0.error_ratio") == 0);
    assert_null(at(doc, "services.0.error_ratio_bounds"));
    json_decref(doc);
    made_report_fini(&m);
}

static void times_have_the_agreed_shape(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request();
    made_report_init(&m);
    for (int i = 0; i < 5000; i++)
        made_report_add(&m, &r);
    json_t *doc = parsed(made_report_done(&m));
    static const char *const totals[] = {"mean", "p50", "p90", "p95", "p99", "p999", "max", "p99_ci.0", "p99_ci.1"};
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "services.0.total.%s", totals[i]);
        assert_true(near(number(doc, path), 0.0031003)); /* all alike, so they are exact */
    }
    assert_true(near(number(doc, "services.0.stages.queue.mean"), 0.0001));
    assert_true(near(number(doc, "services.0.stages.queue.p50"), 0.0001));
    assert_true(near(number(doc, "services.0.stages.queue.p99"), 0.0001));
    assert_true(near(number(doc, "services.0.stages.queue.share"), 0.0001 / 0.0031003));
    assert_true(number(doc, "services.0.stages.runq.mean") == 0);
    assert_true(number(doc, "services.0.stages.runq.share") == 0);
    assert_true(near(number(doc, "services.0.stages.blocked.blocked_by.sleep.mean"), 0.002));
    assert_true(number(doc, "services.0.stages.blocked.blocked_by.lock.p99") == 0);
    assert_int_equal(json_object_size(at(doc, "services.0.stages")), 7);
    assert_null(at(doc, "services.0.stages.wait"));
    assert_int_equal(json_array_size(at(doc, "services.0.operations")), 1);
    assert_string_equal(text(doc, "services.0.operations.0.operation"), "GET /users/:id");
    assert_true(number(doc, "services.0.operations.0.requests") == 5000);
    assert_true(number(doc, "services.0.operations.0.errors") == 0);
    assert_true(number(doc, "services.0.operations.0.statuses.200") == 5000);
    assert_true(near(number(doc, "services.0.operations.0.total.p50"), 0.0031003));
    assert_true(near(number(doc, "services.0.operations.0.stages.oncpu.p50"), 0.001));
    json_decref(doc);
    made_report_fini(&m);
}

static void a_mean_is_sum_over_count(void **state)
{
    (void)state;
    struct made_report m;
    uint64_t sum = 0, queue = 0;
    made_report_init(&m);
    for (uint64_t i = 0; i < 1009; i++) {
        struct sj_request r = made_server_request();
        made_longer(&r, SJ_STAGE_QUEUE, i * i);
        sum += r.total_ns;
        queue += r.stage_ns[SJ_STAGE_QUEUE];
        made_report_add(&m, &r);
    }
    json_t *doc = parsed(made_report_done(&m));
    assert_true(near(number(doc, "services.0.total.mean"), (double)sum / 1009e9));
    assert_true(near(number(doc, "services.0.stages.queue.mean"), (double)queue / 1009e9));
    assert_true(near(number(doc, "services.0.stages.queue.share"), (double)queue / (double)sum));
    json_decref(doc);
    made_report_fini(&m);
}

static void unknown_keys_are_absent(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_client_request();
    r.operation = r.status = "";
    r.protocol = SJ_PROTO_UNKNOWN;
    r.flags = SJ_REQ_UNPARSED;
    r.port = 0;
    r.pid = 0;
    made_report_init(&m);
    made_report_add(&m, &r);
    m.outcome.duration_s = 0;
    m.measurement.host[0] = m.measurement.probe_set[0] = '\0';
    json_t *doc = parsed(made_report_done(&m));
    nothing_is_null(doc);
    static const char *const absent[] = {
        "host",
        "label",
        "probe.set",
        "cost.kernel_seconds_per_request",
        "cost.user_cpu_ratio",
        "services.0.port",
        "services.0.pid",
        "services.0.pids",
        "services.0.container",
        "services.0.rate",
        "services.0.total.p99_ci",
        "services.0.stages.queue",
        "services.0.stages.oncpu",
        "services.0.lower_bound",
    };
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_null(at(doc, absent[i]));
    assert_string_equal(text(doc, "services.0.protocol"), "unknown");
    assert_int_equal(json_object_size(at(doc, "services.0.stages")), 4);
    assert_int_equal(json_array_size(at(doc, "services.0.operations")), 0);
    assert_true(number(doc, "completeness.unparsed") == 1);
    assert_true(number(doc, "services.0.unparsed") == 1);
    json_decref(doc);
    made_report_fini(&m);
}

static void an_empty_measurement_is_a_document(void **state)
{
    (void)state;
    struct made_report m;
    made_report_init(&m);
    json_t *doc = parsed(made_report_done(&m));
    assert_int_equal(json_array_size(at(doc, "services")), 0);
    assert_true(number(doc, "completeness.requests") == 0);
    json_decref(doc);
    made_report_fini(&m);
}

static void loss_is_told(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request bad = made_server_request();
    bad.flags = SJ_REQ_ERROR;
    made_report_init(&m);
    made_report_add(&m, &bad);
    made_report_count(&m, 3, 1000000, true);
    json_t *doc = parsed(made_report_done(&m));
    nothing_is_null(doc);
    assert_true(number(doc, "completeness.requests") == 4);
    assert_true(number(doc, "completeness.counted_only") == 3);
    assert_true(json_is_true(at(doc, "completeness.lower_bound")));
    assert_true(number(doc, "services.0.requests") == 4);
    assert_true(number(doc, "services.0.counted_only") == 3);
    assert_true(json_is_true(at(doc, "services.0.lower_bound")));
    assert_null(at(doc, "services.0.error_ratio"));
    assert_true(near(number(doc, "services.0.error_ratio_bounds.0"), 0.25));
    assert_true(near(number(doc, "services.0.error_ratio_bounds.1"), 1));
    assert_true(near(number(doc, "services.0.total.mean"), (3100300 + 3e6) / 4e9));
    assert_true(near(number(doc, "services.0.total.max"), 0.0031003));
    assert_true(near(number(doc, "services.0.stages.oncpu.mean"), (1e6 + 1.5e6) / 4e9));
    assert_true(near(number(doc, "services.0.stages.oncpu.p50_bounds.0"), 0));
    assert_true(near(number(doc, "services.0.stages.oncpu.p50_bounds.1"), 0.0031003));
    json_decref(doc);
    made_report_fini(&m);
}

static void names_from_outside_are_safe(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request r = made_server_request();
    r.service = "ng\033[31minx\n";
    r.operation = "GET /\"\\\x01";
    r.status = "2\xff";
    made_report_init(&m);
    made_report_add(&m, &r);
    struct sj_out out;
    made_out(&out);
    assert_int_equal(sj_report_json(&out, made_report_done(&m), NULL), 0);
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.buf[i] == '\n' || (unsigned char)out.buf[i] >= ' ');
    sj_out_fini(&out);
    json_t *doc = parsed(&m.report);
    assert_string_equal(text(doc, "services.0.service"), r.service);
    assert_string_equal(text(doc, "services.0.operations.0.operation"), r.operation);
    assert_true(number(doc, "services.0.operations.0.statuses.2\xef\xbf\xbd") == 1);
    json_decref(doc);
    made_report_fini(&m);
}

static void objectives_have_their_budgets(void **state)
{
    (void)state;
    struct made_report m;
    struct made_watch w = made_watch("slos:\n- {name: fast, objective: 99%, latency: 100ms, window: 1d}\n");
    const struct sj_series_id id = made_id("nginx");
    made_report_init(&m);
    json_t *doc = parsed_with(made_report_done(&m), w.w);
    assert_null(json_object_get(doc, "slos"));
    json_decref(doc);
    made_requests(&w, &id, 1000, 25, S / 100);
    made_tick(&w, S);
    doc = parsed_with(&m.report, w.w);
    nothing_is_null(doc);
    assert_string_equal(text(doc, "slos.0.slo"), "fast");
    assert_string_equal(text(doc, "slos.0.service"), "nginx");
    assert_string_equal(text(doc, "slos.0.container"), "(absent)");
    assert_true(number(doc, "slos.0.port") == 80);
    assert_true(number(doc, "slos.0.objective") == 0.99);
    assert_true(near(number(doc, "slos.0.budget_remaining"), -1.5));
    assert_true(number(doc, "slos.0.requests") == 1000 && number(doc, "slos.0.bad") == 25);
    assert_true(near(number(doc, "slos.0.burn_rates.5m"), 2.5));
    assert_true(near(number(doc, "slos.0.burn_rates.3d"), 2.5));
    json_decref(doc);
    made_tick(&w, 7200 * S);
    doc = parsed_with(&m.report, w.w);
    nothing_is_null(doc);
    assert_null(at(doc, "slos.0.burn_rates.1h"));
    assert_true(near(number(doc, "slos.0.burn_rates.6h"), 2.5));
    json_decref(doc);
    made_watch_free(&w);
    made_report_fini(&m);
}

static void a_service_has_the_best_fit_and_the_tail(void **state)
{
    (void)state;
    struct made_report m;
    made_report_init(&m);
    made_report_lognormal(&m, "nginx", 5000);
    json_t *doc = parsed(made_report_fitted(&m));
    double p999 = exp(-6 + 0.8 * 3.0902);
    nothing_is_null(doc);
    assert_string_equal(text(doc, "services.0.fit.family"), "lognormal");
    assert_true(fabs(number(doc, "services.0.fit.parameters.meanlog") + 6) < 0.05);
    assert_true(fabs(number(doc, "services.0.fit.parameters.sdlog") - 0.8) < 0.04);
    assert_true(number(doc, "services.0.fit.max_quantile_error") < 0.1);
    assert_true(number(doc, "services.0.fit.weight") > 0.5);
    assert_true(fabs(number(doc, "services.0.fit.quantiles.p999") - p999) < 0.15 * p999);
    assert_string_equal(text(doc, "services.0.fit.extrapolation"), "warranted");
    assert_true(number(doc, "services.0.fit.tail.exceedances") >= 300);
    assert_true(number(doc, "services.0.fit.tail.p999_ci.0") < number(doc, "services.0.fit.tail.p999"));
    assert_true(number(doc, "services.0.fit.tail.p999_ci.1") > number(doc, "services.0.fit.tail.p999"));
    assert_true(number(doc, "services.0.fit.tail.p999_ci.0") < p999 * 1.1);
    assert_true(number(doc, "services.0.fit.tail.p999_ci.1") > p999 * 0.9);
    json_decref(doc);
    made_report_fini(&m);
}

static void without_a_fit_there_is_no_key(void **state)
{
    (void)state;
    struct made_report m;
    struct sj_request alike = made_server_request();
    made_report_init(&m);
    alike.service = "alike";
    for (int i = 0; i < 300; i++)
        made_report_add(&m, &alike); /* nothing that a distribution could be fitted to */
    made_report_lognormal(&m, "few", SJ_REPORT_FIT_REQUESTS - 1);
    made_report_lognormal(&m, "enough", SJ_REPORT_FIT_REQUESTS);
    json_t *doc = parsed(made_report_fitted(&m));
    assert_string_equal(text(doc, "services.0.service"), "alike");
    assert_null(at(doc, "services.0.fit"));
    assert_string_equal(text(doc, "services.1.service"), "enough");
    assert_non_null(at(doc, "services.1.fit.family"));
    assert_string_equal(text(doc, "services.2.service"), "few");
    assert_null(at(doc, "services.2.fit"));
    json_decref(doc);
    m.report.fits = NULL; /* --fit none */
    doc = parsed(&m.report);
    for (size_t i = 0; i < json_array_size(at(doc, "services")); i++)
        assert_null(json_object_get(json_array_get(at(doc, "services"), i), "fit"));
    json_decref(doc);
    made_report_fini(&m);
}

static void only_the_busiest_services_are_fitted(void **state)
{
    (void)state;
    struct made_report m;
    made_report_init(&m);
    for (int i = 0; i < SJ_REPORT_FITS + 2; i++) {
        char service[16];
        snprintf(service, sizeof(service), "s%d", i);
        made_report_lognormal(&m, service, 200 - i);
    }
    json_t *doc = parsed(made_report_fitted(&m));
    const json_t *services = at(doc, "services");
    assert_int_equal(json_array_size(services), SJ_REPORT_FITS + 2);
    for (size_t i = 0; i < json_array_size(services); i++)
        assert_int_equal(json_object_get(json_array_get(services, i), "fit") != NULL, i < SJ_REPORT_FITS);
    json_decref(doc);
    made_report_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_has_the_agreed_shape),
        cmocka_unit_test(times_have_the_agreed_shape),
        cmocka_unit_test(a_mean_is_sum_over_count),
        cmocka_unit_test(unknown_keys_are_absent),
        cmocka_unit_test(an_empty_measurement_is_a_document),
        cmocka_unit_test(loss_is_told),
        cmocka_unit_test(names_from_outside_are_safe),
        cmocka_unit_test(objectives_have_their_budgets),
        cmocka_unit_test(a_service_has_the_best_fit_and_the_tail),
        cmocka_unit_test(without_a_fit_there_is_no_key),
        cmocka_unit_test(only_the_busiest_services_are_fitted),
    };
    gsl_set_error_handler_off();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
