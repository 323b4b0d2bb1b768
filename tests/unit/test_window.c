// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hist_random.h"
#include "series/cell.h"
#include "watch/window.h"

#define S 1000000000LL

/* A window and what it needs. */
struct made {
    struct sj_budget budget;
    struct sj_tally tally;
    struct sj_ticks ticks;
    uint8_t *bytes;
    struct sj_window_room room;
    struct sj_window *w;
    int64_t interval_ns;
    int64_t now_ns;
};

static void make(struct made *m, int64_t over_ns, int64_t interval_ns, struct sj_tracks tracks)
{
    *m = (struct made){.budget.limit = 1 << 20, .interval_ns = interval_ns, .now_ns = 7 * S};
    m->bytes = malloc(SJ_TALLY_BYTES_MAX);
    assert_non_null(m->bytes);
    m->room = (struct sj_window_room){&m->budget, &m->tally, m->bytes, &m->ticks};
    sj_ticks_add(&m->ticks, m->now_ns);
    m->w = sj_window_new(&m->room, (uint64_t)over_ns, (uint64_t)interval_ns, tracks, m->now_ns);
    assert_non_null(m->w);
}

static void unmake(struct made *m)
{
    sj_window_free(&m->room, m->w);
    assert_int_equal(m->budget.used, 0);
    sj_tally_free(&m->tally);
    free(m->bytes);
}

/* n requests of one latency; errors among them. */
static void add(struct made *m, uint64_t n, uint64_t errors, uint64_t latency_ns)
{
    struct sj_cell cell = {.requests = n, .errors = errors};
    assert_int_equal(sj_hist_add_n(&cell.total, latency_ns, n), 0);
    assert_int_equal(sj_window_add(&m->room, m->w, &cell, NULL), 0);
    sj_hist_free(&cell.total);
}

/* An interval ends; returns the requests in the window. */
static uint64_t tick(struct made *m, int64_t ns)
{
    m->now_ns += ns;
    assert_int_equal(sj_window_close(&m->room, m->w, m->now_ns, m->interval_ns), 0);
    sj_ticks_add(&m->ticks, m->now_ns);
    assert_int_equal(sj_window_sum(&m->room, m->w), 0);
    return m->tally.requests;
}

#define TICKS 500

/* After each of many intervals the window must hold what the latest of them brought. */
static void sums_are_those_of_the_latest_intervals(int over, int64_t early_ns, int64_t late_ns, uint64_t seed)
{
    struct made m;
    struct random_state random = {seed};
    uint64_t requests[TICKS], errors[TICKS], sum_ns[TICKS];
    int64_t shift = 0;
    make(&m, over * S, S, (struct sj_tracks){SJ_TALLY_TOTAL, 0});
    for (int i = 0; i < TICKS; i++) {
        /* Nothing for a while, now and then, and several slices at other times. */
        bool gap = i / 37 % 3 == 2;
        uint64_t slices = gap ? 0 : random_bits(&random) % 3;
        requests[i] = errors[i] = sum_ns[i] = 0;
        for (uint64_t k = 0; k < slices; k++) {
            uint64_t n = 1 + random_bits(&random) % 1000, bad = random_bits(&random) % (n + 1);
            uint64_t latency = 1 + random_bits(&random) % (1000 * S);
            add(&m, n, bad, latency);
            requests[i] += n;
            errors[i] += bad;
            sum_ns[i] += n * latency;
        }
        int64_t before = shift;
        shift = (int64_t)(random_bits(&random) % (uint64_t)(early_ns + late_ns + 1)) - early_ns;
        uint64_t got = tick(&m, S + shift - before);
        uint64_t n = 0, bad = 0, ns = 0;
        for (int k = i < over ? 0 : i - over + 1; k <= i; k++) {
            n += requests[k];
            bad += errors[k];
            ns += sum_ns[k];
        }
        assert_int_equal(got, n);
        assert_int_equal(m.tally.errors, bad);
        assert_int_equal(m.tally.sum_ns, ns);
        assert_int_equal(m.tally.total.count, n);
        assert_int_equal(m.tally.total.sum_ns, ns);
        assert_int_equal(sj_window_filled(m.w, m.now_ns, S), i + 1 >= over);
    }
    unmake(&m);
}

static void windows_hold_whole_intervals(void **state)
{
    (void)state;
    static const int overs[] = {1, 2, 7, 59, 60};
    for (size_t i = 0; i < sizeof(overs) / sizeof(overs[0]); i++)
        sums_are_those_of_the_latest_intervals(overs[i], 0, 0, i + 1);
}

static void ticks_that_are_early_or_late_change_nothing(void **state)
{
    (void)state;
    static const int overs[] = {1, 5, 60};
    for (size_t i = 0; i < sizeof(overs) / sizeof(overs[0]); i++) {
        sums_are_those_of_the_latest_intervals(overs[i], 0, S / 5, i + 11);
        sums_are_those_of_the_latest_intervals(overs[i], S / 5, S / 5, i + 21);
    }
}

/* As many requests as its time has intervals, be they later than they should be: no rate is made up. */
static void how_long_it_is_is_known(void **state)
{
    (void)state;
    static const int64_t spacing[] = {S, S + 1, S + S / 20, S + S / 10, S + S / 5, 2 * S, 7 * S};
    static const int64_t overs[] = {5, 60};
    for (size_t k = 0; k < 2 * sizeof(spacing) / sizeof(spacing[0]); k++) {
        const int64_t every = spacing[k / 2], over = overs[k % 2];
        struct made m;
        make(&m, over * S, S, (struct sj_tracks){0});
        for (int i = 1; i <= 100; i++) {
            add(&m, 1, 0, 1);
            int64_t n = (int64_t)tick(&m, every);
            assert_int_equal(m.w->covered_ns, n * every);
            assert_true(n == 1 || n * every <= over * S + S / 2);
            assert_true(n == i || (n + 1) * every > over * S + S / 2);
        }
        unmake(&m);
    }
}

static void long_windows_go_on_in_sixtieths(void **state)
{
    (void)state;
    struct made m;
    int whole = 0;
    make(&m, 3600 * S, S, (struct sj_tracks){0});
    for (int64_t i = 1; i <= 3 * 3600; i++) {
        add(&m, 1, 0, 1);
        int64_t n = (int64_t)tick(&m, S);
        /* One request a second: what it holds is how long it is, and it knows that. */
        assert_int_equal(m.w->covered_ns, n * S);
        assert_true(n <= 3600 && n >= (i < 3540 ? i : 3540));
        whole += n == 3600;
    }
    assert_true(whole >= 120); /* once a minute at least */
    unmake(&m);
}

static void what_a_window_knew_it_forgets(void **state)
{
    (void)state;
    struct made m;
    make(&m, 10 * S, S, (struct sj_tracks){SJ_TALLY_TOTAL, 0});
    add(&m, 5, 2, 3 * S);
    assert_int_equal(tick(&m, S), 5);
    assert_int_equal(m.tally.max_ns, 3 * S);
    for (int i = 0; i < 9; i++)
        assert_int_equal(tick(&m, S), 5);
    assert_int_equal(tick(&m, S), 0);
    assert_int_equal(m.tally.errors, 0);
    assert_int_equal(m.tally.max_ns, 0);
    assert_int_equal(m.tally.total.count, 0);
    /* A machine that slept: the interval that it woke in counts, however long it was; nothing older does. */
    add(&m, 3, 0, 1);
    assert_int_equal(tick(&m, S), 3);
    add(&m, 4, 0, 1);
    assert_int_equal(tick(&m, 3600 * S), 4);
    assert_int_equal(m.w->covered_ns, 3600 * S);
    assert_int_equal(tick(&m, S), 0);
    unmake(&m);
}

static void short_memory_makes_it_shorter(void **state)
{
    (void)state;
    struct made m;
    make(&m, 60 * S, S, (struct sj_tracks){SJ_TALLY_TOTAL, 0});
    m.budget.limit = m.budget.used + 600;
    for (uint64_t i = 1; i <= 100; i++) {
        add(&m, 1, 0, i * S);
        uint64_t n = tick(&m, S);
        assert_true(n >= 1 && n <= (i < 60 ? i : 60));
        assert_int_equal(m.tally.max_ns, i * S); /* the newest is never the one that goes */
        assert_true(m.budget.used <= m.budget.limit);
        /* And it knows how long it still is: one request a second stays one request a second. */
        assert_int_equal(m.w->covered_ns, n * S);
        assert_int_equal(sj_window_filled(m.w, m.now_ns, S), n == 60);
    }
    assert_true(m.budget.refused > 0);
    m.budget.limit = 1;
    assert_null(sj_window_new(&m.room, S, S, (struct sj_tracks){0}, 0));
    unmake(&m);
}

/* A window that gets no memory at all is one of which nothing is known, not one without requests. */
static void no_memory_is_no_knowledge(void **state)
{
    (void)state;
    struct made m;
    make(&m, 3 * S, S, (struct sj_tracks){SJ_TALLY_TOTAL, 0});
    m.budget.limit = m.budget.used;
    for (int i = 0; i < 10; i++) {
        add(&m, 10, 0, S);
        assert_int_equal(tick(&m, S), 0);
        assert_false(sj_window_filled(m.w, m.now_ns, S));
        assert_int_equal(m.w->covered_ns, 0);
    }
    assert_int_equal(m.budget.refused, 10);
    m.budget.limit = 1 << 20;
    for (int i = 1; i <= 5; i++) {
        add(&m, 10, 0, S);
        assert_int_equal(tick(&m, S), 10 * (i < 3 ? i : 3));
        assert_int_equal(m.w->covered_ns, (i < 3 ? i : 3) * S);
        assert_int_equal(sj_window_filled(m.w, m.now_ns, S), i >= 3);
    }
    unmake(&m);
}

static void stages_are_kept_where_rules_ask_for_them(void **state)
{
    (void)state;
    struct made m;
    struct sj_hist queue = {0};
    struct sj_cell cell = {.requests = 10, .no_arrival = 4, .stage = {[SJ_STAGE_QUEUE] = &queue}};
    make(&m, 3 * S, S, (struct sj_tracks){1U << SJ_STAGE_QUEUE, 1U << SJ_STAGE_QUEUE | 1U << SJ_STAGE_RUNQ});
    assert_int_equal(sj_hist_add_n(&cell.total, S, 10), 0);
    assert_int_equal(sj_hist_add_n(&queue, S / 4, 5), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sj_window_add(&m.room, m.w, &cell, NULL), 0);
        assert_int_equal(tick(&m, S), 10 * (i + 1));
    }
    assert_int_equal(m.tally.stage[SJ_STAGE_QUEUE].known, 18);
    assert_int_equal(m.tally.stage[SJ_STAGE_QUEUE].sum_ns, 15 * (S / 4));
    assert_int_equal(m.tally.stage[SJ_STAGE_QUEUE].hist.count, 15);
    assert_int_equal(m.tally.stage[SJ_STAGE_RUNQ].known, 30);
    assert_int_equal(m.tally.stage[SJ_STAGE_RUNQ].sum_ns, 0);
    assert_int_equal(m.tally.total.count, 0); /* nobody asked */
    sj_hist_free(&queue);
    sj_hist_free(&cell.total);
    unmake(&m);
}

static void turns_without_detail_are_requests_without_errors(void **state)
{
    (void)state;
    struct made m;
    struct sj_hist counted = {0};
    make(&m, 3 * S, S, (struct sj_tracks){SJ_TALLY_TOTAL, 0});
    assert_int_equal(sj_hist_add_n(&counted, 2 * S, 7), 0);
    add(&m, 3, 3, S);
    assert_int_equal(sj_window_add(&m.room, m.w, NULL, &counted), 0);
    assert_int_equal(tick(&m, S), 10);
    assert_int_equal(m.tally.detailed, 3);
    assert_int_equal(m.tally.errors, 3);
    assert_int_equal(m.tally.sum_ns, 17 * S);
    assert_int_equal(m.tally.detailed_sum_ns, 3 * S);
    assert_int_equal(m.tally.max_ns, 2 * S);
    sj_hist_free(&counted);
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_hold_whole_intervals),
        cmocka_unit_test(ticks_that_are_early_or_late_change_nothing),
        cmocka_unit_test(how_long_it_is_is_known),
        cmocka_unit_test(long_windows_go_on_in_sixtieths),
        cmocka_unit_test(what_a_window_knew_it_forgets),
        cmocka_unit_test(short_memory_makes_it_shorter),
        cmocka_unit_test(no_memory_is_no_knowledge),
        cmocka_unit_test(stages_are_kept_where_rules_ask_for_them),
        cmocka_unit_test(turns_without_detail_are_requests_without_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
