// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "web/auth.h"
#include "web/http_head.h"
#include "web/web.h"

/* What the files of the HTTP server share. */
enum conn_state {
    CONN_IDLE = 0, /* between two requests */
    CONN_HEAD,     /* until a head is complete; the TLS handshake is in it */
    CONN_BUSY,     /* the handler, or authentication, has it */
    CONN_WRITE,    /* until the answer is with the kernel */
    CONN_LINGER    /* what the client still sends is thrown away, lest the answer is lost by a reset */
};

struct sj_web_conn {
    TAILQ_ENTRY(sj_web_conn) link;
    struct sj_web *web;
    struct bufferevent *bev;
    struct event *timer;
    enum conn_state state;
    bool keep_alive, head_only, gzip;
    bool ended; /* the client sends no more, but may wait for answers */
    int format;
    uint64_t peer; /* a hash of the client's address */
    void (*cancel)(void *arg);
    void *cancel_arg;
    char path[SJ_HTTP_PATH_SIZE];
};

TAILQ_HEAD(conn_list, sj_web_conn);

struct sj_web {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *pause; /* after a burst, or after accept() failed */
    unsigned burst;      /* accepted since the last pause */
    struct sj_web_hooks hooks;
    struct sj_auth *auth;
    struct sj_web_config *config; /* NULL: none */
    SSL_CTX *tls;                 /* NULL: none */
    struct conn_list conns;       /* who changed state longest ago comes first */
    struct sj_web_counts counts;
};

void sj_web_conn_open(struct sj_web *w, evutil_socket_t fd, uint64_t peer);
void sj_web_conn_close(struct sj_web_conn *conn);

/* The connection whose client has had longest to read its answer, but not `other`; NULL when none is being written. */
struct sj_web_conn *sj_web_slowest(struct sj_web *w, const struct sj_web_conn *other);

/* Answers with a status and a line about it; close: the connection ends with it. */
void sj_web_refuse(struct sj_web_conn *conn, int status, bool close);

/* Puts the answer's head, and its body unless only the head was asked for, into the connection's output. */
void sj_web_put_reply(struct sj_web_conn *conn, const struct sj_web_reply *reply);
