// SPDX-License-Identifier: GPL-3.0-or-later
#include "client.h"

#include <string.h>

#define HEAD_HALF 10

void sj_ask_path(struct sj_buf *buf, const struct sj_slot *slot, uint64_t n)
{
    for (const char *at = slot->lane->run->opts.path; *at;) {
        if (strncmp(at, "{n}", 3) == 0)
            sj_buf_print(buf, "%llu", (unsigned long long)n);
        else if (strncmp(at, "{i}", 3) == 0)
            sj_buf_print(buf, "%llu", (unsigned long long)slot->i);
        else {
            sj_buf_add(buf, at++, 1);
            continue;
        }
        at += 3;
    }
}

static void add_digits(struct sj_buf *buf, uint64_t from, uint64_t len)
{
    sj_buf_reserve(buf, len);
    for (uint64_t i = 0; i < len; i++)
        buf->at[buf->len++] = (char)('0' + (from + i) % 10);
}

static void add_body(const struct sj_client_opts *o, struct sj_outbox *out)
{
    uint64_t each = (o->body + o->body_pieces - 1) / o->body_pieces;
    if (o->expect_continue)
        sj_outbox_cut_here(out, SJ_OUTBOX_ON_WORD);
    for (uint64_t at = 0; at < o->body;) {
        uint64_t len = o->body - at < each ? o->body - at : each;
        if (o->body_gap)
            sj_outbox_cut_here(out, o->body_gap);
        if (o->chunked_body)
            sj_buf_print(&out->buf, "%llx\r\n", (unsigned long long)len);
        add_digits(&out->buf, at, len);
        if (o->chunked_body)
            sj_buf_add(&out->buf, "\r\n", 2);
        at += len;
    }
    if (o->chunked_body)
        sj_buf_add(&out->buf, "0\r\n\r\n", 5);
}

static void add_http(struct sj_slot *slot, uint64_t n)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    struct sj_buf *buf = &slot->out.buf;
    size_t start = buf->len;
    sj_buf_print(buf, "%s ", o->method);
    sj_ask_path(buf, slot, n);
    sj_buf_print(buf, " HTTP/1.1\r\nHost: %s\r\n", slot->lane->run->host);
    if (o->head_gap) {
        /* In the middle of the path: whoever looks at the first segment alone sees a wrong one. */
        size_t len = buf->len;
        buf->len = start + (len - start < HEAD_HALF ? len - start : HEAD_HALF);
        sj_outbox_cut_here(&slot->out, o->head_gap);
        buf->len = len;
    }
    sj_buf_print(buf, "User-Agent: sojourn-load\r\nAccept: */*\r\n");
    if (slot->upgrading)
        sj_buf_print(buf, "Connection: Upgrade\r\nUpgrade: echo\r\n");
    else if (o->chunked_body)
        sj_buf_print(buf, "Transfer-Encoding: chunked\r\n");
    else if (o->body)
        sj_buf_print(buf, "Content-Length: %llu\r\n", (unsigned long long)o->body);
    if (o->expect_continue)
        sj_buf_print(buf, "Expect: 100-continue\r\n");
    if (o->ask_close)
        sj_buf_print(buf, "Connection: close\r\n");
    sj_buf_add(buf, "\r\n", 2);
    if (!slot->upgrading)
        add_body(o, &slot->out);
}

void sj_ask_build(struct sj_slot *slot)
{
    const struct sj_client_opts *o = &slot->lane->run->opts;
    sj_outbox_clear(&slot->out);
    slot->upgrading = o->upgrade && !slot->upgraded;
    for (size_t i = 0; i < slot->n_flights; i++) {
        if (o->proto == SJ_CLIENT_RAW || slot->upgraded) {
            add_digits(&slot->out.buf, slot->flights[i].n, o->body);
        } else if (o->proto == SJ_CLIENT_LINE) {
            sj_ask_path(&slot->out.buf, slot, slot->flights[i].n);
            sj_buf_add(&slot->out.buf, "\n", 1);
        } else {
            add_http(slot, slot->flights[i].n);
        }
    }
    slot->left = slot->upgraded ? o->body : o->response_size;
}
