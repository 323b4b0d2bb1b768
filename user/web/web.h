// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/worker.h"
#include "web/web_config.h"

/*
 * The HTTP server: GET and HEAD, nothing else, with limits on everything that a client can send, hold or delay. What a
 * path means is the handler's business. A connection that waits for its next request gives way when there are too many.
 */
#define SJ_WEB_CONNECTIONS_MAX 256

struct sj_web;
struct sj_web_conn;

/* What a client asks for, after authentication. */
struct sj_web_request {
    const char *path; /* as in struct sj_http_head */
    int format;       /* what the hook made of the field Accept */
    bool gzip;        /* the client takes gzip */
};

struct sj_web_hooks {
    int (*format)(const char *accept); /* NULL: the field is not there */
    /* Replies with sj_web_reply(), now or after sj_web_wait(). */
    void (*handle)(void *ctx, struct sj_web_conn *conn, const struct sj_web_request *request);
    void *ctx;
};

struct sj_web_counts {
    uint64_t requests;    /* answered */
    uint64_t denied;      /* refused: limits, authentication, methods, paths */
    uint64_t connections; /* open now */
};

/* Takes over the listening socket fd. NULL with *err. */
struct sj_web *sj_web_new(struct event_base *base, int fd, struct sj_worker *worker, const struct sj_web_hooks *hooks,
                          struct sj_err *err);
void sj_web_free(struct sj_web *w);

/*
 * TLS, users and headers from now on; connections that wait for a request are closed. Takes config over (NULL: none)
 * when it returns 0; -1 with *err when its files are of no use, and nothing has changed then.
 */
int sj_web_configure(struct sj_web *w, struct sj_web_config *config, struct sj_err *err);

struct sj_web_counts sj_web_counts(const struct sj_web *w);

struct sj_web_reply {
    int status;
    const char *type;      /* Content-Type; NULL: plain text */
    struct evbuffer *body; /* shared, not consumed; NULL: a line that names the status */
    bool gzip;             /* body is compressed */
};

/* Answers a request that the handler was given. The connection is not the caller's afterwards. */
void sj_web_reply(struct sj_web_conn *conn, const struct sj_web_reply *reply);

/* Closes the connection to the same server that takes longest to read its answer. False when there is none. */
bool sj_web_shed(struct sj_web_conn *conn);

/*
 * The answer comes later. cancel is called, once, if it is no longer wanted: the client is gone, or five seconds are
 * over, and it got 503.
 */
void sj_web_wait(struct sj_web_conn *conn, void (*cancel)(void *arg), void *arg);
