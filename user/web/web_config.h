// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * The web configuration file: TLS, headers and users of the HTTP server, in the syntax that Prometheus's exporters
 * share. Strings that are not set are NULL.
 */
enum sj_client_auth {
    SJ_CLIENT_NONE = 0,      /* NoClientCert */
    SJ_CLIENT_REQUEST,       /* RequestClientCert: asked for, not checked */
    SJ_CLIENT_REQUIRE_ANY,   /* RequireAnyClientCert: must be there, not checked */
    SJ_CLIENT_VERIFY_GIVEN,  /* VerifyClientCertIfGiven */
    SJ_CLIENT_REQUIRE_VERIFY /* RequireAndVerifyClientCert */
};

struct sj_web_user {
    char *name;
    char *hash; /* bcrypt */
};

struct sj_web_field {
    char *name;
    char *value; /* empty: it is not sent */
};

struct sj_web_config {
    bool tls;
    char *cert_file; /* these with the folder of the web configuration file before them */
    char *key_file;
    char *client_ca_file;
    enum sj_client_auth client_auth;
    int min_version;            /* as OpenSSL numbers them */
    int max_version;            /* 0: the newest */
    bool prefer_server_ciphers; /* unless the file says otherwise */
    char *ciphers;              /* up to TLS 1.2, as OpenSSL lists them */
    char *suites;               /* of TLS 1.3 */
    bool only_13;               /* there are suites, but none for TLS 1.2 */
    char *groups;
    char **sans; /* one of these must be in the client's certificate; ends with NULL */
    struct sj_web_user *users;
    size_t n_users;
    struct sj_web_field *headers;
    size_t n_headers;
};

#define SJ_WEB_CONFIG_MAX (256u << 10)
#define SJ_WEB_USERS_MAX 256

/*
 * Parses n bytes. name is the file's, for messages and to find what stands beside it. *out is released by
 * sj_web_config_free(). -1 with EX_CONFIG and "NAME:LINE: what is wrong".
 */
int sj_web_config_parse(const char *text, size_t n, const char *name, struct sj_web_config **out, struct sj_err *err);

/* The same from the file at path. */
int sj_web_config_read(const char *path, struct sj_web_config **out, struct sj_err *err);

/* NULL is allowed. */
void sj_web_config_free(struct sj_web_config *c);
