// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collect/ledger.h"
#include "hist_random.h"

static void cell(struct sj_ledger *l, const char *comm, int bucket, int64_t count, int64_t sum)
{
    struct sj_overflow_key key = {.port = 80, .role = SJ_ROLE_SERVER, .hint = SJ_HINT_HTTP, .bucket = (__s16)bucket};
    struct sj_overflow_value v = {.count = count, .total_ns = sum, .stage_ns = {sum}};
    struct sj_err err;
    memcpy(key.comm, comm, strlen(comm));
    assert_int_equal(sj_ledger_cell(l, &key, &v, &err), 0);
}

struct told {
    struct sj_hist total;
    uint64_t rows;
    uint64_t queue_ns;
};

static int on_counted(void *ctx, const struct sj_counted *c, struct sj_err *err)
{
    struct told *t = ctx;
    (void)err;
    t->rows++;
    t->queue_ns += c->stage_sum_ns[SJ_STAGE_QUEUE];
    return sj_hist_merge(&t->total, &c->total);
}

static void tell(struct sj_ledger *l, struct told *t)
{
    struct sj_err err;
    assert_int_equal(sj_ledger_tell(l, on_counted, t, &err), 0);
}

static void what_is_counted_is_told_once(void **state)
{
    (void)state;
    struct sj_ledger *l = sj_ledger_new();
    struct told t = {.rows = 0};
    sj_hist_init(&t.total);
    cell(l, "a", 10, 3, 0);
    cell(l, "a", SJ_BUCKET_SUMS, 3, 3000);
    cell(l, "a", SJ_BUCKET_ZERO, 2, 0);
    tell(l, &t);
    tell(l, &t);
    assert_int_equal(t.rows, 1);
    assert_int_equal(t.total.count, 5);
    assert_int_equal(t.total.zero_count, 2);
    assert_int_equal(t.total.sum_ns, 3000);
    assert_int_equal(t.queue_ns, 3000);
    sj_hist_free(&t.total);
    sj_ledger_free(l);
}

static void a_debt_is_paid_by_the_next_turn(void **state)
{
    (void)state;
    struct sj_ledger *l = sj_ledger_new();
    struct told t = {.rows = 0};
    sj_hist_init(&t.total);
    cell(l, "a", 10, 1, 0);
    tell(l, &t);
    cell(l, "a", 10, -1, 0); /* its answer goes on */
    cell(l, "a", 30, 1, 0);
    tell(l, &t);
    assert_int_equal(t.total.count, 1);
    assert_int_equal(sj_hist_count_at(&t.total, 10), 1);
    cell(l, "a", 10, 1, 0);
    tell(l, &t);
    assert_int_equal(t.total.count, 2);
    assert_int_equal(sj_hist_count_at(&t.total, 10), 1);
    assert_int_equal(sj_hist_count_at(&t.total, 30), 1);
    sj_hist_free(&t.total);
    sj_ledger_free(l);
}

/* Turns that are counted, moved and told at random: the number is exact at any time, and nothing falls. */
static void the_number_is_always_exact(void **state)
{
    (void)state;
    struct sj_ledger *l = sj_ledger_new();
    struct told t = {.rows = 0};
    struct random_state rng = {7};
    int where[64] = {0};
    uint64_t n = 0, sum = 0;
    sj_hist_init(&t.total);
    for (int i = 0; i < 20000; i++) {
        int k = (int)(random_bits(&rng) % 64), to = 1 + (int)(random_bits(&rng) % 40);
        if (where[k] && to > where[k]) {
            cell(l, "a", where[k], -1, 0);
            cell(l, "a", to, 1, 0);
            cell(l, "a", SJ_BUCKET_SUMS, 0, to - where[k]);
            sum += (uint64_t)(to - where[k]);
        } else {
            cell(l, "a", to, 1, 0);
            cell(l, "a", SJ_BUCKET_SUMS, 1, to);
            sum += (uint64_t)to;
            n++;
        }
        where[k] = to;
        if (random_bits(&rng) % 5)
            continue;
        tell(l, &t);
        assert_true(t.total.count == n);
    }
    tell(l, &t);
    assert_true(t.total.count == n);
    cell(l, "a", 1, 1000000, 0);
    tell(l, &t);
    assert_true(t.total.count == n + 1000000);
    assert_true(t.total.sum_ns == sum);
    sj_hist_free(&t.total);
    sj_ledger_free(l);
}

/* Names without end, each of which owes something for ever. */
static void debtors_do_not_pile_up(void **state)
{
    (void)state;
    struct sj_ledger *l = sj_ledger_new();
    struct told t = {.rows = 0};
    char name[] = "aaaa";
    sj_hist_init(&t.total);
    for (int i = 0; i < 1000; i++) {
        name[i % 4] = (char)('a' + i % 23);
        cell(l, name, 20, -1, 0);
        cell(l, name, 30, 2, 0);
        tell(l, &t);
        assert_int_equal(t.total.count, i + 1);
    }
    /* and more at once than there are places */
    for (int i = 0; i < 3000; i++) {
        char other[] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676), 0};
        cell(l, other, 20, 1, 0);
    }
    tell(l, &t);
    assert_int_equal(t.total.count, 4000);
    sj_hist_free(&t.total);
    sj_ledger_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_counted_is_told_once),
        cmocka_unit_test(a_debt_is_paid_by_the_next_turn),
        cmocka_unit_test(the_number_is_always_exact),
        cmocka_unit_test(debtors_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
