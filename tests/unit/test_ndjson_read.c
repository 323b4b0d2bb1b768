// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "collect/input.h"
#include "collect/ndjson_read.h"
#include "export/ndjson.h"

#include "captured.h"
#include "hist_random.h"

static int read_bytes(const char *text, size_t n, struct captured *c, struct sj_err *err)
{
    struct sj_input *in;
    struct sj_sink sink = captured_sink(c);
    assert_int_equal(sj_input_open_memory(text, n, &in, err), 0);
    int rc = sj_ndjson_read(in, &sink, err);
    sj_input_close(in);
    return rc;
}

static int read_text(const char *text, struct captured *c, struct sj_err *err)
{
    return read_bytes(text, strlen(text), c, err);
}

/* The one request of a line that is right. Free *c. */
static const struct sj_request *only(const char *line, struct captured *c)
{
    struct sj_err err = {0};
    *c = (struct captured){0};
    int rc = read_text(line, c, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(c->n, 1);
    assert_int_equal(c->begins, 1);
    assert_int_equal(c->ends, 1);
    return &c->requests[0];
}

static void the_line_of_the_design_is_understood(void **state)
{
    (void)state;
    struct captured c;
    const struct sj_request *r = only(
        "{\"time\": \"2026-11-22T09:00:00.123456789Z\", \"service\": \"nginx\", \"role\": \"server\", \"pid\": 7201, "
        "\"comm\": \"worker\", \"protocol\": \"http\", \"operation\": \"GET /users/:id\", \"status\": \"200\", "
        "\"error\": false, \"local\": \"127.0.0.1:8080\", \"peer\": \"[2001:db8::1]:51234\", \"bytes_in\": 78, "
        "\"bytes_out\": 160, \"total\": 0.0012, \"ttfb\": 0.0011, \"stages\": {\"queue\": 0.0001, \"oncpu\": 0.0008, "
        "\"busy\": 0.0, \"runq\": 0, \"blocked\": 0.0002, \"send\": 0.0001}, \"blocked_by\": {\"net\": 0.0002}, "
        "\"interleaved\": true}\n",
        &c);
    assert_true(r->start_ns == 1795338000123456789U);
    assert_string_equal(r->service, "nginx");
    assert_string_equal(r->comm, "worker");
    assert_string_equal(r->operation, "GET /users/:id");
    assert_string_equal(r->status, "200");
    assert_string_equal(r->container, "");
    assert_string_equal(r->unix_path, "");
    assert_int_equal(r->role, SJ_ROLE_SERVER);
    assert_int_equal(r->protocol, SJ_PROTO_HTTP);
    assert_int_equal(r->pid, 7201);
    assert_int_equal(r->tid, 7201);
    assert_int_equal(r->port, 8080);
    assert_int_equal(r->local.family, AF_INET);
    assert_memory_equal(r->local.addr, "\x7f\0\0\x01", 4);
    assert_int_equal(r->peer.family, AF_INET6);
    assert_int_equal(r->peer.port, 51234);
    assert_memory_equal(r->peer.addr, "\x20\x01\x0d\xb8", 4);
    assert_int_equal(r->bytes_in, 78);
    assert_int_equal(r->bytes_out, 160);
    assert_int_equal(r->total_ns, 1200000);
    assert_int_equal(r->stage_ns[SJ_STAGE_QUEUE], 100000);
    assert_int_equal(r->stage_ns[SJ_STAGE_ONCPU], 800000);
    assert_int_equal(r->stage_ns[SJ_STAGE_BLOCKED], 200000);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_NET], 200000);
    assert_int_equal(r->stage_ns[SJ_STAGE_SEND], 100000);
    assert_int_equal(r->flags, SJ_REQ_INTERLEAVED);
    assert_int_equal(c.measurement.stages, (1U << SJ_STAGE_MAX_) - 1);
    captured_free(&c);
}

static void only_the_total_is_required(void **state)
{
    (void)state;
    struct captured c;
    const struct sj_request *r = only("{\"total\":1.5,\"of_tomorrow\":{\"a\":[1,null]}}", &c);
    assert_int_equal(r->total_ns, 1500000000);
    assert_int_equal(r->role, SJ_ROLE_UNKNOWN);
    assert_int_equal(r->start_ns, 0);
    assert_int_equal(r->flags, SJ_REQ_NO_STAGES);
    assert_string_equal(r->service, "");
    assert_string_equal(r->operation, "");
    assert_int_equal(c.measurement.stages, 0);
    assert_true(c.outcome.duration_s == 1.5);
    assert_int_equal(c.outcome.completeness.detailed, 1);
    assert_int_equal(c.outcome.completeness.counted_only, 0);
    assert_true(isnan(c.outcome.kernel_seconds_per_request));
    assert_true(isnan(c.outcome.user_cpu_ratio));
    captured_free(&c);
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct random_state r = {.state = 99};
    struct sj_measurement m = {
        .start_real_ns = 1795338000000000000U, .start_mono_ns = 5000000000U, .stages = (1U << SJ_STAGE_MAX_) - 1};
    struct sj_request sent[200];
    struct sj_out out;
    struct sj_err err = {0};
    assert_int_equal(sj_out_init(&out, -1, "memory", &err), 0);
    for (uint32_t i = 0; i < 200; i++) {
        struct sj_request *q = &sent[i];
        *q = request_usual(i);
        q->container = i % 2 ? "" : "web-\xc3\xa9\t\"\\1";
        q->start_ns = m.start_mono_ns + (random_bits(&r) >> 20);
        if (i % 4 == 1) { /* a client's, on a unix socket */
            q->role = SJ_ROLE_CLIENT;
            q->port = 0;
            memset(q->stage_ns, 0, sizeof(q->stage_ns));
            memset(q->blocked_ns, 0, sizeof(q->blocked_ns));
            memset(&q->local, 0, sizeof(q->local));
            memset(&q->peer, 0, sizeof(q->peer));
            q->local.family = q->peer.family = AF_UNIX;
            q->unix_path = "@abstract \xe2\x82\xac";
            q->stage_ns[SJ_STAGE_WAIT] = random_bits(&r) >> 14; /* up to 13 days: a double in seconds is exact */
            q->flags = SJ_REQ_PIPELINED | SJ_REQ_UNPARSED;
        } else if (i % 4 == 2) {
            q->flags |= SJ_REQ_NO_ARRIVAL | SJ_REQ_CLIENT_ERROR | SJ_REQ_INTERLEAVED;
            q->stage_ns[SJ_STAGE_QUEUE] = 0;
            q->protocol = SJ_PROTO_TLS;
        } else {
            q->stage_ns[SJ_STAGE_RUNQ] = random_bits(&r) >> 14;
        }
        q->total_ns = 0;
        for (int s = 0; s < SJ_STAGE_MAX_; s++)
            q->total_ns += q->stage_ns[s];
        sj_ndjson_request(&out, &m, q);
    }
    struct captured c = {0};
    assert_int_equal(read_bytes(out.buf, out.len, &c, &err), 0);
    assert_int_equal(c.n, 200);
    for (size_t i = 0; i < c.n; i++) {
        sent[i].start_ns += m.start_real_ns - m.start_mono_ns;
        assert_true(request_equal(&c.requests[i], &sent[i]));
    }
    assert_int_equal(c.outcome.completeness.unparsed, 50);
    sj_out_fini(&out);
    captured_free(&c);
}

static void times_of_day(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01T00:00:00.000000001Z", 1},
                {"2026-11-22T09:00:00.5Z", 1795338000500000000U},
                {"2026-11-22t09:00:00.1234567899z", 1795338000123456789U},
                {"2026-11-22T10:30:00+01:30", 1795338000000000000U},
                {"2026-11-21 23:00:00-10:00", 1795338000000000000U},
                {"2024-02-29T00:00:00Z", 1709164800000000000U}};
    static const char *const bad[] = {"2026-11-22",
                                      "2026-11-22T09:00:00",
                                      "2026-13-22T09:00:00Z",
                                      "2026-11-22T24:00:00Z",
                                      "2026-11-22T09:00:00.Z",
                                      "2026-11-22T09:00:00Zx",
                                      "2026-11-22T09:00:00+1:00",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+01:00",
                                      "now"};
    char line[128];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct captured c;
        snprintf(line, sizeof(line), "{\"total\":1,\"time\":\"%s\"}", good[i].text);
        assert_true(only(line, &c)->start_ns == good[i].ns);
        captured_free(&c);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct captured c = {0};
        struct sj_err err = {0};
        snprintf(line, sizeof(line), "{\"total\":1,\"time\":\"%s\"}\n", bad[i]);
        assert_int_equal(read_text(line, &c, &err), -1);
        assert_non_null(strstr(err.text, "\"time\""));
        captured_free(&c);
    }
}

static void seconds_are_rounded_to_the_nearest_nanosecond(void **state)
{
    (void)state;
    struct captured c;
    assert_int_equal(only("{\"total\":0.0000000014}", &c)->total_ns, 1);
    captured_free(&c);
    assert_int_equal(only("{\"total\":0.0000000016}", &c)->total_ns, 2);
    captured_free(&c);
    assert_int_equal(only("{\"total\":4.000000001}", &c)->total_ns, 4000000001);
    captured_free(&c);
    assert_true(only("{\"total\":1e9}", &c)->total_ns == 1000000000000000000U);
    captured_free(&c);
}

static void causes_add_up_to_blocked(void **state)
{
    (void)state;
    struct captured c;
    const struct sj_request *r = only("{\"total\":3e-9,\"stages\":{\"blocked\":3e-9}}", &c);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_OTHER], 3);
    captured_free(&c);
    r = only("{\"total\":3e-9,\"stages\":{\"blocked\":3e-9},\"blocked_by\":{\"lock\":1e-9,\"disk\":1e-9}}", &c);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_LOCK], 1);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_DISK], 1);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_OTHER], 1);
    captured_free(&c);
    r = only("{\"total\":3e-9,\"stages\":{\"blocked\":3e-9},\"blocked_by\":{\"lock\":2e-9,\"sleep\":2e-9}}", &c);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_LOCK], 2);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_SLEEP], 1);
    assert_int_equal(r->blocked_ns[SJ_CAUSE_OTHER], 0);
    captured_free(&c);
}

static void a_duration_is_from_the_first_to_the_last(void **state)
{
    (void)state;
    struct captured c = {0};
    struct sj_err err = {0};
    assert_int_equal(read_text("{\"total\":1,\"time\":\"2026-01-01T00:00:10Z\"}\n\n  \r\n"
                               "{\"total\":7,\"time\":\"2026-01-01T00:00:08Z\"}\r\n"
                               "{\"total\":1}\n",
                               &c, &err),
                     0);
    assert_int_equal(c.n, 3);
    assert_true(c.outcome.duration_s == 7);
    assert_true(c.measurement.start_real_ns == c.requests[0].start_ns);
    assert_true(c.measurement.start_mono_ns == c.requests[0].start_ns);
    assert_true(c.requests[2].start_ns == c.requests[1].start_ns);
    captured_free(&c);
}

static void a_broken_line_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"total\":}",
                                      "[1]",
                                      "42",
                                      "{} ",
                                      "{\"total\":\"1\"}",
                                      "{\"total\":-1}",
                                      "{\"total\":1e10}",
                                      "{\"total\":1e999}",
                                      "{\"total\":1,\"pid\":\"7\"}",
                                      "{\"total\":1,\"pid\":-7}",
                                      "{\"total\":1,\"pid\":4294967296}",
                                      "{\"total\":1,\"pid\":1.5}",
                                      "{\"total\":1,\"service\":7}",
                                      "{\"total\":1,\"service\":\"\\u0000\"}",
                                      "{\"total\":1,\"service\":\"\xff\"}",
                                      "{\"total\":1,\"role\":\"waiter\"}",
                                      "{\"total\":1,\"error\":0}",
                                      "{\"total\":1,\"stages\":[]}",
                                      "{\"total\":1,\"stages\":{\"queue\":\"x\"}}",
                                      "{\"total\":1,\"stages\":{\"queue\":-0.1}}",
                                      "{\"total\":1,\"local\":\"localhost:80\"}",
                                      "{\"total\":1,\"local\":\"127.0.0.1\"}",
                                      "{\"total\":1,\"local\":\"127.0.0.1:\"}",
                                      "{\"total\":1,\"local\":\"127.0.0.1:65536\"}",
                                      "{\"total\":1,\"local\":\"[::1:80\"}",
                                      "{\"total\":1,\"local\":\"[]:80\"}",
                                      "{\"total\":1,\"local\":\":80\"}",
                                      "{\"total\":1,\"local\":\"]:80\"}",
                                      "{\"total\":1} {\"total\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct captured c = {0};
        struct sj_err err = {0};
        char text[256];
        snprintf(text, sizeof(text), "{\"total\":1}\n\n%s\n{\"total\":2}\n", bad[i]);
        assert_int_equal(read_text(text, &c, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_non_null(strstr(err.text, "line 3: "));
        assert_null(strchr(err.text, '\n'));
        assert_int_equal(c.n, 1);
        assert_int_equal(c.ends, 0);
        captured_free(&c);
    }
}

static void a_cut_in_the_last_line_is_told(void **state)
{
    (void)state;
    const char *text = "{\"total\":1,\"pid\":7}\n{\"total\":2,\"pid\":8}\n";
    for (size_t n = 0; n <= strlen(text); n++) {
        struct captured c = {0};
        struct sj_err err = {0};
        int rc = read_bytes(text, n, &c, &err);
        size_t whole = n < 19 ? 0 : n < 39 ? 1 : 2;
        bool clean = n == 19 || n == 20 || n >= 39;
        assert_int_equal(c.n, whole);
        assert_int_equal(rc, whole == 0 ? -1 : clean ? 0 : 1);
        assert_int_equal(c.ends, whole > 0);
        assert_int_equal(err.status, rc ? EX_DATAERR : 0);
        if (rc == 1) {
            assert_true(c.outcome.completeness.lower_bound);
            assert_non_null(strstr(err.text, "ends early"));
        }
        captured_free(&c);
    }
}

static void a_sink_that_refuses_stops_the_reading(void **state)
{
    (void)state;
    struct captured c = {.refuse_at = 2};
    struct sj_err err = {0};
    assert_int_equal(read_text("{\"total\":1}\n{\"total\":2}\n{\"total\":3}\n", &c, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    assert_string_equal(err.text, "refused");
    captured_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_of_the_design_is_understood),
        cmocka_unit_test(only_the_total_is_required),
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(times_of_day),
        cmocka_unit_test(seconds_are_rounded_to_the_nearest_nanosecond),
        cmocka_unit_test(causes_add_up_to_blocked),
        cmocka_unit_test(a_duration_is_from_the_first_to_the_last),
        cmocka_unit_test(a_broken_line_is_named),
        cmocka_unit_test(a_cut_in_the_last_line_is_told),
        cmocka_unit_test(a_sink_that_refuses_stops_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
