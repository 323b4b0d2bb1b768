// SPDX-License-Identifier: GPL-3.0-or-later
#include "server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The models that block: one thread of control serves a connection from its first byte to its last. */

#define STACK_BYTES (256 * 1024)

/* The server is about to end; another answer now would come after its books are closed. */
static void park(void)
{
    for (;;)
        pause();
}

/* From the request that is ready to the answer in the socket; false when the connection is over. */
static bool serve_ready(struct sj_worker *worker, struct sj_conn *conn)
{
    do {
        if (!sj_turn_begin(worker, conn, true))
            park();
        sj_turn_before(worker, conn);
        sj_turn_sleep(conn);
        sj_turn_after(conn);
    } while (!sj_turn_respond(worker, conn));
    return sj_conn_flush_all(worker, conn);
}

static void serve(struct sj_worker *worker, struct sj_conn *conn)
{
    for (bool open = true; open;) {
        switch (sj_conn_next(worker, conn)) {
        case SJ_NEXT_MORE:
            open = sj_conn_input(worker, conn) > 0;
            break;
        case SJ_NEXT_READY:
            open = serve_ready(worker, conn);
            break;
        case SJ_NEXT_ECHO:
        case SJ_NEXT_BAD:
            open = sj_conn_flush_all(worker, conn);
            break;
        }
    }
    sj_conn_close(conn);
}

static int next_client(struct sj_server *srv, struct sj_addr *peer, struct sj_err *err)
{
    for (;;) {
        peer->len = sizeof(*peer) - offsetof(struct sj_addr, any);
        int fd = accept4(srv->listen_fd, &peer->any, &peer->len, SOCK_CLOEXEC);
        if (fd >= 0)
            return fd;
        if (errno == EMFILE || errno == ENFILE)
            usleep(10000);
        else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO)
            return sj_fail(err, EX_OSERR, "cannot accept: %s", strerror(errno));
    }
}

int sj_model_single(struct sj_server *srv, struct sj_err *err)
{
    struct sj_worker worker;
    struct sj_addr peer;
    if (sj_worker_open(&worker, srv, err))
        return -1;
    for (;;) {
        int fd = next_client(srv, &peer, err);
        if (fd < 0) {
            sj_worker_close(&worker);
            return -1;
        }
        struct sj_conn *conn = sj_conn_open(&worker, fd, &peer);
        if (conn)
            serve(&worker, conn);
    }
}

struct visit {
    struct sj_server *srv;
    struct sj_addr peer;
    int fd;
};

static void serve_visit(const struct visit *visit)
{
    struct sj_worker worker;
    if (sj_worker_open(&worker, visit->srv, NULL)) {
        close(visit->fd);
        return;
    }
    struct sj_conn *conn = sj_conn_open(&worker, visit->fd, &visit->peer);
    if (conn)
        serve(&worker, conn);
    sj_worker_close(&worker);
}

static void *run_visit(void *arg)
{
    serve_visit(arg);
    free(arg);
    return NULL;
}

int sj_model_thread(struct sj_server *srv, struct sj_err *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (;;) {
        struct visit *visit = malloc(sizeof(*visit));
        int fd = visit ? next_client(srv, &visit->peer, err) : -1;
        if (fd < 0) {
            free(visit);
            pthread_attr_destroy(&attr);
            return -1;
        }
        visit->srv = srv;
        visit->fd = fd;
        pthread_t thread;
        if (pthread_create(&thread, &attr, run_visit, visit)) {
            close(fd);
            free(visit);
        }
    }
}

int sj_model_fork(struct sj_server *srv, struct sj_err *err)
{
    struct visit visit = {.srv = srv};
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        visit.fd = next_client(srv, &visit.peer, err);
        if (visit.fd < 0)
            return -1;
        pid_t child = fork();
        if (child == 0) {
            /* A child has no thread that minds signals: it goes when its parent goes. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != srv->pid)
                _exit(0);
            close(srv->listen_fd);
            serve_visit(&visit);
            _exit(0);
        }
        close(visit.fd);
    }
}
