// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <openssl/ssl.h>

#include "base/err.h"

/*
 * The client's side of TLS, which checks certificates against ca_file or, when that is NULL, the system's authorities.
 * Hosts are checked by sj_client_tls(). NULL with *err (EX_CONFIG, EX_NOINPUT, EX_NOPERM), which names the file. To be
 * given to SSL_CTX_free().
 */
SSL_CTX *sj_client_tls_context(const char *ca_file, struct sj_err *err);

/* A connection that accepts nothing but a certificate for host, a name or an address. NULL when there is no memory. */
SSL *sj_client_tls(SSL_CTX *context, const char *host);

/* The oldest error of OpenSSL's queue as text, and none is left in the queue. Returns text. */
char *sj_tls_error(char *text, size_t size);

/* Puts "what name: OpenSSL's reason" into *err (EX_CONFIG), and frees context. name may be NULL. Returns NULL. */
SSL_CTX *sj_tls_failed(SSL_CTX *context, const char *what, const char *name, struct sj_err *err);
