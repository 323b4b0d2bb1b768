// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#include "net/worker.h"
#include "web/web_config.h"

/*
 * Basic authentication. A password is hashed in the worker's thread, since that takes tenths of a second; who was right
 * once is known again without. What waits for a hash is bounded in number, and for each address, so that who guesses
 * keeps nobody else out.
 */
struct sj_auth;

enum sj_auth_verdict {
    SJ_AUTH_OK = 0,
    SJ_AUTH_DENIED,
    SJ_AUTH_BUSY,   /* too many wait already: try again later */
    SJ_AUTH_PENDING /* the verdict comes by the callback */
};

/* What waits; valid until its callback was called. */
struct sj_auth_check;
typedef void (*sj_auth_fn)(void *ctx, enum sj_auth_verdict verdict);

/* NULL with *err when there is no memory or no randomness. */
struct sj_auth *sj_auth_new(struct sj_worker *worker, struct sj_err *err);
void sj_auth_free(struct sj_auth *a);

/* Users from now on; borrowed until the next call. Forgets who was right before. */
void sj_auth_users(struct sj_auth *a, const struct sj_web_user *users, size_t n);

/*
 * Checks a field Authorization (NULL: there was none) of a client at an address, of which peer is a hash. With
 * SJ_AUTH_PENDING, *check is what waits.
 */
enum sj_auth_verdict sj_auth_check(struct sj_auth *a, const char *authorization, uint64_t peer, sj_auth_fn fn,
                                   void *ctx, struct sj_auth_check **check);

/* The callback will not be called. */
void sj_auth_cancel(struct sj_auth_check *check);
