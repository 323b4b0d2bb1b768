// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "web/http_head.h"

/* What was parsed, in memory of just the size of the text, so that the sanitizer sees each byte beyond. */
struct parsed {
    struct sj_http_head head;
    char *bytes;
    size_t n;
    int rc;
};

static struct parsed parse_bytes(const char *text, size_t n)
{
    struct parsed p = {.bytes = malloc(n ? n : 1), .n = n};
    assert_non_null(p.bytes);
    memcpy(p.bytes, text, n);
    p.rc = sj_http_head_parse(p.bytes, n, &p.head);
    return p;
}

static struct parsed parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static int status_of_bytes(const char *text, size_t n)
{
    struct parsed p = parse_bytes(text, n);
    free(p.bytes);
    return p.rc;
}

static int status_of(const char *text)
{
    return status_of_bytes(text, strlen(text));
}

/* A whole request with this first line, or with this further field. */
static int status_of_line(const char *line)
{
    char text[4096];
    snprintf(text, sizeof(text), "%s\r\nHost: h\r\n\r\n", line);
    return status_of(text);
}

static int status_of_field(const char *field)
{
    char text[4096];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", field);
    return status_of(text);
}

static void what_a_scraper_sends_is_understood(void **state)
{
    (void)state;
    static const char text[] = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:10435\r\nUser-Agent: Prometheus/2.42.0\r\n"
                               "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n"
                               "accept-encoding:gzip\r\nAuthorization: Basic YTpi  \r\n"
                               "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\nGET /next";
    struct parsed p = parse(text);
    assert_int_equal(p.rc, sizeof(text) - 1 - strlen("GET /next"));
    assert_int_equal(p.head.method, SJ_HTTP_GET);
    assert_string_equal(p.head.path, "/metrics");
    assert_true(p.head.keep_alive);
    assert_false(p.head.body);
    assert_string_equal(p.head.accept, "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    assert_string_equal(p.head.accept_encoding, "gzip");
    assert_string_equal(p.head.authorization, "Basic YTpi");
    assert_memory_equal(p.bytes + p.rc, "GET /next", 9);
    free(p.bytes);
}

/* A head may come in any pieces: until its last byte is there, nothing is decided, and no byte is changed. */
static void every_cut_waits_for_the_rest(void **state)
{
    (void)state;
    static const char text[] = "\r\nHEAD /-/ready?x=1 HTTP/1.1\r\nHost: h\r\nAccept: a\r\nConnection: close\r\n\r\n";
    const size_t n = sizeof(text) - 1;
    for (size_t cut = 0; cut < n; cut++) {
        struct parsed p = parse_bytes(text, cut);
        assert_int_equal(p.rc, 0);
        assert_memory_equal(p.bytes, text, cut);
        free(p.bytes);
    }
    struct parsed p = parse_bytes(text, n);
    assert_int_equal(p.rc, n);
    assert_int_equal(p.head.method, SJ_HTTP_HEAD);
    assert_string_equal(p.head.path, "/-/ready");
    assert_false(p.head.keep_alive);
    free(p.bytes);
}

static void methods_other_than_get_and_head_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum sj_http_method method;
    } lines[] = {{"GET / HTTP/1.1", SJ_HTTP_GET},        {"HEAD / HTTP/1.1", SJ_HTTP_HEAD},
                 {"POST / HTTP/1.1", SJ_HTTP_OTHER},     {"get / HTTP/1.1", SJ_HTTP_OTHER},
                 {"GETS / HTTP/1.1", SJ_HTTP_OTHER},     {"OPTIONS * HTTP/1.1", SJ_HTTP_OTHER},
                 {"TRACE / HTTP/1.1", SJ_HTTP_OTHER},    {"CONNECT a:443 HTTP/1.1", SJ_HTTP_OTHER},
                 {"DELETE /%zz HTTP/1.1", SJ_HTTP_OTHER}};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s\r\nHost: h\r\n\r\n", lines[i].line);
        struct parsed p = parse(text);
        assert_int_equal(p.rc, strlen(text));
        assert_int_equal(p.head.method, lines[i].method);
        free(p.bytes);
    }
}

static void broken_first_lines_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "GET",
                                      "GET /",
                                      "GET / ",
                                      "GET / HTTP",
                                      "GET / HTTP/1",
                                      "GET / HTTP/1.",
                                      "GET / HTTP/1.x",
                                      "GET / HTTP/1.10",
                                      "GET / HTTP/x.1",
                                      "GET / http/1.1",
                                      "GET  / HTTP/1.1",
                                      "GET /  HTTP/1.1",
                                      "GET / HTTP/1.1 ",
                                      " GET / HTTP/1.1",
                                      "GET\t/\tHTTP/1.1",
                                      "GET /a b HTTP/1.1",
                                      "G(T / HTTP/1.1",
                                      "G\x80T / HTTP/1.1",
                                      "GET metrics HTTP/1.1",
                                      "GET * HTTP/1.1",
                                      "GET ../metrics HTTP/1.1",
                                      "GET ftp://h/ HTTP/1.1",
                                      "GET http:/ HTTP/1.1",
                                      "GET /\x7f HTTP/1.1",
                                      "GET /\xc3\xa9 HTTP/1.1",
                                      "GET /%2 HTTP/1.1",
                                      "GET /% HTTP/1.1",
                                      "GET /%g0 HTTP/1.1",
                                      "GET /%00 HTTP/1.1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (status_of_line(bad[i]) != -400)
            fail_msg("'%s' is taken for good", bad[i]);
    assert_int_equal(status_of_line("GET / HTTP/2.0"), -505);
    assert_int_equal(status_of_line("GET / HTTP/0.9"), -505);
    assert_int_equal(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505);
}

static void paths_are_undone_but_never_reach_another(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path;
    } targets[] = {
        {"/metrics", "/metrics"},
        {"/m%65trics", "/metrics"},
        {"/%6D%65trics?format=text", "/metrics"},
        {"/?", "/"},
        {"/a?b?c%zz", "/a"}, /* nobody looks at a query */
        {"http://h/metrics", "/metrics"},
        {"HTTP://h:80/metrics?x", "/metrics"},
        {"https://u@h/metrics", "/metrics"},
        {"http://h", "/"},
        {"http://h?x", "/"},
        /* what leads elsewhere on a disk is just another name here, and none that exists */
        {"/../etc/passwd", "/../etc/passwd"},
        {"/%2e%2e/etc/passwd", "/../etc/passwd"},
        {"/..%2fetc%2Fpasswd", "/..%etc%passwd"},
        {"/-%2fready", "/-%ready"},
        {"//metrics", "//metrics"},
        {"/metrics/", "/metrics/"},
        {"/metrics;a=b", "/metrics;a=b"},
        {"/%2525", "/%25"},
        {"/%252f", "/%2f"},
        {"/a%0d%0ab", "/a\r\nb"},
        {"/%ff%fe", "/\xff\xfe"},
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", targets[i].target);
        struct parsed p = parse(text);
        assert_int_equal(p.rc, strlen(text));
        assert_string_equal(p.head.path, targets[i].path);
        free(p.bytes);
    }
}

static void a_long_path_is_cut_and_still_none_of_ours(void **state)
{
    (void)state;
    char text[1024] = "GET /metrics";
    size_t n = strlen(text);
    memset(text + n, '/', 500);
    snprintf(text + n + 500, sizeof(text) - n - 500, " HTTP/1.1\r\nHost: h\r\n\r\n");
    struct parsed p = parse(text);
    assert_int_equal(p.rc, strlen(text));
    assert_int_equal(strlen(p.head.path), SJ_HTTP_PATH_SIZE - 1);
    assert_int_equal(strncmp(p.head.path, "/metrics///", 11), 0);
    free(p.bytes);
}

static void broken_fields_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "no-colon",
        ": no name",
        "Na me: x",
        "Name : x",
        "Name\t: x",
        " Folded: x",      /* a line that begins with a blank continues the one before, in the HTTP of old */
        "A: b\r\n folded", /* the same */
        "A: b\r\n\tfolded",
        "A: \x01",
        "A: \x7f",
        "A: b\nB: c", /* LF alone ends no line */
        "A: b\rB: c", /* nor does CR */
        "A: b\r\r\n",
        "N\x80me: x",
        "Na(me: x",
        "Host: other", /* the second one */
        "Content-Length: x",
        "Content-Length:",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 1, 1",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 5\r\nContent-Length: 6",
        "Authorization: a\r\nAuthorization: a",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (status_of_field(bad[i]) != -400)
            fail_msg("'%s' is taken for good", bad[i]);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n\r\n"), -400); /* no Host */
    assert_int_equal(status_of("GET / HTTP/1.1\nHost: h\n\n"), -400);
    assert_int_equal(status_of("\r\n\r\n"), -400);
    assert_int_equal(status_of("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), -400);
    assert_int_equal(status_of_bytes("GET /\0 HTTP/1.1\r\n\r\n", 19), -400);
}

static void fields_that_are_odd_but_right_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "A:",
        "A:b",
        "A: \t b \t ",
        "A: \xc3\xa9\xff",
        "!#$%&'*+-.^_`|~1aZ: x",
        "Accept: a\r\nAccept: b",
        "Content-Length: 0",
        "Content-Length: 00000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (status_of_field(good[i]) <= 0)
            fail_msg("'%s' is refused", good[i]);
    struct parsed p =
        parse("GET / HTTP/1.1\r\nHost:\r\naCCept: first\r\nAccept: second\r\nACCEPT-ENCODING: \t gzip\t\r\n\r\n");
    assert_true(p.rc > 0);
    assert_string_equal(p.head.accept, "first");
    assert_string_equal(p.head.accept_encoding, "gzip");
    assert_null(p.head.authorization);
    free(p.bytes);
}

static void a_body_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool body;
    } fields[] = {{"Content-Length: 0", false},
                  {"Content-Length: 1", true},
                  {"Content-Length: 00010", true},
                  {"Content-Length: 99999999999999999999999999999999", true},
                  {"Transfer-Encoding: chunked", true},
                  {"Transfer-Encoding: identity", true},
                  {"Content-Length: 0\r\nTransfer-Encoding: chunked", true},
                  {"Transfer-Encoding: chunked\r\nContent-Length: 0", true},
                  {"X-Content-Length: 5", false}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", fields[i].field);
        struct parsed p = parse(text);
        assert_true(p.rc > 0);
        assert_int_equal(p.head.body, fields[i].body);
        free(p.bytes);
    }
}

static void connections_stay_as_their_version_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool stays;
    } heads[] = {{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: te, close\r\n\r\n", false},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true},
                 {"GET / HTTP/1.0\r\n\r\n", false},
                 {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false}};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct parsed p = parse(heads[i].text);
        assert_int_equal(p.rc, strlen(heads[i].text));
        assert_int_equal(p.head.keep_alive, heads[i].stays);
        free(p.bytes);
    }
}

/* A head of n bytes, blank line included, with so many fields; lead comes before it. */
static char *made_head(const char *lead, size_t n, unsigned fields)
{
    char *text = malloc(n + strlen(lead) + 1);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, n, "%sGET / HTTP/1.1\r\nHost: h\r\n", lead);
    for (unsigned i = 1; i < fields; i++)
        used += (size_t)snprintf(text + used, n - used, "A: b\r\n");
    size_t fill = n + strlen(lead) - used - strlen("P: \r\n\r\n");
    memcpy(text + used, "P: ", 3);
    memset(text + used + 3, 'x', fill);
    memcpy(text + used + 3 + fill, "\r\n\r\n", 5);
    assert_int_equal(strlen(text), n + strlen(lead));
    return text;
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    char *fits = made_head("", SJ_HTTP_HEAD_MAX, 1), *longer = made_head("", SJ_HTTP_HEAD_MAX + 1, 1);
    assert_int_equal(status_of(fits), SJ_HTTP_HEAD_MAX);
    assert_int_equal(status_of(longer), -431);
    free(fits);
    free(longer);

    fits = made_head("", 1000, SJ_HTTP_FIELDS_MAX - 1);
    longer = made_head("", 1000, SJ_HTTP_FIELDS_MAX);
    assert_int_equal(status_of(fits), 1000);
    assert_int_equal(status_of(longer), -431);
    free(fits);
    free(longer);

    char line[SJ_HTTP_LINE_MAX + 2];
    memset(line, 'x', sizeof(line));
    memcpy(line, "GET /", 5);
    memcpy(line + SJ_HTTP_LINE_MAX - 9, " HTTP/1.1", 10);
    assert_true(status_of_line(line) > 0);
    memset(line, 'x', sizeof(line));
    memcpy(line, "GET /", 5);
    memcpy(line + SJ_HTTP_LINE_MAX - 8, " HTTP/1.1", 10);
    assert_int_equal(status_of_line(line), -414);
}

/* The server reads no more than the limit, so what has no end by then must be refused, or it would wait in vain. */
static void what_fills_the_room_without_an_end_is_refused(void **state)
{
    (void)state;
    static const char *const leads[] = {"", "\r\n"};
    for (size_t i = 0; i < 2; i++) {
        char *text = made_head(leads[i], 2 * (size_t)SJ_HTTP_HEAD_MAX, 1);
        assert_int_equal(status_of_bytes(text, SJ_HTTP_HEAD_MAX), -431);
        assert_int_equal(status_of_bytes(text, SJ_HTTP_HEAD_MAX - 1), 0);
        free(text);
    }
    char line[SJ_HTTP_LINE_MAX + 1];
    memset(line, 'G', sizeof(line));
    assert_int_equal(status_of_bytes(line, SJ_HTTP_LINE_MAX), 0);
    assert_int_equal(status_of_bytes(line, SJ_HTTP_LINE_MAX + 1), -414);
}

static void lists_are_searched_by_item(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool has;
    } lists[] = {{NULL, false},
                 {"", false},
                 {"gzip", true},
                 {"GZip", true},
                 {"x-gzip", false},
                 {"gzipped", false},
                 {"br, gzip", true},
                 {" ,,\t, gzip ,", true},
                 {"deflate;q=0.5, gzip;q=1.0", true},
                 {"gzip;q=0", false},
                 {"gzip; q=0.000", false},
                 {"gzip;Q=0", false},
                 {"gzip;q=0.001", true},
                 {"gzip;q=", true},
                 {"gzip;q", true},
                 {"br;q=0, gzip", true},
                 {"br gzip", false}};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (sj_http_list_has(lists[i].list, "gzip") != lists[i].has)
            fail_msg("'%s'", lists[i].list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_scraper_sends_is_understood),
        cmocka_unit_test(every_cut_waits_for_the_rest),
        cmocka_unit_test(methods_other_than_get_and_head_are_told_apart),
        cmocka_unit_test(broken_first_lines_are_refused),
        cmocka_unit_test(paths_are_undone_but_never_reach_another),
        cmocka_unit_test(a_long_path_is_cut_and_still_none_of_ours),
        cmocka_unit_test(broken_fields_are_refused),
        cmocka_unit_test(fields_that_are_odd_but_right_are_taken),
        cmocka_unit_test(a_body_is_noticed),
        cmocka_unit_test(connections_stay_as_their_version_has_it),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(what_fills_the_room_without_an_end_is_refused),
        cmocka_unit_test(lists_are_searched_by_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
