// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "made_request.h"
#include "series/series.h"

struct watcher {
    const char *wanted; /* operation */
    unsigned asked;
    unsigned slices;
    uint64_t requests;
    uint64_t counted;
    uint64_t max_ns;
    uint64_t stage_ns;
    char service[32];
    char operation[32];
    int fail;
};

static bool wanted(void *ctx, const struct sj_series_id *id)
{
    struct watcher *w = ctx;
    w->asked++;
    return strcmp(id->service, "nginx") == 0 && (!w->wanted || strcmp(id->operation, w->wanted) == 0);
}

static int on_slice(void *ctx, const struct sj_series_id *id, const struct sj_cell *cell, const struct sj_hist *counted)
{
    struct watcher *w = ctx;
    w->slices++;
    w->requests += cell->requests;
    w->counted += counted ? counted->count : 0;
    w->max_ns = cell->requests ? cell->total.max_ns : 0;
    w->stage_ns = sj_cell_stage_sum(cell, SJ_STAGE_ONCPU);
    strncpy(w->service, id->service, sizeof(w->service) - 1);
    strncpy(w->operation, id->operation, sizeof(w->operation) - 1);
    return w->fail;
}

static struct sj_series *lasting(size_t rows)
{
    const struct sj_series_limits limits = {.rows = rows, .bytes = 1 << 20, .idle_ns = 3600000000000ULL};
    struct sj_series *s = sj_series_new(&limits);
    assert_non_null(s);
    return s;
}

static void add(struct sj_series *s, const char *operation, uint64_t oncpu)
{
    struct sj_request r = made_server_request();
    r.operation = operation;
    r.total_ns += oncpu - r.stage_ns[SJ_STAGE_ONCPU];
    r.stage_ns[SJ_STAGE_ONCPU] = oncpu;
    assert_int_equal(sj_series_add(s, &r), 0);
}

static void a_slice_is_what_came_since_the_last(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100);
    struct watcher w = {.wanted = "GET /"};
    sj_series_watch(s, wanted, &w);
    add(s, "GET /", 1000);
    add(s, "GET /", 5000);
    add(s, "GET /other", 7000);
    assert_int_equal(w.asked, 3); /* two operations, and turns without detail */
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 1);
    assert_int_equal(w.requests, 2);
    assert_int_equal(w.stage_ns, 6000);
    assert_int_equal(w.max_ns, 3100300 - 1000000 + 5000);
    assert_string_equal(w.operation, "GET /");

    add(s, "GET /", 100);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 2);
    assert_int_equal(w.requests, 3);
    assert_int_equal(w.stage_ns, 100);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 2);
    add(s, "GET /", 200);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 3);
    assert_int_equal(w.stage_ns, 200);
    assert_int_equal(w.asked, 3);
    sj_series_free(s);
}

static void who_is_watched_may_change(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100);
    struct watcher w = {.wanted = "GET /"}, other = {.wanted = "GET /other"};
    add(s, "GET /", 1);
    sj_series_watch(s, wanted, &w);
    add(s, "GET /", 1);
    add(s, "GET /other", 1);
    sj_series_watch(s, wanted, &other);
    assert_int_equal(sj_series_drain(s, on_slice, &other), 0);
    assert_int_equal(other.slices, 0);
    add(s, "GET /other", 1);
    assert_int_equal(sj_series_drain(s, on_slice, &other), 0);
    assert_int_equal(other.requests, 1);
    sj_series_watch(s, NULL, NULL);
    add(s, "GET /other", 1);
    assert_int_equal(sj_series_drain(s, on_slice, &other), 0);
    assert_int_equal(other.slices, 1);
    sj_series_free(s);
}

static void turns_without_detail_have_no_operation(void **state)
{
    (void)state;
    struct sj_series *s = lasting(100);
    struct watcher w = {.wanted = NULL};
    struct sj_counted c = {.service = "nginx", .role = SJ_ROLE_SERVER, .protocol = SJ_PROTO_HTTP, .port = 8080};
    sj_series_watch(s, wanted, &w);
    sj_hist_init(&c.total);
    assert_int_equal(sj_hist_add_n(&c.total, 1000, 5), 0);
    assert_int_equal(sj_series_add_counted(s, &c), 0);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.counted, 5);
    assert_int_equal(w.requests, 0);
    assert_string_equal(w.operation, "");
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 1);
    sj_hist_free(&c.total);
    sj_series_free(s);
}

static void the_rest_is_watched_under_its_name(void **state)
{
    (void)state;
    struct sj_series *s = lasting(2);
    struct watcher w = {.wanted = NULL};
    sj_series_watch(s, wanted, &w);
    for (int i = 0; i < 8; i++)
        add(s, (char[]){'G', (char)('a' + i), 0}, 1);
    /* two rows are too few for a service: all is the rest, whose service is not wanted */
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.slices, 0);
    sj_series_free(s);

    s = lasting(4);
    sj_series_watch(s, wanted, &w);
    for (int i = 0; i < 8; i++)
        add(s, (char[]){'G', (char)('a' + i), 0}, 1);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 0);
    assert_int_equal(w.requests, 8);
    assert_int_equal(w.slices, 4);
    w.fail = 7;
    add(s, "Ga", 1);
    add(s, "Gb", 1);
    assert_int_equal(sj_series_drain(s, on_slice, &w), 7);
    assert_int_equal(w.slices, 5);
    sj_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_what_came_since_the_last),
        cmocka_unit_test(who_is_watched_may_change),
        cmocka_unit_test(turns_without_detail_have_no_operation),
        cmocka_unit_test(the_rest_is_watched_under_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
