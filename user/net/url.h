// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SJ_URL_HOST_SIZE 256

/* A URL of http or https, taken apart. */
struct sj_url {
    bool tls;
    char host[SJ_URL_HOST_SIZE]; /* without the brackets of an IPv6 address */
    uint16_t port;
    char *target; /* path and query, "/" at least */
};

/*
 * Credentials, fragments, and characters that belong escaped are refused. target is to be freed. -1 with EX_CONFIG; the
 * message does not repeat the URL, which may hold a secret.
 */
int sj_url_parse(const char *text, struct sj_url *url, struct sj_err *err);

/* "host:port", as the field Host and messages have it; the port is left out where it is the scheme's. Returns out. */
char *sj_url_authority(const struct sj_url *url, char *out, size_t size);
