// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_client.h"
#include "net/url.h"

static void urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        uint16_t port;
        const char *target, *authority;
    } urls[] = {
        {"http://h", false, "h", 80, "/", "h"},
        {"https://h", true, "h", 443, "/", "h"},
        {"HTTPS://Example.ORG/x", true, "Example.ORG", 443, "/x", "Example.ORG"},
        {"http://127.0.0.1:9093", false, "127.0.0.1", 9093, "/", "127.0.0.1:9093"},
        {"http://h:80/", false, "h", 80, "/", "h"},
        {"https://h:80/", true, "h", 80, "/", "h:80"},
        {"http://h?a=b", false, "h", 80, "/?a=b", "h"},
        {"http://h/a/b?c=d&e=f/g:h@i", false, "h", 80, "/a/b?c=d&e=f/g:h@i", "h"},
        {"http://[::1]", false, "::1", 80, "/", "[::1]"},
        {"http://[2001:db8::1]:65535/x", false, "2001:db8::1", 65535, "/x", "[2001:db8::1]:65535"},
        {"http://a_b-c.d:1", false, "a_b-c.d", 1, "/", "a_b-c.d:1"},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct sj_url u;
        struct sj_err err = {.text = ""};
        char authority[SJ_URL_HOST_SIZE + 16];
        if (sj_url_parse(urls[i].text, &u, &err) < 0)
            fail_msg("%s: %s", urls[i].text, err.text);
        assert_int_equal(u.tls, urls[i].tls);
        assert_string_equal(u.host, urls[i].host);
        assert_int_equal(u.port, urls[i].port);
        assert_string_equal(u.target, urls[i].target);
        assert_string_equal(sj_url_authority(&u, authority, sizeof(authority)), urls[i].authority);
        free(u.target);
    }
}

/* Each refusal says why, and never repeats the URL: it may be the secret. */
static void what_is_no_url_is_refused_without_being_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "http:// or https://"},
        {"secret", "http:// or https://"},
        {"ftp://secret", "http:// or https://"},
        {"http:/secret", "http:// or https://"},
        {"http://", "no host"},
        {"http:///secret", "no host"},
        {"http://:80/secret", "no host"},
        {"http://u:secret@h/", "credentials"},
        {"http://secret@h", "credentials"},
        {"http://h/secret#x", "escaped"},
        {"http://h/a secret", "escaped"},
        {"http://h/\nsecret", "escaped"},
        {"http://h/\xc3\xa9secret", "escaped"},
        {"http://h/\"secret", "escaped"},
        {"http://h\\secret", "escaped"},
        {"http://h:/secret", "port"},
        {"http://h:0/secret", "port"},
        {"http://h:65536/secret", "port"},
        {"http://h:99999999999/secret", "port"},
        {"http://h:+80/secret", "port"},
        {"http://h:8secret", "port"},
        {"http://[::1", "bracket"},
        {"http://[::secret]/", "neither"},
        {"http://[]/", "no host"},
        {"http://[::1]secret/", "port"},
        {"http://[127.0.0.1]/", "neither"},
        {"http://::1/", "no host"},
        {"http://a,secret/", "neither"},
        {"http://%73ecret/", "neither"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sj_url u = {.port = 7};
        struct sj_err err = {.text = ""};
        assert_int_equal(sj_url_parse(bad[i].text, &u, &err), -1);
        assert_int_equal(err.status, EX_CONFIG);
        if (!strstr(err.text, bad[i].why) || strstr(err.text, "secret"))
            fail_msg("%s: %s", bad[i].text, err.text);
        assert_true(u.port == 7 && !u.target);
    }
}

static void a_host_has_at_most_255_bytes(void **state)
{
    (void)state;
    char text[SJ_URL_HOST_SIZE + 16] = "http://";
    struct sj_url u;
    struct sj_err err;
    memset(text + 7, 'h', SJ_URL_HOST_SIZE - 1);
    assert_int_equal(sj_url_parse(text, &u, &err), 0);
    assert_int_equal(strlen(u.host), SJ_URL_HOST_SIZE - 1);
    free(u.target);
    text[7 + SJ_URL_HOST_SIZE - 1] = 'h';
    assert_int_equal(sj_url_parse(text, &u, &err), -1);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t wait_s;
    } values[] = {{"0", 0},
                  {"1", 1},
                  {"120", 120},
                  {"86400", 86400},
                  {"86401", 86400},
                  {"99999999999999999999999", 86400},
                  {"1.5", 0},
                  {"5s", 0},
                  {"-5", 0},
                  {"", 0},
                  {"soon", 0},
                  {"Wed, 25 Nov 2026 20:00:30 GMT", 30},
                  {"Wed, 25 Nov 2026 19:59:59 GMT", 0}, /* over already */
                  {"Thu, 25 Nov 2027 20:00:00 GMT", 86400},
                  {"Wed, 25 Nov 2026 20:00 GMT", 0},
                  {"Wed, 25 Brr 2026 20:00:30 GMT", 0},
                  {"Wed, 25 N 2026 20:00:30 GMT", 0}};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (sj_http_retry_after(values[i].value, 1795636800 /* Wed, 25 Nov 2026 20:00:00 GMT */) != values[i].wait_s)
            fail_msg("'%s'", values[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_is_no_url_is_refused_without_being_shown),
        cmocka_unit_test(a_host_has_at_most_255_bytes),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
