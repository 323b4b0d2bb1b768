// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "series/series.h"

#include "made_request.h"

static struct sj_series *series(size_t rows)
{
    const struct sj_series_limits limits = {.rows = rows, .bytes = (size_t)64 << 20};
    struct sj_series *s = sj_series_new(&limits);
    assert_non_null(s);
    return s;
}

static void ask(struct sj_series *s, const char *service, const char *operation, int times)
{
    struct sj_request r = made_server_request();
    r.service = service;
    r.operation = operation;
    for (int i = 0; i < times; i++)
        assert_int_equal(sj_series_add(s, &r), 0);
}

static const struct sj_service_view *service_of(const struct sj_snapshot *snap, const char *name)
{
    for (size_t i = 0; i < snap->n_services; i++)
        if (!snap->services[i].rest && strcmp(snap->services[i].service, name) == 0)
            return &snap->services[i];
    fail_msg("no service %s", name);
    return NULL;
}

static void what_has_no_operation_is_told_apart(void **state)
{
    (void)state;
    struct sj_series *s = series(100);
    ask(s, "mixed", "GET /", 3);
    ask(s, "mixed", "", 5);
    ask(s, "named", "GET /", 7);
    ask(s, "nameless", "", 11);
    struct sj_snapshot snap;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    const struct sj_service_view *mixed = service_of(&snap, "mixed");
    assert_int_equal(mixed->requests, 8);
    assert_int_equal(mixed->plain->requests, 5);
    assert_null(service_of(&snap, "named")->plain);
    assert_int_equal(service_of(&snap, "nameless")->plain->requests, 11);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* Operations and what has none make up the service, whatever flows into the rest. */
static void the_parts_make_up_the_service(void **state)
{
    (void)state;
    struct sj_series *s = series(20);
    for (int i = 0; i < 500; i++) {
        char service[32], operation[32];
        snprintf(service, sizeof(service), "s%d", i % 17);
        snprintf(operation, sizeof(operation), "GET /%d", i % 23);
        ask(s, service, i % 3 ? operation : "", 1);
    }
    struct sj_snapshot snap;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    uint64_t all = 0;
    bool rest = false;
    for (size_t i = 0; i < snap.n_services; i++) {
        const struct sj_service_view *v = &snap.services[i];
        uint64_t n = v->plain ? v->plain->requests : 0;
        for (size_t o = 0; o < v->n_operations; o++)
            n += v->operations[o].cell->requests;
        assert_int_equal(n, v->requests);
        rest = rest || v->rest;
        all += n;
    }
    assert_true(rest);
    assert_int_equal(all, 500);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void statuses_are_classed_however_many_there_are(void **state)
{
    (void)state;
    static const char *const others[] = {"OK", "2", "20", "2000", "2xx", "600", "099", "ERR x"};
    struct sj_series *s = series(100);
    struct sj_request r = made_server_request();
    char status[16];
    for (int code = 100; code < 600; code++) {
        snprintf(status, sizeof(status), "%d", code);
        r.status = status;
        assert_int_equal(sj_series_add(s, &r), 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        r.status = others[i];
        assert_int_equal(sj_series_add(s, &r), 0);
    }
    r.status = "";
    assert_int_equal(sj_series_add(s, &r), 0);
    r.operation = "GET /second";
    r.status = "204";
    assert_int_equal(sj_series_add(s, &r), 0);
    struct sj_snapshot snap;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    static const uint64_t expected[SJ_CLASS_MAX_] = {8, 100, 101, 100, 100, 100};
    assert_memory_equal(snap.services[0].cell->classes, expected, sizeof(expected));
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_operation_is_told_apart),
        cmocka_unit_test(the_parts_make_up_the_service),
        cmocka_unit_test(statuses_are_classed_however_many_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
