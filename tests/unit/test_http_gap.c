// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/http.h"
#include "decode_log.h"

/* Bytes that were not seen, bytes that make no sense, and the way back. */

static struct decode_log told;

static int setup(void **state)
{
    (void)state;
    log_open(&told, &sj_http_decoder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_close(&told);
    return 0;
}

static void ask(const char *bytes, uint64_t gap)
{
    log_feed(&told, SJ_DIR_ASK, bytes, strlen(bytes), gap);
}

static void answer(const char *bytes, uint64_t gap)
{
    log_feed(&told, SJ_DIR_ANSWER, bytes, strlen(bytes), gap);
}

static void expect(const char *messages)
{
    assert_string_equal(told.text, messages);
    log_clear(&told);
}

static bool whole(void)
{
    return told.decoder->whole(told.state);
}

#define MARK "GET /mark HTTP/1.1\r\n\r\n"
#define ASKED_MARK "ask GET /mark|ask-end|"

static void test_in_body(void **state)
{
    (void)state;
    told.offsets = true;
    ask("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nab", 998);
    expect("ask@0 POST /|ask-end@43|");
    answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 400);
    answer("", 0);
    assert_false(whole());
    answer("", 599);
    assert_false(whole());
    expect("answer@0 200|");
    answer("xHTTP/1.1 204 x\r\n\r\n", 0);
    expect("answer-end@1|answer@1 204|answer-end@19|");
    assert_true(whole());
}

static void test_in_chunk(void **state)
{
    (void)state;
    ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nab", 14);
    ask("\r\n10\r\n", 15);
    ask("x\r\n0\r\n\r\n" MARK, 0);
    expect("ask POST /|ask-end|" ASKED_MARK);
    /* beyond a chunk the sizes of the next ones are not known: no end, and no loss */
    answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nab", 15);
    answer("0\r\n\r\n", 0);
    expect("answer 200|");
    assert_true(whole());
    answer("HTTP/1.1 204 OK\r\n\r\n", 0);
    expect("answer 204|answer-end|");
}

static void test_in_chunk_frame(void **state)
{
    static const char *const bodies[] = {"", "1", "5;ext", "5\r\nhello", "5\r\nhello\r", "0\r\n", "0\r\nTrailer: x"};

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0);
        ask(bodies[i], 1);
        ask("\r\n\r\n", 0);
        expect("ask POST /|");
        ask(MARK, 0);
        expect(ASKED_MARK);
    }
}

static void test_in_request_line(void **state)
{
    static const char *const cases[][2] = {
        {"GET /users/42?to", "ask GET /users/:id|"},
        {"GET /users/4", "ask GET /users/*|"},
        {"GET /users/", "ask GET /users/*|"},
        {"GET /users ", "ask GET /users|"},
        {"GET /users HTTP/1.1\r", "ask GET /users|"},
        {"CONNECT example.com:4", "ask CONNECT *|"},
        {"", "lost|"},
        {"GE", "lost|"},
        {"GET", "lost|"},
        {"GET ", "lost|"},
        {"GET x", "lost|"},
        {"FROB /users", "lost|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(cases[i][0], 100);
        expect(cases[i][1]);
        ask("", 100);
        ask("Host: x\r\n\r\n", 0);
        /* the rest of a header, or of something unknown */
        expect(strcmp(cases[i][1], "lost|") == 0 ? "lost|lost|" : "");
        ask(MARK, 0);
        expect(ASKED_MARK);
    }
}

static void test_in_status_line(void **state)
{
    (void)state;
    answer("HTTP/1.1 503", 100);
    expect("answer 503 error|");
    answer("HTTP/1.1 503 Serv", 100);
    expect("answer 503 error|");
    answer("HTTP/1.1 50", 100);
    expect("");
    answer("HTTP/1.1 204\r\n\r\nHTTP/1.1 50", 100);
    expect("answer 204|answer-end|lost|");
    answer("HTTP/1.1 204\r\n\r\n", 0);
    expect("answer 204|answer-end|");
}

/* The usual case of an answer: its header is cut. The status is known, the length is not. */
static void test_in_header(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        ask(MARK, 0);
        answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-Lo", 4000);
        assert_true(whole());
        answer("", 1 << 20);
        answer("<html> HTTP/1.1 200 OK\r\n\r\n", 10);
        assert_true(whole());
        expect(ASKED_MARK "answer 200|");
    }
    ask("POST / HTTP/1.1\r\nContent-Length: 1000\r\nX-Lo", 40);
    ask("", 1000);
    expect("ask POST /|");
    ask(MARK, 0);
    expect(ASKED_MARK);
}

/* The answer that is due may begin with a few bytes only. */
static void test_short_beginnings(void **state)
{
    static const char *const cut[] = {"HTTP/1.1 200 OK\r\nX-Lo", "HTTP/1.0 200 OK\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        ask(MARK, 0);
        answer(cut[i], 4000);
        answer("H", 0);
        answer("TTP/1.1 200 OK\r\n", 0);
        expect(ASKED_MARK "answer 200|");
        ask(MARK, 0);
        answer("H", 0);
        answer("TTP/1.1 204 OK\r\n\r\n", 0);
        expect(ASKED_MARK "answer 204|answer-end|");
    }
    ask(MARK, 0);
    answer("junk", 0);
    answer("HTTP", 0);
    answer("/1.1 204 x\r\n\r\n", 0);
    expect(ASKED_MARK "lost|answer 204|answer-end|");
}

static void test_of_switch(void **state)
{
    (void)state;
    ask(MARK, 0);
    answer("HTTP/1.1 101 Switching\r\nUpgrade: web", 1);
    expect(ASKED_MARK "answer 101|answer-end|switch 0|");
}

static void test_of_interim(void **state)
{
    (void)state;
    ask(MARK, 0);
    answer("HTTP/1.1 100 Con", 9);
    expect(ASKED_MARK "interim 100|");
    answer("HTTP/1.1 204 x\r\n\r\n", 0);
    expect("answer 204|answer-end|");
}

static void test_over_the_end(void **state)
{
    (void)state;
    told.offsets = true;
    ask("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab", 9);
    expect("ask@0 POST /|ask-end@41|lost@41|");
    ask("garbage", 3);
    ask("", 3);
    ask("", 0);
    expect("lost@0|lost@0|");
    ask(MARK, 1);
    expect("ask@0 GET /mark|ask-end@22|lost@22|");
}

static void test_garbage(void **state)
{
    (void)state;
    told.offsets = true;
    ask(MARK "\x01\x02\x03" MARK, 0);
    expect("ask@0 GET /mark|ask-end@22|lost@22|");
    /* only the start of a piece can begin a message again */
    ask("\x01" MARK, 0);
    ask("\r\n" MARK, 0);
    expect("lost@0|lost@0|");
    ask(MARK, 0);
    expect("ask@0 GET /mark|ask-end@22|");
    answer("HTTP/2 200", 0);
    expect("lost@0|");
    assert_true(whole());
    answer("HTTP/1.1 204 x\r\n\r\n", 0);
    expect("answer@0 204|answer-end@18|");
    ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0);
    expect("lost@0|");
}

/* An answer whose ask was not seen may answer a HEAD: its body may be none. */
static void test_unseen_ask(void **state)
{
    (void)state;
    answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 0);
    answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", 0);
    expect("answer 200|answer 200|answer 200|answer-end|");
    ask("GET /mark HTTP/1.1\r\n\r\n", 0);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n", 0);
    answer("HTTP/1.1 200 OK\n", 0);
    expect(ASKED_MARK "answer 200|answer-end|");
}

/* After answers that were not seen, a new ask starts the count of who answers what afresh. */
static void test_unseen_answers(void **state)
{
    (void)state;
    ask("HEAD / HTTP/1.1\r\n\r\n", 0);
    answer("", 300);
    expect("ask HEAD /|ask-end|lost|");
    ask(MARK, 0);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 0);
    expect(ASKED_MARK "answer 200|answer-end|");
    /* all of a pipeline counts, not only its last ask */
    ask(MARK, 0);
    answer("HTTP/1.1 200 OK\r\n", 300);
    ask("GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n", 0);
    log_clear(&told);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0);
    expect("answer 200|answer-end|answer 200|answer-end|");
}

static void test_huge(void **state)
{
    static const uint64_t gaps[] = {1, 1ULL << 32, 1ULL << 62, 1ULL << 63, UINT64_MAX};
    static const char *const pieces[] = {
        "",
        "GET",
        MARK,
        "GET / HTTP/1.1\r\nX",
        "POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7ffffffffffffff\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        for (size_t k = 0; k < sizeof(gaps) / sizeof(gaps[0]); k++) {
            ask(pieces[i], gaps[k]);
            ask("", gaps[k]);
            ask(pieces[i], gaps[k]);
            log_clear(&told);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_in_body),        TEST(test_in_chunk),     TEST(test_in_chunk_frame),   TEST(test_in_request_line),
        TEST(test_in_status_line), TEST(test_in_header),    TEST(test_short_beginnings), TEST(test_of_switch),
        TEST(test_of_interim),     TEST(test_over_the_end), TEST(test_garbage),          TEST(test_unseen_ask),
        TEST(test_unseen_answers), TEST(test_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
