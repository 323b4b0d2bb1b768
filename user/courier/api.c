// SPDX-License-Identifier: GPL-3.0-or-later
#include "courier/api.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <zlib.h>

#include "export/exposition.h"

#define KINDS (SJ_EXPOSITION_MAX_ + 1) /* a metrics format each, and the report */
#define REPORT SJ_EXPOSITION_MAX_
#define BODY_MAX ((size_t)64 << 20)
/* Answers are shared by those who asked at the same time, and held until the last of them has read it: so much of it.
 */
#define HELD_MAX ((size_t)32 << 20)

/* Somebody who waits for the answer to a question. */
struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct waiters *of;
    struct sj_web_conn *conn;
    bool gzip;
};
TAILQ_HEAD(waiters, waiter);

struct question {
    uint32_t id;           /* 0: none is under way */
    struct waiters asked;  /* get the answer to it */
    struct waiters coming; /* get the next one's */
    struct evbuffer *body; /* what has come of the answer */
    bool failed;
};

struct sj_api {
    sj_api_ask_fn ask;
    void *ctx;
    bool ready;
    uint32_t last_id;
    size_t held; /* bytes of answers that somebody has not read yet, or that come */
    struct question questions[KINDS];
};

static const char landing[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sojourn</title></head><body>\n"
    "<h1>Sojourn</h1>\n<p>How long the requests on this host take, and where their time goes.</p>\n<ul>\n"
    "<li><a href=\"metrics\">Metrics</a></li>\n<li><a href=\"api/v1/report\">Report (JSON)</a></li>\n"
    "<li><a href=\"-/healthy\">Healthy?</a></li>\n<li><a href=\"-/ready\">Ready?</a></li>\n</ul>\n</body></html>\n";

struct sj_api *sj_api_new(sj_api_ask_fn ask, void *ctx)
{
    struct sj_api *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->ask = ask;
    a->ctx = ctx;
    for (size_t i = 0; i < KINDS; i++) {
        TAILQ_INIT(&a->questions[i].asked);
        TAILQ_INIT(&a->questions[i].coming);
    }
    return a;
}

void sj_api_free(struct sj_api *a)
{
    for (size_t i = 0; a && i < KINDS; i++)
        if (a->questions[i].body)
            evbuffer_free(a->questions[i].body);
    free(a);
}

void sj_api_ready(struct sj_api *a, bool ready)
{
    a->ready = ready;
}

static void reply_all(struct waiters *list, int status, const char *type, struct evbuffer *plain, struct evbuffer *gzip)
{
    struct waiter *w;
    while ((w = TAILQ_FIRST(list)) != NULL) {
        bool small = w->gzip && gzip;
        TAILQ_REMOVE(list, w, link);
        sj_web_reply(w->conn, &(struct sj_web_reply){
                                  .status = status, .type = type, .body = small ? gzip : plain, .gzip = small});
        free(w);
    }
}

/* A piece of an answer, which is held until the whole answer goes. */
struct piece {
    struct sj_api *of;
    size_t n;
    char bytes[];
};

static void drop_piece(const void *data, size_t n, void *arg)
{
    struct piece *p = arg;
    (void)data;
    (void)n;
    p->of->held -= p->n;
    free(p);
}

static bool add_piece(struct sj_api *a, struct evbuffer *body, const void *data, size_t n)
{
    struct piece *p = n ? malloc(sizeof(*p) + n) : NULL;
    if (!p)
        return n == 0;
    *p = (struct piece){.of = a, .n = n};
    memcpy(p->bytes, data, n);
    if (evbuffer_add_reference(body, p->bytes, n, drop_piece, p) < 0) {
        free(p);
        return false;
    }
    a->held += n;
    return true;
}

/* Asks for those who came while a question was under way, or now. */
static void ask(struct sj_api *a, size_t kind)
{
    struct question *q = &a->questions[kind];
    const struct sj_scrape scrape = {.what = kind == REPORT ? SJ_SCRAPE_REPORT : SJ_SCRAPE_METRICS,
                                     .format = kind == REPORT ? 0 : (uint8_t)kind};
    if (q->id || TAILQ_EMPTY(&q->coming))
        return;
    while (a->held > HELD_MAX && sj_web_shed(TAILQ_FIRST(&q->coming)->conn))
        ;
    q->body = evbuffer_new();
    q->failed = false;
    uint32_t id = ++a->last_id ? a->last_id : ++a->last_id;
    if (!q->body || a->ask(a->ctx, id, &scrape) < 0) {
        if (q->body)
            evbuffer_free(q->body);
        q->body = NULL;
        reply_all(&q->coming, 503, NULL, NULL, NULL);
        return;
    }
    q->id = id;
    struct waiter *w;
    TAILQ_CONCAT(&q->asked, &q->coming, link);
    TAILQ_FOREACH(w, &q->asked, link)
    w->of = &q->asked;
}

static void forget(void *arg)
{
    struct waiter *w = arg;
    TAILQ_REMOVE(w->of, w, link);
    free(w);
}

static void wait_for(struct sj_api *a, size_t kind, struct sj_web_conn *conn, bool gzip)
{
    struct question *q = &a->questions[kind];
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w) {
        sj_web_reply(conn, &(struct sj_web_reply){.status = 503});
        return;
    }
    *w = (struct waiter){.of = &q->coming, .conn = conn, .gzip = gzip};
    TAILQ_INSERT_TAIL(&q->coming, w, link);
    sj_web_wait(conn, forget, w);
    ask(a, kind);
}

static void reply_landing(struct sj_web_conn *conn)
{
    struct evbuffer *body = evbuffer_new();
    if (body)
        evbuffer_add(body, landing, sizeof(landing) - 1);
    sj_web_reply(conn, &(struct sj_web_reply){
                           .status = body ? 200 : 503, .type = body ? "text/html; charset=utf-8" : NULL, .body = body});
    if (body)
        evbuffer_free(body);
}

static void handle(void *ctx, struct sj_web_conn *conn, const struct sj_web_request *r)
{
    struct sj_api *a = ctx;
    if (strcmp(r->path, "/metrics") == 0)
        wait_for(a, (size_t)r->format, conn, r->gzip);
    else if (strcmp(r->path, "/api/v1/report") == 0)
        wait_for(a, REPORT, conn, r->gzip);
    else if (strcmp(r->path, "/-/healthy") == 0)
        sj_web_reply(conn, &(struct sj_web_reply){.status = 200});
    else if (strcmp(r->path, "/-/ready") == 0)
        sj_web_reply(conn, &(struct sj_web_reply){.status = a->ready ? 200 : 503});
    else if (strcmp(r->path, "/") == 0)
        reply_landing(conn);
    else
        sj_web_reply(conn, &(struct sj_web_reply){.status = 404});
}

static int format_of(const char *accept)
{
    return (int)sj_exposition_negotiate(accept);
}

struct sj_web_hooks sj_api_hooks(struct sj_api *a)
{
    return (struct sj_web_hooks){.format = format_of, .handle = handle, .ctx = a};
}

/* Compresses what z was given and moves the result to out; what: Z_NO_FLUSH or Z_FINISH. */
static bool deflate_into(z_stream *z, int what, struct evbuffer *out)
{
    unsigned char room[16384];
    do {
        z->next_out = room;
        z->avail_out = sizeof(room);
        if (deflate(z, what) == Z_STREAM_ERROR || evbuffer_add(out, room, sizeof(room) - z->avail_out) < 0)
            return false;
    } while (z->avail_out == 0);
    return true;
}

static bool deflate_all(z_stream *z, struct evbuffer *body, struct evbuffer *out)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec piece;
    evbuffer_ptr_set(body, &at, 0, EVBUFFER_PTR_SET);
    while (evbuffer_peek(body, -1, &at, &piece, 1) > 0) {
        z->next_in = piece.iov_base;
        z->avail_in = (unsigned)piece.iov_len;
        if (!deflate_into(z, Z_NO_FLUSH, out))
            return false;
        if (evbuffer_ptr_set(body, &at, piece.iov_len, EVBUFFER_PTR_ADD) < 0)
            break;
    }
    return deflate_into(z, Z_FINISH, out);
}

/* A compressed copy, made once however many want it; NULL when it cannot be made. */
static struct evbuffer *compress_body(struct evbuffer *body)
{
    z_stream z = {0};
    struct evbuffer *out = evbuffer_new();
    if (!out || deflateInit2(&z, 3, Z_DEFLATED, 15 + 16 /* gzip */, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        if (out)
            evbuffer_free(out);
        return NULL;
    }
    bool whole = deflate_all(&z, body, out);
    deflateEnd(&z);
    if (whole)
        return out;
    evbuffer_free(out);
    return NULL;
}

static bool anybody_wants_gzip(const struct waiters *list)
{
    const struct waiter *w;
    TAILQ_FOREACH(w, list, link)
    if (w->gzip)
        return true;
    return false;
}

static void finish(struct sj_api *a, size_t kind)
{
    struct question *q = &a->questions[kind];
    struct evbuffer *body = q->body;
    const char *type =
        kind == REPORT ? "application/json" : sj_exposition_content_type((enum sj_exposition_format)kind);
    struct waiters list = TAILQ_HEAD_INITIALIZER(list);
    struct waiter *w;
    q->id = 0;
    q->body = NULL;
    TAILQ_CONCAT(&list, &q->asked, link);
    TAILQ_FOREACH(w, &list, link)
    w->of = &list;
    if (q->failed) {
        reply_all(&list, 503, NULL, NULL, NULL);
    } else {
        struct evbuffer *gzip = anybody_wants_gzip(&list) ? compress_body(body) : NULL;
        reply_all(&list, 200, type, body, gzip);
        if (gzip)
            evbuffer_free(gzip);
    }
    evbuffer_free(body);
    ask(a, kind);
}

void sj_api_body(struct sj_api *a, const struct sj_message *head, const void *data)
{
    for (size_t i = 0; i < KINDS; i++) {
        struct question *q = &a->questions[i];
        if (head->id == 0 || q->id != head->id)
            continue;
        if (head->flags & SJ_MSG_FAILED || evbuffer_get_length(q->body) + head->length > BODY_MAX ||
            !add_piece(a, q->body, data, head->length))
            q->failed = true;
        if (head->flags & SJ_MSG_LAST)
            finish(a, i);
        return;
    }
}
