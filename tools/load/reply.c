// SPDX-License-Identifier: GPL-3.0-or-later
#include "server.h"

#include <string.h>

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},          {201, "Created"},     {202, "Accepted"},    {204, "No Content"},
        {301, "Moved"},       {302, "Found"},       {304, "Unchanged"},   {400, "Bad Request"},
        {401, "Who Are You"}, {403, "Forbidden"},   {404, "Not Found"},   {429, "Too Many Requests"},
        {500, "Trouble"},     {502, "Bad Gateway"}, {503, "Unavailable"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

/* Byte i of every body is the letter i mod 26, so that the file for sendfile holds the same. */
static void add_letters(struct sj_buf *buf, uint64_t from, uint64_t len)
{
    sj_buf_reserve(buf, len);
    for (uint64_t i = 0; i < len; i++)
        buf->at[buf->len++] = (char)('a' + (from + i) % 26);
}

/* The body in its pieces; `size` bytes in all. */
static void add_body(const struct sj_server *srv, struct sj_outbox *out, uint64_t size)
{
    const struct sj_server_opts *o = &srv->opts;
    uint64_t each = o->piece_size ? o->piece_size : (size + o->pieces - 1) / o->pieces;
    for (uint64_t at = 0; at < size;) {
        uint64_t len = size - at < each ? size - at : each;
        if (at)
            sj_outbox_cut_here(out, o->piece_gap);
        if (o->chunked)
            sj_buf_print(&out->buf, "%llx\r\n", (unsigned long long)len);
        add_letters(&out->buf, at, len);
        if (o->chunked)
            sj_buf_add(&out->buf, "\r\n", 2);
        at += len;
    }
    if (o->chunked)
        sj_buf_add(&out->buf, "0\r\n\r\n", 5);
}

static void add_http(const struct sj_server *srv, struct sj_conn *conn, const struct sj_turn *turn)
{
    const struct sj_server_opts *o = &srv->opts;
    struct sj_outbox *out = &conn->out;
    int status = turn->plan.status;
    bool bare = status < 200 || status == 204 || status == 304;
    sj_buf_print(&out->buf, "HTTP/1.1 %d %s\r\nServer: load\r\nContent-Type: text/plain\r\n", status, reason(status));
    if (!bare && o->chunked)
        sj_buf_print(&out->buf, "Transfer-Encoding: chunked\r\n");
    else if (!bare)
        sj_buf_print(&out->buf, "Content-Length: %llu\r\n", (unsigned long long)turn->plan.size);
    if (turn->close)
        sj_buf_print(&out->buf, "Connection: close\r\n");
    sj_buf_add(&out->buf, "\r\n", 2);
    if (bare || strcmp(turn->method, "HEAD") == 0)
        return;
    if (o->split_header)
        sj_outbox_cut_here(out, 0);
    if (o->io == SJ_IO_SENDFILE && turn->plan.size <= o->response_size) {
        out->file = srv->body_fd;
        out->file_from = out->buf.len;
        out->cork = !o->split_header;
    }
    add_body(srv, out, turn->plan.size);
}

void sj_reply_add(const struct sj_server *srv, struct sj_conn *conn, const struct sj_turn *turn)
{
    struct sj_outbox *out = &conn->out;
    size_t before = out->buf.len;
    if (srv->opts.proto != SJ_PROTO_HTTP) {
        bool line = srv->opts.proto == SJ_PROTO_LINE;
        add_body(srv, out, turn->plan.size - (line ? 1 : 0));
        if (line)
            sj_buf_add(&out->buf, "\n", 1);
    } else if (conn->head.upgrade_echo) {
        sj_buf_print(&out->buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        conn->phase = SJ_CONN_ECHO;
    } else {
        add_http(srv, conn, turn);
    }
    if (turn->n == srv->opts.reset_after)
        out->limit = before + (out->buf.len - before + 1) / 2;
}
