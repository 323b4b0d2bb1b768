// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/files.h"

char *sj_tls_error(char *text, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(text, size, "%s", reason ? reason : "no reason given");
    ERR_clear_error();
    return text;
}

SSL_CTX *sj_tls_failed(SSL_CTX *context, const char *what, const char *name, struct sj_err *err)
{
    char why[128];
    sj_err_set(err, EX_CONFIG, "%s %s: %s", what, name ? name : "", sj_tls_error(why, sizeof(why)));
    SSL_CTX_free(context);
    return NULL;
}

SSL_CTX *sj_client_tls_context(const char *ca_file, struct sj_err *err)
{
    if (ca_file && sj_file_check(ca_file, err) < 0) /* OpenSSL would not say why it cannot be read */
        return NULL;
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return sj_tls_failed(NULL, "TLS cannot be used:", NULL, err);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1
                : SSL_CTX_set_default_verify_paths(context) != 1)
        return sj_tls_failed(context, "cannot use the authorities in", ca_file ? ca_file : "the system's files", err);
    return context;
}

SSL *sj_client_tls(SSL_CTX *context, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    SSL *ssl = SSL_new(context);
    if (!ssl)
        return NULL;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    void *name = (void *)(uintptr_t)host; /* the macro would cast const away, which clang minds */
    int ok = is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
                        : X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    if (ok)
        return ssl;
    SSL_free(ssl);
    return NULL;
}
