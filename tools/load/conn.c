// SPDX-License-Identifier: GPL-3.0-or-later
#include "clk.h"
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one recv: pipelines of a few hundred requests come in one piece. */
#define RECV_ROOM 16384

struct sj_conn *sj_conn_open(struct sj_worker *worker, int fd, const struct sj_addr *peer)
{
    const struct sj_server *srv = worker->srv;
    struct sj_conn *conn = calloc(1, sizeof(*conn));
    if (!conn || sj_io_prepare(&worker->io, fd)) {
        free(conn);
        close(fd);
        return NULL;
    }
    conn->fd = fd;
    conn->out.file = -1;
    conn->id = atomic_fetch_add(&srv->ledger->connections, 1) + 1;
    sj_addr_text(peer, conn->peer);
    sj_addr_no_delay(fd, &srv->addr);
    sj_addr_bound(fd, srv->opts.timeout);
    atomic_store(&srv->ledger->last_activity, sj_clk_now());
    return conn;
}

void sj_conn_close(struct sj_conn *conn)
{
    if (conn->reset)
        sj_addr_reset(conn->fd);
    else
        close(conn->fd);
    sj_buf_free(&conn->in);
    sj_outbox_free(&conn->out);
    free(conn->turns);
    free(conn);
}

ssize_t sj_conn_input(struct sj_worker *worker, struct sj_conn *conn)
{
    const struct sj_server *srv = worker->srv;
    size_t room = srv->opts.proto == SJ_PROTO_RAW ? srv->opts.raw_request_size : RECV_ROOM;
    sj_buf_reserve(&conn->in, room);
    ssize_t n;
    do
        n = sj_io_recv(&worker->io, conn->fd, conn->in.at + conn->in.len, room);
    while (n == -EINTR);
    conn->recv_ns = sj_clk_now();
    conn->recv_cpu = sj_clk_thread_cpu();
    if (n > 0) {
        conn->in.len += (size_t)n;
        atomic_fetch_add_explicit(&srv->ledger->bytes_in, (uint64_t)n, memory_order_relaxed);
    }
    return n;
}

static void send_continue(struct sj_worker *worker, struct sj_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct sj_io_part part = {.at = text, .len = sizeof(text) - 1, .file = -1};
    sj_io_send(&worker->io, conn->fd, &part);
}

static enum sj_conn_next bad(struct sj_worker *worker, struct sj_conn *conn)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    atomic_fetch_add(&worker->srv->ledger->bad, 1);
    sj_buf_add(&conn->out.buf, text, sizeof(text) - 1);
    conn->closing = true;
    return SJ_NEXT_BAD;
}

static enum sj_conn_next next_http(struct sj_worker *worker, struct sj_conn *conn)
{
    if (conn->phase == SJ_CONN_HEAD) {
        enum sj_msg_result result = sj_msg_request(conn->in.at, conn->in.len, &conn->head);
        if (result != SJ_MSG_OK)
            return result == SJ_MSG_BAD ? bad(worker, conn) : SJ_NEXT_MORE;
        sj_buf_eat(&conn->in, conn->head.size);
        conn->request_bytes = conn->head.size;
        sj_msg_body_start(&conn->body, sj_msg_request_framing(&conn->head), conn->head.length);
        conn->phase = SJ_CONN_BODY;
        if (conn->head.expect && !conn->body.done && !conn->in.len)
            send_continue(worker, conn);
    }
    size_t n = conn->body.done ? 0 : sj_msg_body_feed(&conn->body, conn->in.at, conn->in.len);
    sj_buf_eat(&conn->in, n);
    conn->request_bytes += n;
    if (conn->body.bad)
        return bad(worker, conn);
    if (!conn->body.done)
        return SJ_NEXT_MORE;
    conn->phase = SJ_CONN_HEAD;
    return SJ_NEXT_READY;
}

static enum sj_conn_next next_line(struct sj_worker *worker, struct sj_conn *conn)
{
    const char *end = conn->in.len ? memchr(conn->in.at, '\n', conn->in.len) : NULL;
    if (!end)
        return conn->in.len < SJ_MSG_HEAD_LIMIT ? SJ_NEXT_MORE : bad(worker, conn);
    size_t len = (size_t)(end - conn->in.at);
    size_t kept = len < sizeof(conn->head.path) ? len : sizeof(conn->head.path) - 1;
    memcpy(conn->head.path, conn->in.at, kept);
    conn->head.path[kept] = '\0';
    conn->request_bytes = len + 1;
    sj_buf_eat(&conn->in, len + 1);
    return SJ_NEXT_READY;
}

enum sj_conn_next sj_conn_next(struct sj_worker *worker, struct sj_conn *conn)
{
    if (conn->phase == SJ_CONN_MUTE)
        conn->in.len = 0;
    if (!conn->in.len || conn->closing)
        return SJ_NEXT_MORE;
    if (conn->phase == SJ_CONN_ECHO) {
        sj_buf_add(&conn->out.buf, conn->in.at, conn->in.len);
        conn->in.len = 0;
        atomic_fetch_add(&worker->srv->ledger->echoed, 1);
        return SJ_NEXT_ECHO;
    }
    if (!conn->begun) {
        conn->begun = true;
        conn->first_ns = conn->recv_ns;
        conn->first_cpu = conn->recv_cpu;
    }
    switch ((enum sj_proto)worker->srv->opts.proto) {
    case SJ_PROTO_RAW:
        conn->request_bytes = conn->in.len;
        conn->in.len = 0;
        return SJ_NEXT_READY;
    case SJ_PROTO_LINE:
        return next_line(worker, conn);
    case SJ_PROTO_HTTP:
        break;
    }
    return next_http(worker, conn);
}

/* All turns of this flush came to the same end. */
static void settle(struct sj_worker *worker, struct sj_conn *conn, enum sj_outcome outcome)
{
    uint64_t now = sj_clk_now();
    for (size_t i = 0; i < conn->n_turns; i++)
        sj_turn_settle(worker, conn, &conn->turns[i], outcome, now);
    conn->n_turns = 0;
    conn->prev_done = now;
}

enum sj_outbox_state sj_conn_flush(struct sj_worker *worker, struct sj_conn *conn)
{
    int error = 0;
    sj_turns_mark_send(worker, conn);
    enum sj_outbox_state state = sj_outbox_push(&conn->out, &worker->io, conn->fd, &error);
    switch (state) {
    case SJ_OUTBOX_DONE:
        settle(worker, conn, SJ_OUTCOME_ANSWERED);
        break;
    case SJ_OUTBOX_LIMIT:
        conn->reset = true;
        settle(worker, conn, SJ_OUTCOME_RESET);
        break;
    case SJ_OUTBOX_ERROR:
        settle(worker, conn, SJ_OUTCOME_GONE);
        break;
    case SJ_OUTBOX_AGAIN:
    case SJ_OUTBOX_HOLD:
        break;
    }
    return state;
}

bool sj_conn_flush_all(struct sj_worker *worker, struct sj_conn *conn)
{
    struct pollfd writable = {.fd = conn->fd, .events = POLLOUT};
    for (;;) {
        switch (sj_conn_flush(worker, conn)) {
        case SJ_OUTBOX_DONE:
            return !conn->closing;
        case SJ_OUTBOX_HOLD:
            sj_clk_sleep_until(conn->out.hold_until);
            break;
        case SJ_OUTBOX_AGAIN:
            if (poll(&writable, 1, (int)(worker->srv->opts.timeout / 1000000)) > 0)
                break;
            settle(worker, conn, SJ_OUTCOME_TIMEOUT);
            return false;
        case SJ_OUTBOX_LIMIT:
        case SJ_OUTBOX_ERROR:
            return false;
        }
    }
}
