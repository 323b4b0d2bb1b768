// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include "base/out.h"
#include "net/http_client.h"
#include "notify/notify.h"
#include "notify/template.h"

/* What the files of the receivers share. */
#define SJ_NOTIFY_KEY_SIZE 33

struct sj_notify {
    unsigned refs;
    const struct sj_notify_env *env;
    enum sj_notifier_kind kind;
    uint64_t timeout_ns;
    char key[SJ_NOTIFY_KEY_SIZE];
    char name[320];
    /* alertmanager, pagerduty, webhook */
    struct sj_url url;
    SSL_CTX *tls;
    char *url_file;                 /* NULL: url is known */
    struct sj_labels headers, only; /* each in one block with its strings */
    int facility;
    char *server_name, *routing_key_file, *bearer_token_file, *username, *password_file;
    struct sj_template *template;
    /* exec; its strings follow in the same block */
    char **command;
    /* syslog */
    char *socket_path;
};

struct sj_attempt {
    struct sj_notify *notify;
    sj_send_fn fn;
    void *ctx;
    struct event *settled; /* tells the result from the event loop */
    struct sj_send_result result;
    struct sj_http_call *call; /* HTTP: while it is under way */
    struct sj_url url;         /* the same as the receiver's, or a file's, and then its target is owned */
    struct sj_out body;
    char *authorization;  /* of the header; NULL: none */
    char *secret, *key;   /* the token or password and the routing key, which answers may repeat; NULL: none */
    bool second;          /* by IPv6, after nobody was reached by IPv4 */
    char why[160];        /* there was no answer, or how its body begins */
    struct event *exited; /* exec: the child's pidfd */
    struct event *timeout;
    int pidfd;
    pid_t pid; /* 0: none */
    bool killed;
};

/* The outcome is known: fn will be told, from the loop. */
void sj_attempt_settle(struct sj_attempt *a, enum sj_send_outcome outcome, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void sj_notify_http_send(struct sj_attempt *a, const struct sj_notice *notices, size_t count);
void sj_notify_http_cancel(struct sj_attempt *a);
void sj_notify_exec_send(struct sj_attempt *a, const struct sj_notice *notice);
void sj_notify_exec_cancel(struct sj_attempt *a);
void sj_notify_syslog_send(struct sj_attempt *a, const struct sj_notice *notice);

int sj_notify_http_init(struct sj_notify *n, const struct sj_notifier *config, struct sj_err *err);
