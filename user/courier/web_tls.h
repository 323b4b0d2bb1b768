// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <openssl/ssl.h>

#include "courier/web_config.h"

/*
 * The server's side of TLS as the web configuration has it; reads the certificate, its key and the clients' authority.
 * NULL with *err (EX_CONFIG, EX_NOINPUT, EX_NOPERM), which names the file. To be given to SSL_CTX_free(). sans of
 * config must outlive it.
 */
SSL_CTX *sj_web_tls(const struct sj_web_config *config, struct sj_err *err);

/*
 * Is one of the texts (up to NULL) exactly a subject alternative name of the certificate: a host's, an address, a mail
 * address or a URI? Patterns in the certificate stand for nothing but themselves.
 */
bool sj_cert_names(X509 *cert, char *const *sans);

/*
 * The client's side, which checks certificates against ca_file or, when that is NULL, the system's authorities. Hosts
 * are checked by sj_client_tls(). NULL with *err as above.
 */
SSL_CTX *sj_client_tls_context(const char *ca_file, struct sj_err *err);

/* A connection that accepts nothing but a certificate for host, a name or an address. NULL when there is no memory. */
SSL *sj_client_tls(SSL_CTX *context, const char *host);

/* The oldest error of OpenSSL's queue as text, and none is left in the queue. Returns text. */
char *sj_tls_error(char *text, size_t size);
