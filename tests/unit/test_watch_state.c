// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "watch_made.h"

static const char rules[] =
    "alerts:\n- {name: a, when: max > 1s, over: 1s}\n- {name: b, when: max > 1s, over: 1s, for: 3s}\n"
    "slos:\n- {name: o, objective: 99%}\n";

static void alerts_survive_a_restart(void **state)
{
    (void)state;
    struct made_watch m = made_watch(rules);
    const struct sj_series_id id = made_id("s");
    struct sj_out out;
    struct sj_err err = {0};
    made_requests(&m, &id, 1, 0, 2 * S);
    made_tick(&m, S);
    assert_int_equal(sj_out_init(&out, -1, "memory", &err), 0);
    sj_watch_save(m.w, m.now, &out);
    sj_watch_free(m.w);
    m.now = (struct sj_now){S, m.now.real_ns + 100 * S}; /* after a boot */
    for (size_t i = 0; i < out.len; i++) {
        m.w = sj_watch_new(m.config, m.now);
        out.buf[i] ^= 1;
        assert_int_equal(sj_watch_restore(m.w, out.buf, out.len, m.now, &err), -1);
        assert_int_equal(err.status, EX_DATAERR);
        out.buf[i] ^= 1;
        assert_string_equal(made_alerts(&m), "");
        sj_watch_free(m.w);
    }
    m.w = sj_watch_new(m.config, m.now);
    assert_int_equal(sj_watch_restore(m.w, out.buf, out.len, m.now, &err), 0);
    assert_string_equal(made_alerts(&m), "a[s] firing; b[s] pending");
    assert_string_equal(made_tick(&m, S), "");
    made_requests(&m, &id, 1, 0, 2 * S);
    made_tick(&m, S);
    made_requests(&m, &id, 1, 0, 2 * S);
    made_tick(&m, S);
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "b[s] firing");
    sj_out_fini(&out);
    made_watch_free(&m);
}

/* Any bit may be another one, with a sum that is right: it is refused, or taken and as good as what one saves oneself.
 */
static void saved_bytes_are_not_trusted(void **state)
{
    (void)state;
    struct made_watch m = made_watch(rules);
    const struct sj_series_id id = made_id("s");
    const struct sj_now saved = {m.now.mono_ns + 2 * S, m.now.real_ns + 2 * S};
    struct sj_out out, again;
    struct sj_err err = {0};
    unsigned taken = 0, refused = 0;
    made_requests(&m, &id, 7, 3, 2 * S);
    made_tick(&m, S);
    made_requests(&m, &id, 7, 0, 2 * S);
    made_tick(&m, S);
    assert_int_equal(sj_out_init(&out, -1, "memory", &err), 0);
    assert_int_equal(sj_out_init(&again, -1, "memory", &err), 0);
    sj_watch_save(m.w, m.now, &out);
    for (size_t bit = 0; bit < 8 * (out.len - 4); bit++) {
        out.buf[bit / 8] ^= (char)(1U << bit % 8);
        uint32_t sum = (uint32_t)crc32(0, (const Bytef *)out.buf, (uInt)out.len - 4);
        for (int i = 0; i < 4; i++)
            out.buf[out.len - 4 + (size_t)i] = (char)(sum >> 8 * i);
        sj_watch_free(m.w);
        m.now = saved;
        m.w = sj_watch_new(m.config, m.now);
        bool good = sj_watch_restore(m.w, out.buf, out.len, m.now, &err) == 0;
        taken += good;
        refused += !good;
        if (!good)
            assert_string_equal(made_alerts(&m), "");
        made_requests(&m, &id, 1, 0, 1);
        made_tick(&m, S);
        again.len = 0;
        sj_watch_save(m.w, m.now, &again);
        sj_watch_free(m.w);
        m.w = sj_watch_new(m.config, m.now);
        if (sj_watch_restore(m.w, again.buf, again.len, m.now, &err) < 0)
            fail_msg("bit %zu: %s", bit, err.text);
        out.buf[bit / 8] ^= (char)(1U << bit % 8);
    }
    assert_true(taken > 100 && refused > 100);
    sj_out_fini(&out);
    sj_out_fini(&again);
    made_watch_free(&m);
}

static void what_a_reload_leaves_out_is_resolved(void **state)
{
    (void)state;
    struct made_watch m = made_watch(rules);
    const struct sj_series_id id = made_id("s");
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "a[s] firing; b[s] pending");
    struct sj_config *other = made_config("alerts:\n- {name: b, when: max > 1s, over: 1s, for: 3s}\n");
    assert_int_equal(sj_watch_reload(m.w, other), 0);
    sj_config_free(m.config);
    m.config = other;
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "a[s] resolved");
    assert_string_equal(made_alerts(&m), "a[s] resolved; b[s] pending");
    made_watch_free(&m);
}

/* What comes with the next evaluation may be from before the reload: a new window begins at the latest evaluation. */
static void a_reload_makes_up_no_rate(void **state)
{
    (void)state;
    struct made_watch m = made_watch("alerts:\n- {name: busy, when: rate > 15/s, over: 1m}\n");
    const struct sj_series_id id = made_id("s");
    for (int i = 0; i < 5; i++) {
        made_requests(&m, &id, 10, 0, 1);
        assert_string_equal(made_tick(&m, S), "");
    }
    m.now.mono_ns += 9 * S / 10;
    m.now.real_ns += 9 * S / 10;
    struct sj_config *other = made_config("alerts:\n- {name: busy, when: rate > 15/s, over: 2m}\n");
    assert_int_equal(sj_watch_reload(m.w, other), 0);
    sj_config_free(m.config);
    m.config = other;
    made_requests(&m, &id, 10, 0, 1);
    assert_string_equal(made_tick(&m, S / 10), "");
    made_requests(&m, &id, 21, 0, 1);
    assert_string_equal(made_tick(&m, S), "busy[s] firing");
    made_watch_free(&m);
}

/* Rules that go and come back have one alert, not one that is over and another that fires. */
static void who_comes_back_is_the_same(void **state)
{
    (void)state;
    static const char one[] = "forget_after: 5m\nalerts:\n- {name: a, when: max > 1s, over: 1s}\n";
    struct made_watch m = made_watch(one);
    struct sj_config *with = m.config, *without = made_config("forget_after: 5m\n");
    const struct sj_series_id id = made_id("s");
    struct sj_watch_stats stats;
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "a[s] firing");
    assert_int_equal(sj_watch_reload(m.w, without), 0);
    assert_string_equal(made_alerts(&m), "a[s] firing");
    assert_int_equal(sj_watch_reload(m.w, with), 0);
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "");
    assert_int_equal(sj_watch_reload(m.w, without), 0);
    assert_string_equal(made_tick(&m, S), "a[s] resolved");
    assert_int_equal(sj_watch_reload(m.w, with), 0);
    made_requests(&m, &id, 1, 0, 2 * S);
    assert_string_equal(made_tick(&m, S), "a[s] firing");
    assert_string_equal(made_alerts(&m), "a[s] firing");
    /* The same for a series that is forgotten. */
    for (int i = 0; i < 301; i++)
        made_tick(&m, S);
    assert_string_equal(made_alerts(&m), "a[s] resolved");
    sj_watch_stats(m.w, &stats);
    assert_int_equal(stats.series, 0);
    for (int i = 0; i < 1000; i++) {
        made_requests(&m, &id, 1, 0, 2 * S);
        assert_string_equal(made_tick(&m, S), i ? "" : "a[s] firing");
    }
    assert_string_equal(made_alerts(&m), "a[s] firing");
    sj_config_free(without);
    made_watch_free(&m);
}

/* Texts are given back: an alert that goes through many configurations takes no more than through one. */
static void reloads_take_no_memory(void **state)
{
    (void)state;
    struct made_watch m = made_watch(rules);
    struct sj_config *with = m.config, *without = made_config("slos:\n- {name: o, objective: 99%}\n");
    const struct sj_series_id id = made_id("s");
    struct sj_watch_stats first = {0}, last;
    for (int i = 0; i < 100; i++) {
        made_requests(&m, &id, 1, 0, 2 * S);
        made_tick(&m, S);
        assert_int_equal(sj_watch_reload(m.w, without), 0);
        made_tick(&m, 0);
        assert_int_equal(sj_watch_reload(m.w, with), 0);
        for (int k = 0; k < 901; k++)
            made_tick(&m, S);
        assert_string_equal(made_alerts(&m), "");
        sj_watch_stats(m.w, i ? &last : &first);
    }
    assert_int_equal(first.bytes, last.bytes);
    sj_config_free(without);
    made_watch_free(&m);
}

static void an_hour_of_errors_pages(void **state)
{
    (void)state;
    struct made_watch m = made_watch("slos:\n- {name: o, objective: 99%}\n");
    const struct sj_series_id id = made_id("s");
    for (int i = 0; i < 299; i++) {
        made_requests(&m, &id, 10, 5, 1);
        assert_string_equal(made_tick(&m, S), "");
    }
    made_requests(&m, &id, 10, 5, 1);
    assert_string_equal(made_tick(&m, S), "o[s] firing");
    made_watch_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_survive_a_restart),
        cmocka_unit_test(saved_bytes_are_not_trusted),
        cmocka_unit_test(what_a_reload_leaves_out_is_resolved),
        cmocka_unit_test(a_reload_makes_up_no_rate),
        cmocka_unit_test(who_comes_back_is_the_same),
        cmocka_unit_test(reloads_take_no_memory),
        cmocka_unit_test(an_hour_of_errors_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
