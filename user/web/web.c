// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "web/web_conn.h"
#include "web/web_tls.h"

#define PAUSE_S 1 /* when there are no descriptors left, accepting again at once would only spin */
#define BURST 32  /* connections accepted before those that have sent something get their turn */

static uint64_t hash_address(const struct sockaddr *address)
{
    const unsigned char *p = NULL;
    size_t n = 0;
    if (address->sa_family == AF_INET) {
        p = (const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
        n = 4;
    } else if (address->sa_family == AF_INET6) { /* who has one address of a /64 has them all */
        p = (const unsigned char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        n = 8;
    }
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3;
    return h;
}

/*
 * The connection that has waited longest for its client: to ask or, if all have asked, to read what it asked for. NULL
 * when all wait for this side.
 */
static struct sj_web_conn *idlest(struct sj_web *w)
{
    struct sj_web_conn *conn;
    TAILQ_FOREACH(conn, &w->conns, link)
    if (conn->state != CONN_BUSY && conn->state != CONN_WRITE)
        return conn;
    return sj_web_slowest(w, NULL);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int length,
                      void *arg)
{
    static const struct timeval soon = {0};
    struct sj_web *w = arg;
    (void)length;
    if (++w->burst >= BURST) {
        evconnlistener_disable(listener);
        evtimer_add(w->pause, &soon);
    }
    if (w->counts.connections >= SJ_WEB_CONNECTIONS_MAX) {
        struct sj_web_conn *victim = idlest(w);
        w->counts.denied++;
        if (!victim) {
            evutil_closesocket(fd);
            return;
        }
        sj_web_conn_close(victim);
    }
    sj_web_conn_open(w, fd, hash_address(address));
}

static void on_accept_failed(struct evconnlistener *listener, void *arg)
{
    static const struct timeval pause = {.tv_sec = PAUSE_S};
    struct sj_web *w = arg;
    evconnlistener_disable(listener);
    evtimer_add(w->pause, &pause);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct sj_web *w = arg;
    (void)fd;
    (void)what;
    w->burst = 0;
    evconnlistener_enable(w->listener);
}

struct sj_web *sj_web_new(struct event_base *base, int fd, struct sj_worker *worker, const struct sj_web_hooks *hooks,
                          struct sj_err *err)
{
    struct sj_web *w = calloc(1, sizeof(*w));
    if (!w) {
        evutil_closesocket(fd);
        sj_err_set(err, EX_OSERR, "out of memory");
        return NULL;
    }
    w->base = base;
    w->hooks = *hooks;
    TAILQ_INIT(&w->conns);
    evutil_make_socket_nonblocking(fd);
    w->listener =
        evconnlistener_new(base, on_accept, w, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0 /* listens */, fd);
    if (!w->listener)
        evutil_closesocket(fd);
    w->pause = evtimer_new(base, on_pause_over, w);
    w->auth = sj_auth_new(worker, err);
    if (w->listener && w->pause && w->auth) {
        evconnlistener_set_error_cb(w->listener, on_accept_failed);
        return w;
    }
    if (w->auth)
        sj_err_set(err, EX_OSERR, "cannot wait for connections: out of memory");
    sj_web_free(w);
    return NULL;
}

void sj_web_free(struct sj_web *w)
{
    struct sj_web_conn *conn;
    if (!w)
        return;
    while ((conn = TAILQ_FIRST(&w->conns)) != NULL)
        sj_web_conn_close(conn);
    if (w->listener)
        evconnlistener_free(w->listener);
    if (w->pause)
        event_free(w->pause);
    sj_auth_free(w->auth);
    SSL_CTX_free(w->tls);
    sj_web_config_free(w->config);
    free(w);
}

int sj_web_configure(struct sj_web *w, struct sj_web_config *config, struct sj_err *err)
{
    SSL_CTX *tls = config && config->tls ? sj_web_tls(config, err) : NULL;
    if (config && config->tls && !tls)
        return -1;
    /* What was agreed under the old rules ends with them. */
    struct sj_web_conn *conn, *next;
    for (conn = TAILQ_FIRST(&w->conns); conn; conn = next) {
        next = TAILQ_NEXT(conn, link);
        conn->keep_alive = false;
        if (conn->state == CONN_IDLE || conn->state == CONN_HEAD)
            sj_web_conn_close(conn);
    }
    sj_auth_users(w->auth, config ? config->users : NULL, config ? config->n_users : 0);
    SSL_CTX_free(w->tls);
    w->tls = tls;
    sj_web_config_free(w->config);
    w->config = config;
    return 0;
}

struct sj_web_counts sj_web_counts(const struct sj_web *w)
{
    return w->counts;
}
