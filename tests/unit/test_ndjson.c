// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "export/ndjson.h"

#include "made_request.h"

static const char *line(struct sj_out *out, const struct sj_measurement *m, const struct sj_request *r)
{
    sj_ndjson_request(out, m, r);
    return made_text(out);
}

static void a_server_request_has_the_agreed_shape(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_request r = made_server_request();
    struct sj_out out;
    made_out(&out);
    r.start_ns += 1000000000;
    assert_string_equal(
        line(&out, &m, &r),
        "{\"time\":\"2026-11-22T09:00:01.123456789Z\",\"service\":\"nginx\",\"role\":\"server\",\"pid\":7201,"
        "\"comm\":\"nginx\",\"protocol\":\"http\",\"operation\":\"GET /users/:id\",\"status\":\"200\",\"error\":false,"
        "\"local\":\"127.0.0.1:8080\",\"peer\":\"127.0.0.1:51234\",\"port\":8080,\"bytes_in\":78,\"bytes_out\":160,"
        "\"total\":0.0031003,\"ttfb\":0.0031,\"stages\":{\"queue\":0.0001,\"oncpu\":0.001,\"busy\":0,\"runq\":0,"
        "\"blocked\":0.002,\"handoff\":0,\"send\":0.0000003},\"blocked_by\":{\"sleep\":0.002},\"interleaved\":false}"
        "\n");
    sj_out_fini(&out);
}

static void a_client_has_its_own_stages(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_request r = made_client_request();
    struct sj_out out;
    made_out(&out);
    json_t *o = json_loads(line(&out, &m, &r), 0, NULL);
    assert_non_null(o);
    const json_t *stages = json_object_get(o, "stages");
    assert_int_equal(json_object_size(stages), 4);
    assert_true(json_number_value(json_object_get(stages, "wait")) == 0.003);
    assert_true(json_number_value(json_object_get(stages, "receive")) == 0.0005);
    assert_true(json_number_value(json_object_get(o, "ttfb")) == 0.003001);
    assert_null(json_object_get(o, "blocked_by"));
    assert_string_equal(json_string_value(json_object_get(o, "peer")), "127.0.0.1:8080");
    json_decref(o);
    sj_out_fini(&out);
}

static void requests_from_before_the_start_have_a_time_too(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_request r = made_server_request();
    struct sj_out out;
    made_out(&out);
    m.start_mono_ns = 2000000000;
    r.start_ns = 1999999999;
    assert_non_null(strstr(line(&out, &m, &r), "\"time\":\"2026-11-22T09:00:00.123456788Z\""));
    sj_out_fini(&out);
}

static void addresses(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_out out;
    made_out(&out);
    struct sj_request r = made_server_request();
    r.local = (struct sj_endpoint){AF_INET6, 443, {0x20, 1, 0xd, 0xb8, [15] = 1}};
    r.peer =
        (struct sj_endpoint){AF_INET6, 65535, {[10] = 255, [11] = 255, [12] = 192, [13] = 0, [14] = 2, [15] = 255}};
    const char *text = line(&out, &m, &r);
    assert_non_null(strstr(text, "\"local\":\"[2001:db8::1]:443\",\"peer\":\"[::ffff:192.0.2.255]:65535\""));

    r = made_server_request();
    r.local.family = r.peer.family = AF_UNIX;
    r.unix_path = "/run/a\nb.sock";
    r.port = 0;
    text = line(&out, &m, &r);
    assert_non_null(strstr(text, "\"local\":\"unix:/run/a\\nb.sock\""));
    assert_null(strstr(text, "\"peer\""));
    assert_null(strstr(text, "\"port\""));
    r.role = SJ_ROLE_CLIENT;
    text = line(&out, &m, &r);
    assert_non_null(strstr(text, "\"peer\":\"unix:/run/a\\nb.sock\""));
    assert_null(strstr(text, "\"local\""));

    r = made_server_request();
    r.local.family = r.peer.family = 0;
    text = line(&out, &m, &r);
    assert_null(strstr(text, "\"local\""));
    assert_null(strstr(text, "\"peer\""));
    sj_out_fini(&out);
}

static void flags_and_what_they_make_unknown(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_out out;
    made_out(&out);
    static const struct {
        uint32_t flag;
        const char *has, *lacks;
    } cases[] = {
        {SJ_REQ_ERROR, "\"error\":true", "\"client_error\""},
        {SJ_REQ_CLIENT_ERROR, "\"client_error\":true", "\"error\":true"},
        {SJ_REQ_INTERLEAVED, "\"interleaved\":true", "\"unparsed\""},
        {SJ_REQ_UNPARSED, "\"unparsed\":true", "\"pipelined\""},
        {SJ_REQ_PIPELINED, "\"pipelined\":true", "\"no_arrival\""},
        {SJ_REQ_NO_ARRIVAL, "\"no_arrival\":true", "\"queue\""},
        {SJ_REQ_NO_STAGES, "\"no_stages\":true", "\"oncpu\""},
        {SJ_REQ_NO_STAGES, "\"stages\":{\"queue\":0.0001,\"send\":0.0000003}", "\"blocked_by\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sj_request r = made_server_request();
        r.flags = cases[i].flag;
        const char *text = line(&out, &m, &r);
        assert_non_null(strstr(text, cases[i].has));
        assert_null(strstr(text, cases[i].lacks));
    }
    m.stages = 0;
    struct sj_request r = made_server_request();
    assert_non_null(strstr(line(&out, &m, &r), "\"stages\":{},\"interleaved\""));
    sj_out_fini(&out);
}

static void the_time_to_the_first_byte_is_never_negative(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    assert_int_equal(sj_request_ttfb(&r), 3100000);
    r.stage_ns[SJ_STAGE_SEND] = r.total_ns + 1;
    assert_int_equal(sj_request_ttfb(&r), 0);
    r = made_client_request();
    assert_int_equal(sj_request_ttfb(&r), 3001000);
}

/* Every line is one line and one object, whatever the names hold. */
static void any_names_make_one_line(void **state)
{
    (void)state;
    struct sj_measurement m = made_measurement();
    struct sj_out out;
    uint32_t x = 11;
    made_out(&out);
    for (int round = 0; round < 3000; round++) {
        char names[5][160];
        struct sj_request r = made_server_request();
        for (int k = 0; k < 5; k++) {
            size_t n = (x >> 8) % sizeof(names[k]);
            for (size_t i = 0; i < n; i++) {
                x = x * 1664525 + 1013904223;
                names[k][i] = (char)(x >> 24 ? x >> 24 : 1);
            }
            names[k][n] = '\0';
        }
        r.service = names[0];
        r.comm = names[1];
        r.operation = names[2];
        r.container = names[3];
        r.unix_path = names[4];
        r.status = names[4];
        r.local.family = r.peer.family = AF_UNIX;
        const char *text = line(&out, &m, &r);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        json_t *o = json_loads(text, 0, NULL);
        assert_non_null(o);
        assert_true(json_is_object(o));
        json_decref(o);
    }
    sj_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_request_has_the_agreed_shape),
        cmocka_unit_test(a_client_has_its_own_stages),
        cmocka_unit_test(requests_from_before_the_start_have_a_time_too),
        cmocka_unit_test(addresses),
        cmocka_unit_test(flags_and_what_they_make_unknown),
        cmocka_unit_test(the_time_to_the_first_byte_is_never_negative),
        cmocka_unit_test(any_names_make_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
