// SPDX-License-Identifier: GPL-3.0-or-later
#include "serve/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK ((size_t)64 << 10)
#define BACKLOG_MAX ((size_t)16 << 20)
/* So that a side that is told without a pause gets back to its other work. */
#define READS_MAX 128

/* Bytes in order: what is used is [start, start + len). */
struct bytes {
    char *p;
    size_t start;
    size_t len;
    size_t cap;
};

struct sj_channel {
    int fd;
    bool broken;
    struct bytes out;
    struct bytes in;
};

struct sj_channel *sj_channel_new(int fd)
{
    struct sj_channel *c = calloc(1, sizeof(*c));
    if (c)
        c->fd = fd;
    return c;
}

void sj_channel_free(struct sj_channel *c)
{
    if (!c)
        return;
    close(c->fd);
    free(c->out.p);
    free(c->in.p);
    free(c);
}

int sj_channel_fd(const struct sj_channel *c)
{
    return c->fd;
}

size_t sj_channel_backlog(const struct sj_channel *c)
{
    return c->out.len;
}

/* Room for n more bytes behind those that are there. */
static char *make_room(struct bytes *b, size_t n)
{
    if (b->start > 0 && b->start + b->len + n > b->cap) {
        memmove(b->p, b->p + b->start, b->len);
        b->start = 0;
    }
    if (b->len + n > b->cap) {
        size_t cap = b->cap > CHUNK ? b->cap : CHUNK;
        while (cap < b->len + n)
            cap *= 2;
        char *p = realloc(b->p, cap);
        if (!p)
            return NULL;
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->start + b->len;
}

/* What one large message needed is given back when nothing is left of it. */
static void take_away(struct bytes *b, size_t n)
{
    b->start += n;
    b->len -= n;
    if (b->len > 0)
        return;
    b->start = 0;
    if (b->cap > CHUNK) {
        free(b->p);
        *b = (struct bytes){0};
    }
}

static int broken(struct sj_channel *c, const char *what, struct sj_err *err)
{
    c->broken = true;
    return sj_fail(err, EX_OSERR, "%s the other process: %s", what, strerror(errno));
}

/* Sends [*p, *p + *n) as far as the socket takes it. -1 when it is broken. */
static int put_now(struct sj_channel *c, const char **p, size_t *n, struct sj_err *err)
{
    while (*n > 0) {
        ssize_t w = send(c->fd, *p, *n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (w >= 0) {
            *p += w;
            *n -= (size_t)w;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        } else if (errno != EINTR) {
            return broken(c, "cannot write to", err);
        }
    }
    return 0;
}

int sj_channel_flush(struct sj_channel *c, struct sj_err *err)
{
    if (c->broken)
        return sj_fail(err, EX_OSERR, "the other process is gone");
    if (c->out.len == 0)
        return 0;
    const char *p = c->out.p + c->out.start;
    size_t left = c->out.len;
    int status = put_now(c, &p, &left, err);
    take_away(&c->out, c->out.len - left);
    return status ? -1 : left > 0;
}

static int keep(struct sj_channel *c, const char *p, size_t n, struct sj_err *err)
{
    char *room = n > 0 ? make_room(&c->out, n) : NULL;
    if (n > 0 && !room) {
        c->broken = true; /* a part may be on its way: what follows would not be understood */
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    if (n > 0)
        memcpy(room, p, n);
    c->out.len += n;
    return 0;
}

int sj_channel_send(struct sj_channel *c, enum sj_message_type type, uint16_t flags, uint32_t id, const void *data,
                    size_t length, struct sj_err *err)
{
    if (length > SJ_MESSAGE_MAX)
        return sj_fail(err, EX_SOFTWARE, "a message of %zu bytes is too long", length);
    const struct sj_message head = {
        .version = SJ_MESSAGE_VERSION, .type = (uint8_t)type, .flags = flags, .id = id, .length = (uint32_t)length};
    if (sj_channel_flush(c, err) < 0)
        return -1;
    const char *h = (const char *)&head, *body = data;
    size_t head_left = sizeof(head), body_left = length;
    if (c->out.len == 0 && (put_now(c, &h, &head_left, err) || (head_left == 0 && put_now(c, &body, &body_left, err))))
        return -1;
    if (c->out.len + head_left + body_left > BACKLOG_MAX) {
        c->broken = true;
        return sj_fail(err, EX_OSERR, "the other process does not read what it is told");
    }
    return keep(c, h, head_left, err) || keep(c, body, body_left, err) ? -1 : 0;
}

static int check(const struct sj_message *head, struct sj_err *err)
{
    const unsigned flags = SJ_MSG_LAST | SJ_MSG_FAILED;
    if (head->version != SJ_MESSAGE_VERSION)
        return sj_fail(err, EX_SOFTWARE, "the other process speaks version %u, not %u", head->version,
                       SJ_MESSAGE_VERSION);
    if (head->type == 0 || head->type >= SJ_MSG_MAX_ || head->flags & ~flags || head->reserved)
        return sj_fail(err, EX_SOFTWARE, "the other process sent a message of unknown kind %u", head->type);
    if (head->length > SJ_MESSAGE_MAX)
        return sj_fail(err, EX_SOFTWARE, "the other process sent a message of %u bytes, more than %u", head->length,
                       SJ_MESSAGE_MAX);
    return 0;
}

/* Hands on the messages that are whole. *missing becomes how much the next one needs at least. */
static int hand_on(struct sj_channel *c, sj_message_fn fn, void *ctx, size_t *missing, struct sj_err *err)
{
    struct sj_message head;
    *missing = CHUNK;
    while (c->in.len >= sizeof(head)) {
        const char *p = c->in.p + c->in.start;
        memcpy(&head, p, sizeof(head));
        if (check(&head, err)) {
            c->broken = true;
            return -1;
        }
        size_t whole = sizeof(head) + head.length;
        if (c->in.len < whole) {
            *missing = whole - c->in.len;
            return 0;
        }
        if (fn(ctx, &head, p + sizeof(head), err))
            return -1;
        take_away(&c->in, whole);
    }
    return 0;
}

int sj_channel_receive(struct sj_channel *c, sj_message_fn fn, void *ctx, struct sj_err *err)
{
    size_t missing = CHUNK;
    if (c->broken)
        return sj_fail(err, EX_OSERR, "the other process is gone");
    for (int reads = 0; reads < READS_MAX; reads++) {
        size_t n = missing < CHUNK ? missing : CHUNK;
        n = n < sizeof(struct sj_message) ? sizeof(struct sj_message) : n;
        char *room = make_room(&c->in, n);
        if (!room)
            return sj_fail(err, EX_OSERR, "out of memory");
        ssize_t r = recv(c->fd, room, n, MSG_DONTWAIT);
        if (r == 0)
            return 1;
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (r < 0 && errno == ECONNRESET)
            return 1;
        if (r < 0)
            return broken(c, "cannot read from", err);
        c->in.len += (size_t)r;
        if (hand_on(c, fn, ctx, &missing, err))
            return -1;
    }
    return 0;
}
