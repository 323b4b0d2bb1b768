// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/http.h"

#include <string.h>

#include "decode/http_state.h"

#define ASKS_KNOWN 64 /* outstanding asks whose method is remembered */

void sj_http_tell_message(struct sj_http_feed *f, struct sj_message *msg, enum sj_message_kind kind, size_t offset)
{
    msg->kind = kind;
    msg->offset = offset < UINT32_MAX ? (uint32_t)offset : UINT32_MAX;
    f->fn(f->ctx, msg);
}

void sj_http_tell(struct sj_http_feed *f, enum sj_message_kind kind, size_t offset)
{
    struct sj_message msg = {.operation = "", .status = ""};

    sj_http_tell_message(f, &msg, kind, offset);
}

/* From here on the end of the message cannot be found. */
void sj_http_go_blind(struct sj_http_feed *f, enum sj_http_phase phase)
{
    f->side->phase = (uint8_t)phase;
    f->side->flags &= SJ_SIDE_ASK_UNSEEN;
    f->i = f->n;
    if (f->dir == SJ_DIR_ANSWER)
        f->st->stale = true;
}

void sj_http_lose(struct sj_http_feed *f, size_t offset)
{
    sj_http_tell(f, SJ_MSG_LOST_SYNC, offset);
    sj_http_go_blind(f, SJ_AT_LOST);
}

/* ---- who asked what ---- */

static void remember_ask(struct sj_http *st, enum sj_http_method method)
{
    if (st->stale) {
        /*
         * An answer was lost from sight. Whoever asks anew has most likely read it, and all others: turn-taking is the
         * rule, pipelining the exception.
         */
        st->unanswered = 0;
        st->head = st->connect = 0;
        st->stale = false;
    }
    if (st->unanswered < ASKS_KNOWN) {
        st->head |= (uint64_t)(method == SJ_HTTP_HEAD) << st->unanswered;
        st->connect |= (uint64_t)(method == SJ_HTTP_CONNECT) << st->unanswered;
    }
    if (st->unanswered < UINT32_MAX)
        st->unanswered++;
}

static uint8_t recall_ask(struct sj_http *st, unsigned status)
{
    uint8_t flags = 0;

    if (st->unanswered == 0)
        flags |= SJ_SIDE_ASK_UNSEEN;
    else
        st->unanswered--;
    if (status == 101 || ((st->connect & 1) && status >= 200 && status < 300))
        flags |= SJ_SIDE_SWITCHES;
    if ((st->head & 1) || status == 204 || status == 304)
        flags |= SJ_SIDE_BODILESS;
    st->head >>= 1;
    st->connect >>= 1;
    return flags;
}

/* ---- first lines ---- */

static void tell_ask(struct sj_http_feed *f, const char *operation, size_t len)
{
    struct sj_message msg = {
        .protocol = SJ_PROTO_HTTP, .operation = operation, .operation_len = (uint32_t)len, .status = ""};

    remember_ask(f->st, sj_http_method_of(&f->st->line));
    sj_http_tell_message(f, &msg, SJ_MSG_ASK_START, f->start);
    f->side->flags = 0;
    sj_http_begin_fields(f->side);
}

/* whole: all of its first line is in this piece. */
static void ask_begins(struct sj_http_feed *f, bool whole)
{
    char operation[SJ_OPERATION_MAX];
    size_t len = sj_http_operation(&f->st->line, operation, sizeof(operation));
    size_t line = f->i - f->start;

    /* most asks of a connection are like the one before: the same line again needs no reading */
    if (whole && line + len < sizeof(f->st->line.text)) {
        memcpy(f->st->line.text, f->p + f->start, line);
        memcpy(f->st->line.text + line, operation, len + 1);
        f->st->known = (uint8_t)line;
        f->st->known_len = (uint8_t)len;
    }
    tell_ask(f, operation, len);
}

static bool same_ask_begins(struct sj_http_feed *f)
{
    size_t known = f->st->known;

    if (known == 0 || f->n - f->i < known || memcmp(f->p + f->i, f->st->line.text, known) != 0)
        return false;
    f->i += known;
    tell_ask(f, (const char *)f->st->line.text + known, f->st->known_len);
    return true;
}

static void answer_begins(struct sj_http_feed *f)
{
    unsigned status = f->st->status.status;
    bool interim = status < 200 && status != 101;
    char text[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0'};
    struct sj_message msg = {.protocol = SJ_PROTO_HTTP, .operation = "", .status = text};

    msg.flags = status >= 500 && status < 600 ? SJ_REQ_ERROR : status >= 400 && status < 500 ? SJ_REQ_CLIENT_ERROR : 0;
    f->side->flags = interim ? SJ_SIDE_INTERIM : recall_ask(f->st, status);
    sj_http_tell_message(f, &msg, interim ? SJ_MSG_INTERIM : SJ_MSG_ANSWER_START, f->start);
    f->side->phase = SJ_AT_REASON;
}

static void begin_line(struct sj_http_feed *f)
{
    struct sj_http *st = f->st;

    f->side->phase = SJ_AT_LINE;
    f->begun = true;
    if (f->dir == SJ_DIR_ANSWER) {
        memset(&st->status, 0, sizeof(st->status));
    } else if (!same_ask_begins(f)) {
        memset(&st->line, 0, offsetof(struct sj_http_request_line, text));
        st->known = 0;
    }
}

/* A message begins, with a head that was read lately. */
static bool same_head_begins(struct sj_http_feed *f)
{
    struct sj_http *st = f->st;
    const struct sj_http_head *head = st->heads ? &st->heads->head[st->latest[f->dir]] : NULL;

    if (!head || !sj_http_head_is(head, f->dir, f->p + f->i, f->n - f->i))
        return false;
    if (f->dir == SJ_DIR_ANSWER) {
        st->status.status = head->status;
        answer_begins(f);
    } else {
        if (st->line.method != head->method)
            st->known = 0;
        st->line.method = head->method;
        tell_ask(f, head->operation, head->operation_len);
    }
    sj_http_take_head(f, head);
    return true;
}

static void read_line(struct sj_http_feed *f)
{
    bool ask = f->dir == SJ_DIR_ASK;
    enum sj_http_progress progress = ask ? sj_http_read_request(&f->st->line, f->p, f->n, &f->i)
                                         : sj_http_read_status(&f->st->status, f->p, f->n, &f->i);

    if (progress == SJ_HTTP_BAD)
        sj_http_lose(f, f->start);
    else if (progress == SJ_HTTP_DONE && ask)
        ask_begins(f, f->begun);
    else if (progress == SJ_HTTP_DONE)
        answer_begins(f);
}

static void step(struct sj_http_feed *f)
{
    switch (f->side->phase) {
    case SJ_AT_START:
        /* some clients send an empty line behind a body */
        while (f->i < f->n && (f->p[f->i] == '\r' || f->p[f->i] == '\n'))
            f->i++;
        f->start = f->i;
        if (f->i == f->n || same_head_begins(f))
            break;
        begin_line(f);
        if (f->side->phase == SJ_AT_LINE)
            read_line(f);
        if (f->side->phase == SJ_AT_REASON || f->side->phase == SJ_AT_FIELDS)
            sj_http_read_head(f);
        break;
    case SJ_AT_LINE:
        read_line(f);
        break;
    case SJ_AT_CLOSE:
    case SJ_AT_CUT:
    case SJ_AT_LOST:
        f->i = f->n;
        break;
    default:
        sj_http_read_rest(f);
    }
}

/* ---- gaps, and the way back ---- */

static void skip_in_line(struct sj_http_feed *f)
{
    if (f->dir == SJ_DIR_ASK && sj_http_request_is_plausible(&f->st->line)) {
        ask_begins(f, false);
        sj_http_go_blind(f, SJ_AT_CUT);
    } else if (f->dir == SJ_DIR_ANSWER && sj_http_status_is_plausible(&f->st->status)) {
        answer_begins(f);
    } else {
        sj_http_lose(f, f->start);
    }
}

/* Bytes behind the piece that were not seen. */
static void skip_gap(struct sj_http_feed *f, uint64_t gap)
{
    if (f->side->phase == SJ_AT_LINE)
        skip_in_line(f);
    switch (f->side->phase) {
    case SJ_AT_START:
        sj_http_lose(f, f->n);
        break;
    case SJ_AT_CLOSE:
    case SJ_AT_CUT:
    case SJ_AT_LOST:
        break;
    default:
        sj_http_skip_rest(f, gap);
    }
}

static bool http_probe(enum sj_dir dir, const uint8_t *p, size_t n)
{
    enum sj_http_progress progress;
    size_t i = 0;

    if (dir == SJ_DIR_ASK) {
        struct sj_http_request_line line;

        memset(&line, 0, offsetof(struct sj_http_request_line, text));
        progress = sj_http_read_request(&line, p, n, &i);
        return progress == SJ_HTTP_DONE || (progress == SJ_HTTP_MORE && sj_http_request_is_plausible(&line));
    }
    struct sj_http_status_line status = {0};

    progress = sj_http_read_status(&status, p, n, &i);
    return progress == SJ_HTTP_DONE || (progress == SJ_HTTP_MORE && sj_http_status_is_plausible(&status));
}

/* May a piece that begins like a message be one, though the side has not come to the end of the last? */
static bool may_restart(const struct sj_http_feed *f)
{
    const struct sj_http_side *s = f->side;

    switch (s->phase) {
    case SJ_AT_LOST:
    case SJ_AT_CUT:
        return true;
    case SJ_AT_CLOSE:
        return f->st->unanswered > 0;
    case SJ_AT_BODY:
    case SJ_AT_CHUNK_SIZE:
    case SJ_AT_CHUNK_DATA:
        /* an answer to a HEAD that was not seen; or a body withheld since the answer came without a 100 */
        return s->flags & SJ_SIDE_ASK_UNSEEN || (s->flags & SJ_SIDE_UNTOUCHED && f->st->unanswered == 0);
    default:
        return false;
    }
}

/* The piece begins like a message, be it only the first bytes of the answer that is due. */
static bool begins_message(const struct sj_http_feed *f)
{
    struct sj_http_status_line status = {0};
    size_t i = 0;

    if (http_probe(f->dir, f->p, f->n))
        return true;
    return f->dir == SJ_DIR_ANSWER && f->side->phase >= SJ_AT_CLOSE && f->st->unanswered > 0 &&
           sj_http_read_status(&status, f->p, f->n, &i) == SJ_HTTP_MORE;
}

static void http_feed(void *state, enum sj_dir dir, const uint8_t *p, size_t n, uint64_t gap, sj_message_fn fn,
                      void *ctx)
{
    struct sj_http *st = state;
    struct sj_http_feed f = {.st = st, .side = &st->side[dir], .dir = dir, .p = p, .n = n, .fn = fn, .ctx = ctx};

    if (st->switched)
        return;
    if (n > 0 && may_restart(&f) && begins_message(&f))
        f.side->phase = SJ_AT_START;
    if (f.side->phase == SJ_AT_LOST) {
        if (n > 0 || gap > 0)
            sj_http_lose(&f, 0);
        return;
    }
    while (f.i < n && !st->switched)
        step(&f);
    if (gap > 0 && !st->switched)
        skip_gap(&f, gap);
}

static void http_init(void *state)
{
    struct sj_http *st = state;

    memset(st, 0, offsetof(struct sj_http, line) + offsetof(struct sj_http_request_line, text));
}

static void http_share(void *state, void *shared)
{
    ((struct sj_http *)state)->heads = shared;
}

static bool http_whole(const void *state)
{
    const struct sj_http *st = state;
    const struct sj_http_side *s = &st->side[SJ_DIR_ANSWER];

    if (st->switched || s->flags & (SJ_SIDE_ASK_UNSEEN | SJ_SIDE_INTERIM))
        return true;
    return s->phase == SJ_AT_START || s->phase >= SJ_AT_CLOSE;
}

static bool http_blind(const void *state)
{
    const struct sj_http *st = state;

    return !st->switched && st->side[SJ_DIR_ANSWER].phase >= SJ_AT_CLOSE;
}

const struct sj_decoder sj_http_decoder = {
    .protocol = SJ_PROTO_HTTP,
    .state_size = sizeof(struct sj_http),
    .probe = http_probe,
    .init = http_init,
    .share = http_share,
    .shared_size = sizeof(struct sj_http_heads),
    .feed = http_feed,
    .whole = http_whole,
    .blind = http_blind,
};
