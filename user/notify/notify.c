// SPDX-License-Identifier: GPL-3.0-or-later
#include "notify/notify.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "notify/notify_attempt.h"

#define BATCH 64
#define PARALLEL 4
#define TIMEOUT_NS (10 * SJ_SECOND_NS) /* where the configuration has none */

static const char *const kinds[] = {[SJ_NOTIFY_ALERTMANAGER] = "alertmanager",
                                    [SJ_NOTIFY_PAGERDUTY] = "pagerduty",
                                    [SJ_NOTIFY_WEBHOOK] = "webhook",
                                    [SJ_NOTIFY_EXEC] = "exec",
                                    [SJ_NOTIFY_SYSLOG] = "syslog"};

/* With its NUL, so that neighbours cannot run into each other. */
static void add(EVP_MD_CTX *md, const char *text)
{
    if (text)
        EVP_DigestUpdate(md, text, strlen(text) + 1);
}

/* Who it is by its name in the configuration, not how it is reached: another password makes no other receiver. */
static int make_key(struct sj_notify *n, const struct sj_notifier *config)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(md);
        return -1;
    }
    add(md, kinds[n->kind]);
    add(md, config->name);
    int ok = EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    for (int i = 0; i < (SJ_NOTIFY_KEY_SIZE - 1) / 2; i++)
        snprintf(n->key + 2 * i, 3, "%02x", digest[i]);
    return ok == 1 ? 0 : -1;
}

/* A copy of argv and its strings in one block. */
static char **copy_command(char *const *command)
{
    size_t count = 0, bytes = 0;
    for (; command[count]; count++)
        bytes += strlen(command[count]) + 1;
    char **copy = malloc((count + 1) * sizeof(*copy) + bytes);
    if (!copy)
        return NULL;
    char *p = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(command[i]) + 1;
        copy[i] = memcpy(p, command[i], n);
        p += n;
    }
    copy[count] = NULL;
    return copy;
}

static int copy_labels(const struct sj_labels *from, struct sj_labels *to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < from->n; i++)
        bytes += strlen(from->v[i].name) + strlen(from->v[i].value) + 2;
    if (from->n == 0)
        return 0;
    struct sj_label *v = malloc(from->n * sizeof(*v) + bytes);
    if (!v)
        return -1;
    char *p = (char *)(v + from->n);
    for (size_t i = 0; i < from->n; i++) {
        size_t name = strlen(from->v[i].name) + 1, value = strlen(from->v[i].value) + 1;
        v[i].name = memcpy(p, from->v[i].name, name);
        v[i].value = memcpy(p + name, from->v[i].value, value);
        p += name + value;
    }
    *to = (struct sj_labels){.v = v, .n = from->n};
    return 0;
}

bool sj_notify_wants(const struct sj_notify *n, const struct sj_labels *labels)
{
    return sj_labels_match(labels, &n->only);
}

static int init_kind(struct sj_notify *n, const struct sj_notifier *config, struct sj_err *err)
{
    switch (n->kind) {
    case SJ_NOTIFY_EXEC:
        n->command = copy_command(config->command);
        if (!n->command)
            return sj_fail(err, EX_OSERR, "out of memory");
        snprintf(n->name, sizeof(n->name), "%.100s (%.200s)", config->name, n->command[0]);
        return 0;
    case SJ_NOTIFY_SYSLOG:
        n->socket_path = strdup("/dev/log");
        n->facility = config->facility;
        snprintf(n->name, sizeof(n->name), "%.100s", config->name);
        return n->socket_path ? 0 : sj_fail(err, EX_OSERR, "out of memory");
    default:
        return sj_notify_http_init(n, config, err);
    }
}

int sj_notify_new(const struct sj_notify_env *env, const struct sj_notifier *config, struct sj_notify **out,
                  struct sj_err *err)
{
    struct sj_notify *n = calloc(1, sizeof(*n));
    if (!n)
        return sj_fail(err, EX_OSERR, "out of memory");
    n->refs = 1;
    n->env = env;
    n->kind = config->kind;
    n->timeout_ns = config->timeout_ns ? config->timeout_ns : TIMEOUT_NS;
    int rc = make_key(n, config) < 0 || copy_labels(&config->headers, &n->headers) < 0 ||
                     copy_labels(&config->only, &n->only) < 0
                 ? sj_fail(err, EX_OSERR, "out of memory")
                 : init_kind(n, config, err);
    if (rc < 0) {
        sj_notify_unref(n);
        return sj_fail_prefix(err, "%s:%u: %s", env->config_path, config->line, kinds[config->kind]);
    }
    *out = n;
    return 0;
}

void sj_notify_unref(struct sj_notify *n)
{
    if (!n || --n->refs > 0)
        return;
    free(n->url.target);
    free(n->url_file);
    free(n->headers.v);
    free(n->only.v);
    SSL_CTX_free(n->tls);
    free(n->server_name);
    free(n->routing_key_file);
    free(n->bearer_token_file);
    free(n->username);
    free(n->password_file);
    sj_template_free(n->template);
    free(n->command);
    free(n->socket_path);
    free(n);
}

const char *sj_notify_name(const struct sj_notify *n)
{
    return n->name;
}

const char *sj_notify_key(const struct sj_notify *n)
{
    return n->key;
}

enum sj_notifier_kind sj_notify_kind(const struct sj_notify *n)
{
    return n->kind;
}

size_t sj_notify_batch(const struct sj_notify *n)
{
    return n->kind == SJ_NOTIFY_ALERTMANAGER ? BATCH : 1;
}

size_t sj_notify_parallel(const struct sj_notify *n)
{
    return n->kind == SJ_NOTIFY_ALERTMANAGER ? 1 : PARALLEL;
}

uint64_t sj_notify_resend_ns(const struct sj_notify *n)
{
    return n->kind == SJ_NOTIFY_ALERTMANAGER ? n->env->resend_ns : 0;
}

void sj_attempt_settle(struct sj_attempt *a, enum sj_send_outcome outcome, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->result.text, sizeof(a->result.text), fmt, ap);
    va_end(ap);
    a->result.outcome = outcome;
    event_active(a->settled, EV_TIMEOUT, 0);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
    struct sj_attempt *a = arg;
    (void)fd;
    (void)what;
    a->fn(a->ctx, &a->result);
    sj_attempt_cancel(a);
}

void sj_attempt_cancel(struct sj_attempt *a)
{
    sj_notify_http_cancel(a);
    sj_notify_exec_cancel(a);
    event_free(a->settled);
    sj_notify_unref(a->notify);
    free(a);
}

struct sj_attempt *sj_notify_send(struct sj_notify *n, const struct sj_notice *notices, size_t count, sj_send_fn fn,
                                  void *ctx)
{
    struct sj_attempt *a = calloc(1, sizeof(*a));
    if (!a || !(a->settled = evtimer_new(n->env->base, on_settled, a))) {
        free(a);
        return NULL;
    }
    n->refs++;
    a->notify = n;
    a->fn = fn;
    a->ctx = ctx;
    a->pidfd = -1;
    if (n->kind == SJ_NOTIFY_EXEC)
        sj_notify_exec_send(a, notices);
    else if (n->kind == SJ_NOTIFY_SYSLOG)
        sj_notify_syslog_send(a, notices);
    else
        sj_notify_http_send(a, notices, count);
    return a;
}
