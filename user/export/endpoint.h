// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

#include "request.h"

/* "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535" and its NUL. */
#define SJ_ENDPOINT_SIZE 56

/* "127.0.0.1:8080" or "[::1]:8080". Returns the length; 0, and "", for what is not an internet address. */
size_t sj_endpoint_text(char out[SJ_ENDPOINT_SIZE], const struct sj_endpoint *e);
