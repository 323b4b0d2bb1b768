// SPDX-License-Identifier: GPL-3.0-or-later
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "web/web_config.h"

#define HASH "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
#define TLS "tls_server_config: {cert_file: c, key_file: k"

static struct sj_web_config *parsed(const char *text)
{
    struct sj_web_config *c = NULL;
    struct sj_err err = {.text = ""};
    if (sj_web_config_parse(text, strlen(text), "/etc/sojourn/web.yml", &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

/* Every key of the exporters' documentation but those that sojourn.yaml(5) names as missing. */
static void what_exporters_take_is_taken(void **state)
{
    (void)state;
    struct sj_web_config *c = parsed("tls_server_config:\n"
                                     "  cert_file: server.crt\n"
                                     "  key_file: /keys/server.key\n"
                                     "  client_auth_type: RequireAndVerifyClientCert\n"
                                     "  client_ca_file: ca.crt\n"
                                     "  client_allowed_sans: [one.example, 127.0.0.1]\n"
                                     "  min_version: TLS12\n"
                                     "  max_version: TLS13\n"
                                     "  cipher_suites:\n"
                                     "    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"
                                     "    - TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305\n"
                                     "    - TLS_AES_256_GCM_SHA384\n"
                                     "  prefer_server_cipher_suites: false\n"
                                     "  curve_preferences: [X25519, CurveP256, CurveP384, CurveP521]\n"
                                     "http_server_config:\n"
                                     "  http2: true\n"
                                     "  headers:\n"
                                     "    Content-Security-Policy: \"frame-ancestors 'none'\"\n"
                                     "    X-Frame-Options: ''\n"
                                     "    X-Content-Type-Options: nosniff\n"
                                     "    X-XSS-Protection: '1'\n"
                                     "    Strict-Transport-Security: max-age=60\n"
                                     "basic_auth_users:\n"
                                     "  alice: " HASH "\n"
                                     "  bob: " HASH "\n");
    assert_true(c->tls);
    assert_string_equal(c->cert_file, "/etc/sojourn/server.crt");
    assert_string_equal(c->key_file, "/keys/server.key");
    assert_string_equal(c->client_ca_file, "/etc/sojourn/ca.crt");
    assert_int_equal(c->client_auth, SJ_CLIENT_REQUIRE_VERIFY);
    assert_string_equal(c->sans[0], "one.example");
    assert_string_equal(c->sans[1], "127.0.0.1");
    assert_null(c->sans[2]);
    assert_int_equal(c->min_version, TLS1_2_VERSION);
    assert_int_equal(c->max_version, TLS1_3_VERSION);
    assert_string_equal(c->ciphers, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305");
    assert_string_equal(c->suites, "TLS_AES_256_GCM_SHA384");
    assert_false(c->prefer_server_ciphers);
    assert_string_equal(c->groups, "X25519:P-256:P-384:P-521");
    assert_int_equal(c->n_headers, 5);
    assert_string_equal(c->headers[1].name, "X-Frame-Options");
    assert_string_equal(c->headers[1].value, "");
    assert_int_equal(c->n_users, 2);
    assert_string_equal(c->users[1].name, "bob");
    assert_string_equal(c->users[1].hash, HASH);
    sj_web_config_free(c);
    sj_web_config_free(NULL);
}

static void what_is_left_out_is_as_exporters_have_it(void **state)
{
    (void)state;
    static const char *const empty[] = {"",
                                        "# nothing\n",
                                        "---\n",
                                        "{}",
                                        "basic_auth_users:\nhttp_server_config:\n",
                                        "http_server_config:\n  headers:\n"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct sj_web_config *c = parsed(empty[i]);
        assert_true(!c->tls && !c->cert_file && !c->sans && c->n_users == 0 && c->n_headers == 0);
        sj_web_config_free(c);
    }
    struct sj_web_config *c = parsed(TLS "}\n");
    assert_int_equal(c->client_auth, SJ_CLIENT_NONE);
    assert_int_equal(c->min_version, TLS1_2_VERSION);
    assert_int_equal(c->max_version, 0);
    assert_true(c->prefer_server_ciphers);
    assert_true(!c->ciphers && !c->suites && !c->groups);
    sj_web_config_free(c);
    c = parsed(TLS ", cipher_suites: [TLS_AES_128_GCM_SHA256]}\n"); /* none for 1.2: so that is not spoken */
    assert_int_equal(c->min_version, TLS1_3_VERSION);
    sj_web_config_free(c);
    for (char letter = 'a'; letter <= 'y'; letter++) { /* the three names of the same thing */
        char text[128] = "basic_auth_users: {u: '" HASH "'}";
        *strchr(strchr(text, '2'), 'y') = letter;
        struct sj_err err;
        c = NULL;
        int rc = sj_web_config_parse(text, strlen(text), "w", &c, &err);
        assert_int_equal(rc, strchr("aby", letter) ? 0 : -1);
        sj_web_config_free(c);
    }
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"tls_server_confg: {}\n",
         "w.yml:1: unknown key 'tls_server_confg'; known: tls_server_config, http_server_config"},
        {"\n\nrate_limit:\n  burst: 5\n", "w.yml:3: unknown key 'rate_limit'"},
        {"basic_auth_users: {}\nbasic_auth_users: {}\n", "w.yml:2: 'basic_auth_users' is there twice"},
        {"text", "w.yml:1: the web configuration should be a mapping"},
        {"- a\n", "w.yml:1: the web configuration should be a mapping"},
        {"[a]: b\n", "w.yml:1: a key of the web configuration is no text"},
        {"a: b\n---\nc: d\n", "w.yml:1: unknown key 'a'"},
        {"{}\n---\n{}\n", "w.yml:3: a second document"},
        {"{}\n---\n'\n", "w.yml:"},
        {"tls_server_config: [\n", "w.yml:2: "},
        {"a: *b\n", "w.yml:1: found undefined alias"},
        {"\tx: y\n", "w.yml:1: "},
        {"tls_server_config: yes\n", "w.yml:1: tls_server_config should be a mapping"},
        {"tls_server_config:\n", "w.yml:1: tls_server_config needs cert_file and key_file"},
        {"tls_server_config: {cert_file: c}\n", "w.yml:1: tls_server_config needs cert_file and key_file"},
        {"tls_server_config: {cert_file: ''}\n", "w.yml:1: the name of a file is expected here"},
        {"tls_server_config: {cert_file: [c]}\n", "w.yml:1: the name of a file is expected here"},
        {"tls_server_config: {cert_file: \"c\\0d\"}\n", "w.yml:1: the name of a file is expected here"},
        {"tls_server_config: {cert: PEM}\n", "w.yml:1: unknown key 'cert'; known: cert_file, "},
        {TLS ",\n client_auth_type: Require}\n", "w.yml:2: client_auth_type is NoClientCert, "},
        {TLS ", client_auth_type: [NoClientCert]}\n", "w.yml:1: client_auth_type is "},
        {TLS ", client_auth_type: RequireAndVerifyClientCert}\n",
         "w.yml:1: this client_auth_type needs client_ca_file"},
        {TLS ", client_auth_type: VerifyClientCertIfGiven}\n", "w.yml:1: this client_auth_type needs client_ca_file"},
        {TLS ", client_ca_file: a}\n", "w.yml:1: client_ca_file has no use without"},
        {TLS ", client_allowed_sans: [a]}\n", "w.yml:1: client_allowed_sans needs client_auth_type"},
        {TLS ", client_allowed_sans: a}\n", "w.yml:1: a list is expected here"},
        {TLS ", client_allowed_sans: [[a]]}\n", "w.yml:1: an item of the list is no text"},
        {TLS ", client_allowed_sans: ['']}\n", "w.yml:1: an item of the list is no text"},
        {TLS ", min_version: TLS10}\n", "w.yml:1: versions are TLS12 and TLS13"},
        {TLS ", min_version: TLS13, max_version: TLS12}\n", "w.yml:1: max_version is below min_version"},
        {TLS ", max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]}\n", "w.yml:1: cipher_suites has none"},
        {TLS ", cipher_suites: [TLS_ROT13]}\n", "w.yml:1: no cipher suite 'TLS_ROT13'"},
        {TLS ", cipher_suites: 'TLS_AES_128_GCM_SHA256'}\n", "w.yml:1: a list is expected here"},
        {TLS ", curve_preferences: [P-256]}\n", "w.yml:1: curves are CurveP256, "},
        {TLS ", prefer_server_cipher_suites: maybe}\n", "w.yml:1: true or false is expected here"},
        {"http_server_config: {http2: 1}\n", "w.yml:1: true or false is expected here"},
        {"http_server_config: {http3: true}\n", "w.yml:1: unknown key 'http3'; known: http2, headers"},
        {"http_server_config:\n  headers:\n    X-Powered-By: x\n", "w.yml:3: headers that can be set are "},
        {"http_server_config: {headers: {X-Frame-Options: [deny]}}\n", "w.yml:1: text is expected here"},
        {"http_server_config: {headers: {X-Frame-Options: \"a\\r\\nSet-Cookie: b\"}}\n",
         "w.yml:1: a header's value is "},
        {"http_server_config: {headers: {X-Frame-Options: \"a\\0b\"}}\n", "w.yml:1: text is expected here"},
        {"basic_auth_users: [alice]\n", "w.yml:1: basic_auth_users should be a mapping"},
        {"basic_auth_users:\n  alice: secret\n", "w.yml:2: a user's password is stored as bcrypt hash"},
        {"basic_auth_users:\n  alice: " HASH "x\n", "w.yml:2: a user's password is stored as bcrypt hash"},
        {"basic_auth_users:\n  alice: [" HASH "]\n", "w.yml:2: a user's password is stored as bcrypt hash"},
        {"basic_auth_users:\n  '': " HASH "\n", "w.yml:2: a user's name is not empty and holds no colon"},
        {"basic_auth_users:\n  'a:b': " HASH "\n", "w.yml:2: a user's name is not empty and holds no colon"},
        {"basic_auth_users:\n  a: " HASH "\n  a: " HASH "\n", "w.yml:3: 'a' is there twice"},
        {"basic_auth_users:\n  a: $2y$16$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n",
         "w.yml:2: a bcrypt cost of 16; 4 to 15 are allowed"},
        {"basic_auth_users:\n  a: $2y$03$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n",
         "w.yml:2: a bcrypt cost of 3; 4 to 15 are allowed"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sj_web_config *c = NULL;
        struct sj_err err = {.text = ""};
        if (sj_web_config_parse(bad[i].text, strlen(bad[i].text), "w.yml", &c, &err) != -1)
            fail_msg("taken for good:\n%s", bad[i].text);
        assert_null(c);
        assert_int_equal(err.status, EX_CONFIG);
        if (strncmp(err.text, bad[i].why, strlen(bad[i].why)) != 0 || strchr(err.text, '\n') ||
            strstr(err.text, "secret"))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
}

/* So many users. */
static char *made_users(unsigned n)
{
    size_t size = 64 + (size_t)n * (sizeof(HASH) + 16);
    char *text = malloc(size);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, size, "basic_auth_users:\n");
    for (unsigned i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, size - used, "  u%u: " HASH "\n", i);
    return text;
}

static void users_are_bounded(void **state)
{
    (void)state;
    struct sj_web_config *c = NULL;
    struct sj_err err;
    char *text = made_users(SJ_WEB_USERS_MAX);
    c = parsed(text);
    assert_int_equal(c->n_users, SJ_WEB_USERS_MAX);
    sj_web_config_free(c);
    free(text);
    c = NULL;
    text = made_users(SJ_WEB_USERS_MAX + 1);
    assert_int_equal(sj_web_config_parse(text, strlen(text), "w", &c, &err), -1);
    assert_non_null(strstr(err.text, "w:258: more than 256 users"));
    free(text);
}

static void files_are_read_or_told_of(void **state)
{
    (void)state;
    char path[] = "/tmp/sj-web-XXXXXX";
    struct sj_web_config *c = NULL;
    struct sj_err err = {.text = ""};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "basic_auth_users: {}\n", 21), 21);
    assert_int_equal(sj_web_config_read(path, &c, &err), 0);
    sj_web_config_free(c);
    c = NULL;
    assert_int_equal(ftruncate(fd, (off_t)SJ_WEB_CONFIG_MAX + 1), 0);
    assert_int_equal(sj_web_config_read(path, &c, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_non_null(strstr(err.text, path));
    close(fd);
    unlink(path);
    assert_int_equal(sj_web_config_read(path, &c, &err), -1);
    assert_int_equal(err.status, EX_NOINPUT);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(sj_web_config_read("/tmp", &c, &err), -1);
    assert_non_null(strstr(err.text, "Is a directory"));
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exporters_take_is_taken),
        cmocka_unit_test(what_is_left_out_is_as_exporters_have_it),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(users_are_bounded),
        cmocka_unit_test(files_are_read_or_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
