// SPDX-License-Identifier: GPL-3.0-or-later
#include "clk.h"
#include "server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * The models with an event loop. `epoll` serves all requests in its one thread and lets their sleeps overlap; CPU,
 * futex, fsync and downstream parts hold the loop up, as they do in real event loops. `handoff` only receives in the
 * loop; a pool of threads serves and answers. A connection is armed one-shot: between its request and its answer it
 * belongs to whoever serves it.
 */
struct sj_host {
    struct sj_server *srv;
    struct sj_worker worker; /* of the loop's thread */
    struct sj_loop loop;
    struct sj_watch acceptor;
    bool hands_off;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct sj_conn *first, *last; /* queue of the pool */
};

static void advance(struct sj_conn *conn);

static void drop(struct sj_conn *conn)
{
    sj_loop_disarm(&conn->host->loop, &conn->step);
    sj_loop_disarm(&conn->host->loop, &conn->idle);
    sj_conn_close(conn);
}

/* The pool gives a connection back to the loop: under the lock, so that the loop sees all that the pool wrote. */
static void await(struct sj_conn *conn, uint32_t events)
{
    struct sj_host *host = conn->host;
    if (!host->hands_off)
        sj_loop_arm(&host->loop, &conn->idle, sj_clk_now() + host->srv->opts.timeout);
    pthread_mutex_lock(&host->lock);
    sj_loop_change(&host->loop, conn->fd, events | EPOLLONESHOT, &conn->watch);
    pthread_mutex_unlock(&host->lock);
}

static void flush(struct sj_conn *conn)
{
    struct sj_host *host = conn->host;
    switch (sj_conn_flush(&host->worker, conn)) {
    case SJ_OUTBOX_DONE:
        if (conn->closing)
            drop(conn);
        else
            advance(conn);
        break;
    case SJ_OUTBOX_AGAIN:
        await(conn, EPOLLOUT);
        break;
    case SJ_OUTBOX_HOLD:
        sj_loop_arm(&host->loop, &conn->step, conn->out.hold_until);
        break;
    case SJ_OUTBOX_LIMIT:
    case SJ_OUTBOX_ERROR:
        drop(conn);
        break;
    }
}

/* Serves what is ready up to its sleep; true if it has none. */
static bool start(struct sj_conn *conn)
{
    struct sj_host *host = conn->host;
    if (!sj_turn_begin(&host->worker, conn, true)) {
        drop(conn);
        return false;
    }
    sj_turn_before(&host->worker, conn);
    struct sj_turn *turn = sj_turn_current(conn);
    if (!turn->plan.sleep)
        return true;
    turn->costs[SJ_COST_SLEEP] = turn->plan.sleep;
    sj_turn_leave(turn);
    sj_loop_arm(&host->loop, &conn->step, sj_clk_now() + turn->plan.sleep);
    return false;
}

static void finish(struct sj_conn *conn)
{
    for (;;) {
        sj_turn_after(conn);
        if (sj_turn_respond(&conn->host->worker, conn)) {
            flush(conn);
            return;
        }
        if (!start(conn))
            return;
    }
}

static void slept(void *arg)
{
    struct sj_conn *conn = arg;
    if (conn->out.pos || conn->out.hold_until) {
        flush(conn);
        return;
    }
    sj_turn_enter(sj_turn_current(conn));
    finish(conn);
}

static void enqueue(struct sj_conn *conn)
{
    struct sj_host *host = conn->host;
    conn->next_queued = NULL;
    pthread_mutex_lock(&host->lock);
    if (host->last)
        host->last->next_queued = conn;
    else
        host->first = conn;
    host->last = conn;
    pthread_cond_signal(&host->filled);
    pthread_mutex_unlock(&host->lock);
}

/* Goes on with what has been read, and waits for more when that is used up. */
static void advance(struct sj_conn *conn)
{
    struct sj_host *host = conn->host;
    switch (sj_conn_next(&host->worker, conn)) {
    case SJ_NEXT_MORE:
        await(conn, EPOLLIN);
        break;
    case SJ_NEXT_READY:
        if (host->hands_off)
            enqueue(conn);
        else if (start(conn))
            finish(conn);
        break;
    case SJ_NEXT_ECHO:
    case SJ_NEXT_BAD:
        flush(conn);
        break;
    }
}

static void ready(void *arg, uint32_t events)
{
    struct sj_conn *conn = arg;
    struct sj_host *host = conn->host;
    /* The other half of await()'s lock. */
    pthread_mutex_lock(&host->lock);
    pthread_mutex_unlock(&host->lock);
    sj_loop_disarm(&host->loop, &conn->idle);
    if (conn->out.buf.len && (events & EPOLLOUT)) {
        flush(conn);
        return;
    }
    ssize_t n = sj_conn_input(&host->worker, conn);
    if (n > 0)
        advance(conn);
    else if (n == -EAGAIN)
        await(conn, EPOLLIN);
    else
        drop(conn);
}

static void timed_out(void *arg)
{
    drop(arg);
}

static void accept_all(void *arg, uint32_t events)
{
    struct sj_host *host = arg;
    (void)events;
    for (;;) {
        struct sj_addr peer = {.len = sizeof(peer) - offsetof(struct sj_addr, any)};
        int fd = accept4(host->srv->listen_fd, &peer.any, &peer.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct sj_conn *conn = sj_conn_open(&host->worker, fd, &peer);
        if (!conn)
            continue;
        conn->host = host;
        conn->watch = (struct sj_watch){.ready = ready, .arg = conn};
        conn->step = (struct sj_timer){.fire = slept, .arg = conn};
        conn->idle = (struct sj_timer){.fire = timed_out, .arg = conn};
        if (sj_loop_add(&host->loop, fd, EPOLLIN | EPOLLONESHOT, &conn->watch))
            drop(conn);
        else if (!host->hands_off)
            sj_loop_arm(&host->loop, &conn->idle, sj_clk_now() + host->srv->opts.timeout);
    }
}

static int open_host(struct sj_host *host, struct sj_server *srv, bool hands_off, struct sj_err *err)
{
    *host = (struct sj_host){.srv = srv, .hands_off = hands_off};
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->filled, NULL);
    host->acceptor = (struct sj_watch){.ready = accept_all, .arg = host};
    if (sj_worker_open(&host->worker, srv, err))
        return -1;
    if (sj_loop_open(&host->loop, err)) {
        sj_worker_close(&host->worker);
        return -1;
    }
    if (sj_loop_add(&host->loop, srv->listen_fd, EPOLLIN, &host->acceptor)) {
        sj_worker_close(&host->worker);
        sj_loop_close(&host->loop);
        return sj_fail(err, EX_OSERR, "cannot watch the listening socket: %s", strerror(errno));
    }
    return 0;
}

int sj_model_epoll(struct sj_server *srv, struct sj_err *err)
{
    struct sj_host host;
    if (open_host(&host, srv, false, err))
        return -1;
    sj_loop_run(&host.loop);
    return 0;
}

static struct sj_conn *dequeue(struct sj_host *host)
{
    pthread_mutex_lock(&host->lock);
    while (!host->first)
        pthread_cond_wait(&host->filled, &host->lock);
    struct sj_conn *conn = host->first;
    host->first = conn->next_queued;
    if (!host->first)
        host->last = NULL;
    pthread_mutex_unlock(&host->lock);
    return conn;
}

/* A pool thread's part: the request that is ready and all that were read with it. */
static bool serve_queued(struct sj_worker *worker, struct sj_conn *conn)
{
    enum sj_conn_next next = SJ_NEXT_READY;
    while (next != SJ_NEXT_MORE) {
        bool go_on = next == SJ_NEXT_READY;
        while (go_on) {
            if (!sj_turn_begin(worker, conn, false))
                return false;
            sj_turn_before(worker, conn);
            sj_turn_sleep(conn);
            sj_turn_after(conn);
            go_on = !sj_turn_respond(worker, conn);
        }
        if (!sj_conn_flush_all(worker, conn))
            return false;
        next = sj_conn_next(worker, conn);
    }
    return true;
}

static void *serve_pool(void *arg)
{
    struct sj_host *host = arg;
    struct sj_worker worker;
    if (sj_worker_open(&worker, host->srv, NULL))
        return NULL;
    for (;;) {
        struct sj_conn *conn = dequeue(host);
        if (serve_queued(&worker, conn))
            await(conn, EPOLLIN);
        else
            sj_conn_close(conn);
    }
}

int sj_model_handoff(struct sj_server *srv, struct sj_err *err)
{
    struct sj_host host;
    if (open_host(&host, srv, true, err))
        return -1;
    for (uint64_t i = 0; i < srv->opts.workers; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve_pool, &host))
            return sj_fail(err, EX_OSERR, "cannot start a worker thread");
        pthread_detach(thread);
    }
    sj_loop_run(&host.loop);
    return 0;
}
