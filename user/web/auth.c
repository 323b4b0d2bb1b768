// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KNOWN 64 /* credentials that were right lately */
#define WAITING_MAX 16
#define WAITING_PEER_MAX 2
#define CREDENTIALS_MAX 512
#define DIGEST 32

struct sj_auth_check {
    struct sj_job job;    /* first */
    struct sj_auth *auth; /* NULL: it is gone */
    sj_auth_fn fn;        /* NULL: cancelled */
    void *ctx;
    _Atomic(bool) unwanted; /* nobody waits for the verdict: the thread need not find it */
    uint64_t peer;
    unsigned generation;
    unsigned char digest[DIGEST];
    bool user_known, right;
    char hash[64];
    char password[CREDENTIALS_MAX];
};

struct sj_auth {
    struct sj_worker *worker;
    const struct sj_web_user *users;
    size_t n_users;
    unsigned generation; /* of the users */
    unsigned char secret[DIGEST];
    unsigned char known[KNOWN][DIGEST];
    unsigned n_known, next_known;
    struct sj_auth_check *waiting[WAITING_MAX];
};

struct sj_auth *sj_auth_new(struct sj_worker *worker, struct sj_err *err)
{
    struct sj_auth *a = calloc(1, sizeof(*a));
    if (!a || RAND_bytes(a->secret, sizeof(a->secret)) != 1) {
        sj_err_set(err, EX_OSERR, "no memory, or no random numbers, for authentication");
        free(a);
        return NULL;
    }
    a->worker = worker;
    return a;
}

void sj_auth_free(struct sj_auth *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < WAITING_MAX; i++) /* these belong to the worker until they are done */
        if (a->waiting[i]) {
            sj_auth_cancel(a->waiting[i]);
            a->waiting[i]->auth = NULL;
        }
    OPENSSL_cleanse(a, sizeof(*a));
    free(a);
}

void sj_auth_users(struct sj_auth *a, const struct sj_web_user *users, size_t n)
{
    a->users = users;
    a->n_users = n;
    a->generation++;
    a->n_known = a->next_known = 0;
}

/* "Basic " and base64: returns the length of "user:password" in out, or -1. */
static int decode(const char *authorization, char out[CREDENTIALS_MAX])
{
    unsigned char raw[CREDENTIALS_MAX + 4];
    if (!authorization || strncasecmp(authorization, "Basic ", 6) != 0)
        return -1;
    const char *text = authorization + 6 + strspn(authorization + 6, " ");
    size_t n = strlen(text), padding = n > 1 && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > CREDENTIALS_MAX)
        return -1;
    int got = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)n);
    if (got < (int)padding || got - (int)padding >= CREDENTIALS_MAX)
        return -1;
    got -= (int)padding;
    memcpy(out, raw, (size_t)got);
    out[got] = '\0';
    OPENSSL_cleanse(raw, sizeof(raw));
    return strlen(out) == (size_t)got && strchr(out, ':') ? got : -1;
}

/* Looks at every user, so that the time tells nothing about which there are. */
static const struct sj_web_user *find_user(const struct sj_auth *a, const char *name, size_t n)
{
    const struct sj_web_user *found = NULL;
    for (size_t i = 0; i < a->n_users; i++)
        if (strlen(a->users[i].name) == n && CRYPTO_memcmp(a->users[i].name, name, n) == 0)
            found = &a->users[i];
    return found;
}

static bool is_known(const struct sj_auth *a, const unsigned char digest[DIGEST])
{
    bool found = false;
    for (unsigned i = 0; i < a->n_known; i++)
        if (CRYPTO_memcmp(a->known[i], digest, DIGEST) == 0)
            found = true;
    return found;
}

static void learn(struct sj_auth *a, const unsigned char digest[DIGEST])
{
    if (is_known(a, digest))
        return;
    memcpy(a->known[a->next_known], digest, DIGEST);
    a->next_known = (a->next_known + 1) % KNOWN;
    if (a->n_known < KNOWN)
        a->n_known++;
}

static void hash_password(struct sj_job *job)
{
    struct sj_auth_check *c = (struct sj_auth_check *)job;
    struct crypt_data *room = c->unwanted ? NULL : calloc(1, sizeof(*room));
    const char *hash = room ? crypt_r(c->password, c->hash, room) : NULL;
    size_t n = strlen(c->hash);
    c->right = hash && strlen(hash) == n && CRYPTO_memcmp(hash, c->hash, n) == 0 && c->user_known;
    if (room)
        OPENSSL_cleanse(room, sizeof(*room));
    free(room);
}

static void hashed(struct sj_job *job)
{
    struct sj_auth_check *c = (struct sj_auth_check *)job;
    struct sj_auth *a = c->auth;
    for (unsigned i = 0; a && i < WAITING_MAX; i++)
        if (a->waiting[i] == c)
            a->waiting[i] = NULL;
    bool right = a && c->right && c->generation == a->generation;
    if (right)
        learn(a, c->digest);
    if (c->fn)
        c->fn(c->ctx, right ? SJ_AUTH_OK : SJ_AUTH_DENIED);
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

/* A place among those that wait, or NULL. */
static struct sj_auth_check **find_place(struct sj_auth *a, uint64_t peer)
{
    struct sj_auth_check **place = NULL;
    unsigned same = 0;
    for (unsigned i = 0; i < WAITING_MAX; i++) {
        if (!a->waiting[i])
            place = &a->waiting[i];
        else
            same += a->waiting[i]->peer == peer;
    }
    return same < WAITING_PEER_MAX ? place : NULL;
}

enum sj_auth_verdict sj_auth_check(struct sj_auth *a, const char *authorization, uint64_t peer, sj_auth_fn fn,
                                   void *ctx, struct sj_auth_check **check)
{
    char credentials[CREDENTIALS_MAX];
    unsigned char digest[DIGEST];
    if (a->n_users == 0)
        return SJ_AUTH_OK;
    int n = decode(authorization, credentials);
    if (n < 0)
        return SJ_AUTH_DENIED;
    HMAC(EVP_sha256(), a->secret, sizeof(a->secret), (const unsigned char *)credentials, (size_t)n, digest, NULL);
    enum sj_auth_verdict verdict = is_known(a, digest) ? SJ_AUTH_OK : SJ_AUTH_PENDING;
    struct sj_auth_check **place = verdict == SJ_AUTH_PENDING ? find_place(a, peer) : NULL;
    struct sj_auth_check *c = place ? calloc(1, sizeof(*c)) : NULL;
    if (verdict == SJ_AUTH_PENDING && !c)
        verdict = SJ_AUTH_BUSY;
    if (c) {
        const char *colon = strchr(credentials, ':');
        const struct sj_web_user *user = find_user(a, credentials, (size_t)(colon - credentials));
        *c = (struct sj_auth_check){.job = {.run = hash_password, .done = hashed},
                                    .auth = a,
                                    .fn = fn,
                                    .ctx = ctx,
                                    .peer = peer,
                                    .generation = a->generation,
                                    .user_known = user != NULL};
        memcpy(c->digest, digest, DIGEST);
        /* For a name that is unknown somebody else's hash is computed: it takes as long. */
        strncpy(c->hash, user ? user->hash : a->users[0].hash, sizeof(c->hash) - 1);
        strncpy(c->password, colon + 1, sizeof(c->password) - 1);
        *check = *place = c;
        sj_worker_add(a->worker, &c->job);
    }
    OPENSSL_cleanse(credentials, sizeof(credentials));
    return verdict;
}

void sj_auth_cancel(struct sj_auth_check *check)
{
    check->fn = NULL;
    check->unwanted = true;
}
