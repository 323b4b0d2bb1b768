// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "made_cert.h"
#include "net/tls.h"
#include "own_folder.h"
#include "web/web_tls.h"

/* A folder with c.pem, its key k.pem, another key o.pem and a file that is none of these. */
static int make_files(void **state)
{
    if (make_own_folder(state) != 0)
        return -1;
    EVP_PKEY *key = made_key(), *other = made_key();
    X509 *cert = made_cert(key, NULL);
    made_cert_file(path_of("c.pem"), cert);
    made_key_file(path_of("k.pem"), key);
    made_key_file(path_of("o.pem"), other);
    write_text("junk", "no certificate\n");
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

/* The server's side by these keys below tls_server_config; NULL and why not. */
static SSL_CTX *context(const char *keys, struct sj_err *err)
{
    char text[512];
    struct sj_web_config *c = NULL;
    snprintf(text, sizeof(text), "tls_server_config: {%s}\n", keys);
    err->text[0] = '\0';
    if (sj_web_config_parse(text, strlen(text), path_of("web.yml"), &c, err) < 0)
        fail_msg("%s", err->text);
    SSL_CTX *made = sj_web_tls(c, err);
    if (made)
        SSL_CTX_set_app_data(made, NULL);
    sj_web_config_free(c);
    return made;
}

/* Is the suite, by OpenSSL's name, one that this side speaks? */
static bool speaks(SSL_CTX *context, const char *name)
{
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(context);
    bool found = false;
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
        found = found || strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)), name) == 0;
    return found;
}

static void what_the_file_says_is_what_is_spoken(void **state)
{
    (void)state;
    struct sj_err err;
    SSL_CTX *c = context("cert_file: c.pem, key_file: k.pem", &err);
    assert_non_null(c);
    assert_int_equal(SSL_CTX_get_min_proto_version(c), TLS1_2_VERSION);
    assert_true(SSL_CTX_get_options(c) & SSL_OP_CIPHER_SERVER_PREFERENCE);
    assert_true(speaks(c, "TLS_AES_128_GCM_SHA256") && speaks(c, "ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert_int_equal(SSL_CTX_get_verify_mode(c), SSL_VERIFY_NONE);
    SSL_CTX_free(c);
    c = context("cert_file: c.pem, key_file: k.pem, prefer_server_cipher_suites: false, min_version: TLS13,"
                "cipher_suites: [TLS_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],"
                "curve_preferences: [X25519], client_ca_file: c.pem, client_auth_type: RequireAndVerifyClientCert",
                &err);
    assert_non_null(c);
    assert_int_equal(SSL_CTX_get_min_proto_version(c), TLS1_3_VERSION);
    assert_false(SSL_CTX_get_options(c) & SSL_OP_CIPHER_SERVER_PREFERENCE);
    assert_true(speaks(c, "TLS_AES_256_GCM_SHA384") && speaks(c, "ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert_false(speaks(c, "TLS_AES_128_GCM_SHA256") || speaks(c, "ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert_int_equal(SSL_CTX_get_verify_mode(c), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    SSL_CTX_free(c);
    static const struct {
        const char *type;
        int mode;
    } types[] = {{"RequestClientCert", SSL_VERIFY_PEER},
                 {"RequireAnyClientCert", SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT},
                 {"VerifyClientCertIfGiven, client_ca_file: c.pem", SSL_VERIFY_PEER}};
    for (size_t i = 0; i < 3; i++) {
        char keys[256];
        snprintf(keys, sizeof(keys), "cert_file: c.pem, key_file: k.pem, client_auth_type: %s", types[i].type);
        c = context(keys, &err);
        assert_non_null(c);
        assert_int_equal(SSL_CTX_get_verify_mode(c), types[i].mode);
        SSL_CTX_free(c);
    }
}

static void files_that_are_of_no_use_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *file, *why;
        int status;
    } bad[] = {
        {"cert_file: none, key_file: k.pem", "none", "No such file", EX_NOINPUT},
        {"cert_file: c.pem, key_file: none", "none", "No such file", EX_NOINPUT},
        {"cert_file: ., key_file: k.pem", ".", "Is a directory", EX_NOINPUT},
        {"cert_file: junk, key_file: k.pem", "junk", "cannot use the certificate", EX_CONFIG},
        {"cert_file: c.pem, key_file: junk", "junk", "cannot use the key", EX_CONFIG},
        {"cert_file: c.pem, key_file: o.pem", "o.pem", "key", EX_CONFIG},
        {"cert_file: c.pem, key_file: k.pem, client_ca_file: none, client_auth_type: VerifyClientCertIfGiven", "none",
         "No such file", EX_NOINPUT},
        {"cert_file: c.pem, key_file: k.pem, client_ca_file: junk, client_auth_type: VerifyClientCertIfGiven", "junk",
         "cannot use the authorities", EX_CONFIG},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sj_err err;
        assert_null(context(bad[i].keys, &err));
        if (!strstr(err.text, path_of(bad[i].file)) || !strstr(err.text, bad[i].why) || err.status != bad[i].status)
            fail_msg("%s: %d %s", bad[i].keys, err.status, err.text);
    }
    struct sj_err err;
    assert_null(sj_client_tls_context(path_of("none"), &err));
    assert_int_equal(err.status, EX_NOINPUT);
    assert_null(sj_client_tls_context(path_of("junk"), &err));
    assert_int_equal(err.status, EX_CONFIG);
    SSL_CTX *c = sj_client_tls_context(path_of("c.pem"), &err);
    assert_non_null(c);
    SSL_CTX_free(c);
}

static void a_certificate_names_exactly_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *sans, *text;
        bool named;
    } all[] = {
        {"DNS:a.example", "a.example", true},
        {"DNS:a.example", "A.EXAMPLE", true},
        {"DNS:a.example", "b.example", false},
        {"DNS:*.example", "a.example", false},
        {"DNS:a.example,DNS:b.example", "b.example", true},
        {"IP:127.0.0.1", "127.0.0.1", true},
        {"IP:127.0.0.1", "127.0.0.2", false},
        {"IP:::1", "::1", true},
        {"email:x@example", "x@example", true},
        {"email:x@example", "y@example", false},
        {"URI:spiffe://example/a", "spiffe://example/a", true},
        {"URI:spiffe://example/a", "spiffe://example/ab", false},
        {"URI:spiffe://example/ab", "spiffe://example/a", false},
        {"DNS:a.example", "subject.example", false},
        {NULL, "subject.example", false}, /* the subject is no alternative */
    };
    EVP_PKEY *key = made_key();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        X509 *cert = made_cert(key, all[i].sans);
        char text[64], never[] = "never.example";
        snprintf(text, sizeof(text), "%s", all[i].text);
        char *const wanted[] = {never, text, NULL};
        if (sj_cert_names(cert, wanted) != all[i].named)
            fail_msg("%s, %s", all[i].sans, all[i].text);
        X509_free(cert);
    }
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_says_is_what_is_spoken),
        cmocka_unit_test(files_that_are_of_no_use_are_named),
        cmocka_unit_test(a_certificate_names_exactly_what_it_says),
    };
    return cmocka_run_group_tests(tests, make_files, drop_own_folder);
}
