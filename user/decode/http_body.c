// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "decode/http_state.h"

void sj_http_begin_fields(struct sj_http_side *s)
{
    memset(&s->fields, 0, sizeof(s->fields));
    s->phase = SJ_AT_FIELDS;
}

static void begin_trailer(struct sj_http_side *s)
{
    memset(&s->fields, 0, sizeof(s->fields));
    s->fields.trailer = true;
    s->phase = SJ_AT_TRAILER;
}

static void end_message(struct sj_http_feed *f)
{
    sj_http_tell(f, f->dir == SJ_DIR_ASK ? SJ_MSG_ASK_END : SJ_MSG_ANSWER_END, f->i);
    f->side->phase = SJ_AT_START;
    f->side->flags = 0;
    f->start = f->i;
}

static void leave_http(struct sj_http_feed *f)
{
    end_message(f);
    f->st->switched = true;
    sj_http_tell(f, SJ_MSG_SWITCH, f->i);
}

static void begin_body(struct sj_http_feed *f, uint64_t length)
{
    f->side->left = length;
    f->side->phase = SJ_AT_BODY;
    if (length == 0)
        end_message(f);
}

static void begin_chunk(struct sj_http_side *s)
{
    s->left = 0;
    s->flags &= (uint8_t)~SJ_SIDE_DIGIT;
    s->phase = SJ_AT_CHUNK_SIZE;
}

/* The header is complete; RFC 9112, section 6.3. */
static void header_ends(struct sj_http_feed *f)
{
    struct sj_http_side *s = f->side;
    unsigned fields = s->fields.flags;
    bool ask = f->dir == SJ_DIR_ASK;

    if (s->flags & SJ_SIDE_INTERIM) {
        s->phase = SJ_AT_START;
        s->flags = 0;
    } else if (s->flags & SJ_SIDE_SWITCHES) {
        leave_http(f);
    } else if (s->flags & SJ_SIDE_BODILESS) {
        end_message(f);
    } else if (fields & SJ_HTTP_CHUNKED) {
        begin_chunk(s);
    } else if (fields & SJ_HTTP_CODED) {
        if (ask)
            sj_http_go_blind(f, SJ_AT_CUT);
        else
            s->phase = SJ_AT_CLOSE;
    } else if (fields & SJ_HTTP_BAD_LENGTH) {
        sj_http_go_blind(f, SJ_AT_CUT);
    } else if (fields & SJ_HTTP_LENGTH) {
        begin_body(f, s->fields.length);
    } else if (ask) {
        end_message(f);
    } else {
        s->phase = SJ_AT_CLOSE;
    }
    if (ask && (fields & SJ_HTTP_EXPECT) && s->phase != SJ_AT_START)
        s->flags |= SJ_SIDE_UNTOUCHED;
}

static void read_fields(struct sj_http_feed *f)
{
    if (sj_http_read_fields(&f->side->fields, f->p, f->n, &f->i) != SJ_HTTP_DONE)
        return;
    if (f->side->phase == SJ_AT_TRAILER)
        end_message(f);
    else
        header_ends(f);
}

/* Moves behind the end of the line; false when it is not in this piece. */
static bool skip_line(struct sj_http_feed *f)
{
    const uint8_t *end = memchr(f->p + f->i, '\n', f->n - f->i);

    f->i = end ? (size_t)(end - f->p) + 1 : f->n;
    return end != NULL;
}

/* Nothing happens as long as some is left. */
static void data_ends(struct sj_http_feed *f)
{
    struct sj_http_side *s = f->side;

    if (s->left > 0)
        return;
    if (s->phase == SJ_AT_BODY)
        end_message(f);
    else
        s->phase = SJ_AT_CHUNK_END;
}

static void read_data(struct sj_http_feed *f)
{
    struct sj_http_side *s = f->side;
    size_t rest = f->n - f->i;
    size_t take = s->left < rest ? (size_t)s->left : rest;

    s->left -= take;
    s->flags &= (uint8_t)~SJ_SIDE_UNTOUCHED;
    f->i += take;
    data_ends(f);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void chunk_begins(struct sj_http_feed *f)
{
    struct sj_http_side *s = f->side;

    if (s->left > 0)
        s->phase = SJ_AT_CHUNK_DATA;
    else
        begin_trailer(s);
}

static void read_chunk_size(struct sj_http_feed *f)
{
    struct sj_http_side *s = f->side;

    s->flags &= (uint8_t)~SJ_SIDE_UNTOUCHED;
    while (f->i < f->n) {
        uint8_t c = f->p[f->i++];
        int digit = hex_value(c);

        if (digit >= 0 && s->left <= (uint64_t)INT64_MAX >> 4) {
            s->left = s->left << 4 | (uint64_t)digit;
            s->flags |= SJ_SIDE_DIGIT;
            continue;
        }
        if (!(s->flags & SJ_SIDE_DIGIT) || !memchr("\r\n; \t", c, 5)) {
            sj_http_lose(f, f->i - 1);
        } else if (c == '\n') {
            chunk_begins(f);
        } else {
            s->phase = SJ_AT_CHUNK_EXTENSION;
        }
        return;
    }
}

/* The end of line behind a chunk. */
static void read_chunk_end(struct sj_http_feed *f)
{
    uint8_t c = f->p[f->i++];

    if (c == '\n')
        begin_chunk(f->side);
    else if (c == '\r' && (f->side->flags & SJ_SIDE_DIGIT))
        f->side->flags &= (uint8_t)~SJ_SIDE_DIGIT;
    else
        sj_http_lose(f, f->i - 1);
}

static void keep_head(struct sj_http_feed *f, size_t len)
{
    struct sj_http *st = f->st;
    struct sj_http_head *head;

    if (f->dir == SJ_DIR_ASK && (st->known == 0 || st->known_len >= SJ_HTTP_HEAD_OPERATION))
        return;
    st->latest[f->dir] = sj_http_heads_keep(st->heads, f->dir, f->p + f->start, len);
    head = &st->heads->head[st->latest[f->dir]];
    head->length = f->side->fields.length;
    head->flags = f->side->fields.flags;
    head->status = st->status.status;
    head->method = st->line.method;
    head->operation_len = st->known_len;
    if (f->dir == SJ_DIR_ASK)
        memcpy(head->operation, st->line.text + st->known, (size_t)st->known_len + 1);
}

static void fields_end(struct sj_http_feed *f)
{
    header_ends(f);
    if (f->side->phase == SJ_AT_BODY && f->i < f->n)
        read_data(f);
}

void sj_http_read_head(struct sj_http_feed *f)
{
    size_t from = f->dir == SJ_DIR_ASK ? f->i - 1 : f->i;
    size_t end = from < f->n ? sj_http_read_usual_fields(&f->side->fields, f->p, f->n, from) : 0;

    if (end == 0)
        return;
    if (f->begun && f->st->heads && end - f->start <= SJ_HTTP_HEAD_MAX)
        keep_head(f, end - f->start);
    f->i = end;
    fields_end(f);
}

void sj_http_take_head(struct sj_http_feed *f, const struct sj_http_head *head)
{
    f->side->fields.flags = head->flags;
    f->side->fields.length = head->length;
    f->i = f->start + head->len;
    fields_end(f);
}

void sj_http_read_rest(struct sj_http_feed *f)
{
    switch (f->side->phase) {
    case SJ_AT_REASON:
        if (skip_line(f))
            sj_http_begin_fields(f->side);
        break;
    case SJ_AT_FIELDS:
    case SJ_AT_TRAILER:
        read_fields(f);
        break;
    case SJ_AT_BODY:
    case SJ_AT_CHUNK_DATA:
        read_data(f);
        break;
    case SJ_AT_CHUNK_SIZE:
        read_chunk_size(f);
        break;
    case SJ_AT_CHUNK_EXTENSION:
        if (skip_line(f))
            chunk_begins(f);
        break;
    default:
        read_chunk_end(f);
    }
}

void sj_http_skip_rest(struct sj_http_feed *f, uint64_t gap)
{
    struct sj_http_side *s = f->side;
    bool data = s->phase == SJ_AT_BODY || s->phase == SJ_AT_CHUNK_DATA;

    if (data && gap <= s->left) {
        s->left -= gap;
        s->flags &= (uint8_t)~SJ_SIDE_UNTOUCHED;
        data_ends(f);
    } else if (s->phase == SJ_AT_BODY) {
        /* it ended within the gap, and another message began there */
        end_message(f);
        sj_http_lose(f, f->n);
    } else if (s->flags & SJ_SIDE_SWITCHES) {
        leave_http(f);
    } else {
        sj_http_go_blind(f, SJ_AT_CUT);
    }
}
