// SPDX-License-Identifier: GPL-3.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hist_random.h"
#include "serve/message.h"

static struct sj_label labels[] = {{"alertname", "slow"}, {"service", "caf\xc3\xa9"}, {"zone", ""}};
static struct sj_label annotations[] = {{"summary", "p99 is 1.2 s"}};

static struct sj_alert an_alert(void)
{
    return (struct sj_alert){
        .id = "0123456789abcdef0123456789abcdef",
        .name = "slow",
        .labels = {labels, 3},
        .annotations = {annotations, 1},
        .state = SJ_ALERT_FIRING,
        .no_data = true,
        .value = 1.2,
        .active_real_ns = 1,
        .starts_real_ns = UINT64_MAX,
        .ends_real_ns = 0,
    };
}

static struct sj_out bytes_of(const struct sj_alert *a)
{
    struct sj_out out;
    struct sj_err err;
    assert_int_equal(sj_out_init(&out, -1, "memory", &err), 0);
    sj_message_put_alert(&out, a);
    return out;
}

static void assert_labels(const struct sj_labels *l, const struct sj_label *wanted, size_t n)
{
    assert_int_equal(l->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(l->v[i].name, wanted[i].name);
        assert_string_equal(l->v[i].value, wanted[i].value);
    }
}

static void an_alert_comes_back(void **state)
{
    (void)state;
    struct sj_alert a = an_alert(), b;
    struct sj_out out = bytes_of(&a);
    struct sj_err err;
    void *room;
    assert_int_equal(sj_message_get_alert(out.buf, out.len, &b, &room, &err), 0);
    assert_string_equal(b.id, a.id);
    assert_string_equal(b.name, "slow");
    assert_labels(&b.labels, labels, 3);
    assert_labels(&b.annotations, annotations, 1);
    assert_int_equal(b.state, SJ_ALERT_FIRING);
    assert_true(b.no_data);
    assert_true(b.value == 1.2);
    assert_true(b.active_real_ns == 1 && b.starts_real_ns == UINT64_MAX && b.ends_real_ns == 0);
    free(room);
    sj_out_fini(&out);
}

static void nothing_is_needed_but_an_id(void **state)
{
    (void)state;
    struct sj_alert a = {.id = "f", .name = "", .value = NAN}, b;
    struct sj_out out = bytes_of(&a);
    struct sj_err err;
    void *room;
    assert_int_equal(sj_message_get_alert(out.buf, out.len, &b, &room, &err), 0);
    assert_int_equal(b.labels.n + b.annotations.n, 0);
    assert_true(isnan(b.value));
    free(room);
    sj_out_fini(&out);
}

static int decode(const void *data, size_t n)
{
    /* of exactly that size, so that reading beyond it is seen */
    uint8_t *exact = malloc(n ? n : 1);
    struct sj_alert a = {.id = "untouched"};
    struct sj_err err;
    void *room = NULL;
    assert_non_null(exact);
    memcpy(exact, data, n);
    int status = sj_message_get_alert(exact, n, &a, &room, &err);
    if (status) {
        assert_int_equal(err.status, EX_DATAERR);
        assert_string_equal(a.id, "untouched");
        assert_null(room);
    }
    free(room);
    free(exact);
    return status;
}

static void what_is_cut_or_too_long_is_refused(void **state)
{
    (void)state;
    struct sj_alert a = an_alert();
    struct sj_out out = bytes_of(&a);
    for (size_t n = 0; n < out.len; n++)
        assert_int_equal(decode(out.buf, n), -1);
    sj_out_write(&out, "", 1);
    assert_int_equal(decode(out.buf, out.len), -1);
    sj_out_fini(&out);
}

static void what_breaks_a_promise_is_refused(void **state)
{
    (void)state;
    struct sj_label twice[] = {{"a", "1"}, {"a", "2"}}, unsorted[] = {{"b", "1"}, {"a", "2"}}, nameless[] = {{"", "1"}};
    struct sj_alert bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = an_alert();
    bad[0].labels = (struct sj_labels){twice, 2};
    bad[1].annotations = (struct sj_labels){unsorted, 2};
    bad[2].labels = (struct sj_labels){nameless, 1};
    bad[3].state = SJ_ALERT_MAX_;
    bad[4].id[0] = '\0';
    bad[5].id[3] = '/';
    for (size_t i = 0; i < 6; i++) {
        struct sj_out out = bytes_of(&bad[i]);
        assert_int_equal(decode(out.buf, out.len), -1);
        sj_out_fini(&out);
    }
}

static void damage_is_survived(void **state)
{
    (void)state;
    struct random_state rng = {5};
    struct sj_alert a = an_alert();
    struct sj_out out = bytes_of(&a);
    for (int i = 0; i < 20000; i++) {
        size_t at = random_bits(&rng) % out.len;
        char was = out.buf[at];
        out.buf[at] = (char)random_bits(&rng);
        decode(out.buf, out.len);
        out.buf[at] = was;
    }
    assert_int_equal(decode(out.buf, out.len), 0);
    sj_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_comes_back),
        cmocka_unit_test(nothing_is_needed_but_an_id),
        cmocka_unit_test(what_is_cut_or_too_long_is_refused),
        cmocka_unit_test(what_breaks_a_promise_is_refused),
        cmocka_unit_test(damage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
