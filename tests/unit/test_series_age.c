// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hist_random.h"
#include "made_request.h"
#include "series/series.h"

#define SECOND 1000000000ULL
#define HOUR (3600 * SECOND)

static struct sj_series *lasting(size_t rows, size_t bytes)
{
    const struct sj_series_limits limits = {.rows = rows, .bytes = bytes, .idle_ns = HOUR, .series = 1000};
    struct sj_series *s = sj_series_new(&limits);
    assert_non_null(s);
    return s;
}

static void add(struct sj_series *s, const char *service, uint16_t port, const char *operation)
{
    struct sj_request r = made_server_request();
    r.service = service;
    r.port = port;
    r.operation = operation;
    assert_int_equal(sj_series_add(s, &r), 0);
}

static struct sj_snapshot snapshot(struct sj_series *s)
{
    struct sj_snapshot snap;
    assert_int_equal(sj_series_snapshot(s, &snap), 0);
    return snap;
}

static uint64_t all_requests(const struct sj_snapshot *snap)
{
    uint64_t n = 0;
    for (size_t i = 0; i < snap->n_services; i++) {
        const struct sj_service_view *v = &snap->services[i];
        assert_true(v->total->count == v->requests);
        assert_true(v->cell->total.count == v->cell->requests);
        n += v->requests;
    }
    return n;
}

/* As an exporter sees it: of all services of that name, the operation's requests. */
static uint64_t exported(const struct sj_snapshot *snap, const char *service, const char *operation)
{
    uint64_t n = 0;
    for (size_t i = 0; i < snap->n_services; i++) {
        const struct sj_service_view *v = &snap->services[i];
        if (v->rest || strcmp(v->service, service) != 0)
            continue;
        if (!operation[0])
            n += (v->plain ? v->plain->requests : 0) + v->counted;
        for (size_t k = 0; k < v->n_operations; k++)
            if (operation[0] && !v->operations[k].rest && strcmp(v->operations[k].operation, operation) == 0)
                n += v->operations[k].cell->requests;
    }
    return n;
}

static void an_idle_series_ends_and_begins_anew(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100, 1 << 20);
    assert_int_equal(sj_series_tick(s, SECOND), 0);
    add(s, "a", 80, "GET /");
    add(s, "a", 80, "GET /x");
    for (uint64_t t = 1; t <= 62; t++) {
        assert_int_equal(sj_series_tick(s, SECOND + t * 60 * SECOND), 0);
        add(s, "a", 80, "GET /x");
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 1);
    assert_int_equal(snap.services[0].n_operations, 1);
    assert_string_equal(snap.services[0].operations[0].operation, "GET /x");
    assert_int_equal(snap.services[0].operations[0].cell->requests, 63);
    assert_int_equal(snap.services[0].requests, 64); /* in the total it stays */
    assert_int_equal(snap.services[0].created_ns, SECOND);
    sj_snapshot_free(&snap);

    add(s, "a", 80, "GET /");
    snap = snapshot(s);
    assert_int_equal(exported(&snap, "a", "GET /"), 1);
    assert_string_equal(snap.services[0].operations[1].operation, "GET /");
    assert_int_equal(snap.services[0].operations[1].created_ns, SECOND + 62 * 60 * SECOND);
    assert_int_equal(all_requests(&snap), 65);
    sj_snapshot_free(&snap);

    assert_int_equal(sj_series_tick(s, 3 * HOUR), 0);
    snap = snapshot(s);
    assert_int_equal(snap.n_services, 1);
    assert_true(snap.services[0].rest);
    assert_null(snap.services[0].plain); /* nothing that an exporter would show */
    assert_int_equal(all_requests(&snap), 65);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* Another port, or container, of the same name is the same series to the world. */
static void while_a_namesake_lives_nothing_falls(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100, 1 << 20);
    add(s, "a", 80, "GET /");
    add(s, "a", 80, "");
    add(s, "a", 81, "GET /");
    for (uint64_t t = 1; t <= 122; t++) {
        assert_int_equal(sj_series_tick(s, t * 60 * SECOND), 0);
        add(s, "a", 81, "GET /");
        struct sj_snapshot snap = snapshot(s);
        assert_int_equal(exported(&snap, "a", "GET /"), 2 + t);
        assert_int_equal(exported(&snap, "a", ""), 1);
        sj_snapshot_free(&snap);
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(snap.n_services, 2);
    assert_int_equal(snap.services[0].port, 81);
    assert_int_equal(snap.services[1].port, 0); /* what the departed left */
    assert_int_equal(snap.services[1].created_ns, 0);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

static void full_memory_gives_up_stages_and_no_count(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100, 200000);
    struct random_state rng = {3};
    char name[16];
    uint64_t n = 0;
    for (; n < 60000; n++) {
        struct sj_request r = made_server_request();
        snprintf(name, sizeof(name), "GET /%d", (int)(random_bits(&rng) % 40));
        r.operation = name;
        r.stage_ns[SJ_STAGE_QUEUE] = random_bits(&rng) % 1000000000;
        r.stage_ns[SJ_STAGE_ONCPU] = random_bits(&rng) % 1000000000;
        r.total_ns = r.stage_ns[SJ_STAGE_QUEUE] + r.stage_ns[SJ_STAGE_ONCPU] + 2000300;
        assert_int_equal(sj_series_add(s, &r), 0);
    }
    struct sj_snapshot snap = snapshot(s);
    assert_int_equal(all_requests(&snap), n);
    uint64_t bare = 0;
    for (size_t i = 0; i < snap.services[0].n_operations; i++) {
        const struct sj_cell *c = snap.services[0].operations[i].cell;
        if (c->bare) {
            bare++;
            assert_int_equal(c->bare, c->requests);
            assert_int_equal(sj_cell_known(c, SJ_STAGE_QUEUE) + sj_cell_known(c, SJ_STAGE_SEND), 0);
            assert_null(c->stage[SJ_STAGE_QUEUE]);
        } else {
            assert_int_equal(sj_cell_known(c, SJ_STAGE_QUEUE), c->requests);
        }
    }
    assert_true(bare > 0);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

/* Weeks of services that come and go: what an exporter shows never falls while it is shown, and the total is exact. */
static void weeks_are_survived(void **state)
{
    (void)state;
    enum { NAMES = 4, PORTS = 5, OPERATIONS = 6 };
    static const char *const names[NAMES] = {"a", "b", "c", "d"};
    static const char *const operations[OPERATIONS] = {"", "GET /", "GET /1", "GET /2", "GET /3", "GET /4"};
    struct sj_series *s = lasting(60, 1 << 20);
    struct random_state rng = {11};
    uint64_t was[NAMES][OPERATIONS] = {{0}}, n = 0, ended = 0, went = 0;
    size_t services = 0;
    for (uint64_t minute = 1; minute < 20000; minute++) {
        assert_int_equal(sj_series_tick(s, minute * 60 * SECOND), 0);
        /* quiet and busy hours, in which now these and now those are used */
        uint64_t hour = minute / 120, busy = hour * 2654435761U >> 3;
        for (int i = 0; i < 3 && random_bits(&rng) % 8 == 0; i++, n++)
            add(s, names[(busy + random_bits(&rng) % 2) % NAMES],
                (uint16_t)(80 + (busy / 4 + random_bits(&rng) % 2) % PORTS),
                operations[(busy / 16 + random_bits(&rng) % 3) % OPERATIONS]);
        struct sj_snapshot snap = snapshot(s);
        assert_int_equal(all_requests(&snap), n);
        for (int i = 0; i < NAMES; i++)
            for (int k = 0; k < OPERATIONS; k++) {
                uint64_t now = exported(&snap, names[i], operations[k]);
                assert_true(now >= was[i][k] || now == 0);
                ended += was[i][k] > 0 && now == 0;
                was[i][k] = now;
            }
        went += snap.n_services < services;
        services = snap.n_services;
        sj_snapshot_free(&snap);
    }
    assert_true(ended > 10 && went > 10);
    sj_series_free(s);
}

static void the_slowest_request_of_late_is_the_example(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100, 1 << 20);
    const uint64_t totals[] = {5000000, 9000000, 7000000};
    struct sj_request r = made_server_request();
    sj_series_tick(s, SECOND);
    for (int i = 0; i < 3; i++) {
        r.total_ns = totals[i];
        r.pid = (uint32_t)i + 1;
        assert_int_equal(sj_series_add(s, &r), 0);
    }
    struct sj_snapshot snap = snapshot(s);
    const struct sj_exemplar *e = &snap.services[0].operations[0].exemplar;
    assert_int_equal(e->total_ns, 9000000);
    assert_int_equal(e->mono_ns, 9001000);
    assert_int_equal(e->pid, 2);
    assert_int_equal(e->peer.port, 51234);
    sj_snapshot_free(&snap);
    sj_series_tick(s, 70 * SECOND);
    r.total_ns = 100;
    assert_int_equal(sj_series_add(s, &r), 0);
    snap = snapshot(s); /* it ended before the other one did */
    assert_int_equal(snap.services[0].operations[0].exemplar.total_ns, 9000000);
    sj_snapshot_free(&snap);
    r.start_ns = 69 * SECOND;
    assert_int_equal(sj_series_add(s, &r), 0);
    snap = snapshot(s);
    assert_int_equal(snap.services[0].operations[0].exemplar.total_ns, 100);
    sj_snapshot_free(&snap);
    sj_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_series_ends_and_begins_anew),
        cmocka_unit_test(while_a_namesake_lives_nothing_falls),
        cmocka_unit_test(full_memory_gives_up_stages_and_no_count),
        cmocka_unit_test(weeks_are_survived),
        cmocka_unit_test(the_slowest_request_of_late_is_the_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
