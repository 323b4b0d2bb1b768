// SPDX-License-Identifier: GPL-3.0-or-later
#include <crypt.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "web/auth.h"

/* Two users whose hashes are as cheap as bcrypt has them. */
struct door {
    struct event_base *base;
    struct sj_worker *worker;
    struct sj_auth *auth;
    struct sj_web_user users[2];
    char hashes[2][128];
    char names[2][8];
};

static void hash(const char *password, char *out, size_t size)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data room = {0};
    assert_non_null(crypt_gensalt_rn("$2b$", 4, "0123456789abcdef", 16, setting, sizeof(setting)));
    const char *hash = crypt_r(password, setting, &room);
    assert_non_null(hash);
    snprintf(out, size, "%s", hash);
}

static struct door *opened(void)
{
    struct door *d = calloc(1, sizeof(*d));
    struct sj_err err;
    assert_non_null(d);
    d->base = event_base_new();
    d->worker = sj_worker_new(d->base, &err);
    d->auth = sj_auth_new(d->worker, &err);
    assert_true(d->base && d->worker && d->auth);
    snprintf(d->names[0], sizeof(d->names[0]), "alice");
    snprintf(d->names[1], sizeof(d->names[1]), "bob");
    hash("secret", d->hashes[0], sizeof(d->hashes[0]));
    hash("b:o:b", d->hashes[1], sizeof(d->hashes[1]));
    for (int i = 0; i < 2; i++)
        d->users[i] = (struct sj_web_user){.name = d->names[i], .hash = d->hashes[i]};
    sj_auth_users(d->auth, d->users, 2);
    return d;
}

static void shut(struct door *d)
{
    sj_auth_free(d->auth);
    sj_worker_free(d->worker);
    event_base_free(d->base);
    free(d);
}

/* "Basic " and credentials in base64. */
static const char *basic(const char *credentials)
{
    static _Thread_local char text[4096];
    size_t n = strlen(credentials);
    assert_true(n < 2048);
    memcpy(text, "Basic ", 6);
    EVP_EncodeBlock((unsigned char *)text + 6, (const unsigned char *)credentials, (int)n);
    return text;
}

static void note(void *ctx, enum sj_auth_verdict verdict)
{
    int *slot = ctx;
    assert_int_equal(*slot, -1); /* once */
    *slot = (int)verdict;
}

/* The verdict in the end; *waited: it took a hash. */
static enum sj_auth_verdict check(struct door *d, const char *authorization, bool *waited)
{
    struct sj_auth_check *c = NULL;
    int later = -1;
    enum sj_auth_verdict now = sj_auth_check(d->auth, authorization, 1, note, &later, &c);
    *waited = now == SJ_AUTH_PENDING;
    if (!*waited)
        return now;
    assert_non_null(c);
    sj_worker_finish(d->worker);
    assert_true(later == SJ_AUTH_OK || later == SJ_AUTH_DENIED);
    return (enum sj_auth_verdict)later;
}

static void who_is_right_is_known_again_without_a_hash(void **state)
{
    (void)state;
    struct door *d = opened();
    bool waited;
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_OK);
    assert_true(waited);
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_OK);
    assert_false(waited);
    assert_int_equal(check(d, basic("bob:b:o:b"), &waited), SJ_AUTH_OK); /* only the first colon divides */
    assert_true(waited);
    sj_auth_users(d->auth, d->users, 2); /* read again: nobody is known any more */
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_OK);
    assert_true(waited);
    sj_auth_users(d->auth, d->users + 1, 1);
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_DENIED);
    sj_auth_users(d->auth, NULL, 0);
    assert_int_equal(check(d, NULL, &waited), SJ_AUTH_OK); /* without users, no authentication */
    shut(d);
}

/* A name that is not known costs a hash as one that is: the time tells nothing. Who was wrong is never remembered. */
static void who_is_wrong_always_costs_a_hash(void **state)
{
    (void)state;
    static const char *const wrong[] = {"alice:wrong", "alice:",     "alice:secret ", "alice:Secret", "nobody:secret",
                                        ":secret",     ":",          "Alice:secret",  "alic:secret",  "alice2:secret",
                                        "bob:secret",  "alice:b:o:b"};
    struct door *d = opened();
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            bool waited;
            if (check(d, basic(wrong[i]), &waited) != SJ_AUTH_DENIED || !waited)
                fail_msg("%s", wrong[i]);
        }
    shut(d);
}

static void what_is_no_basic_authentication_is_denied_at_once(void **state)
{
    (void)state;
    static const char *const odd[] = {"",
                                      "Basic",
                                      "Basic ",
                                      "Basic    ",
                                      "Bearer YWxpY2U6c2VjcmV0",
                                      "BasicYWxpY2U6c2VjcmV0",
                                      "Basic YWxpY2U6c2VjcmV",   /* cut */
                                      "Basic YWxpY2U6c2VjcmV0=", /* padding that is none */
                                      "Basic ====",
                                      "Basic =",
                                      "Basic YWxp Y2U6c2VjcmV0", /* a blank within */
                                      "Basic YWxpY2U6c2Vjcm!0",  /* no digit of base64 */
                                      "Basic \xff\xff\xff\xff",
                                      "Basic YWxpY2U=",             /* no colon */
                                      "Basic YWxpY2U6AHNlY3JldA==", /* a NUL within */
                                      "Digest username=\"alice\""};
    struct door *d = opened();
    bool waited;
    assert_int_equal(check(d, NULL, &waited), SJ_AUTH_DENIED);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        if (check(d, odd[i], &waited) != SJ_AUTH_DENIED || waited)
            fail_msg("'%s'", odd[i]);
    assert_int_equal(check(d, "bAsIc   YWxpY2U6c2VjcmV0", &waited), SJ_AUTH_OK);
    shut(d);
}

static void credentials_have_their_limit(void **state)
{
    (void)state;
    struct door *d = opened();
    char long_one[1024];
    bool waited;
    memset(long_one, 'x', sizeof(long_one));
    memcpy(long_one, "alice:", 6);
    for (size_t n = 500; n < sizeof(long_one) - 1; n++) {
        char c = long_one[n];
        long_one[n] = '\0';
        assert_int_equal(check(d, basic(long_one), &waited), SJ_AUTH_DENIED);
        assert_int_equal(waited, n <= 510);
        long_one[n] = c;
        n += n > 520 ? 100 : 0;
    }
    shut(d);
}

/* Work that lasts until the pipe is closed. */
struct plug {
    struct sj_job job;
    int ends[2];
};

static void plug_run(struct sj_job *job)
{
    char c;
    ssize_t n = read(((struct plug *)(void *)job)->ends[0], &c, 1);
    (void)n;
}

static void plug_done(struct sj_job *job)
{
    close(((struct plug *)(void *)job)->ends[0]);
}

static void plug_in(struct door *d, struct plug *p)
{
    *p = (struct plug){.job = {.run = plug_run, .done = plug_done}};
    assert_int_equal(pipe(p->ends), 0);
    sj_worker_add(d->worker, &p->job);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    struct door *d = opened();
    struct plug plug;
    struct sj_auth_check *c;
    int later[32];
    unsigned pending = 0, busy = 0;
    plug_in(d, &plug);
    for (uint64_t i = 0; i < 32; i++) { /* from sixteen addresses, two each */
        later[i] = -1;
        enum sj_auth_verdict v = sj_auth_check(d->auth, basic("alice:secret"), i / 2, note, &later[i], &c);
        pending += v == SJ_AUTH_PENDING;
        busy += v == SJ_AUTH_BUSY;
    }
    assert_int_equal(pending, 16);
    assert_int_equal(busy, 16);
    close(plug.ends[1]);
    sj_worker_finish(d->worker);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(later[i], i < 16 ? SJ_AUTH_OK : -1);
    plug_in(d, &plug);
    pending = 0;
    for (unsigned i = 0; i < 5; i++) { /* one address cannot take all the places */
        later[i] = -1;
        pending += sj_auth_check(d->auth, basic("bob:guess"), 7, note, &later[i], &c) == SJ_AUTH_PENDING;
    }
    assert_int_equal(pending, 2);
    later[5] = -1;
    assert_int_equal(sj_auth_check(d->auth, basic("bob:guess"), 8, note, &later[5], &c), SJ_AUTH_PENDING);
    close(plug.ends[1]);
    sj_worker_finish(d->worker);
    assert_int_equal(later[5], SJ_AUTH_DENIED);
    shut(d);
}

static void a_verdict_by_old_rules_is_none(void **state)
{
    (void)state;
    struct door *d = opened();
    struct plug plug;
    struct sj_auth_check *c;
    int later = -1;
    bool waited;
    plug_in(d, &plug);
    assert_int_equal(sj_auth_check(d->auth, basic("alice:secret"), 1, note, &later, &c), SJ_AUTH_PENDING);
    sj_auth_users(d->auth, d->users + 1, 1); /* alice may no more */
    close(plug.ends[1]);
    sj_worker_finish(d->worker);
    assert_int_equal(later, SJ_AUTH_DENIED);
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_DENIED);
    shut(d);
}

static void who_has_gone_hears_nothing(void **state)
{
    (void)state;
    struct door *d = opened();
    struct plug plug;
    struct sj_auth_check *c;
    int later = -1;
    bool waited;
    plug_in(d, &plug);
    assert_int_equal(sj_auth_check(d->auth, basic("alice:secret"), 1, note, &later, &c), SJ_AUTH_PENDING);
    sj_auth_cancel(c);
    close(plug.ends[1]);
    sj_worker_finish(d->worker);
    assert_int_equal(later, -1);
    assert_int_equal(check(d, basic("alice:secret"), &waited), SJ_AUTH_OK);
    shut(d);
}

/* The daemon ends while somebody's password is being hashed: the worker outlives the rest. */
static void the_end_comes_in_the_middle(void **state)
{
    (void)state;
    struct door *d = opened();
    struct plug plug;
    struct sj_auth_check *c;
    int later[2] = {-1, -1};
    plug_in(d, &plug);
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(sj_auth_check(d->auth, basic("alice:secret"), i, note, &later[i], &c), SJ_AUTH_PENDING);
    sj_auth_free(d->auth);
    d->auth = NULL;
    close(plug.ends[1]);
    shut(d);
    assert_true(later[0] == -1 && later[1] == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_right_is_known_again_without_a_hash),
        cmocka_unit_test(who_is_wrong_always_costs_a_hash),
        cmocka_unit_test(what_is_no_basic_authentication_is_denied_at_once),
        cmocka_unit_test(credentials_have_their_limit),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(a_verdict_by_old_rules_is_none),
        cmocka_unit_test(who_has_gone_hears_nothing),
        cmocka_unit_test(the_end_comes_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
