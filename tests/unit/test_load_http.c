// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The load generator is no library; its pure part is small enough to be compiled in here. */
#include "../../tools/load/msg.c"

static enum sj_msg_result request(const char *text, struct sj_msg_head *head)
{
    return sj_msg_request(text, strlen(text), head);
}

static enum sj_msg_result response(const char *text, struct sj_msg_head *head)
{
    return sj_msg_response(text, strlen(text), head);
}

static void test_request_fields(void **state)
{
    (void)state;
    struct sj_msg_head h;
    const char *text = "POST /a/b?x=1 HTTP/1.1\r\nHost: here\r\ncontent-LENGTH:  12 \r\nExpect: 100-Continue\r\n"
                       "Connection: keep-alive, Close\r\n\r\n0123456789ab";
    assert_int_equal(request(text, &h), SJ_MSG_OK);
    assert_string_equal(h.method, "POST");
    assert_string_equal(h.path, "/a/b?x=1");
    assert_int_equal(h.size, strlen(text) - 12);
    assert_true(h.has_length && h.expect && h.close);
    assert_false(h.chunked || h.upgrade_echo);
    assert_int_equal(h.length, 12);
    assert_int_equal(sj_msg_request_framing(&h), SJ_MSG_LENGTH);
}

static void test_request_is_cut_anywhere(void **state)
{
    (void)state;
    const char *text = "GET /x HTTP/1.1\r\nUpgrade: echo\r\n\r\n";
    for (size_t len = 0; len < strlen(text); len++) {
        struct sj_msg_head h = {.status = 7};
        assert_int_equal(sj_msg_request(text, len, &h), SJ_MSG_MORE);
        assert_int_equal(h.status, 7);
    }
    struct sj_msg_head h;
    assert_int_equal(request(text, &h), SJ_MSG_OK);
    assert_true(h.upgrade_echo);
    assert_int_equal(sj_msg_request_framing(&h), SJ_MSG_NONE);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /x HTTP/2.0\r\n\r\n",
        "AVERYLONGMETHODNAME /x HTTP/1.1\r\n\r\n",
        "GET /x HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /x HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
        "GET /x HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "GET /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sj_msg_head h;
        assert_int_equal(request(texts[i], &h), SJ_MSG_BAD);
    }
}

static void test_endless_head(void **state)
{
    (void)state;
    static char text[SJ_MSG_HEAD_LIMIT];
    struct sj_msg_head h;
    memset(text, 'a', sizeof(text));
    assert_int_equal(sj_msg_request(text, sizeof(text) - 1, &h), SJ_MSG_MORE);
    assert_int_equal(sj_msg_request(text, sizeof(text), &h), SJ_MSG_BAD);
}

static void test_long_path_is_cut(void **state)
{
    (void)state;
    static char text[3 * SJ_MSG_PATH];
    struct sj_msg_head h;
    int n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n\r\n", 2 * SJ_MSG_PATH, 0);
    assert_int_equal(sj_msg_request(text, (size_t)n, &h), SJ_MSG_OK);
    assert_int_equal(strlen(h.path), SJ_MSG_PATH - 1);
}

static void test_responses(void **state)
{
    (void)state;
    struct sj_msg_head h;
    assert_int_equal(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &h), SJ_MSG_OK);
    assert_int_equal(h.status, 200);
    assert_int_equal(sj_msg_response_framing(&h, "GET"), SJ_MSG_CHUNKED);
    assert_int_equal(sj_msg_response_framing(&h, "HEAD"), SJ_MSG_NONE);
    assert_int_equal(response("HTTP/1.0 404\r\n\r\n", &h), SJ_MSG_OK);
    assert_int_equal(sj_msg_response_framing(&h, "GET"), SJ_MSG_TO_END);
    assert_int_equal(response("HTTP/1.1 304 Unchanged\r\nContent-Length: 9\r\n\r\n", &h), SJ_MSG_OK);
    assert_int_equal(sj_msg_response_framing(&h, "GET"), SJ_MSG_NONE);
    assert_int_equal(response("HTTP/1.1 100 Continue\r\n\r\n", &h), SJ_MSG_OK);
    assert_int_equal(sj_msg_response_framing(&h, "GET"), SJ_MSG_NONE);
    assert_int_equal(response("HTTP/1.1 2000 OK\r\n\r\n", &h), SJ_MSG_BAD);
    assert_int_equal(response("HTTP/1.1 20 OK\r\n\r\n", &h), SJ_MSG_BAD);
    assert_int_equal(response("HTTP/1.1 099 Low\r\n\r\n", &h), SJ_MSG_BAD);
    assert_int_equal(response("ICY 200 OK\r\n\r\n", &h), SJ_MSG_BAD);
}

/* Feeds `text` in steps of `step` bytes; returns how many bytes were taken. */
static size_t feed(struct sj_msg_body *body, const char *text, size_t step)
{
    size_t len = strlen(text);
    size_t at = 0;
    while (at < len && !body->done && !body->bad) {
        size_t n = len - at < step ? len - at : step;
        size_t taken = sj_msg_body_feed(body, text + at, n);
        assert_true(taken <= n);
        at += taken;
    }
    return at;
}

static void test_bodies_in_any_pieces(void **state)
{
    (void)state;
    const char *chunked = "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nGET /next";
    for (size_t step = 1; step < 64; step++) {
        struct sj_msg_body body;
        sj_msg_body_start(&body, SJ_MSG_CHUNKED, 0);
        assert_int_equal(feed(&body, chunked, step), strlen(chunked) - strlen("GET /next"));
        assert_true(body.done && !body.bad);
        assert_int_equal(body.got, 15);

        sj_msg_body_start(&body, SJ_MSG_LENGTH, 7);
        assert_int_equal(feed(&body, "0123456789", step), 7);
        assert_true(body.done);

        sj_msg_body_start(&body, SJ_MSG_TO_END, 0);
        assert_int_equal(feed(&body, "0123456789", step), 10);
        assert_false(body.done);
    }
    struct sj_msg_body body;
    sj_msg_body_start(&body, SJ_MSG_NONE, 0);
    assert_true(body.done);
}

static void test_bad_chunks(void **state)
{
    (void)state;
    static const char *const texts[] = {"\r\n", "x\r\n", "5\r\nhelloX", "fffffffffffffffff\r\n", "5g\r\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sj_msg_body body;
        sj_msg_body_start(&body, SJ_MSG_CHUNKED, 0);
        feed(&body, texts[i], 1);
        assert_true(body.bad);
    }
}

static void test_query(void **state)
{
    (void)state;
    char value[8];
    const char *path = "/x?cpu=5ms&sleep=&asleep=1&size=123456789";
    assert_true(sj_msg_query(path, "cpu", value, sizeof(value)));
    assert_string_equal(value, "5ms");
    assert_true(sj_msg_query(path, "sleep", value, sizeof(value)));
    assert_string_equal(value, "");
    assert_true(sj_msg_query(path, "size", value, sizeof(value)));
    assert_string_equal(value, "1234567");
    assert_false(sj_msg_query(path, "x", value, sizeof(value)));
    assert_false(sj_msg_query("/cpu=5ms", "cpu", value, sizeof(value)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_fields),
        cmocka_unit_test(test_request_is_cut_anywhere),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_long_path_is_cut),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_bodies_in_any_pieces),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
