// SPDX-License-Identifier: GPL-3.0-or-later
#include "assemble_log.h"

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define NO_BODY(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
#define HTTP .hint = SJ_HINT_HTTP, .flags = SJ_F_STAGES

static struct assemble_log b;

static int set_up(void **state)
{
    (void)state;
    log_begin(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_end(&b);
    return 0;
}

static void a_request_is_over_when_the_next_begins(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    log_expect(&b, "");
    log_turn(&b, HTTP, .t = {200, 210, 230}, .oncpu = 20, .ask = ASK("/b"), .answer = NO_BODY("404 Not Found"));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 250, 90));
    log_turn(&b, HTTP, .t = {300, 310, 330}, .oncpu = 20, .ask = ASK("/c"), .answer = NO_BODY("503 No"));
    log_expect(&b, "GET /b 404 client-error 50=queue10+oncpu20+send20|");
    assert_int_equal(sj_assembler_finish(b.a, &b.err), 0);
    log_expect(&b, "GET /c 503 error 30=queue10+oncpu20|");
    struct sj_assembler_stats s = log_stats(&b);
    assert_int_equal(s.detailed, 3);
    assert_int_equal(s.unparsed + s.cut_off + s.out_of_order + s.ignored + s.evicted, 0);
}

static void an_idle_connection_gives_up_its_request(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    b.conn = 2;
    log_turn(&b, HTTP, .t = {100, 110, 240}, .oncpu = 130, .ask = ASK("/b"), .answer = OK2);
    assert_int_equal(sj_assembler_expire(b.a, 140, &b.err), 0);
    log_expect(&b, "");
    assert_int_equal(sj_assembler_expire(b.a, 141, &b.err), 0);
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    assert_int_equal(sj_assembler_expire(b.a, 241, &b.err), 0);
    log_expect(&b, "GET /b 200 140=queue10+oncpu130|");
}

/* A body of 100 bytes of which two were seen: however long nothing comes, the answer is not over. */
static void an_answer_that_is_known_to_go_on_is_waited_for(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"),
             .answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab");
    assert_int_equal(sj_assembler_expire(b.a, UINT64_MAX, &b.err), 0);
    log_expect(&b, "");
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 9000, 40 + 100 - 1));
    assert_int_equal(sj_assembler_expire(b.a, UINT64_MAX, &b.err), 0);
    log_expect(&b, "");
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 9140, 40 + 100));
    assert_int_equal(sj_assembler_expire(b.a, UINT64_MAX, &b.err), 0);
    log_expect(&b, "GET /a 200 9040=queue10+oncpu30+send9000|");
}

static void answers_written_together_are_counted_one_by_one(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b") ASK("/c"),
             .answer = OK2 NO_BODY("404 Not Found") OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 0));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|"
                   "GET /b 404 client-error pipelined 40=queue40|"
                   "GET /c 200 pipelined 40=queue40|");
    assert_int_equal(b.wanted, 1);
}

static void answers_written_one_by_one_queue_behind_each_other(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b") ASK("/c"), .answer = OK2);
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 190, 140}, .oncpu = 50, .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 200, 60));
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 260, 200}, .oncpu = 60, .answer = OK2);
    log_turn(&b, HTTP, .t = {300, 310, 340}, .oncpu = 30, .ask = ASK("/d"), .answer = OK2);
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|"
                   "GET /b 200 pipelined 100=queue40+oncpu50+send10|"
                   "GET /c 200 pipelined 160=queue100+oncpu60|");
}

/* The client's next asks come before the last answer: they are answered by a turn that only goes on. */
static void asks_in_flight_are_answered_in_their_order(void **state)
{
    (void)state;
    b.role = SJ_ROLE_CLIENT;
    log_turn(&b, HTTP, .t = {100, 110, 150, 155}, .ask = ASK("/a") ASK("/b"), .answer = OK2);
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 180, 185}, .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 185, 0));
    log_expect(&b, "GET /a 200 55=send10+wait40+pickup5|GET /b 200 pipelined 85=send10+wait70+pickup5|");
}

/* Three asked, one answer seen, the rest lost: the next ask tells that all were answered, and none is lost. */
static void answers_that_ran_together_unseen_are_still_counted(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b") ASK("/c"), .answer = OK2,
             .answer_len = 3 * 40);
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 200, 3 * 40));
    log_turn(&b, HTTP, .t = {300, 310, 340}, .oncpu = 30, .ask = ASK("/d"), .answer = OK2);
    assert_int_equal(sj_assembler_finish(b.a, &b.err), 0);
    assert_int_equal(b.requests, 4);
    assert_int_equal(log_stats(&b).cut_off, 0);
}

static void a_long_ask_comes_in_pieces(void **state)
{
    (void)state;
    struct made_record first = record_data("POST /long HTTP/1.1\r\nContent-Length: 5000\r\nX: ", 0, 100);
    struct made_record second = record_data("y\r\n\r\nbody", 3000, 110);
    first.rec->hint = second.rec->hint = SJ_HINT_HTTP;
    log_feed(&b, first);
    log_feed(&b, second);
    assert_int_equal(sj_assembler_expire(b.a, UINT64_MAX, &b.err), 0);
    log_expect(&b, "");
    log_turn(&b, HTTP, .t = {100, 105, 150}, .oncpu = 45, .bytes_ask = 5046 + 5, .answer = OK2);
    b.bytes = true;
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 150, 0));
    log_expect(&b, "POST /long 200 5051/40 50=queue5+oncpu45|");
}

static void a_provisional_answer_is_part_of_its_request(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 120}, .oncpu = 10,
             .ask = "PUT /up HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
             .answer = "HTTP/1.1 100 Continue\r\n\r\n");
    log_turn(&b, .hint = SJ_HINT_OTHER, .flags = SJ_F_STAGES, .t = {140, 150, 180}, .oncpu = 30, .ask = "body",
             .answer = NO_BODY("201 Created"));
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 180, 0));
    log_expect(&b, "PUT /up 201 80=queue10+oncpu40+blocked30|");
    assert_int_equal(log_stats(&b).detailed, 1);
}

static void the_body_behind_a_provisional_answer_counts(void **state)
{
    (void)state;
    static const char head[] = "PUT /up HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    log_turn(&b, HTTP, .t = {100, 110, 120}, .oncpu = 10, .ask = head, .answer = "HTTP/1.1 100 Continue\r\n\r\n");
    log_turn(&b, .hint = SJ_HINT_OTHER, .flags = SJ_F_STAGES, .t = {140, 150, 180}, .oncpu = 30, .ask = "body",
             .answer = NO_BODY("201 Created"));
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 180, 0));
    assert_int_equal(b.last.bytes_in, sizeof(head) - 1 + 4);
}

static void what_no_decoder_knows_is_counted_by_turns(void **state)
{
    (void)state;
    log_turn(&b, .flags = SJ_F_STAGES, .t = {100, 110, 140}, .oncpu = 30, .ask = "\x01\x02", .answer_len = 5);
    log_turn(&b, .flags = SJ_F_STAGES, .t = {200, 210, 240}, .oncpu = 30, .answer_len = 5);
    log_turn(&b, .flags = SJ_F_STAGES | SJ_F_ARRIVAL_UNSEEN, .t = {300, 300, 340}, .oncpu = 40, .answer_len = 5);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 340, 0));
    log_expect(&b, "unparsed 40=queue10+oncpu30|unparsed 40=queue10+oncpu30|unparsed no-arrival 40=oncpu40|");
    assert_int_equal(log_stats(&b).unparsed, 3);
}

/* The first turn of an old connection may have begun earlier; that it begins like HTTP says that it has not. */
static void the_first_turn_of_an_old_connection_must_prove_its_beginning(void **state)
{
    (void)state;
    log_turn(&b, .flags = SJ_F_STAGES | SJ_F_FIRST_OF_OLD, .t = {100, 110, 140}, .oncpu = 30, .ask = "\x01",
             .answer_len = 5);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 0));
    log_expect(&b, "");
    assert_int_equal(log_stats(&b).cut_off, 1);
    b.conn = 2;
    log_turn(&b, HTTP | SJ_F_FIRST_OF_OLD, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 0));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    b.conn = 3;
    log_turn(&b, HTTP | SJ_F_FIRST_OF_OLD | SJ_F_ARRIVAL_UNSEEN, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"),
             .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 0));
    log_expect(&b, "");
    assert_int_equal(log_stats(&b).cut_off, 2);
}

static void a_reset_spoils_an_answer_that_is_not_whole(void **state)
{
    (void)state;
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = half);
    log_feed(&b, record_tail(SJ_REC_CLOSE, SJ_F_RESET, 140, sizeof(half) - 1));
    log_expect(&b, "GET /a 200 error 40=queue10+oncpu30|");
    b.conn = 2;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = half);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, sizeof(half) - 1));
    log_expect(&b, "GET /a 200 error 40=queue10+oncpu30|");
    b.conn = 3;
    log_turn(&b, .flags = SJ_F_STAGES, .t = {100, 110, 140}, .oncpu = 30, .ask = "\x01", .answer_len = 5);
    log_feed(&b, record_tail(SJ_REC_TAIL, SJ_F_RESET, 150, 5));
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 150, 5));
    log_expect(&b, "reset error unparsed 50=queue10+oncpu30+send10|");
    /* whoever asks has it all: what happens to the connection then is of no interest */
    b.conn = 4;
    b.role = SJ_ROLE_CLIENT;
    log_turn(&b, HTTP, .t = {100, 110, 140, 145}, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, SJ_F_RESET, 145, 40));
    log_expect(&b, "GET /a 200 45=send10+wait30+pickup5|");
}

static void what_is_cut_is_no_request(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_cut(SJ_CUT_CLOSED, 200));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    assert_int_equal(log_stats(&b).cut_off, 1);
    b.conn = 2;
    struct made_record data = record_data(ASK("/a") ASK("/b"), 0, 100);
    data.rec->hint = SJ_HINT_HTTP;
    log_feed(&b, data);
    log_feed(&b, record_cut(SJ_CUT_RESET, 200));
    assert_int_equal(log_stats(&b).cut_off, 3);
    b.conn = 3;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 40));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    assert_int_equal(log_stats(&b).cut_off, 4);
    b.conn = 4;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b"), .answer = OK2);
    assert_int_equal(sj_assembler_finish(b.a, &b.err), 0);
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    assert_int_equal(log_stats(&b).cut_off, 5);
    assert_int_equal(log_stats(&b).detailed, 3);
}

static void a_handoff_has_no_clock(void **state)
{
    (void)state;
    log_turn(&b, HTTP | SJ_F_HANDOFF, .t = {100, 110, 140}, .ask = ASK("/a"), .answer = OK2);
    log_turn(&b, .hint = SJ_HINT_HTTP, .t = {200, 210, 240}, .ask = ASK("/b"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 250, 50));
    log_expect(&b, "GET /a 200 40=queue10+handoff30|GET /b 200 no-stages 50=queue10+send10|");
}

/* The server sends the first letters of its status line, then the rest, which the kernel side does not show. */
static void a_status_line_in_pieces_is_no_fast_success(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = "HTT");
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 200, 40));
    log_turn(&b, HTTP, .t = {300, 310, 340}, .oncpu = 30, .ask = ASK("/b"), .answer = OK2);
    log_expect(&b, "GET /a 100=queue10+oncpu30+send60|");
}

static void bytes_are_those_of_the_request(void **state)
{
    (void)state;
    b.bytes = true;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 150, 1000));
    log_turn(&b, HTTP, .t = {200, 210, 240}, .oncpu = 30, .ask = ASK("/b") ASK("/cc"), .answer = OK2);
    log_expect(&b, "GET /a 200 28/1000 50=queue10+oncpu30+send10|");
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {200, 210, 250, 240}, .oncpu = 10, .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 250, 40));
    log_expect(&b, "GET /b 200 28/40 40=queue10+oncpu30|GET /cc 200 pipelined 29/40 50=queue40+oncpu10|");
    b.role = SJ_ROLE_CLIENT;
    b.conn = 2;
    log_turn(&b, HTTP, .t = {100, 110, 150, 155}, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 155, 40));
    log_expect(&b, "GET /a 200 40/28 55=send10+wait40+pickup5|");
}

static void who_and_where_is_told(void **state)
{
    (void)state;
    struct made_record conn = record_conn(42, "name", 90);
    struct sj_rec_conn *r = (struct sj_rec_conn *)conn.rec;
    r->family = 2;
    r->local_port = 80;
    r->peer_port = 4321;
    r->cgroup = 99;
    r->local[3] = 1;
    r->peer[3] = 2;
    log_feed(&b, conn);
    assert_int_equal(b.seen, 1);
    struct made_record turn = record_turn(
        &(struct made_turn){HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2, .tid = 43});
    turn.rec->tgid = 42;
    log_feed(&b, turn);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 40));
    assert_int_equal(b.requests, 1);
    assert_int_equal(b.last.pid, 42);
    assert_int_equal(b.last.tid, 43);
    assert_int_equal(b.last.cgroup, 99);
    assert_int_equal(b.last.port, 80);
    assert_int_equal(b.last.role, SJ_ROLE_SERVER);
    assert_int_equal(b.last.protocol, SJ_PROTO_HTTP);
    assert_int_equal(b.last.start_ns, 100);
    assert_int_equal(b.last.local.port, 80);
    assert_int_equal(b.last.local.addr[3], 1);
    assert_int_equal(b.last.peer.port, 4321);
    assert_int_equal(b.last.peer.addr[3], 2);
}

/* Their number is bounded. The one that was idle for longest makes room, and what it had to tell is told. */
static void too_many_connections_lose_no_request(void **state)
{
    (void)state;
    enum { MANY = 40000 };
    b.quiet = true;
    for (uint64_t i = 0; i < MANY; i++) {
        b.conn = 1000 + i;
        log_turn(&b, HTTP, .t = {100 + i, 110 + i, 140 + i}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    }
    assert_true(log_stats(&b).evicted > MANY / 2);
    assert_int_equal(b.requests, log_stats(&b).evicted);
    b.conn = 1000;
    log_turn(&b, HTTP, .t = {99000, 99010, 99040}, .oncpu = 30, .ask = ASK("/again"), .answer = OK2);
    assert_int_equal(sj_assembler_finish(b.a, &b.err), 0);
    assert_int_equal(b.requests, MANY + 1);
    assert_int_equal(log_stats(&b).cut_off, 0);
}

static void what_an_evicted_connection_still_awaited_is_cut_off(void **state)
{
    (void)state;
    b.quiet = true;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b") ASK("/c"), .answer = OK2);
    for (uint64_t i = 0; i < 40000 && !log_stats(&b).evicted; i++) {
        b.conn = 1000 + i;
        log_turn(&b, .flags = SJ_F_STAGES, .t = {200, 210, 240}, .oncpu = 30, .answer_len = 1);
    }
    assert_int_equal(log_stats(&b).evicted, 1);
    assert_int_equal(b.requests, 1);
    assert_int_equal(log_stats(&b).cut_off, 2);
}

static void a_consumer_that_fails_stops_it(void **state)
{
    (void)state;
    b.refuse_at = 1;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    assert_int_equal(log_try(&b, record_tail(SJ_REC_CLOSE, 0, 140, 40)), -1);
    assert_int_equal(b.err.status, EX_IOERR);
    assert_string_equal(b.err.text, "refused");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_over_when_the_next_begins),
        TEST(an_idle_connection_gives_up_its_request),
        TEST(an_answer_that_is_known_to_go_on_is_waited_for),
        TEST(answers_written_together_are_counted_one_by_one),
        TEST(answers_written_one_by_one_queue_behind_each_other),
        TEST(asks_in_flight_are_answered_in_their_order),
        TEST(answers_that_ran_together_unseen_are_still_counted),
        TEST(a_long_ask_comes_in_pieces),
        TEST(a_provisional_answer_is_part_of_its_request),
        TEST(the_body_behind_a_provisional_answer_counts),
        TEST(what_no_decoder_knows_is_counted_by_turns),
        TEST(the_first_turn_of_an_old_connection_must_prove_its_beginning),
        TEST(a_reset_spoils_an_answer_that_is_not_whole),
        TEST(what_is_cut_is_no_request),
        TEST(a_handoff_has_no_clock),
        TEST(a_status_line_in_pieces_is_no_fast_success),
        TEST(bytes_are_those_of_the_request),
        TEST(who_and_where_is_told),
        TEST(too_many_connections_lose_no_request),
        TEST(what_an_evicted_connection_still_awaited_is_cut_off),
        TEST(a_consumer_that_fails_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
