// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode/http.h"
#include "decode/http_state.h"
#include "decode_log.h"

/* Heads that come again are not read again: whatever was kept, the same must be told. */

#define OK "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct decode_log plain, keeping[2];
static struct sj_http_heads *heads;

static int setup(void **state)
{
    (void)state;
    heads = calloc(1, sj_http_decoder.shared_size);
    log_open(&plain, &sj_http_decoder);
    for (int i = 0; i < 2; i++) {
        log_open(&keeping[i], &sj_http_decoder);
        sj_http_decoder.share(keeping[i].state, heads);
    }
    return heads ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    log_close(&plain);
    log_close(&keeping[0]);
    log_close(&keeping[1]);
    free(heads);
    return 0;
}

static int kept(void)
{
    int n = 0;

    for (int i = 0; i < SJ_HTTP_HEADS; i++)
        n += heads->head[i].len > 0;
    return n;
}

/* One piece to all three connections; both that share must tell what the one that does not tells. */
static void feed(enum sj_dir dir, const char *text, uint64_t gap)
{
    log_feed(&plain, dir, text, strlen(text), gap);
    for (int i = 0; i < 2; i++) {
        log_feed(&keeping[i], dir, text, strlen(text), gap);
        assert_string_equal(keeping[i].text, plain.text);
    }
}

static void ask(const char *text)
{
    feed(SJ_DIR_ASK, text, 0);
}

static void answer(const char *text)
{
    feed(SJ_DIR_ANSWER, text, 0);
}

static void the_same_again_is_told_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        ask(GET("/users/42"));
        answer(OK);
    }
    assert_int_equal(kept(), 2);
    assert_string_equal(plain.text, "ask GET /users/:id|ask-end|answer 200|answer-end|"
                                    "ask GET /users/:id|ask-end|answer 200|answer-end|"
                                    "ask GET /users/:id|ask-end|answer 200|answer-end|");
}

static void turns_by_turns(void **state)
{
    static const char *const asks[] = {GET("/a"),
                                       GET("/b"),
                                       "GET /a HTTP/1.1\r\nHost: other\r\n\r\n",
                                       "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n",
                                       "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
                                       "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz" GET("/a"),
                                       GET("/a") GET("/b") GET("/a"),
                                       "\r\n" GET("/a"),
                                       "GET /a HTT"};
    static const char *const answers[] = {OK,
                                          OK OK,
                                          "HTTP/1.1 204 No Content\r\nServer: s\r\n\r\n",
                                          "HTTP/1.1 100 Continue\r\nServer: s\r\n\r\n",
                                          "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno",
                                          "HTTP/1.1 503 Busy\r\nServer: s\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nServer: s\r\n\r\nuntil close"};
    uint32_t seed = 1;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned r = seed >> 16;

        if (r & 1)
            feed(SJ_DIR_ASK, asks[(r >> 1) % 9], r % 7 ? 0 : 1);
        else
            feed(SJ_DIR_ANSWER, answers[(r >> 1) % 7], r % 5 ? 0 : 4);
        if (plain.len > sizeof(plain.text) / 2)
            for (int k = 0; k < 3; k++)
                log_clear(k < 2 ? &keeping[k] : &plain);
    }
    assert_true(kept() > 5);
}

/* The method decides whether an answer has a body. */
static void an_ask_does_not_inherit_a_method(void **state)
{
    (void)state;
    ask("HEAD /a HTTP/1.1\r\nA: 1\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    ask(GET("/a"));
    answer(OK);
    ask("HEAD /a HTTP/1.1\r\nA: 1\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    ask("GET /a HTTP/1.1\r\nA: 2\r\n\r\n");
    answer(OK);
    assert_true(sj_http_decoder.whole(keeping[0].state));
}

static void what_is_too_long_is_read_each_time(void **state)
{
    char text[SJ_HTTP_HEAD_MAX + 200];

    (void)state;
    snprintf(text, sizeof(text), "GET /a HTTP/1.1\r\nCookie: %0*d\r\n\r\n", SJ_HTTP_HEAD_MAX, 1);
    ask(text);
    ask(text);
    assert_int_equal(kept(), 0);
    snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n",
             "some/words/that/make/an/operation/longer/than/what-is-kept-of-one/x/y");
    ask(text);
    ask(text);
    assert_int_equal(kept(), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(the_same_again_is_told_again),
        TEST(turns_by_turns),
        TEST(an_ask_does_not_inherit_a_method),
        TEST(what_is_too_long_is_read_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
