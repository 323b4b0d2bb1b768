// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "term/trace_line.h"

#include "made_request.h"

static const struct sj_screen plain = {.width = 80}, colored = {.width = 80, .utf8 = true, .color = true};

static void check(const struct sj_screen *screen, unsigned stages, const struct sj_request *r, const char *expected)
{
    struct sj_measurement m = made_measurement();
    struct sj_out out;
    m.stages = stages;
    made_out(&out);
    sj_trace_line(&out, screen, &m, r);
    assert_string_equal(made_text(&out), expected);
    sj_out_fini(&out);
}

static void a_server_line(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    check(&plain, EVERY_STAGE, &r,
          "total   3.1 ms  queue 0.1 | service 3.0 = on-cpu 1.0  run-queue 0.0  blocked 2.0 (sleep)  send 0.0"
          "  residual 0 ns  GET /users/:id 200 nginx:8080\n");
    r.blocked_ns[SJ_CAUSE_SLEEP] = 400000;
    r.blocked_ns[SJ_CAUSE_DISK] = 1600000;
    made_longer(&r, SJ_STAGE_BUSY, 260000);
    made_longer(&r, SJ_STAGE_HANDOFF, 1000000);
    r.flags = SJ_REQ_INTERLEAVED | SJ_REQ_ERROR;
    r.status = "503";
    check(&plain, EVERY_STAGE, &r,
          "total   4.4 ms  queue 0.1 | service 4.3 = on-cpu 1.0  busy 0.3  run-queue 0.0  blocked 2.0 (disk 1.6, sleep "
          "0.4)  handoff 1.0  send 0.0  residual 0 ns  GET /users/:id 503 nginx:8080  interleaved\n");
}

static void a_client_line(void **state)
{
    (void)state;
    struct sj_request r = made_client_request();
    check(&plain, EVERY_STAGE, &r,
          "total   3.5 ms  send 0.0 | wait 3.0 | pickup 0.0 | receive 0.5  residual 0 ns  GET /users/:id 200 "
          "curl -> 127.0.0.1:8080\n");
}

static void the_unit_follows_the_total(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *start;
    } cases[] = {
        {0, "total   0.0 us"},           {49, "total   0.0 us"},         {50, "total   0.1 us"},
        {999949, "total 999.9 us"},      {1000000, "total   1.0 ms"},    {109800000, "total 109.8 ms"},
        {9999949999, "total 9999.9 ms"}, {10000000000, "total  10.0 s"}, {UINT64_MAX, "total 18446744073.7 s"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sj_measurement m = made_measurement();
        struct sj_request r = made_client_request();
        struct sj_out out;
        memset(r.stage_ns, 0, sizeof(r.stage_ns));
        r.total_ns = r.stage_ns[SJ_STAGE_WAIT] = cases[i].ns;
        made_out(&out);
        sj_trace_line(&out, &plain, &m, &r);
        assert_memory_equal(made_text(&out), cases[i].start, strlen(cases[i].start));
        sj_out_fini(&out);
    }
}

static void a_residual_is_shown(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    r.total_ns += 17;
    check(&plain, EVERY_STAGE, &r,
          "total   3.1 ms  queue 0.1 | service 3.0 = on-cpu 1.0  run-queue 0.0  blocked 2.0 (sleep)  send 0.0"
          "  residual 17 ns  GET /users/:id 200 nginx:8080\n");
    r.total_ns -= 34;
    check(&plain, EVERY_STAGE, &r,
          "total   3.1 ms  queue 0.1 | service 3.0 = on-cpu 1.0  run-queue 0.0  blocked 2.0 (sleep)  send 0.0"
          "  residual -17 ns  GET /users/:id 200 nginx:8080\n");
}

static void what_was_not_measured_is_not_shown(void **state)
{
    (void)state;
    struct sj_request r = made_server_request();
    check(&plain, 0, &r, "total   3.1 ms  not split  GET /users/:id 200 nginx:8080\n");
    check(&plain, 1U << SJ_STAGE_QUEUE | 1U << SJ_STAGE_SEND, &r,
          "total   3.1 ms  queue 0.1 | service 3.0  send 0.0  residual 0 ns  GET /users/:id 200 nginx:8080\n");
    r.flags = SJ_REQ_NO_STAGES;
    check(&plain, EVERY_STAGE, &r,
          "total   3.1 ms  queue 0.1 | service 3.0  send 0.0  residual 0 ns  GET /users/:id 200 nginx:8080\n");
    r = made_server_request();
    r.flags = SJ_REQ_NO_ARRIVAL;
    r.total_ns -= r.stage_ns[SJ_STAGE_QUEUE];
    r.stage_ns[SJ_STAGE_QUEUE] = 0;
    check(&plain, EVERY_STAGE, &r,
          "total   3.0 ms  queue ? | service 3.0 = on-cpu 1.0  run-queue 0.0  blocked 2.0 (sleep)  send 0.0"
          "  residual 0 ns  GET /users/:id 200 nginx:8080\n");
    r.total_ns += 5; /* unknown as the queue is, this is not it */
    check(&plain, EVERY_STAGE, &r,
          "total   3.0 ms  queue ? | service 3.0 = on-cpu 1.0  run-queue 0.0  blocked 2.0 (sleep)  send 0.0"
          "  residual 5 ns  GET /users/:id 200 nginx:8080\n");
}

static void unknown_protocols_and_unix_sockets(void **state)
{
    (void)state;
    struct sj_request r = made_client_request();
    r.operation = r.status = "";
    r.protocol = SJ_PROTO_UNKNOWN;
    r.flags = SJ_REQ_ERROR;
    r.unix_path = "/run/x\033[2J.sock";
    r.local.family = r.peer.family = AF_UNIX;
    check(&plain, 0, &r, "total   3.5 ms  not split  unknown error curl -> unix:/run/x\\e[2J.sock\n");
    r.role = SJ_ROLE_SERVER;
    r.flags = 0;
    r.service = "";
    r.protocol = SJ_PROTO_TLS;
    check(&plain, 0, &r, "total   3.5 ms  not split  tls ?:unix:/run/x\\e[2J.sock\n");
}

static void colours_are_closed(void **state)
{
    (void)state;
    struct sj_request r = made_client_request();
    r.flags = SJ_REQ_ERROR;
    r.status = "500";
    check(&colored, 0, &r,
          "total \033[1m  3.5 ms\033[0m  not split  GET /users/:id \033[31m500\033[0m curl -> 127.0.0.1:8080\n");
    r.flags = SJ_REQ_CLIENT_ERROR;
    r.status = "404";
    check(&colored, 0, &r,
          "total \033[1m  3.5 ms\033[0m  not split  GET /users/:id \033[33m404\033[0m curl -> 127.0.0.1:8080\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_line),
        cmocka_unit_test(a_client_line),
        cmocka_unit_test(the_unit_follows_the_total),
        cmocka_unit_test(a_residual_is_shown),
        cmocka_unit_test(what_was_not_measured_is_not_shown),
        cmocka_unit_test(unknown_protocols_and_unix_sockets),
        cmocka_unit_test(colours_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
