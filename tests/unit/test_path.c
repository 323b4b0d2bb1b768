// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/path.h"

#define ROOM 120

static const char *normalise(const char *target)
{
    static char out[ROOM];
    size_t n = strlen(target);
    uint8_t *exact = malloc(n ? n : 1);

    assert_non_null(exact);
    memcpy(exact, target, n);
    size_t len = sj_path_normalise(exact, n, false, out, sizeof(out));
    free(exact);
    assert_int_equal(len, strlen(out));
    return out;
}

struct pair {
    const char *target;
    const char *path;
};

static void check(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(normalise(pairs[i].target), pairs[i].path);
}
#define CHECK(pairs) check(pairs, sizeof(pairs) / sizeof((pairs)[0]))

static void test_forms(void **state)
{
    static const struct pair pairs[] = {
        {"/", "/"},
        {"", "/"},
        {"*", "*"},
        {"/*", "/*"},
        {"/users", "/users"},
        {"users/list", "/users/list"},
        {"http://example.com", "/"},
        {"http://example.com/", "/"},
        {"https://user@example.com:8443/a/b?c", "/a/b"},
        {"http://example.com?x=/y", "/"},
        {"http://10.0.0.1/42", "/:id"},
        {"http:/a", "/http:/a"},
        {"/http://a", "/http:/a"},
    };
    (void)state;
    CHECK(pairs);
}

static void test_what_is_dropped(void **state)
{
    static const struct pair pairs[] = {
        {"/search?q=secret", "/search"},
        {"/?q=secret", "/"},
        {"/a#top", "/a"},
        {"/a?b#c?d", "/a"},
        {"/a#b/c", "/a"},
        {"/app;jsessionid=0123456789ABCDEF/page", "/app/page"},
        {"/app;v=1?x", "/app"},
        {"/;v=1", "/"},
        {"/app;a;b/", "/app/"},
    };
    (void)state;
    CHECK(pairs);
}

static void test_slashes_and_dots(void **state)
{
    static const struct pair pairs[] = {
        {"//", "/"},
        {"/v2", "/v2"},
        {"/v2/", "/v2/"},
        {"//a///b//", "/a/b/"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/..", "/"},
        {"/a/.", "/a/"},
        {"/a/b/../..", "/"},
        {"/../../etc/passwd", "/etc/passwd"},
        {"/a/42/../b", "/a/b"},
        {"/a/...", "/a/..."},
        {"/a/..b/.c", "/a/..b/.c"},
        {"/.well-known/acme", "/.well-known/acme"},
    };
    (void)state;
    CHECK(pairs);
}

/* What a route table holds. */
static void test_what_stays(void **state)
{
    static const char *const paths[] = {
        "/api/v1/users",
        "/v2.1/items",
        "/apis/apps/v1beta1/namespaces",
        "/oauth2/token",
        "/s3/bucket",
        "/utf8/x86_64/ipv4",
        "/i18n/en-US",
        "/base64/md5/sha1",
        "/web3/log4j2",
        "/2fa/3d-models/top10",
        "/e2e/k8s/p2p",
        "/feedback/decade/facade/cafe",
        "/index.php",
        "/robots.txt",
        "/favicon.ico",
        "/favicon-32x32.png",
        "/jquery.min.js",
        "/fonts/inter.woff2",
        "/media/intro.mp4",
        "/facade1/qwertyuiopasdfghjklzxcvbnmqwert/gH1iJ2k/abcdefghijklmn5",
        "/abcdefghijklmno/abcdefghijklmnop",
        "/twirp/shop.Orders/GetCustomerAccountTransactionHistoryByDate",
        "/wp-admin/admin-ajax.php",
        "/projects/mine:setIamPolicy",
        "/a~b/c!d/$metadata",
        "/search/hello%20world",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_string_equal(normalise(paths[i]), paths[i]);
}

static void test_ids(void **state)
{
    static const char *const ids[] = {
        "0",
        "42",
        "-1",
        "+49301234567",
        "2024-11-22",
        "2024-11-22T10:00:00Z",
        "12:30",
        "10.0.0.1",
        "1,2,3",
        "user123",
        "INV-00123",
        "order-2024-0001",
        "v1.2.3",
        "v20240101",
        "item-7",
        "user_42",
        "page.3",
        "covid-19",
        "550e8400-e29b-41d4-a716-446655440000",
        "{550E8400-E29B-41D4-A716-446655440000}",
        "507f1f77bcf86cd799439011",
        "3f2a9c1b",
        "3f2a9c1",
        "ab12cd",
        "deadbeefdeadbeef",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "cus_9s6XKzkNRiz8i3",
        "i-0abcd1234ef567890",
        "sha256:9f86d081884c7d659a2feaa0c55ad015",
        "B07FZ8S74R",
        "dQw4w9WgXcQ",
        "V1StGXR8_Z5jdHi6B-myT",
        "abcdefghijklmno5",
        "qwertyuiopasdfghjklzxcvbnmqwerty",
        "gH1iJ2kL",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "dXNlcjpwYXNz=",
        "key=value",
        "john@example.com",
        "john%40example.com",
        "@alice",
        "a%20b%20c%20d",
        "nginx-7d9c5b9f6d-abcde",
        "how-to-write-a-very-long-title-for-an-article-in-words",
        "GetCustomerAccountTransactionHistoryByDateAndPlaceAndNameAndPrice",
        "GetCustomer-AccountTransactionHistoryByDate",
        "\xe4\xb8\xad\xe6\x96\x87",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char target[200];

        snprintf(target, sizeof(target), "/x/%s/y", ids[i]);
        assert_string_equal(normalise(target), "/x/:id/y");
    }
}

static void test_files(void **state)
{
    static const struct pair pairs[] = {
        {"/api/v1/users/42/orders/2024-11-22", "/api/v1/users/:id/orders/:id"},
        {"/users/42.json", "/users/:id.json"},
        {"/7.html", "/:id.html"},
        {"/7.document", "/:id.document"},
        {"/7.documents", "/7.documents"},
        {"/7.d1", "/:id.d1"},
        {"/7-", "/:id"},
        {"/jquery-3.min.js", "/jquery-:id.min.js"},
        {"/static/app.3f2a9c1b.js", "/static/app.:id.js"},
        {"/static/main-3f2a9c1b.css", "/static/main-:id.css"},
        {"/static/chunk-4XZ7QK2J.js", "/static/chunk-:id.js"},
        {"/jquery-3.7.1.min.js", "/jquery-:id.min.js"},
        {"/pool/foo-1.2.3.tar.gz", "/pool/foo-:id.tar.gz"},
        {"/img/550e8400-e29b-41d4-a716-446655440000.png", "/img/:id.png"},
        {"/img/image_1024x768.jpg", "/img/image_:id.jpg"},
        {"/blog/2024-11-22-my-post.html", "/blog/:id.html"},
        {"/d/report.2024", "/d/:id"},
        {"/d/1.2.3.4", "/d/:id"},
        {"/d/john.doe123", "/d/:id"},
        {"/d/.1234.txt", "/d/:id"},
        {"/d/user%40example123.com", "/d/:id"},
        {"/odata/Products(17)", "/odata/Products(:id)"},
        {"/odata/Products('x')/Name", "/odata/Products(:id)/Name"},
        {"/odata/Item123(1)", "/odata/:id(:id)"},
        {"/(1)", "/:id"},
        {"/(x)", "/(x)"},
    };
    (void)state;
    CHECK(pairs);
}

static void test_result_is_printable(void **state)
{
    static const struct pair pairs[] = {
        {"/a%0ab", "/a%0ab"}, {"/a\nb", "/a%0Ab"}, {"/a b", "/a%20b"}, {"/\x7f", "/%7F"}, {"/caf\xe9", "/caf%E9"},
        {"/a\"b", "/a\"b"},   {"/100%", "/:id"},   {"/a%zz", "/a%zz"}, {"/a%2", "/a%2"},
    };
    (void)state;
    CHECK(pairs);

    for (unsigned c = 1; c < 256; c++) {
        char target[] = {'/', 'x', (char)c, 'y', '\0'};

        for (const char *p = normalise(target); *p; p++)
            assert_in_range((uint8_t)*p, '!', '~');
    }
    uint8_t nul[] = {'/', 0};
    char out[ROOM];
    assert_int_equal(sj_path_normalise(nul, 2, false, out, sizeof(out)), 4);
    assert_string_equal(out, "/%00");
}

static void test_bounds(void **state)
{
    (void)state;
    assert_string_equal(normalise("/a/b/c/d/e/f/g/h"), "/a/b/c/d/e/f/g/h");
    assert_string_equal(normalise("/a/b/c/d/e/f/g/h/"), "/a/b/c/d/e/f/g/h/");
    assert_string_equal(normalise("/a/b/c/d/e/f/g/h/i"), "/a/b/c/d/e/f/g/h/*");
    assert_string_equal(normalise("/a/b/c/d/e/f/g/h/i/j/"), "/a/b/c/d/e/f/g/h/*");

    static const char words[] = "/reasonable-words/reasonable-words/reasonable-words/reasonable-words/?x";
    for (size_t size = 4; size < sizeof(words) + 3; size++) {
        char *out = malloc(size);

        assert_non_null(out);
        size_t len = sj_path_normalise((const uint8_t *)words, sizeof(words) - 1, false, out, size);
        assert_int_equal(len, strlen(out));
        assert_true(len < size);
        /* a whole number of segments, then a star; room for the star is kept back even when it is not needed */
        if (size < 71)
            assert_string_equal(out + len - 2, "/*");
        else
            assert_string_equal(out, "/reasonable-words/reasonable-words/reasonable-words/reasonable-words/");
        if (len > 2 && size < 71)
            assert_int_equal((len - 2) % 17, 0);
        free(out);
    }
}

/* A target that was cut off: its last segment is not known. */
static void test_cut(void **state)
{
    static const struct pair pairs[] = {
        {"", "/*"},
        {"/", "/*"},
        {"/use", "/*"},
        {"/users/4", "/users/*"},
        {"/users/", "/users/*"},
        {"/users?q", "/users"},
        {"/users#", "/users"},
        {"/a;b", "/a/*"},
        {"*", "/*"},
        {"http://exam", "/*"},
        {"/a/..", "/a/*"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char out[ROOM];

        sj_path_normalise((const uint8_t *)pairs[i].target, strlen(pairs[i].target), true, out, sizeof(out));
        assert_string_equal(out, pairs[i].path);
    }
}

static void test_authority(void **state)
{
    static const struct pair pairs[] = {
        {"example.com:443", "*:443"},
        {"[::1]:8443", "*:8443"},
        {"example.com", "*"},
        {"example.com:", "*"},
        {"10.0.0.1:123456", "*"},
        {"443", "*"},
        {":443", "*:443"},
        {"", "*"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char out[8];

        sj_path_authority((const uint8_t *)pairs[i].target, strlen(pairs[i].target), false, out, sizeof(out));
        assert_string_equal(out, pairs[i].path);
    }
    char out[8];
    sj_path_authority((const uint8_t *)"example.com:44", 14, true, out, sizeof(out));
    assert_string_equal(out, "*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_dropped),
        cmocka_unit_test(test_slashes_and_dots),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_result_is_printable),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
