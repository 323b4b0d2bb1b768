// SPDX-License-Identifier: GPL-3.0-or-later
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "net/tls.h"
#include "notify/notify_attempt.h"

#define PAGERDUTY "https://events.pagerduty.com/v2/enqueue"
#define RESENDS 4 /* a firing alert that Alertmanager is not told of for so many times is over */

/* The path of the API behind a URL that names only the server, or the place where it is mounted. */
static int complete_target(struct sj_url *url, const char *api)
{
    size_t n = strlen(url->target), m = strlen(api);
    if (n >= m && strcmp(url->target + n - m, api) == 0)
        return 0;
    while (n > 0 && url->target[n - 1] == '/')
        n--;
    char *whole;
    if (asprintf(&whole, "%.*s%s", (int)n, url->target, api) < 0)
        return -1;
    free(url->target);
    url->target = whole;
    return 0;
}

/* text, or the name of a file beside the configuration; NULL stays NULL. */
static int keep(char **to, const char *text, const char *base, struct sj_err *err)
{
    *to = !text ? NULL : base ? sj_file_beside(base, text) : strdup(text);
    return text && !*to ? sj_fail(err, EX_OSERR, "out of memory") : 0;
}

static int load_template(struct sj_notify *n, const struct sj_notifier *config, struct sj_err *err)
{
    sj_autofree char *path = NULL, *text = NULL;
    size_t length;
    if (!config->template_file)
        return 0;
    if (keep(&path, config->template_file, n->env->config_path, err) < 0)
        return -1;
    if (sj_file_read(path, SJ_TEMPLATE_MAX, &text, &length, err) < 0)
        return -1;
    return sj_template_parse(text, length, path, &n->template, err);
}

static const char *const apis[] = {
    [SJ_NOTIFY_ALERTMANAGER] = "/api/v2/alerts", [SJ_NOTIFY_PAGERDUTY] = "/v2/enqueue", [SJ_NOTIFY_WEBHOOK] = NULL};

/* Takes a URL apart, and completes it. */
static int parse_url(const struct sj_notify *n, const char *text, struct sj_url *url, struct sj_err *err)
{
    if (sj_url_parse(text, url, err) < 0)
        return -1;
    if (!apis[n->kind] || complete_target(url, apis[n->kind]) == 0)
        return 0;
    free(url->target);
    url->target = NULL;
    return sj_fail(err, EX_OSERR, "out of memory");
}

/* The URL of a file may be another each time. */
static int find_url(const struct sj_notify *n, struct sj_url *url, struct sj_err *err)
{
    if (!n->url_file) {
        *url = n->url;
        return 0;
    }
    char *text = sj_secret_read(n->url_file, err);
    int rc = text ? parse_url(n, text, url, err) : -1;
    if (text && rc < 0)
        sj_err_prefix(err, "%s", n->url_file);
    sj_secret_free(text);
    return rc;
}

int sj_notify_secrets(const struct sj_notify *n, struct sj_err *err)
{
    struct sj_url url;
    if (sj_secret_check(n->password_file, err) < 0 || sj_secret_check(n->routing_key_file, err) < 0 ||
        sj_secret_check(n->bearer_token_file, err) < 0)
        return -1;
    if (!n->url_file)
        return 0;
    if (find_url(n, &url, err) < 0)
        return -1;
    sj_secret_free(url.target);
    return 0;
}

int sj_notify_http_init(struct sj_notify *n, const struct sj_notifier *config, struct sj_err *err)
{
    const char *base = n->env->config_path, *url = config->url ? config->url : PAGERDUTY;
    char authority[SJ_URL_HOST_SIZE + 16];
    sj_autofree char *ca = NULL;
    if (keep(&n->url_file, config->url_file, base, err) < 0 ||
        keep(&n->server_name, config->server_name, NULL, err) < 0 ||
        keep(&n->username, config->username, NULL, err) < 0 ||
        keep(&n->password_file, config->password_file, base, err) < 0 ||
        keep(&n->routing_key_file, config->routing_key_file, base, err) < 0 ||
        keep(&n->bearer_token_file, config->bearer_token_file, base, err) < 0 ||
        keep(&ca, config->ca_file, base, err) < 0)
        return -1;
    if (n->url_file) {
        snprintf(n->name, sizeof(n->name), "%.100s (URL in %.200s)", config->name, n->url_file);
    } else {
        if (parse_url(n, url, &n->url, err) < 0)
            return -1;
        snprintf(n->name, sizeof(n->name), "%.100s (http%s://%s)", config->name, n->url.tls ? "s" : "",
                 sj_url_authority(&n->url, authority, sizeof(authority)));
    }
    if ((n->url_file || n->url.tls) && !(n->tls = sj_client_tls_context(ca, err)))
        return -1;
    return load_template(n, config, err);
}

/* "Basic ..." or "Bearer ...", when there is something to send. */
static int authorize(struct sj_attempt *a, struct sj_err *err)
{
    const struct sj_notify *n = a->notify;
    const char *file = n->bearer_token_file ? n->bearer_token_file : n->username ? n->password_file : NULL;
    char *pair = NULL;
    if (!file)
        return 0;
    a->secret = sj_secret_read(file, err);
    if (!a->secret)
        return -1;
    if (n->bearer_token_file) {
        if (asprintf(&a->authorization, "Bearer %s", a->secret) < 0)
            a->authorization = NULL;
    } else {
        int length = asprintf(&pair, "%s:%s", n->username, a->secret);
        a->authorization = length < 0 ? NULL : malloc(7 + 4 * ((size_t)length + 2) / 3 + 4);
        if (a->authorization) {
            memcpy(a->authorization, "Basic ", 6);
            EVP_EncodeBlock((unsigned char *)a->authorization + 6, (const unsigned char *)pair, length);
        }
        if (length >= 0)
            sj_secret_free(pair);
    }
    return a->authorization ? 0 : sj_fail(err, EX_OSERR, "out of memory");
}

/* The library connects to one address only, so a name is tried as IPv4 first, then as IPv6. */
static bool is_name(const struct sj_url *url)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, url->host, address) != 1 && inet_pton(AF_INET6, url->host, address) != 1;
}

static enum sj_send_outcome outcome_of(int status)
{
    if (status >= 200 && status < 300)
        return SJ_SEND_ACCEPTED;
    if (status == 400 || status == 413 || status == 415 || status == 422)
        return SJ_SEND_REFUSED;
    /* A server that stumbles over this message may take the next; the rest concerns all of them. */
    return status == 500 ? SJ_SEND_FAILED : SJ_SEND_DOWN;
}

static int call(struct sj_attempt *a, struct sj_err *err);

/* Whoever answers may repeat what was sent. */
static void hide_secrets(const struct sj_attempt *a, char *text)
{
    const char *blank = a->authorization ? strchr(a->authorization, ' ') : NULL;
    sj_secret_hide(text, blank ? blank + 1 : NULL);
    sj_secret_hide(text, a->secret);
    sj_secret_hide(text, a->key);
    if (a->notify->url_file)
        sj_secret_hide(text, a->url.target);
}

static void on_answer(void *ctx, const struct sj_http_answer *answer)
{
    struct sj_attempt *a = ctx;
    struct sj_err ignored;
    a->call = NULL;
    if (!(a->second && answer->no_address)) /* if it has an address at all, it was the first that told why not */
        snprintf(a->why, sizeof(a->why), "%s", answer->text);
    if (answer->no_connection && !a->second && is_name(&a->url)) {
        a->second = true;
        if (call(a, &ignored) == 0)
            return;
    }
    hide_secrets(a, a->why);
    a->result.retry_after_ns = answer->retry_after_s * SJ_SECOND_NS;
    if (answer->status == 0)
        sj_attempt_settle(a, SJ_SEND_DOWN, "%s", a->why);
    else
        sj_attempt_settle(a, outcome_of(answer->status), "it answered %d%s%s", answer->status, a->why[0] ? ": " : "",
                          a->why);
}

static int put_body(struct sj_attempt *a, const struct sj_notice *notices, size_t count, struct sj_err *err)
{
    const struct sj_notify *n = a->notify;
    struct sj_json j;
    if (sj_out_init(&a->body, -1, "a message", err) < 0)
        return -1;
    if (n->kind == SJ_NOTIFY_ALERTMANAGER) {
        sj_json_init(&j, &a->body, false);
        sj_json_array(&j);
        for (size_t i = 0; i < count; i++) {
            struct sj_notice notice = notices[i];
            notice.valid_ns = RESENDS * notice.valid_ns;
            sj_notice_alertmanager(&notice, &j);
        }
        sj_json_array_end(&j);
    } else if (n->kind == SJ_NOTIFY_PAGERDUTY) {
        a->key = sj_secret_read(n->routing_key_file, err);
        if (!a->key)
            return -1;
        sj_notice_pagerduty(notices, a->key, &a->body);
    } else if (n->template) {
        sj_template_write(n->template, notices, &a->body);
    } else {
        sj_notice_webhook(notices, &a->body);
    }
    return a->body.error ? sj_fail(err, EX_OSERR, "out of memory") : 0;
}

static int call(struct sj_attempt *a, struct sj_err *err)
{
    const struct sj_notify *n = a->notify;
    const struct sj_http_post post = {.url = &a->url,
                                      .tls = n->tls,
                                      .server_name = n->server_name,
                                      .family = !is_name(&a->url) ? AF_UNSPEC
                                                : a->second       ? AF_INET6
                                                                  : AF_INET,
                                      .authorization = a->authorization,
                                      .headers = &n->headers,
                                      .body = a->body.buf,
                                      .length = a->body.len,
                                      .timeout_ns = n->timeout_ns};
    a->call = sj_http_call(n->env->base, n->env->dns, &post, on_answer, a);
    return a->call ? 0 : sj_fail(err, EX_OSERR, "out of memory");
}

void sj_notify_http_send(struct sj_attempt *a, const struct sj_notice *notices, size_t count)
{
    struct sj_err err;
    if (authorize(a, &err) < 0 || find_url(a->notify, &a->url, &err) < 0 || put_body(a, notices, count, &err) < 0 ||
        call(a, &err) < 0)
        sj_attempt_settle(a, SJ_SEND_DOWN, "%s", err.text);
}

void sj_notify_http_cancel(struct sj_attempt *a)
{
    if (a->call)
        sj_http_cancel(a->call);
    if (a->notify->url_file)
        sj_secret_free(a->url.target);
    if (a->body.buf)
        explicit_bzero(a->body.buf, a->body.len); /* it may hold the routing key */
    sj_out_fini(&a->body);
    sj_secret_free(a->authorization);
    sj_secret_free(a->secret);
    sj_secret_free(a->key);
}
