// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/files.h"
#include "net/tls.h"

/* RequestClientCert and RequireAnyClientCert take any certificate; the connection is checked for there being one. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static bool has_uri(X509 *cert, const char *uri)
{
    bool found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        int n = ASN1_STRING_length(text);
        found = found || ((size_t)n == strlen(uri) && memcmp(ASN1_STRING_get0_data(text), uri, (size_t)n) == 0);
    }
    GENERAL_NAMES_free(names);
    return found;
}

bool sj_cert_names(X509 *cert, char *const *sans)
{
    const unsigned how = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS;
    for (; *sans; sans++)
        if (X509_check_host(cert, *sans, 0, how, NULL) == 1 || X509_check_email(cert, *sans, 0, how) == 1 ||
            X509_check_ip_asc(cert, *sans, 0) == 1 || has_uri(cert, *sans))
            return true;
    return false;
}

static int check_names(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    char **sans = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!ok || X509_STORE_CTX_get_error_depth(store) > 0 || !sans)
        return ok;
    if (sj_cert_names(X509_STORE_CTX_get_current_cert(store), sans))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

static void ask_clients(SSL_CTX *context, const struct sj_web_config *config)
{
    switch (config->client_auth) {
    case SJ_CLIENT_NONE:
        break;
    case SJ_CLIENT_REQUEST:
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
        break;
    case SJ_CLIENT_REQUIRE_ANY:
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
        break;
    case SJ_CLIENT_VERIFY_GIVEN:
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, check_names);
        break;
    case SJ_CLIENT_REQUIRE_VERIFY:
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, check_names);
        break;
    }
}

SSL_CTX *sj_web_tls(const struct sj_web_config *config, struct sj_err *err)
{
    static const unsigned char session[] = "sojourn";
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return sj_tls_failed(NULL, "TLS cannot be used:", NULL, err);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     (config->prefer_server_ciphers ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    SSL_CTX_set_session_id_context(context, session, sizeof(session) - 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (!SSL_CTX_set_min_proto_version(context, config->min_version) ||
        !SSL_CTX_set_max_proto_version(context, config->max_version))
        return sj_tls_failed(context, "TLS versions", NULL, err);
    if (config->ciphers && !SSL_CTX_set_cipher_list(context, config->ciphers))
        return sj_tls_failed(context, "cipher suites", config->ciphers, err);
    if (config->suites && !SSL_CTX_set_ciphersuites(context, config->suites))
        return sj_tls_failed(context, "cipher suites", config->suites, err);
    if (config->groups && !SSL_CTX_set1_groups_list(context, config->groups))
        return sj_tls_failed(context, "curves", config->groups, err);
    if (sj_file_check(config->cert_file, err) < 0 || sj_file_check(config->key_file, err) < 0 ||
        (config->client_ca_file && sj_file_check(config->client_ca_file, err) < 0)) {
        SSL_CTX_free(context);
        return NULL;
    }
    if (SSL_CTX_use_certificate_chain_file(context, config->cert_file) != 1)
        return sj_tls_failed(context, "cannot use the certificate in", config->cert_file, err);
    if (SSL_CTX_use_PrivateKey_file(context, config->key_file, SSL_FILETYPE_PEM) != 1)
        return sj_tls_failed(context, "cannot use the key in", config->key_file, err);
    if (SSL_CTX_check_private_key(context) != 1)
        return sj_tls_failed(context, "the key does not belong to the certificate:", config->key_file, err);
    if (config->client_ca_file) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->client_ca_file);
        if (!names || SSL_CTX_load_verify_locations(context, config->client_ca_file, NULL) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return sj_tls_failed(context, "cannot use the authorities in", config->client_ca_file, err);
        }
        SSL_CTX_set_client_CA_list(context, names);
    }
    SSL_CTX_set_app_data(context, (void *)config->sans);
    ask_clients(context, config);
    return context;
}
