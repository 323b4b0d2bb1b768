// SPDX-License-Identifier: GPL-3.0-or-later
#include "assemble_log.h"

/*
 * Records that are missing because there was no room for them. The kernel side has counted their turns: what belongs to
 * those must be told by nobody here, and what belongs to others must not suffer.
 */
#define ASK(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define NOT_FOUND "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
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

static void data(const char *text)
{
    struct made_record r = record_data(text, 0, 100);
    r.rec->hint = SJ_HINT_HTTP;
    log_feed(&b, r);
}

/* The kernel side began and answered a turn that is not told. */
static void lose_turn(void)
{
    if (!b.asking[b.conn % 8])
        b.turn[b.conn % 8]++;
    b.asking[b.conn % 8] = false;
}

static void expect_stats(uint64_t detailed, uint64_t cut_off)
{
    struct sj_assembler_stats s = log_stats(&b);
    assert_int_equal(s.detailed, detailed);
    assert_int_equal(s.cut_off, cut_off);
}

static void an_ask_without_its_turn_is_dropped(void **state)
{
    (void)state;
    data(ASK("/lost"));
    lose_turn();
    log_turn(&b, HTTP, .t = {200, 210, 240}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 240, 40));
    log_expect(&b, "GET /a 200 40=queue10+oncpu30|");
    data(ASK("/lost"));
    lose_turn();
    data(ASK("/b"));
    log_turn(&b, HTTP, .t = {300, 310, 340}, .oncpu = 30, .answer = OK2, .bytes_ask = 28);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 340, 40));
    log_expect(&b, "GET /b 200 40=queue10+oncpu30|");
    data(ASK("/lost"));
    lose_turn();
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 440, 40));
    log_expect(&b, "");
    expect_stats(2, 0);
}

static void the_tail_of_a_lost_turn_belongs_to_nobody(void **state)
{
    (void)state;
    b.bytes = true;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a"), .answer = OK2);
    lose_turn();
    log_feed(&b, record_tail(SJ_REC_TAIL, SJ_F_RESET, 900, 5000));
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 900, 5000));
    log_expect(&b, "GET /a 200 28/40 40=queue10+oncpu30|");
    expect_stats(1, 0);
}

/* Three asks told, the first answer counted: the other two are told. */
static void further_answers_of_a_lost_turn_are_told(void **state)
{
    (void)state;
    data(ASK("/counted") ASK("/b") ASK("/c"));
    lose_turn();
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 160, 140}, .oncpu = 20, .answer = OK2);
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 190, 160}, .oncpu = 30, .answer = NOT_FOUND);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 190, 40));
    assert_non_null(strstr(b.text, "GET /b 200 "));
    assert_non_null(strstr(b.text, "GET /c 404 "));
    assert_null(strstr(b.text, "/counted"));
    expect_stats(2, 0);
}

/* Nothing but the further answer was told: one request of which nothing else is known. */
static void a_further_answer_alone_is_a_request(void **state)
{
    (void)state;
    lose_turn();
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 160, 140}, .oncpu = 20, .answer = OK2);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 160, 40));
    assert_int_equal(b.requests, 1);
    assert_true(b.last.flags & SJ_REQ_UNPARSED);
    assert_int_equal(b.last.total_ns, 60);
    expect_stats(1, 0);
}

/* The answers' beginnings were not understood, then one is: it is not the head of the one before. */
static void a_head_that_never_came_is_not_the_next_ones(void **state)
{
    (void)state;
    log_turn(&b, HTTP, .t = {100, 110, 140}, .oncpu = 30, .ask = ASK("/a") ASK("/b"), .answer = "HTT");
    log_feed(&b, record_tail(SJ_REC_TAIL, 0, 150, 40));
    log_turn(&b, HTTP | SJ_F_CONTINUED, .t = {100, 110, 190, 150}, .oncpu = 40, .answer = NOT_FOUND);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 190, 45));
    assert_int_equal(b.requests, 2);
    assert_true(strncmp(b.text, "GET /a 50=queue10+oncpu30+send10|GET /b 404 ", 44) == 0);
}

static void a_handshake_is_no_request(void **state)
{
    (void)state;
    static const char hello[] = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
                                "\x00\x00\x02\x13\x01\x01\x00";
    log_turn(&b, .hint = SJ_HINT_TLS, .flags = SJ_F_STAGES, .t = {100, 110, 140}, .oncpu = 30, .ask = hello,
             .ask_size = sizeof(hello) - 1, .answer = "\x16\x03\x03", .answer_len = 1000);
    log_feed(&b, record_tail(SJ_REC_CLOSE, 0, 140, 1000));
    log_expect(&b, "");
    expect_stats(0, 0);
    assert_int_equal(log_stats(&b).ignored, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_ask_without_its_turn_is_dropped),          TEST(the_tail_of_a_lost_turn_belongs_to_nobody),
        TEST(further_answers_of_a_lost_turn_are_told),     TEST(a_further_answer_alone_is_a_request),
        TEST(a_head_that_never_came_is_not_the_next_ones), TEST(a_handshake_is_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
