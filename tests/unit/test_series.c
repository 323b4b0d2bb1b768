// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "series/series.h"

#include "made_request.h"

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

static struct sj_series *series(size_t rows, size_t bytes)
{
    const struct sj_series_limits limits = {.rows = rows, .bytes = bytes};
    struct sj_series *s = sj_series_new(&limits);
    assert_non_null(s);
    return s;
}

static void add(struct sj_series *s, const struct sj_request *r)
{
    assert_int_equal(sj_series_add(s, r), 0);
}

static struct sj_snapshot snapshot(struct sj_series *s)
{
    struct sj_snapshot snap;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    return snap;
}

/* All requests of all rows, and the sum of their totals. */
static uint64_t requests_in(const struct sj_snapshot *snap, uint64_t *sum_ns)
{
    uint64_t n = 0;
    *sum_ns = 0;
    for (size_t i = 0; i < snap->n_services; i++) {
        n += snap->services[i].requests;
        *sum_ns += snap->services[i].total->sum_ns;
    }
    return n;
}

static void nothing_makes_an_empty_snapshot(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 0);
    sj_snapshot_free(&snap);
    sj_series_free(s);
    sj_series_free(NULL);
}

static void one_request_is_one_row(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_request r = made_server_request();
    r.container = "abc";
    add(s, &r);
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 1);
    const struct sj_service_view *v = &snap.services[0];
    assert_string_equal(v->service, "nginx");
    assert_string_equal(v->container, "abc");
    assert_int_equal(v->role, SJ_ROLE_SERVER);
    assert_int_equal(v->protocol, SJ_PROTO_HTTP);
    assert_int_equal(v->port, 8080);
    assert_int_equal(v->pid, 7201);
    assert_int_equal(v->pids, 1);
    assert_int_equal(v->requests, 1);
    assert_int_equal(v->counted, 0);
    assert_int_equal(v->total->sum_ns, 3100300);
    assert_int_equal(v->n_operations, 1);
    assert_string_equal(v->operations[0].operation, "GET /users/:id");
    assert_int_equal(v->operations[0].cell->requests, 1);
    assert_int_equal(sj_cell_stage_sum(v->cell, SJ_STAGE_ONCPU), 1000000);
    assert_int_equal(sj_cell_stage_sum(v->cell, SJ_STAGE_BUSY), 0);
    assert_int_equal(sj_cell_cause_sum(v->cell, SJ_CAUSE_SLEEP), 2000000);
    assert_string_equal(v->cell->status[0].status, "200");
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void every_part_of_the_key_tells_apart(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_request r[6];
    for (int i = 0; i < 6; i++)
        r[i] = made_server_request();
    r[1].service = "nginx2";
    r[2].role = SJ_ROLE_CLIENT;
    r[3].protocol = SJ_PROTO_TLS;
    r[4].port = 8081;
    r[5].container = "abc";
    for (int i = 0; i < 6; i++)
        add(s, &r[i]);
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 6);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void names_are_copied(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    char service[] = "one", operation[] = "GET /one", container[] = "c1", status[] = "200";
    struct sj_request r = made_server_request();
    r.service = service;
    r.operation = operation;
    r.container = container;
    r.status = status;
    add(s, &r);
    memcpy(service, "two", 3);
    memcpy(operation + 5, "two", 3);
    container[1] = '2';
    status[0] = '5';
    add(s, &r);
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct sj_service_view *v = &snap.services[i];
        bool first = strcmp(v->service, "one") == 0;
        assert_string_equal(v->service, first ? "one" : "two");
        assert_string_equal(v->container, first ? "c1" : "c2");
        assert_string_equal(v->operations[0].operation, first ? "GET /one" : "GET /two");
        assert_string_equal(v->cell->status[0].status, first ? "200" : "500");
    }
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* Against plain arrays: counts, errors and histograms of each service and operation, whatever the order. */
static void sums_are_exact(void **state)
{
    (void)state;
    enum { SERVICES = 7, OPERATIONS = 11 };
    static struct sj_hist expected[SERVICES][OPERATIONS];
    static uint64_t errors[SERVICES][OPERATIONS];
    char names[SERVICES][16], operations[OPERATIONS][32];
    struct sj_series *s = sj_series_new(NULL);
    uint32_t x = 5;
    for (int i = 0; i < SERVICES; i++)
        snprintf(names[i], sizeof(names[i]), "service-%d", i);
    for (int i = 0; i < OPERATIONS; i++)
        snprintf(operations[i], sizeof(operations[i]), "GET /%d", i);
    for (int n = 0; n < 50000; n++) {
        int i = (int)(next_random(&x) % SERVICES), k = (int)(next_random(&x) % OPERATIONS);
        struct sj_request r = made_server_request();
        r.service = names[i];
        r.operation = operations[k];
        made_longer(&r, SJ_STAGE_QUEUE, next_random(&x));
        r.flags = next_random(&x) % 10 ? 0 : SJ_REQ_ERROR;
        errors[i][k] += r.flags ? 1 : 0;
        assert_int_equal(sj_hist_add(&expected[i][k], r.total_ns), 0);
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, SERVICES);
    for (size_t i = 0; i < snap.n_services; i++) {
        const struct sj_service_view *v = &snap.services[i];
        int service = v->service[8] - '0';
        struct sj_hist sum;
        uint64_t all_errors = 0;
        sj_hist_init(&sum);
        assert_int_equal(v->n_operations, OPERATIONS);
        for (size_t k = 0; k < v->n_operations; k++) {
            int op = (int)strtol(v->operations[k].operation + 5, NULL, 10);
            assert_true(sj_hist_equal(&v->operations[k].cell->total, &expected[service][op]));
            assert_int_equal(v->operations[k].cell->errors, errors[service][op]);
            assert_int_equal(sj_hist_merge(&sum, &expected[service][op]), 0);
            all_errors += errors[service][op];
            if (k > 0)
                assert_true(v->operations[k - 1].cell->requests >= v->operations[k].cell->requests);
        }
        assert_true(sj_hist_equal(v->total, &sum));
        assert_int_equal(v->requests, sum.count);
        assert_int_equal(v->cell->errors, all_errors);
        if (i > 0)
            assert_true(snap.services[i - 1].requests >= v->requests);
        sj_hist_free(&sum);
    }
    for (int i = 0; i < SERVICES; i++)
        for (int k = 0; k < OPERATIONS; k++)
            sj_hist_free(&expected[i][k]);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* A histogram that counted the zeros too is the oracle for one that implies them. */
static void zeros_count_as_zeros(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_hist all;
    uint32_t x = 9;
    sj_hist_init(&all);
    for (int n = 0; n < 1000; n++) {
        struct sj_request r = made_server_request();
        uint64_t runq = n % 5 < 3 ? 0 : 1000 + next_random(&x) % 1000000;
        made_longer(&r, SJ_STAGE_RUNQ, runq);
        assert_int_equal(sj_hist_add(&all, runq), 0);
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    const struct sj_cell *c = snap.services[0].cell;
    assert_int_equal(sj_cell_known(c, SJ_STAGE_RUNQ), 1000);
    assert_int_equal(sj_cell_stage_sum(c, SJ_STAGE_RUNQ), all.sum_ns);
    assert_true(sj_cell_stage_quantile(c, SJ_STAGE_RUNQ, 0.5) == 0);
    for (double p = 0; p <= 1; p += 1.0 / 64) {
        double mine = sj_cell_stage_quantile(c, SJ_STAGE_RUNQ, p), theirs = sj_hist_quantile(&all, p);
        assert_true(fabs(mine - theirs) <= 1e-12);
    }
    assert_true(sj_cell_stage_quantile(c, SJ_STAGE_BUSY, 0.99) == 0);
    assert_true(sj_cell_cause_quantile(c, SJ_CAUSE_LOCK, 0.99) == 0);
    assert_true(fabs(sj_cell_cause_quantile(c, SJ_CAUSE_SLEEP, 0.5) - 0.002) < 1e-12);
    sj_hist_free(&all);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void what_is_unknown_is_no_zero(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_request r = made_server_request(), no_arrival = r, no_stages = r;
    no_arrival.flags = SJ_REQ_NO_ARRIVAL;
    no_arrival.total_ns -= no_arrival.stage_ns[SJ_STAGE_QUEUE];
    no_arrival.stage_ns[SJ_STAGE_QUEUE] = 5; /* whatever stands there */
    no_stages.flags = SJ_REQ_NO_STAGES | SJ_REQ_INTERLEAVED;
    no_stages.stage_ns[SJ_STAGE_ONCPU] = no_stages.stage_ns[SJ_STAGE_BLOCKED] = no_stages.blocked_ns[SJ_CAUSE_SLEEP] =
        0;
    add(s, &r);
    add(s, &no_arrival);
    add(s, &no_stages);
    struct sj_snapshot snap = snapshot(s);
    const struct sj_cell *c = snap.services[0].cell;
    assert_int_equal(sj_cell_known(c, SJ_STAGE_QUEUE), 2);
    assert_int_equal(sj_cell_known(c, SJ_STAGE_ONCPU), 2);
    assert_int_equal(sj_cell_known(c, SJ_STAGE_SEND), 3);
    assert_true(fabs(sj_cell_stage_quantile(c, SJ_STAGE_QUEUE, 0.01) - 100e-6) < 1e-12);
    assert_true(fabs(sj_cell_stage_quantile(c, SJ_STAGE_ONCPU, 0.01) - 1e-3) < 1e-12);
    assert_int_equal(sj_cell_stage_sum(c, SJ_STAGE_QUEUE), 200000);
    assert_int_equal(c->interleaved, 1);
    sj_snapshot_free(&snap);
    sj_series_free(s);

    s = sj_series_new(NULL);
    add(s, &no_stages);
    snap = snapshot(s);
    assert_true(isnan(sj_cell_stage_quantile(snap.services[0].cell, SJ_STAGE_ONCPU, 0.5)));
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void too_many_operations_flow_into_the_rest(void **state)
{
    (void)state;
    struct sj_series *s = series(40, SJ_SERIES_BYTES);
    uint64_t sum = 0, named = 0;
    for (int n = 0; n < 5000; n++) {
        char operation[32];
        struct sj_request r = made_server_request();
        snprintf(operation, sizeof(operation), "GET /%d", n % 1000);
        r.operation = operation;
        made_longer(&r, SJ_STAGE_SEND, (uint64_t)n);
        sum += r.total_ns;
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    const struct sj_service_view *v = &snap.services[0];
    assert_int_equal(snap.n_services, 1);
    assert_int_equal(v->requests, 5000);
    assert_int_equal(v->total->sum_ns, sum);
    assert_int_equal(v->n_operations, 40); /* 39 with a name beside the service's row, and the rest, which comes last */
    for (size_t i = 0; i < v->n_operations; i++) {
        assert_int_equal(v->operations[i].rest, i == 39);
        named += v->operations[i].cell->requests;
    }
    assert_int_equal(named, 5000);
    assert_int_equal(v->operations[39].cell->requests, 5000 - 39 * 5);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void too_many_services_flow_into_the_rest(void **state)
{
    (void)state;
    struct sj_series *s = series(40, SJ_SERIES_BYTES);
    uint64_t sum = 0, expected = 0;
    for (int n = 0; n < 3000; n++) {
        struct sj_request r = n & 1 ? made_client_request() : made_server_request();
        r.port = (uint16_t)(1000 + n % 500);
        expected += r.total_ns;
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 12); /* a quarter of the rows, and a rest of either role */
    assert_int_equal(requests_in(&snap, &sum), 3000);
    assert_int_equal(sum, expected);
    for (size_t i = 0; i < snap.n_services; i++) {
        assert_int_equal(snap.services[i].rest, i >= 10);
        assert_int_equal(snap.services[i].cell->requests, snap.services[i].requests);
    }
    assert_true(snap.services[10].role != snap.services[11].role);
    assert_int_equal(snap.services[11].n_operations, 0);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* Latencies that scatter over nine decades make every histogram wide: then names are given up, never counts. */
static void memory_is_bounded(void **state)
{
    (void)state;
    enum { LIMIT = 400000 };
    struct sj_series *s = series(SJ_SERIES_ROWS, LIMIT);
    uint64_t expected = 0, sum = 0;
    uint32_t x = 3;
    for (int n = 0; n < 200000; n++) {
        char operation[32];
        struct sj_request r = made_server_request();
        snprintf(operation, sizeof(operation), "GET /%u", next_random(&x) % 500);
        r.operation = operation;
        for (int i = SJ_STAGE_QUEUE; i <= SJ_STAGE_SEND; i++)
            made_longer(&r, (enum sj_stage)i, next_random(&x) >> next_random(&x) % 24);
        expected += r.total_ns;
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(requests_in(&snap, &sum), 200000);
    assert_int_equal(sum, expected);
    assert_true(sj_series_bytes(s) < 2 * LIMIT);
    const struct sj_service_view *v = &snap.services[0];
    assert_true(v->n_operations > 1);
    assert_true(v->operations[v->n_operations - 1].rest);
    uint64_t parts = 0;
    for (size_t i = 0; i < v->n_operations; i++)
        parts += v->operations[i].cell->requests;
    assert_int_equal(parts, 200000);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void processes_are_counted(void **state)
{
    (void)state;
    static const uint32_t pids[] = {1, 2, 100, SJ_PIDS_MAX, SJ_PIDS_MAX + 1, 3 * SJ_PIDS_MAX};
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        struct sj_series *s = sj_series_new(NULL);
        for (uint32_t n = 0; n < 2 * pids[i]; n++) {
            struct sj_request r = made_server_request();
            r.pid = 500 + n % pids[i];
            add(s, &r);
        }
        struct sj_request unknown = made_server_request();
        unknown.pid = 0;
        add(s, &unknown);
        struct sj_snapshot snap = snapshot(s);
        assert_int_equal(snap.services[0].pids, pids[i] < SJ_PIDS_MAX ? pids[i] : SJ_PIDS_MAX);
        assert_int_equal(snap.services[0].pid, pids[i] == 1 ? 500 : 0);
        sj_snapshot_free(&snap);
        sj_series_free(s);
    }
}

static void statuses_are_counted(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    for (int n = 0; n < 120; n++) {
        char status[32];
        struct sj_request r = made_server_request();
        snprintf(status, sizeof(status), "%d", 200 + n % 12);
        r.status = n < 100 ? status : n < 110 ? "" : "a status that is longer than any is";
        add(s, &r);
    }
    struct sj_snapshot snap = snapshot(s);
    const struct sj_cell *c = snap.services[0].cell;
    uint64_t n = 0;
    for (size_t i = 0; i < SJ_STATUSES; i++) {
        char status[16];
        snprintf(status, sizeof(status), "%zu", 200 + i);
        assert_string_equal(c->status[i].status, status);
        n += c->status[i].requests;
    }
    assert_int_equal(n, 8 * 8 + 4);
    assert_int_equal(c->other_statuses, 100 - n + 10);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* ---- turns without detail */

static struct sj_counted turns(uint64_t n, uint8_t protocol, uint16_t port)
{
    struct sj_counted c = {.service = "nginx", .role = SJ_ROLE_SERVER, .protocol = protocol, .port = port};
    sj_hist_init(&c.total);
    assert_int_equal(sj_hist_add_n(&c.total, 1000000, n), 0);
    c.stage_sum_ns[SJ_STAGE_ONCPU] = 1000000 * n;
    return c;
}

static void add_turns(struct sj_series *s, struct sj_counted c)
{
    assert_int_equal(sj_series_add_counted(s, &c), 0);
    sj_hist_free(&c.total);
}

static void counted_turns_join_their_service(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_request r = made_server_request();
    r.container = "abc";
    add(s, &r);
    add_turns(s, turns(10, SJ_PROTO_HTTP, 8080));
    add_turns(s, turns(5, SJ_PROTO_UNKNOWN, 8080)); /* not looked at: there is no other it could be */
    add_turns(s, turns(0, SJ_PROTO_HTTP, 1));
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 1);
    const struct sj_service_view *v = &snap.services[0];
    assert_int_equal(v->requests, 16);
    assert_int_equal(v->counted, 15);
    assert_int_equal(v->cell->requests, 1);
    assert_int_equal(v->total->count, 16);
    assert_int_equal(v->total->sum_ns, 3100300 + 15 * 1000000);
    assert_int_equal(v->counted_stage_ns[SJ_STAGE_ONCPU], 15 * 1000000);
    assert_false(v->lower_bound);
    sj_snapshot_free(&snap);
    struct sj_counted pipelined = turns(1, SJ_PROTO_HTTP, 8080);
    pipelined.lower_bound = true;
    add_turns(s, pipelined);
    snap = snapshot(s);
    assert_true(snap.services[0].lower_bound);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void counted_turns_are_not_guessed_at(void **state)
{
    (void)state;
    struct sj_series *s = sj_series_new(NULL);
    struct sj_request one = made_server_request(), two = one;
    one.container = "one";
    two.container = "two";
    add(s, &one);
    add(s, &two);
    add_turns(s, turns(10, SJ_PROTO_HTTP, 8080)); /* which of the two? */
    add_turns(s, turns(20, SJ_PROTO_TLS, 8080));  /* neither */
    add_turns(s, turns(30, SJ_PROTO_HTTP, 8081)); /* nor this */
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 5);
    static const uint64_t expected[] = {30, 20, 10, 1, 1};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(snap.services[i].requests, expected[i]);
        assert_int_equal(snap.services[i].counted, expected[i] > 1 ? expected[i] : 0);
        assert_int_equal(snap.services[i].cell->requests, expected[i] > 1 ? 0 : 1);
    }
    assert_int_equal(snap.services[0].pids, 0);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_makes_an_empty_snapshot),
        cmocka_unit_test(one_request_is_one_row),
        cmocka_unit_test(every_part_of_the_key_tells_apart),
        cmocka_unit_test(names_are_copied),
        cmocka_unit_test(sums_are_exact),
        cmocka_unit_test(zeros_count_as_zeros),
        cmocka_unit_test(what_is_unknown_is_no_zero),
        cmocka_unit_test(too_many_operations_flow_into_the_rest),
        cmocka_unit_test(too_many_services_flow_into_the_rest),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(processes_are_counted),
        cmocka_unit_test(statuses_are_counted),
        cmocka_unit_test(counted_turns_join_their_service),
        cmocka_unit_test(counted_turns_are_not_guessed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
