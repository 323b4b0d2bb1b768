// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hist_random.h"
#include "recording_make.h"

/* What is written comes back, and of what is cut off or damaged all that is whole. */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    temporary_folder(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const struct sj_measurement measurement = {.host = "a-host",
                                                  .label = "v1.2",
                                                  .probe_set = "socket",
                                                  .stages = 0x3ff,
                                                  .start_real_ns = 1795338000123456789U,
                                                  .start_mono_ns = 1000000000000U};

/* The bytes of a recording of n requests and of what else is told; counted may be NULL. */
static struct bytes record(const struct sj_request *requests, size_t n, const struct sj_counted *counted,
                           const struct sj_outcome *outcome)
{
    char path[128];
    struct sj_err err = {0};
    struct sj_recording_writer *w;
    assert_int_equal(sj_recording_writer_open(temporary_path(path, folder, "r"), &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(sink.request(sink.ctx, &requests[i], &err), 0);
    if (counted)
        assert_int_equal(sink.counted(sink.ctx, counted, &err), 0);
    if (outcome)
        assert_int_equal(sink.end(sink.ctx, outcome, &err), 0);
    struct sj_recording_stats stats;
    assert_int_equal(sj_recording_writer_close(w, &stats, &err), 0);
    struct bytes b = bytes_of_file(path);
    unlink(path);
    assert_int_equal(stats.bytes, b.n);
    assert_int_equal(stats.requests, n);
    assert_int_equal(stats.whole, outcome != NULL);
    return b;
}

static void expect_same(const struct captured *c, const struct sj_request *requests, size_t n)
{
    assert_int_equal(c->n, n);
    for (size_t i = 0; i < n; i++)
        assert_true(request_equal(&c->requests[i], &requests[i]));
}

static void expect_round_trip(const struct sj_request *requests, size_t n)
{
    struct sj_err err = {0};
    struct captured c = {0};
    struct sj_outcome outcome = {.duration_s = 1, .completeness = {.detailed = n}};
    struct bytes b = record(requests, n, NULL, &outcome);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 0);
    expect_same(&c, requests, n);
    assert_int_equal(c.outcome.completeness.detailed, n);
    captured_free(&c);
    free(b.p);
}

static uint64_t any_magnitude(struct random_state *r)
{
    return random_bits(r) >> random_bits(r) % 64;
}

static char *random_string(struct random_state *r, size_t max)
{
    size_t n = random_bits(r) % 4 ? random_bits(r) % 12 : random_bits(r) % (max + 1);
    char *s = malloc(n + 1);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++)
        s[i] = (char)(1 + random_bits(r) % 255);
    s[n] = '\0';
    return s;
}

static struct sj_request random_request(struct random_state *r)
{
    struct sj_request q = {.start_ns = any_magnitude(r),
                           .total_ns = any_magnitude(r),
                           .bytes_in = any_magnitude(r),
                           .bytes_out = any_magnitude(r),
                           .cgroup = any_magnitude(r),
                           .pid = (uint32_t)any_magnitude(r),
                           .tid = (uint32_t)any_magnitude(r),
                           .flags = (uint32_t)any_magnitude(r),
                           .port = (uint16_t)any_magnitude(r),
                           .role = (uint8_t)(random_bits(r) % SJ_ROLE_MAX_),
                           .protocol = (uint8_t)(random_bits(r) % SJ_PROTO_MAX_)};
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        q.stage_ns[i] = random_bits(r) % 2 ? any_magnitude(r) : 0;
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        q.blocked_ns[i] = random_bits(r) % 2 ? any_magnitude(r) : 0;
    struct sj_endpoint *ends[] = {&q.local, &q.peer};
    for (int i = 0; i < 2; i++) {
        ends[i]->family = (uint16_t)any_magnitude(r);
        ends[i]->port = (uint16_t)any_magnitude(r);
        for (uint64_t n = random_bits(r) % (SJ_ADDR_LEN + 1); n > 0; n--)
            ends[i]->addr[n - 1] = (uint8_t)random_bits(r);
    }
    for (int i = 0; i < REQUEST_STRINGS; i++)
        *request_string(&q, i) = random_string(r, SJ_RECORDING_STRING_MAX);
    return q;
}

static void any_request_comes_back(void **state)
{
    (void)state;
    struct random_state r = {.state = 20261122};
    static struct sj_request requests[1500];
    size_t n = sizeof(requests) / sizeof(requests[0]);
    for (size_t i = 0; i < n; i++)
        requests[i] = random_request(&r);
    memset(requests[7].stage_ns, 0xff, sizeof(requests[7].stage_ns));
    memset(requests[7].blocked_ns, 0xff, sizeof(requests[7].blocked_ns));
    requests[7].start_ns = requests[7].total_ns = requests[7].bytes_in = requests[7].cgroup = UINT64_MAX;
    requests[7].pid = UINT32_MAX;
    requests[7].tid = 0;
    requests[8].pid = 0;
    requests[8].tid = UINT32_MAX;
    expect_round_trip(requests, n);
    for (size_t i = 0; i < n; i++)
        request_free(&requests[i]);
}

static void usual_requests_come_back_and_are_small(void **state)
{
    (void)state;
    size_t n = 20000;
    struct sj_request *requests = calloc(n, sizeof(*requests));
    assert_non_null(requests);
    for (size_t i = 0; i < n; i++)
        requests[i] = request_usual((uint32_t)i);
    struct sj_outcome outcome = {.duration_s = 1};
    struct bytes b = record(requests, n, NULL, &outcome);
    assert_in_range(b.n, 1, 16 * n);
    free(b.p);
    expect_round_trip(requests, n);
    free(requests);
}

static void full_dictionaries_begin_anew(void **state)
{
    (void)state;
    size_t n = 3 * SJ_RECORDING_DEFS_MAX / 2;
    struct sj_request *requests = calloc(n, sizeof(*requests));
    char(*operations)[24] = calloc(n, sizeof(*operations));
    assert_non_null(requests);
    assert_non_null(operations);
    for (size_t i = 0; i < n; i++) {
        requests[i] = request_usual((uint32_t)i);
        requests[i].peer.port = (uint16_t)i;
        requests[i].peer.addr[3] = (uint8_t)(i >> 16);
        snprintf(operations[i], sizeof(operations[i]), "GET /%zu", i);
        requests[i].operation = operations[i];
    }
    expect_round_trip(requests, n);
    free(operations);
    free(requests);
}

static void longer_strings_are_cut(void **state)
{
    (void)state;
    char *text = malloc(SJ_RECORDING_STRING_MAX + 100);
    assert_non_null(text);
    memset(text, 'x', SJ_RECORDING_STRING_MAX + 99);
    text[SJ_RECORDING_STRING_MAX + 99] = '\0';
    struct sj_request q = request_usual(1);
    q.operation = text;
    struct captured c = {0};
    struct sj_err err = {0};
    struct sj_outcome outcome = {.duration_s = 1};
    struct bytes b = record(&q, 1, NULL, &outcome);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 0);
    text[SJ_RECORDING_STRING_MAX] = '\0';
    expect_same(&c, &q, 1);
    captured_free(&c);
    free(b.p);
    free(text);
}

static struct sj_counted some_counted(void)
{
    struct sj_counted c = {.service = "redis", .role = SJ_ROLE_CLIENT, .port = 6379, .lower_bound = true};
    struct random_state r = {.state = 5};
    sj_hist_init(&c.total);
    for (int i = 0; i < 40; i++)
        assert_int_equal(sj_hist_add(&c.total, random_latency(&r) >> 8), 0);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        c.stage_sum_ns[i] = random_bits(&r) >> 4 * i;
    return c;
}

static void the_rest_comes_back(void **state)
{
    (void)state;
    struct sj_err err = {0};
    struct captured c = {0};
    struct sj_counted counted = some_counted();
    struct sj_outcome outcome = {.duration_s = 10.25,
                                 .completeness = {UINT64_MAX, 40, 3, 4, 5, 0, true},
                                 .kernel_seconds_per_request = NAN,
                                 .user_cpu_ratio = 0.0125};
    struct bytes b = record(NULL, 0, &counted, &outcome);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), 0);
    assert_int_equal(c.begins, 1);
    assert_int_equal(c.ends, 1);
    assert_string_equal(c.measurement.host, measurement.host);
    assert_string_equal(c.measurement.label, measurement.label);
    assert_string_equal(c.measurement.probe_set, measurement.probe_set);
    assert_int_equal(c.measurement.stages, measurement.stages);
    assert_true(c.measurement.start_real_ns == measurement.start_real_ns);
    assert_true(c.measurement.start_mono_ns == measurement.start_mono_ns);
    assert_int_equal(c.n_counted, 1);
    assert_string_equal(c.counted[0].service, "redis");
    assert_int_equal(c.counted[0].role, SJ_ROLE_CLIENT);
    assert_int_equal(c.counted[0].protocol, SJ_PROTO_UNKNOWN);
    assert_int_equal(c.counted[0].port, 6379);
    assert_true(c.counted[0].lower_bound);
    assert_true(sj_hist_equal(&c.counted[0].total, &counted.total));
    assert_memory_equal(c.counted[0].stage_sum_ns, counted.stage_sum_ns, sizeof(counted.stage_sum_ns));
    assert_true(c.outcome.duration_s == outcome.duration_s);
    assert_true(isnan(c.outcome.kernel_seconds_per_request));
    assert_true(c.outcome.user_cpu_ratio == outcome.user_cpu_ratio);
    assert_true(c.outcome.completeness.detailed == UINT64_MAX);
    assert_int_equal(c.outcome.completeness.counted_only, 40);
    assert_int_equal(c.outcome.completeness.unparsed, 3);
    assert_int_equal(c.outcome.completeness.cut_off, 4);
    assert_int_equal(c.outcome.completeness.lost, 5);
    assert_true(c.outcome.completeness.lower_bound);
    captured_free(&c);
    sj_hist_free(&counted.total);
    free(b.p);
}

/* A recording small enough to be cut and damaged everywhere, with all kinds of blocks and two of requests. */
#define SMALL 150
static struct bytes small_recording(struct sj_request *requests)
{
    struct sj_counted counted = some_counted();
    struct sj_outcome outcome = {.duration_s = 1, .completeness = {.detailed = SMALL, .counted_only = 40}};
    char path[128];
    struct sj_err err = {0};
    struct sj_recording_writer *w;
    assert_int_equal(sj_recording_writer_open(temporary_path(path, folder, "s"), &w, &err), 0);
    struct sj_sink sink = sj_recording_sink(w);
    assert_int_equal(sink.begin(sink.ctx, &measurement, &err), 0);
    assert_int_equal(sink.tick(sink.ctx, 1, &err), 0);
    for (uint32_t i = 0; i < SMALL; i++) {
        requests[i] = request_usual(i);
        assert_int_equal(sink.request(sink.ctx, &requests[i], &err), 0);
        assert_int_equal(sink.tick(sink.ctx, 1 + (uint64_t)i * 10000000, &err), 0);
    }
    assert_int_equal(sink.counted(sink.ctx, &counted, &err), 0);
    assert_int_equal(sink.end(sink.ctx, &outcome, &err), 0);
    assert_int_equal(sj_recording_writer_close(w, NULL, &err), 0);
    struct bytes b = bytes_of_file(path);
    unlink(path);
    sj_hist_free(&counted.total);
    return b;
}

static void a_cut_gives_what_is_whole(void **state)
{
    (void)state;
    static struct sj_request requests[SMALL];
    struct bytes b = small_recording(requests);
    size_t had = 0;
    unsigned growths = 0;
    for (size_t n = 0; n <= b.n; n++) {
        struct sj_err err = {0};
        struct captured c = {0};
        uint8_t *exact = malloc(n ? n : 1); /* so that the sanitizer sees a byte too many */
        assert_non_null(exact);
        memcpy(exact, b.p, n);
        int rc = read_bytes(exact, n, &c, &err);
        expect_same(&c, requests, c.n);
        assert_true(c.n >= had);
        growths += c.n > had;
        had = c.n;
        assert_int_equal(rc, n == b.n ? 0 : c.n > 0 ? 1 : -1);
        assert_int_equal(c.ends, rc >= 0);
        assert_int_equal(err.status, rc == 0 ? 0 : EX_DATAERR);
        if (rc == 1) {
            assert_non_null(strstr(err.text, "ends early"));
            assert_int_equal(c.outcome.completeness.detailed, c.n);
            assert_true(c.outcome.completeness.lower_bound);
            assert_true(c.outcome.duration_s > 0 && c.outcome.duration_s < 1);
        }
        captured_free(&c);
        free(exact);
    }
    assert_int_equal(had, SMALL);
    assert_int_equal(growths, 2);
    free(b.p);
}

static void zeros_at_the_end_are_a_cut(void **state)
{
    (void)state;
    static struct sj_request requests[SMALL];
    static uint8_t zeros[4096];
    struct sj_err err = {0};
    struct captured c = {0};
    struct bytes b = small_recording(requests);
    free(b.p);
    b = record(requests, SMALL, NULL, NULL);
    b.p = realloc(b.p, b.n + sizeof(zeros));
    assert_non_null(b.p);
    memcpy(b.p + b.n, zeros, sizeof(zeros));
    assert_int_equal(read_bytes(b.p, b.n + sizeof(zeros), &c, &err), 1);
    expect_same(&c, requests, SMALL);
    captured_free(&c);
    free(b.p);
}

static void a_flipped_bit_is_noticed(void **state)
{
    (void)state;
    static struct sj_request requests[SMALL];
    struct bytes b = small_recording(requests);
    for (size_t at = 0; at < b.n; at++) {
        struct sj_err err = {0};
        struct captured c = {0};
        uint8_t bit = (uint8_t)(1U << at % 8);
        b.p[at] ^= bit;
        assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        expect_same(&c, requests, c.n);
        assert_int_equal(c.ends, 0);
        captured_free(&c);
        b.p[at] ^= bit;
    }
    free(b.p);
}

static void a_sink_that_refuses_stops_the_reading(void **state)
{
    (void)state;
    static struct sj_request requests[SMALL];
    struct sj_err err = {0};
    struct captured c = {.refuse_at = 20};
    struct bytes b = small_recording(requests);
    assert_int_equal(read_bytes(b.p, b.n, &c, &err), -1);
    assert_int_equal(err.status, EX_IOERR);
    assert_string_equal(err.text, "refused");
    assert_int_equal(c.n, 19);
    assert_int_equal(c.ends, 0);
    captured_free(&c);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_request_comes_back),
        cmocka_unit_test(usual_requests_come_back_and_are_small),
        cmocka_unit_test(full_dictionaries_begin_anew),
        cmocka_unit_test(longer_strings_are_cut),
        cmocka_unit_test(the_rest_comes_back),
        cmocka_unit_test(a_cut_gives_what_is_whole),
        cmocka_unit_test(zeros_at_the_end_are_a_cut),
        cmocka_unit_test(a_flipped_bit_is_noticed),
        cmocka_unit_test(a_sink_that_refuses_stops_the_reading),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
