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

/* Messages: first lines, operations, status, and who answers what. Bodies and gaps have their own files. */

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

static void test_one_exchange(void **state)
{
    (void)state;
    assert_true(whole());
    ask("GET /users/42?token=secret HTTP/1.1\r\nHost: a\r\n\r\n");
    expect("ask GET /users/:id|ask-end|");
    assert_true(whole());
    answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    expect("answer 200|");
    assert_false(whole());
    answer("llo");
    expect("answer-end|");
    assert_true(whole());
}

static void test_operations(void **state)
{
    static const char *const cases[][2] = {
        {"GET / HTTP/1.1", "ask GET /|ask-end|"},
        {"GET / HTTP/1.0", "ask GET /|ask-end|"},
        {"DELETE /a/1 HTTP/1.1", "ask DELETE /a/:id|ask-end|"},
        {"OPTIONS * HTTP/1.1", "ask OPTIONS *|ask-end|"},
        {"CONNECT example.com:443 HTTP/1.1", "ask CONNECT *:443|ask-end|"},
        {"GET http://example.com/a/b?c HTTP/1.1", "ask GET /a/b|ask-end|"},
        {"PROPFIND /dav HTTP/1.1", "ask PROPFIND /dav|ask-end|"},
        {"FROBNICATE /a HTTP/1.1", "ask OTHER /a|ask-end|"},
        {"get /a HTTP/1.1", "ask OTHER /a|ask-end|"},
        {"M-SEARCH * HTTP/1.1", "ask OTHER *|ask-end|"},
        {"GET a HTTP/1.1", "ask GET /a|ask-end|"},
        {"GET /a%0a%1b[31m HTTP/1.1", "ask GET /a%0a%1b[31m|ask-end|"},
        {"GET /\xc3\xa9 HTTP/1.1", "ask GET /%C3%A9|ask-end|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(cases[i][0]);
        ask("\r\n\r\n");
        expect(cases[i][1]);
    }
}

static void test_long_targets(void **state)
{
    char line[9000];
    int n = snprintf(line, sizeof(line), "GET /users?");

    (void)state;
    memset(line + n, 'x', 8000);
    snprintf(line + n + 8000, 20, " HTTP/1.1\r\n\r\n");
    ask(line);
    expect("ask GET /users|ask-end|");

    n = snprintf(line, sizeof(line), "GET /users/");
    memset(line + n, 'x', 8000);
    snprintf(line + n + 8000, 20, " HTTP/1.1\r\n\r\n");
    ask(line);
    expect("ask GET /users/*|ask-end|");

    ask("PROPPATCH /reasonable-words/reasonable-words/reasonable-words/reasonable-words/reasonable-words/"
        "reasonable-words/reasonable-words HTTP/1.1\r\n\r\n");
    expect("ask PROPPATCH /reasonable-words/reasonable-words/reasonable-words/reasonable-words/reasonable-words/"
           "reasonable-words/*|ask-end|");
}

static void test_status(void **state)
{
    static const char *const cases[][2] = {
        {"200 OK", "answer 200|answer-end|"},
        {"200", "answer 200|answer-end|"},
        {"200 ", "answer 200|answer-end|"},
        {"301 Moved", "answer 301|answer-end|"},
        {"399 x", "answer 399|answer-end|"},
        {"400 x", "answer 400 client-error|answer-end|"},
        {"404 Not Found", "answer 404 client-error|answer-end|"},
        {"499 ", "answer 499 client-error|answer-end|"},
        {"500 Oops", "answer 500 error|answer-end|"},
        {"503 Service Unavailable", "answer 503 error|answer-end|"},
        {"599 x", "answer 599 error|answer-end|"},
        {"600 x", "answer 600|answer-end|"},
        {"999 x", "answer 999|answer-end|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[100];

        snprintf(text, sizeof(text), "HTTP/1.%c %s\r\nContent-Length: 0\r\n\r\n", i % 2 ? '0' : '1', cases[i][0]);
        ask("GET / HTTP/1.1\r\n\r\n");
        log_clear(&told);
        answer(text);
        expect(cases[i][1]);
    }
}

static void test_line_ends(void **state)
{
    (void)state;
    ask("GET /a HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\r\nHost: b\n\r\n\r\n\r\n\nGET /c HTTP/1.1\r\n\r\n\r\n");
    expect("ask GET /a|ask-end|ask GET /b|ask-end|ask GET /c|ask-end|");
    answer("\r\nHTTP/1.1 200\nContent-Length: 2\n\nab\nHTTP/1.1 204 x\n\n");
    expect("answer 200|answer-end|answer 204|answer-end|");
    /* a carriage return alone ends nothing */
    answer("HTTP/1.1 200 a\rb\r\nX: a\rb\r\n\rX: \r\nContent-Length: 0\r\n\r\n");
    expect("answer 200|answer-end|");
}

static void test_pipeline(void **state)
{
    (void)state;
    told.offsets = true;
    ask("GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nxyGET /d HT");
    expect("ask@0 GET /a|ask-end@19|ask@19 HEAD /b|ask-end@39|ask@39 POST /c|ask-end@80|");
    ask("TP/1.1\r\n\r\nGET");
    expect("ask@0 GET /d|ask-end@10|");
    ask(" /e HTTP/1.1\r\n\r\n");
    expect("ask@0 GET /e|ask-end@16|");
    /* the answer to HEAD has a length but no body */
    answer("HTTP/1.1 200 a\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 b\r\nContent-Length: 9\r\n\r\n");
    expect("answer@0 200|answer-end@38|answer@38 200|answer-end@75|");
    answer("HTTP/1.1 200 c\r\nContent-Length: 0\r\n\r\nHTTP/1.1 304 d\r\nContent-Length: 9\r\n\r\nHTTP/1.1 2");
    expect("answer@0 200|answer-end@37|answer@37 304|answer-end@74|");
    answer("04 e\r\n\r\n");
    expect("answer@0 204|answer-end@8|");
    assert_true(whole());
}

/* The methods of 64 unanswered asks are known; more are counted all the same. */
static void test_deep_pipeline(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        ask(i % 3 ? "GET / HTTP/1.1\r\n\r\n" : "HEAD / HTTP/1.1\r\n\r\n");
    log_clear(&told);
    for (int i = 0; i < 200; i++) {
        answer("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n");
        if (i % 3 || i >= 64) {
            expect("answer 200|");
            answer("HTTP/");
            expect("answer-end|");
        } else {
            expect("answer 200|answer-end|");
        }
    }
    ask("HEAD / HTTP/1.1\r\n\r\n");
    answer("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n");
    expect("ask HEAD /|ask-end|answer 200|answer-end|");
}

static void test_interim(void **state)
{
    (void)state;
    ask("POST /up HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    expect("ask POST /up|");
    answer("HTTP/1.1 100 Continue\r\n\r\n");
    expect("interim 100|");
    assert_true(whole());
    ask("body");
    expect("ask-end|");
    answer("HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: "
           "0\r\n\r\n");
    expect("interim 103|answer 201|answer-end|");
}

/* The client may spare itself the body of an ask that was refused. */
static void test_expectation_refused(void **state)
{
    (void)state;
    ask("POST /up HTTP/1.1\r\nContent-Length: 400\r\nexpect:100-continue\r\n\r\n");
    answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    ask("GET /next HTTP/1.1\r\n\r\n");
    expect("ask POST /up|answer 413 client-error|answer-end|ask GET /next|ask-end|");
    /* or send it: then it is a body, even if it reads like an ask */
    ask("POST /up HTTP/1.1\r\nContent-Length: 25\r\nExpect: 100-continue\r\n\r\n");
    ask("abc");
    answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    ask("GET /next HTTP/1.1\r\n\r\n");
    expect("ask POST /up|answer 413 client-error|answer-end|ask-end|");
    /* as long as nobody has answered, what comes is the body */
    ask("POST /up HTTP/1.1\r\nContent-Length: 22\r\nExpect: 100-continue\r\n\r\n");
    ask("GET /next HTTP/1.1\r\n\r\n");
    expect("ask POST /up|ask-end|");
}

static void test_upgrade(void **state)
{
    (void)state;
    told.offsets = true;
    ask("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    answer("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n\x81\x02hi");
    expect("ask@0 GET /ws|ask-end@40|answer@0 101|answer-end@65|switch@65 0|");
    ask("GET / HTTP/1.1\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\n\r\n");
    log_feed(&told, SJ_DIR_ASK, NULL, 0, 5);
    expect("");
    assert_true(whole());
}

static void test_connect(void **state)
{
    (void)state;
    ask("CONNECT a:443 HTTP/1.1\r\n\r\n");
    answer("HTTP/1.1 407 Auth\r\nContent-Length: 1\r\n\r\nx");
    expect("ask CONNECT *:443|ask-end|answer 407 client-error|answer-end|");
    ask("GET / HTTP/1.1\r\n\r\nCONNECT a:443 HTTP/1.1\r\n\r\n");
    answer("HTTP/1.1 200 a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 Established\r\n\r\n\x16\x03");
    expect("ask GET /|ask-end|ask CONNECT *:443|ask-end|answer 200|answer-end|answer 200|answer-end|switch 0|");
}

static void test_probe_ask(void **state)
{
    static const char *const yes[] = {
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\n",
        "GET /",
        "GET /x HT",
        "GET /x HTTP/1.1",
        "POST http",
        "OPTIONS *",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT exam",
        "BREW /pot HTTP/1.1\r\n\r\n",
        "DELETE /a\xc3\xa9",
    };
    static const char *const no[] = {
        "",
        "G",
        "GET",
        "GET ",
        "GET x",
        "GET /x\r\n",
        "GET /x y",
        "GET /x HTTP/2.0\r\n",
        "GET /x HTTP/1.2\r\n",
        "GET /x HTTP/1.11\r\n",
        "GET /x HTTP/1.1 \r\n",
        "GET /x HTTP/1.1\r\r\n",
        "GET  /x HTTP/1.1\r\n",
        "GET \t/x",
        "GET /\x01",
        " GET / HTTP/1.1\r\n",
        "\r\nGET / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0",
        "PRI * H",
        "get /x",
        "BREW /pot HTTP/1.1",
        "OPTIONS *x",
        "OPTIONS rtsp://a RTSP/1.0\r\n",
        "INVITE sip:a@b SIP/2.0\r\n",
        "HTTP/1.1 200 OK\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "set key 0 0 1\r\nx\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "EHLO example.com\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "AVERYLONGMETHODNAMETHATNOBODYKNOWS / HTTP/1.1\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(sj_http_decoder.probe(SJ_DIR_ASK, (const uint8_t *)yes[i], strlen(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(sj_http_decoder.probe(SJ_DIR_ASK, (const uint8_t *)no[i], strlen(no[i])));
}

static void test_probe_answer(void **state)
{
    static const char *const yes[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\r\n", "HTTP/1.1 200\n", "HTTP/1.1 200"};
    static const char *const no[] = {
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 2000",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 20: OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2 200 OK\r\n",
        "HTTP/2.0 200 OK",
        "http/1.1 200 OK",
        "RTSP/1.0 200 OK",
        "ICY 200 OK",
        "GET / HTTP/1.1\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(sj_http_decoder.probe(SJ_DIR_ANSWER, (const uint8_t *)yes[i], strlen(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(sj_http_decoder.probe(SJ_DIR_ANSWER, (const uint8_t *)no[i], strlen(no[i])));
}

static void test_decoder_table(void **state)
{
    static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    static const uint8_t junk[] = "\x00\x01junk";

    (void)state;
    assert_ptr_equal(sj_decoder_probe(SJ_DIR_ASK, (const uint8_t *)"GET / HTTP/1.1\r\n", 16), &sj_http_decoder);
    assert_int_equal(sj_decoder_probe(SJ_DIR_ASK, hello, sizeof(hello))->protocol, SJ_PROTO_TLS);
    assert_null(sj_decoder_probe(SJ_DIR_ASK, junk, sizeof(junk)));
    assert_null(sj_decoder_probe(SJ_DIR_ASK, junk, 0));
    assert_null(sj_decoder_probe(SJ_DIR_ANSWER, junk, sizeof(junk)));
    for (size_t i = 0; sj_decoders[i]; i++)
        assert_true(sj_decoders[i]->state_size <= 256);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_exchange),        TEST(test_operations),    TEST(test_long_targets),  TEST(test_status),
        TEST(test_line_ends),           TEST(test_pipeline),      TEST(test_deep_pipeline), TEST(test_interim),
        TEST(test_expectation_refused), TEST(test_upgrade),       TEST(test_connect),       TEST(test_probe_ask),
        TEST(test_probe_answer),        TEST(test_decoder_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
