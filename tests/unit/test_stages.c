// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/stages.h"
#include "hist_random.h"
#include "made_records.h"

static struct sj_pending server_pending(uint64_t start, uint64_t recv)
{
    return (struct sj_pending){.start = start, .recv = recv, .timed = true};
}

static uint64_t sum_of(const struct sj_pending *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        sum += p->stage[i];
    return sum;
}

static uint64_t sum_of_causes(const struct sj_pending *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        sum += p->blocked[i];
    return sum;
}

/* A turn record that lives as long as the test's function call. */
static void answer(struct sj_pending *p, const struct made_turn *made, uint8_t role, uint64_t after, bool interim)
{
    struct made_record r = record_turn(made);
    r.rec->role = role;
    if (interim)
        sj_stages_interim(p, (const struct sj_rec_turn *)r.rec, after);
    else
        sj_stages_answer(p, (const struct sj_rec_turn *)r.rec, after);
    free(r.rec);
}

static void a_servers_time_goes_where_the_clock_says(void **state)
{
    (void)state;
    const struct sj_waits waits = {.busy = 1, .runq = 2, .blocked = {3, 4, 5, 6, 7}};
    struct sj_pending p = server_pending(100, 150);
    answer(&p,
           &(struct made_turn){
               .flags = SJ_F_STAGES | SJ_F_INTERLEAVED, .t = {100, 150, 188}, .oncpu = 10, .waits = &waits},
           SJ_ROLE_SERVER, 0, false);
    assert_true(p.answered);
    p.last = 200;
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), 100);
    assert_int_equal(p.stage[SJ_STAGE_QUEUE], 50);
    assert_int_equal(p.stage[SJ_STAGE_ONCPU], 10);
    assert_int_equal(p.stage[SJ_STAGE_BUSY], 1);
    assert_int_equal(p.stage[SJ_STAGE_RUNQ], 2);
    assert_int_equal(p.stage[SJ_STAGE_BLOCKED], 25);
    assert_int_equal(p.blocked[SJ_CAUSE_LOCK], 3);
    assert_int_equal(p.blocked[SJ_CAUSE_DISK], 4);
    assert_int_equal(p.blocked[SJ_CAUSE_NET], 5);
    assert_int_equal(p.blocked[SJ_CAUSE_SLEEP], 6);
    assert_int_equal(p.blocked[SJ_CAUSE_OTHER], 7);
    assert_int_equal(p.stage[SJ_STAGE_HANDOFF], 0);
    assert_int_equal(p.stage[SJ_STAGE_SEND], 12);
    assert_int_equal(sum_of(&p), 100);
    assert_true(p.flags & SJ_REQ_INTERLEAVED);
}

static void another_thread_answers(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 150);
    answer(&p, &(struct made_turn){.flags = SJ_F_STAGES | SJ_F_HANDOFF, .t = {100, 150, 188}, .oncpu = 10},
           SJ_ROLE_SERVER, 0, false);
    assert_int_equal(p.stage[SJ_STAGE_HANDOFF], 38);
    assert_int_equal(p.stage[SJ_STAGE_ONCPU], 0);
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), 88);
    assert_int_equal(sum_of(&p), 88);
}

static void without_the_clock_only_queue_and_send_are_known(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 150);
    answer(&p, &(struct made_turn){.t = {100, 150, 188}}, SJ_ROLE_SERVER, 0, false);
    p.last = 190;
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), 90);
    assert_int_equal(p.stage[SJ_STAGE_QUEUE], 50);
    assert_int_equal(p.stage[SJ_STAGE_SEND], 2);
    assert_int_equal(sum_of(&p), 52);
    assert_true(p.flags & SJ_REQ_NO_STAGES);
}

static void a_clients_time_goes_by_its_four_moments(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 110);
    answer(&p, &(struct made_turn){.t = {100, 110, 150, 155}}, SJ_ROLE_CLIENT, 0, false);
    p.last = 175;
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_CLIENT), 75);
    assert_int_equal(p.stage[SJ_STAGE_SEND], 10);
    assert_int_equal(p.stage[SJ_STAGE_WAIT], 40);
    assert_int_equal(p.stage[SJ_STAGE_PICKUP], 5);
    assert_int_equal(p.stage[SJ_STAGE_RECEIVE], 20);
    assert_int_equal(sum_of(&p), 75);
}

/* Readable before the last byte was sent (answers may overtake asks), and taken "before" it was readable. */
static void a_clients_moments_out_of_order_are_pulled_straight(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 160);
    answer(&p, &(struct made_turn){.t = {100, 160, 150, 155}}, SJ_ROLE_CLIENT, 0, false);
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_CLIENT), 60);
    assert_int_equal(p.stage[SJ_STAGE_SEND], 60);
    assert_int_equal(p.stage[SJ_STAGE_WAIT], 0);
    assert_int_equal(p.stage[SJ_STAGE_PICKUP], 0);
    assert_int_equal(sum_of(&p), 60);
}

/* Three asks in one read at 110, answered one after the other: each later one waits for the answer before. */
static void a_pipelined_request_queues_behind_the_answer_before(void **state)
{
    (void)state;
    static const uint64_t ends[] = {130, 160, 200};
    uint64_t after = 0;
    for (int i = 0; i < 3; i++) {
        struct sj_pending p = server_pending(100, 110);
        uint64_t begin = i ? ends[i - 1] : 110;
        answer(&p,
               &(struct made_turn){.flags = (uint16_t)(SJ_F_STAGES | (i ? SJ_F_CONTINUED : 0)),
                                   .t = {100, 110, ends[i], i ? ends[i - 1] : 0},
                                   .oncpu = ends[i] - begin},
               SJ_ROLE_SERVER, after, false);
        assert_int_equal(p.stage[SJ_STAGE_QUEUE], begin - 100);
        assert_int_equal(p.stage[SJ_STAGE_ONCPU], ends[i] - begin);
        assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), ends[i] - 100);
        assert_int_equal(sum_of(&p), ends[i] - 100);
        after = p.last;
    }
}

/* Answered by one write: the second answer begins when the first ends, so all of its time before is queue. */
static void coalesced_answers_leave_the_later_ones_in_the_queue(void **state)
{
    (void)state;
    const struct made_turn turn = {.flags = SJ_F_STAGES, .t = {100, 110, 150}, .oncpu = 40};
    struct sj_pending first = server_pending(100, 110), second = server_pending(100, 110);
    answer(&first, &turn, SJ_ROLE_SERVER, 0, false);
    answer(&second, &turn, SJ_ROLE_SERVER, first.last, false);
    assert_int_equal(first.stage[SJ_STAGE_QUEUE], 10);
    assert_int_equal(first.stage[SJ_STAGE_ONCPU], 40);
    assert_int_equal(sj_stages_finish(&second, SJ_ROLE_SERVER), 50);
    assert_int_equal(second.stage[SJ_STAGE_QUEUE], 50);
    assert_int_equal(second.stage[SJ_STAGE_ONCPU], 0);
}

/* The clock of the record began at 110, when other answers were still going out: what it counted then is not its own.
 */
static void a_clock_that_began_before_the_service_says_nothing(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 110);
    answer(&p, &(struct made_turn){.flags = SJ_F_STAGES, .t = {100, 110, 180}, .oncpu = 70}, SJ_ROLE_SERVER, 150,
           false);
    assert_int_equal(p.stage[SJ_STAGE_QUEUE], 50);
    assert_int_equal(p.stage[SJ_STAGE_HANDOFF], 30);
    assert_int_equal(p.stage[SJ_STAGE_ONCPU], 0);
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), 80);
}

/* 100 Continue at 120; the body is read at 150 and answered at 180. Between, the thread waits for the network. */
static void a_provisional_answer_is_no_end(void **state)
{
    (void)state;
    struct sj_pending p = server_pending(100, 110);
    answer(&p, &(struct made_turn){.flags = SJ_F_STAGES, .t = {100, 110, 120}, .oncpu = 10}, SJ_ROLE_SERVER, 0, true);
    assert_false(p.answered);
    answer(&p, &(struct made_turn){.flags = SJ_F_STAGES, .t = {145, 150, 180}, .oncpu = 30}, SJ_ROLE_SERVER, 120,
           false);
    assert_true(p.answered);
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_SERVER), 80);
    assert_int_equal(p.stage[SJ_STAGE_QUEUE], 10);
    assert_int_equal(p.stage[SJ_STAGE_ONCPU], 40);
    assert_int_equal(p.stage[SJ_STAGE_BLOCKED], 30);
    assert_int_equal(p.blocked[SJ_CAUSE_NET], 30);
    assert_int_equal(sum_of(&p), 80);

    p = server_pending(100, 110);
    answer(&p, &(struct made_turn){.t = {100, 110, 120, 121}}, SJ_ROLE_CLIENT, 0, true);
    answer(&p, &(struct made_turn){.t = {130, 140, 170, 171}}, SJ_ROLE_CLIENT, 121, false);
    assert_int_equal(sj_stages_finish(&p, SJ_ROLE_CLIENT), 71);
    assert_int_equal(p.stage[SJ_STAGE_SEND], 10);
    assert_int_equal(sum_of(&p), 71);
}

/* Any history that time's arrow allows: to the nanosecond, the stages sum to the total and the causes to blocked. */
static void random_histories_have_no_residual(void **state)
{
    (void)state;
    struct random_state rng = {.state = 20};
    for (int round = 0; round < 20000; round++) {
        uint64_t now = 1000 + random_bits(&rng) % 1000, after = random_bits(&rng) % 3000;
        struct sj_pending p = server_pending(now, now + random_bits(&rng) % 1000);
        uint8_t role = random_bits(&rng) % 2 ? SJ_ROLE_SERVER : SJ_ROLE_CLIENT;
        uint64_t begin = p.recv;
        int interims = (int)(random_bits(&rng) % 3);
        for (int i = 0; i <= interims; i++) {
            uint64_t first = begin + random_bits(&rng) % 1000, service = first - begin;
            struct sj_waits waits = {0};
            struct made_turn turn = {.flags = SJ_F_STAGES, .t = {p.start, begin, first, 0}};
            if (role == SJ_ROLE_CLIENT)
                turn.t[3] = first + random_bits(&rng) % 1000;
            if (random_bits(&rng) % 4 == 0) {
                turn.flags |= SJ_F_HANDOFF;
            } else {
                __u64 *parts[] = {&waits.busy, &waits.runq, &waits.blocked[random_bits(&rng) % SJ_CAUSE_MAX_]};
                for (int k = 0; k < 3; k++) {
                    uint64_t part = service ? random_bits(&rng) % service : 0;
                    *parts[k] += part;
                    service -= part;
                }
                turn.oncpu = service;
                turn.waits = &waits;
            }
            answer(&p, &turn, role, i ? 0 : after < begin ? after : 0, i < interims);
            begin = p.last + random_bits(&rng) % 1000;
        }
        p.last += random_bits(&rng) % 1000;
        assert_int_equal(sj_stages_finish(&p, role), p.last - p.start);
        assert_int_equal(sum_of(&p), p.last - p.start);
        assert_int_equal(sum_of_causes(&p), p.stage[SJ_STAGE_BLOCKED]);
    }
}

static void the_payload_lies_behind_the_waits(void **state)
{
    (void)state;
    const struct sj_waits waits = {.runq = 77};
    struct made_record with = record_turn(&(struct made_turn){.waits = &waits, .ask = "ask", .answer = "answer"});
    struct made_record without = record_turn(&(struct made_turn){.ask = "ask", .answer = "answer"});
    assert_int_equal(sj_turn_waits((const struct sj_rec_turn *)with.rec)->runq, 77);
    assert_null(sj_turn_waits((const struct sj_rec_turn *)without.rec));
    assert_memory_equal(sj_turn_payload((const struct sj_rec_turn *)with.rec), "askanswer", 9);
    assert_memory_equal(sj_turn_payload((const struct sj_rec_turn *)without.rec), "askanswer", 9);
    free(with.rec);
    free(without.rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_servers_time_goes_where_the_clock_says),
        cmocka_unit_test(another_thread_answers),
        cmocka_unit_test(without_the_clock_only_queue_and_send_are_known),
        cmocka_unit_test(a_clients_time_goes_by_its_four_moments),
        cmocka_unit_test(a_clients_moments_out_of_order_are_pulled_straight),
        cmocka_unit_test(a_pipelined_request_queues_behind_the_answer_before),
        cmocka_unit_test(coalesced_answers_leave_the_later_ones_in_the_queue),
        cmocka_unit_test(a_clock_that_began_before_the_service_says_nothing),
        cmocka_unit_test(a_provisional_answer_is_no_end),
        cmocka_unit_test(random_histories_have_no_residual),
        cmocka_unit_test(the_payload_lies_behind_the_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
