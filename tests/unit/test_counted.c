// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collect/counted.h"
#include "hist_random.h"

static struct sj_overflow_key key_of(const char *comm, uint8_t role, uint16_t port, uint8_t hint, int bucket)
{
    struct sj_overflow_key key = {.port = port, .role = role, .hint = hint, .bucket = (__s16)bucket};
    memcpy(key.comm, comm, strlen(comm));
    return key;
}

static int cell(struct sj_counted_table *t, struct sj_overflow_key key, struct sj_overflow_value value)
{
    struct sj_err err;
    return sj_counted_cell(t, &key, &value, &err);
}

static void a_service_is_put_together_from_its_cells(void **state)
{
    (void)state;
    struct sj_counted_table t;
    int bucket = sj_hist_index(1000000);
    sj_counted_init(&t);
    assert_int_equal(
        cell(&t, key_of("nginx", SJ_ROLE_SERVER, 80, SJ_HINT_HTTP, bucket), (struct sj_overflow_value){.count = 5}), 0);
    assert_int_equal(cell(&t, key_of("nginx", SJ_ROLE_SERVER, 80, SJ_HINT_HTTP, SJ_BUCKET_SUMS),
                          (struct sj_overflow_value){
                              .count = 7, .total_ns = 5000000, .stage_ns = {1, 2, 3, 4, 5, 6, 7}, .pipelined = 1}),
                     0);
    assert_int_equal(cell(&t, key_of("nginx", SJ_ROLE_SERVER, 80, SJ_HINT_HTTP, SJ_BUCKET_ZERO),
                          (struct sj_overflow_value){.count = 2}),
                     0);
    assert_int_equal(t.count, 1);
    const struct sj_counted *row = &t.rows[0];
    assert_string_equal(row->service, "nginx");
    assert_int_equal(row->role, SJ_ROLE_SERVER);
    assert_int_equal(row->port, 80);
    assert_int_equal(row->protocol, SJ_PROTO_HTTP);
    assert_true(row->lower_bound);
    assert_int_equal(row->total.count, 7);
    assert_int_equal(row->total.zero_count, 2);
    assert_int_equal(row->total.sum_ns, 5000000);
    assert_int_equal(sj_hist_count_at(&row->total, bucket), 5);
    static const enum sj_stage order[] = {SJ_STAGE_QUEUE,   SJ_STAGE_ONCPU,   SJ_STAGE_BUSY, SJ_STAGE_RUNQ,
                                          SJ_STAGE_BLOCKED, SJ_STAGE_HANDOFF, SJ_STAGE_SEND};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        assert_int_equal(row->stage_sum_ns[order[i]], i + 1);
    assert_int_equal(sj_counted_requests(&t), 7);
    sj_counted_fini(&t);
    assert_int_equal(sj_counted_requests(&t), 0);
}

static void a_client_has_its_own_stages(void **state)
{
    (void)state;
    struct sj_counted_table t;
    sj_counted_init(&t);
    assert_int_equal(cell(&t, key_of("wrk", SJ_ROLE_CLIENT, 80, SJ_HINT_TLS, SJ_BUCKET_SUMS),
                          (struct sj_overflow_value){.total_ns = 10, .stage_ns = {1, 2, 3, 4, 5, 6, 7}}),
                     0);
    const struct sj_counted *row = &t.rows[0];
    assert_int_equal(row->protocol, SJ_PROTO_TLS);
    assert_false(row->lower_bound);
    assert_int_equal(row->stage_sum_ns[SJ_STAGE_SEND], 1);
    assert_int_equal(row->stage_sum_ns[SJ_STAGE_WAIT], 2);
    assert_int_equal(row->stage_sum_ns[SJ_STAGE_PICKUP], 3);
    assert_int_equal(row->stage_sum_ns[SJ_STAGE_RECEIVE], 4);
    assert_int_equal(row->stage_sum_ns[SJ_STAGE_QUEUE] + row->stage_sum_ns[SJ_STAGE_BLOCKED], 0);
    sj_counted_fini(&t);
}

static void services_are_told_apart_and_keep_their_names(void **state)
{
    (void)state;
    enum { SERVICES = 200 };
    struct sj_counted_table t;
    int bucket = sj_hist_index(1000);
    sj_counted_init(&t);
    for (int round = 0; round < 3; round++)
        for (unsigned i = 0; i < SERVICES; i++) {
            char comm[SJ_COMM_LEN];
            snprintf(comm, sizeof(comm), "service%u", i / 8);
            uint8_t role = i & 1 ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT, hint = i & 2 ? SJ_HINT_HTTP : SJ_HINT_TLS;
            assert_int_equal(cell(&t, key_of(comm, role, i & 4 ? 80 : 81, hint, bucket + round),
                                  (struct sj_overflow_value){.count = i + 1}),
                             0);
        }
    assert_int_equal(t.count, SERVICES);
    assert_int_equal(sj_counted_requests(&t), 3 * SERVICES * (SERVICES + 1) / 2);
    for (unsigned i = 0; i < SERVICES; i++) {
        char comm[SJ_COMM_LEN];
        snprintf(comm, sizeof(comm), "service%u", i / 8);
        assert_string_equal(t.rows[i].service, comm);
        assert_int_equal(t.rows[i].total.count, 3 * (i + 1));
    }
    sj_counted_fini(&t);
}

/* No hint and "something else" are both no protocol, and so one service. */
static void what_is_no_protocol_is_one_service(void **state)
{
    (void)state;
    struct sj_counted_table t;
    sj_counted_init(&t);
    assert_int_equal(cell(&t, key_of("x", 1, 80, SJ_HINT_NONE, 5), (struct sj_overflow_value){.count = 1}), 0);
    assert_int_equal(cell(&t, key_of("x", 1, 80, SJ_HINT_OTHER, 5), (struct sj_overflow_value){.count = 2}), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.rows[0].protocol, SJ_PROTO_UNKNOWN);
    assert_int_equal(t.rows[0].total.count, 3);
    sj_counted_fini(&t);
}

/* A count moved from one bucket to another leaves 0 behind; sums may for a moment be negative on their way. */
static void what_is_not_positive_counts_nothing(void **state)
{
    (void)state;
    struct sj_counted_table t;
    sj_counted_init(&t);
    assert_int_equal(cell(&t, key_of("x", 1, 80, 0, 5), (struct sj_overflow_value){.count = 0}), 0);
    assert_int_equal(cell(&t, key_of("x", 1, 80, 0, 6), (struct sj_overflow_value){.count = -3}), 0);
    assert_int_equal(cell(&t, key_of("x", 1, 80, 0, SJ_BUCKET_SUMS),
                          (struct sj_overflow_value){.total_ns = -1, .stage_ns = {-1, -1, -1, -1, -1, -1, -1}}),
                     0);
    assert_int_equal(sj_counted_requests(&t), 0);
    for (size_t i = 0; i < t.count; i++) {
        assert_int_equal(t.rows[i].total.sum_ns, 0);
        for (int k = 0; k < SJ_STAGE_MAX_; k++)
            assert_int_equal(t.rows[i].stage_sum_ns[k], 0);
    }
    sj_counted_fini(&t);
}

static void a_name_without_end_and_a_role_without_name_are_survived(void **state)
{
    (void)state;
    struct sj_counted_table t;
    sj_counted_init(&t);
    assert_int_equal(cell(&t, key_of("0123456789abcdef", 1, 80, 0, 5), (struct sj_overflow_value){.count = 1}), 0);
    assert_string_equal(t.rows[0].service, "0123456789abcde");
    assert_int_equal(cell(&t, key_of("x", SJ_ROLE_MAX_, 80, 0, 5), (struct sj_overflow_value){.count = 1}), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(cell(&t, key_of("x", 1, 80, 0, SJ_HIST_INDEX_MAX + 1), (struct sj_overflow_value){.count = 1}),
                     -1);
    sj_counted_fini(&t);
}

/* Random latencies through buckets: the count is exact, and the mean comes from the sum, not from buckets. */
static void counts_and_the_mean_are_exact(void **state)
{
    (void)state;
    struct random_state rng = {.state = 9};
    struct sj_counted_table t;
    uint64_t sum = 0;
    sj_counted_init(&t);
    for (int i = 0; i < 10007; i++) {
        uint64_t ns = 1 + random_bits(&rng) % 1000000000;
        sum += ns;
        assert_int_equal(cell(&t, key_of("x", 1, 80, 0, sj_hist_index(ns)), (struct sj_overflow_value){.count = 1}), 0);
    }
    assert_int_equal(
        cell(&t, key_of("x", 1, 80, 0, SJ_BUCKET_SUMS), (struct sj_overflow_value){.total_ns = (__s64)sum}), 0);
    assert_int_equal(sj_counted_requests(&t), 10007);
    assert_int_equal(t.rows[0].total.sum_ns, sum);
    assert_true(fabs(sj_hist_quantile(&t.rows[0].total, 0.5) - 0.5) < 0.05);
    sj_counted_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_is_put_together_from_its_cells),
        cmocka_unit_test(a_client_has_its_own_stages),
        cmocka_unit_test(services_are_told_apart_and_keep_their_names),
        cmocka_unit_test(what_is_no_protocol_is_one_service),
        cmocka_unit_test(what_is_not_positive_counts_nothing),
        cmocka_unit_test(a_name_without_end_and_a_role_without_name_are_survived),
        cmocka_unit_test(counts_and_the_mean_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
