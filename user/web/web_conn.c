// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_conn.h"

#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How long a connection may stay in each state, in seconds. A head has its time however busily it trickles in. */
static const int limit_s[] = {
    [CONN_IDLE] = 75, [CONN_HEAD] = 10, [CONN_BUSY] = 5, [CONN_WRITE] = 20, [CONN_LINGER] = 2};

#define INPUT_MAX ((size_t)2 * SJ_HTTP_HEAD_MAX) /* what is read ahead of the request that is being answered */

static void take_head(struct sj_web_conn *conn);

static void enter(struct sj_web_conn *conn, enum conn_state state)
{
    struct timeval limit = {.tv_sec = limit_s[state]};
    conn->state = state;
    evtimer_add(conn->timer, &limit);
    TAILQ_REMOVE(&conn->web->conns, conn, link);
    TAILQ_INSERT_TAIL(&conn->web->conns, conn, link);
}

static void call_off(struct sj_web_conn *conn)
{
    void (*cancel)(void *) = conn->cancel;
    conn->cancel = NULL;
    if (cancel)
        cancel(conn->cancel_arg);
}

void sj_web_conn_close(struct sj_web_conn *conn)
{
    call_off(conn);
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    if (ssl && SSL_is_init_finished(ssl)) { /* says goodbye, and does not wait for the other's */
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(ssl);
    }
    /* freeing is put off by the library, and with it what is left of an answer */
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    evbuffer_unfreeze(out, 1);
    evbuffer_drain(out, evbuffer_get_length(out));
    TAILQ_REMOVE(&conn->web->conns, conn, link);
    conn->web->counts.connections--;
    event_free(conn->timer);
    bufferevent_free(conn->bev);
    free(conn);
}

struct sj_web_conn *sj_web_slowest(struct sj_web *w, const struct sj_web_conn *other)
{
    struct sj_web_conn *conn;
    TAILQ_FOREACH(conn, &w->conns, link)
    if (conn->state == CONN_WRITE && conn != other)
        return conn;
    return NULL;
}

bool sj_web_shed(struct sj_web_conn *conn)
{
    struct sj_web_conn *slowest = sj_web_slowest(conn->web, conn);
    if (!slowest)
        return false;
    conn->web->counts.denied++;
    sj_web_conn_close(slowest);
    return true;
}

void sj_web_reply(struct sj_web_conn *conn, const struct sj_web_reply *reply)
{
    conn->cancel = NULL;
    conn->web->counts.requests++;
    if (reply->status >= 400 && reply->status < 500)
        conn->web->counts.denied++;
    sj_web_put_reply(conn, reply);
    enter(conn, CONN_WRITE);
}

void sj_web_refuse(struct sj_web_conn *conn, int status, bool close)
{
    if (close)
        conn->keep_alive = false;
    sj_web_reply(conn, &(struct sj_web_reply){.status = status});
}

void sj_web_wait(struct sj_web_conn *conn, void (*cancel)(void *arg), void *arg)
{
    conn->cancel = cancel;
    conn->cancel_arg = arg;
}

/* Says that nothing more comes, and waits a little for the client to see it. */
static void linger(struct sj_web_conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    evbuffer_drain(in, evbuffer_get_length(in));
    if (ssl)
        SSL_shutdown(ssl);
    else
        shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
    enter(conn, CONN_LINGER);
}

/* The next request, when the client has sent it already. */
static void go_on(struct sj_web_conn *conn)
{
    if (evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0) {
        enter(conn, CONN_IDLE);
        return;
    }
    enter(conn, CONN_HEAD);
    take_head(conn);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct sj_web_conn *conn = arg;
    if (conn->state != CONN_WRITE || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        return;
    if (!conn->keep_alive) {
        if (conn->ended)
            sj_web_conn_close(conn);
        else
            linger(conn);
        return;
    }
    go_on(conn);
    if (conn->ended && (conn->state == CONN_IDLE || conn->state == CONN_HEAD))
        sj_web_conn_close(conn);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct sj_web_conn *conn = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    if (conn->state == CONN_LINGER) {
        evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    if (conn->state == CONN_IDLE)
        enter(conn, CONN_HEAD);
    if (conn->state == CONN_HEAD)
        take_head(conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct sj_web_conn *conn = arg;
    (void)bev;
    if (what & BEV_EVENT_CONNECTED)
        return;
    /* Who only says that nothing more will come may still wait for answers. */
    if (what & BEV_EVENT_EOF && (conn->state == CONN_BUSY || conn->state == CONN_WRITE)) {
        conn->ended = true;
        return;
    }
    sj_web_conn_close(conn);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct sj_web_conn *conn = arg;
    (void)fd;
    (void)what;
    if (conn->state == CONN_BUSY) {
        call_off(conn);
        sj_web_refuse(conn, 503, false);
        return;
    }
    bool begun = conn->state == CONN_HEAD && evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0;
    if (conn->state == CONN_HEAD)
        conn->web->counts.denied++;
    if (begun) {
        conn->keep_alive = conn->head_only = false;
        sj_web_put_reply(conn, &(struct sj_web_reply){.status = 408});
        enter(conn, CONN_WRITE);
        return;
    }
    sj_web_conn_close(conn);
}

static void handle(struct sj_web_conn *conn)
{
    struct sj_web *w = conn->web;
    w->hooks.handle(w->hooks.ctx, conn,
                    &(struct sj_web_request){.path = conn->path, .format = conn->format, .gzip = conn->gzip});
}

static void settle(struct sj_web_conn *conn, enum sj_auth_verdict verdict)
{
    if (verdict == SJ_AUTH_OK)
        handle(conn);
    else
        sj_web_refuse(conn, verdict == SJ_AUTH_BUSY ? 429 : 401, false);
}

static void on_verdict(void *arg, enum sj_auth_verdict verdict)
{
    struct sj_web_conn *conn = arg;
    conn->cancel = NULL;
    settle(conn, verdict);
}

static void cancel_check(void *arg)
{
    sj_auth_cancel(arg);
}

static void authenticate(struct sj_web_conn *conn, const char *authorization)
{
    struct sj_auth_check *check = NULL;
    enum sj_auth_verdict verdict = sj_auth_check(conn->web->auth, authorization, conn->peer, on_verdict, conn, &check);
    if (verdict == SJ_AUTH_PENDING)
        sj_web_wait(conn, cancel_check, check);
    else
        settle(conn, verdict);
}

/* Looks whether the head of a request is there, and answers or passes it on if so. */
static void take_head(struct sj_web_conn *conn)
{
    char text[SJ_HTTP_HEAD_MAX + 1];
    struct sj_http_head head;
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    ev_ssize_t n = evbuffer_copyout(in, text, SJ_HTTP_HEAD_MAX);
    int length = sj_http_head_parse(text, n > 0 ? (size_t)n : 0, &head);
    if (length == 0)
        return;
    enter(conn, CONN_BUSY);
    conn->head_only = head.method == SJ_HTTP_HEAD;
    conn->keep_alive = head.keep_alive;
    if (length < 0) {
        conn->head_only = false;
        sj_web_refuse(conn, -length, true);
        return;
    }
    evbuffer_drain(in, (size_t)length);
    conn->gzip = sj_http_list_has(head.accept_encoding, "gzip");
    conn->format = conn->web->hooks.format(head.accept);
    memcpy(conn->path, head.path, sizeof(conn->path));
    if (head.method == SJ_HTTP_OTHER)
        sj_web_refuse(conn, 405, true);
    else if (head.body)
        sj_web_refuse(conn, 413, true);
    else
        authenticate(conn, head.authorization);
    explicit_bzero(text, sizeof(text));
}

static struct bufferevent *new_bufferevent(struct sj_web *w, evutil_socket_t fd)
{
    if (!w->tls)
        return bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = SSL_new(w->tls);
    struct bufferevent *bev =
        ssl ? bufferevent_openssl_socket_new(w->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    else
        SSL_free(ssl);
    return bev;
}

void sj_web_conn_open(struct sj_web *w, evutil_socket_t fd, uint64_t peer)
{
    struct sj_web_conn *conn = calloc(1, sizeof(*conn));
    struct bufferevent *bev = conn ? new_bufferevent(w, fd) : NULL;
    struct event *timer = bev ? evtimer_new(w->base, on_timer, conn) : NULL;
    if (!timer) {
        if (bev)
            bufferevent_free(bev);
        else
            evutil_closesocket(fd);
        free(conn);
        return;
    }
    conn->web = w;
    conn->bev = bev;
    conn->timer = timer;
    conn->peer = peer;
    TAILQ_INSERT_TAIL(&w->conns, conn, link);
    w->counts.connections++;
    enter(conn, CONN_HEAD);
    bufferevent_setcb(bev, on_readable, on_written, on_event, conn);
    bufferevent_setwatermark(bev, EV_READ, 0, INPUT_MAX);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}
