// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/dns.h>
#include <event2/event.h>

#include "config/config.h"
#include "notify/notice.h"

/* A receiver of notices: how one message gets to it. When and how often is the business of deliveries. */
struct sj_notify;

/* What all receivers share; outlives them. */
struct sj_notify_env {
    struct event_base *base;
    struct evdns_base *dns;
    const char *config_path; /* files that are named in it lie beside it */
    const char *host;        /* this one's name */
    uint64_t resend_ns;      /* for receivers that forget */
};

enum sj_send_outcome {
    SJ_SEND_ACCEPTED = 0,
    SJ_SEND_REFUSED, /* for good: this message will never be accepted */
    SJ_SEND_FAILED,  /* this message was not accepted now */
    SJ_SEND_DOWN     /* the receiver takes nothing now */
};

struct sj_send_result {
    enum sj_send_outcome outcome;
    uint64_t retry_after_ns; /* what the receiver asked for; 0: nothing */
    char text[256];          /* what went wrong; never a secret */
};

typedef void (*sj_send_fn)(void *ctx, const struct sj_send_result *result);

/*
 * Checks all that can be checked without sending and without the secrets. -1 with *err (EX_CONFIG, or what keeps from
 * reading a file).
 */
int sj_notify_new(const struct sj_notify_env *env, const struct sj_notifier *config, struct sj_notify **out,
                  struct sj_err *err);

/* Can its secrets be read from their files now (as at each use)? -1 with *err, which names the file. */
int sj_notify_secrets(const struct sj_notify *n, struct sj_err *err);

/* One reference less; attempts hold their own. NULL is allowed. */
void sj_notify_unref(struct sj_notify *n);

const char *sj_notify_name(const struct sj_notify *n); /* for messages: "webhook (http://127.0.0.1:8000)" */
const char *sj_notify_key(const struct sj_notify *n);  /* tells the receiver from others, also after a restart */
enum sj_notifier_kind sj_notify_kind(const struct sj_notify *n);
size_t sj_notify_batch(const struct sj_notify *n);       /* how many notices a message may have */
size_t sj_notify_parallel(const struct sj_notify *n);    /* how many messages may be under way */
uint64_t sj_notify_resend_ns(const struct sj_notify *n); /* it forgets what is not told again; 0: it does not */

/* Is the receiver told of alerts with these labels? */
bool sj_notify_wants(const struct sj_notify *n, const struct sj_labels *labels);

/* Begins to send; the strings of notices are copied. fn is called later, from the event loop. NULL: no memory. */
struct sj_attempt;
struct sj_attempt *sj_notify_send(struct sj_notify *n, const struct sj_notice *notices, size_t count, sj_send_fn fn,
                                  void *ctx);

/* fn will not be called. */
void sj_attempt_cancel(struct sj_attempt *a);
