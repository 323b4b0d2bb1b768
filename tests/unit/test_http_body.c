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

/* Where a message ends: every way to say it, and what happens when it is said badly. */

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

static void ask(const char *bytes)
{
    log_feed(&told, SJ_DIR_ASK, bytes, strlen(bytes), 0);
}

static void answer(const char *bytes)
{
    log_feed(&told, SJ_DIR_ANSWER, bytes, strlen(bytes), 0);
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

/* A header, then a body of five bytes, then a mark: found exactly when the header was understood. */
static void test_lengths(void **state)
{
    static const char *const headers[] = {
        "Content-Length: 5\r\n",
        "content-length:5\r\n",
        "CONTENT-LENGTH:\t 5 \t\r\n",
        "Content-Length: 0005\r\n",
        "Content-Length: 5\nX: y\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,5 ,\t5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length:\r\n\t\r\n 5\r\n",
        "Content-Length: 5\r\n \r\n",
        "X: y\r\n Content-Length: 9\r\nContent-Length: 5\r\n",
        "Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n",
        "Content-Lengthy: 9\r\nContent-Length: 5\r\nContent-Lengt: 9\r\nxContent-Length: 9\r\n",
        "Content\rLength: 9\r\nContent-Length: 5\r\n",
        "Content-Length : 9\r\nContent-Length: 5\r\n",
        "Cookie: Content-Length: 9\r\nContent-Length: 5\r\n",
        ": x\r\nx\r\nContent-Length: 5\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char text[300];

        snprintf(text, sizeof(text), "POST /%zu HTTP/1.1\r\n%s\r\n12345" MARK, i % 10, headers[i]);
        ask(text);
        expect("ask POST /:id|ask-end|ask GET /mark|ask-end|");
    }
}

/* The end cannot be known, so none is told, until a piece begins like a message. */
static void test_bad_lengths(void **state)
{
    static const char *const headers[] = {
        "Content-Length:\r\n",
        "Content-Length: \r\n \r\n",
        "Content-Length: x\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5x\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5\r\n 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: ,5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length: 99999999999999999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chun ked\r\n",
        "Transfer-Encoding: chunk\r\n",
        "Transfer-Encoding: chunked\r\n foo\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char text[300];

        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n12345" MARK, headers[i]);
        ask(text);
        expect("ask POST /|");
        ask("12345");
        expect("");
        ask(MARK);
        expect("ask GET /mark|ask-end|");
        answer("HTTP/1.1 200 x\r\n");
        answer(headers[i]);
        answer("\r\n12345");
        expect("answer 200|");
        assert_true(whole());
        answer("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n");
        expect("answer 200|answer-end|");
    }
}

static void test_largest_length(void **state)
{
    (void)state;
    ask("POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n");
    log_feed(&told, SJ_DIR_ASK, "x", 1, (uint64_t)INT64_MAX - 2);
    expect("ask POST /|");
    ask("x" MARK);
    expect("ask-end|ask GET /mark|ask-end|");
}

static void test_chunks(void **state)
{
    static const char *const bodies[] = {
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "000000000000000000000000005\r\nhello\r\n00\r\n\r\n",
        "5;name=value\r\nhello\r\n0;x=\"y\"\r\n\r\n",
        "5 \r\nhello\r\n0\t\r\n\r\n",
        "a\r\nHTTP/1.1 2\r\n0\r\n\r\n",
        "1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\nTrailer: y\r\nContent-Length: 7\r\n folded\r\n\r\n",
        "0\r\nTransfer-Encoding: gzip\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char text[300];

        /* with both, the encoding wins */
        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: %s\r\n\r\n%s" MARK,
                 i % 2 ? "Chunked" : "gzip,\tchunked ,", bodies[i]);
        ask(text);
        expect("ask POST /|ask-end|ask GET /mark|ask-end|");
        snprintf(text, sizeof(text), "HTTP/1.1 500 x\r\ntransfer-encoding:chunked\r\n\r\n%sHTTP/1.1 204 y\r\n\r\n",
                 bodies[i]);
        answer(text);
        expect("answer 500 error|answer-end|answer 204|answer-end|");
    }
}

static void test_bad_chunks(void **state)
{
    static const char *const bodies[] = {
        "\r\n\r\n",
        "x\r\n",
        ";\r\n",
        "-1\r\n",
        "5x\r\nhello",
        "8000000000000000\r\n",
        "10000000000000005\r\nhello\r\n",
        "5\r\nhelloo\r\n",
        "5\r\nhello\r\r\n",
        "5\r\nhello0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        expect("ask POST /|");
        ask(bodies[i]);
        expect("lost|");
        ask("more of it");
        expect("lost|");
        ask(MARK);
        expect("ask GET /mark|ask-end|");
    }
}

static void test_no_body(void **state)
{
    static const char *const headers[] = {
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        ask("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        expect("ask HEAD /|ask-end|ask GET /|ask-end|ask GET /|ask-end|");
        answer("HTTP/1.1 404 x\r\n");
        answer(headers[i]);
        answer("HTTP/1.1 204 x\r\n");
        answer(headers[i]);
        answer("HTTP/1.1 304 x\r\n");
        answer(headers[i]);
        expect("answer 404 client-error|answer-end|answer 204|answer-end|answer 304|answer-end|");
    }
}

static void test_until_close(void **state)
{
    (void)state;
    ask("GET / HTTP/1.0\r\n\r\n");
    answer("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>");
    expect("ask GET /|ask-end|answer 200|");
    assert_true(whole());
    answer("HTTP/1.1 200 OK\r\n\r\n");
    log_feed(&told, SJ_DIR_ANSWER, NULL, 0, 1000);
    expect("");
    assert_true(whole());
}

static void test_whole(void **state)
{
    (void)state;
    ask("GET / HTTP/1.1\r\n\r\n");
    answer("HTTP");
    assert_false(whole());
    answer("/1.1 200 OK\r");
    assert_false(whole());
    answer("\nTransfer-Encoding: chunked\r\n");
    assert_false(whole());
    answer("\r\n");
    assert_false(whole());
    answer("2\r");
    assert_false(whole());
    answer("\nab");
    assert_false(whole());
    answer("\r\n0\r\n");
    assert_false(whole());
    answer("\r\n");
    assert_true(whole());
    /* with an answer whose ask was not seen, nobody knows what it lacks */
    answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_true(whole());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lengths),    TEST(test_bad_lengths), TEST(test_largest_length), TEST(test_chunks),
        TEST(test_bad_chunks), TEST(test_no_body),     TEST(test_until_close),    TEST(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
