// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <openssl/ssl.h>

#include "web/web_config.h"

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
