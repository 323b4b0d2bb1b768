// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "net/url.h"
#include "watch/labels.h"

/* One POST on a connection of its own; names are looked up without waiting. */
struct sj_http_call;

struct sj_http_post {
    const struct sj_url *url;
    SSL_CTX *tls;                    /* for https */
    const char *server_name;         /* expected in the certificate; NULL: the URL's host */
    int family;                      /* of the addresses that a name stands for: AF_INET, AF_INET6; AF_UNSPEC: any */
    const char *type;                /* Content-Type; NULL: JSON */
    const char *authorization;       /* NULL: none */
    const struct sj_labels *headers; /* further ones; NULL: none */
    const char *body;
    size_t length;
    uint64_t timeout_ns; /* of everything, from the name to the answer */
};

struct sj_http_answer {
    int status;             /* 0: there was none, and text says why */
    bool no_connection;     /* nobody was reached */
    bool no_address;        /* for want of an address that the name stands for */
    uint64_t retry_after_s; /* 0: not told */
    char text[160];         /* how the body begins, any bytes but NUL */
};

/* Called once, from the event loop. */
typedef void (*sj_http_fn)(void *ctx, const struct sj_http_answer *answer);

/* Copies what it needs. NULL when there is no memory. dns may be NULL: then hosts are addresses. */
struct sj_http_call *sj_http_call(struct event_base *base, struct evdns_base *dns, const struct sj_http_post *post,
                                  sj_http_fn fn, void *ctx);

/* fn will not be called. */
void sj_http_cancel(struct sj_http_call *call);

/* Retry-After: seconds, or a date seen at now (seconds since 1970); 0 when it is neither. At most a day. */
uint64_t sj_http_retry_after(const char *value, int64_t now_s);
