// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/out.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER ((size_t)64 * 1024)
_Static_assert(BUFFER >= 2 * SJ_OUT_RESERVE_MAX, "a reservation fits after a flush");

int sj_out_init(struct sj_out *out, int fd, const char *name, struct sj_err *err)
{
    char *buf = malloc(BUFFER);
    if (!buf)
        return sj_fail(err, EX_OSERR, "out of memory");
    *out = (struct sj_out){.fd = fd, .name = name, .buf = buf, .cap = BUFFER};
    return 0;
}

void sj_out_fini(struct sj_out *out)
{
    free(out->buf);
    *out = (struct sj_out){.fd = -1};
}

static void fail(struct sj_out *out, int error)
{
    if (!out->error)
        out->error = error;
    out->closed = out->closed || error == EPIPE;
}

/* All of it, however the descriptor behaves: interrupted, in pieces, or non-blocking as an inherited one may be. */
static void write_all(struct sj_out *out, const char *p, size_t n)
{
    while (n > 0 && !out->error) {
        ssize_t w = write(out->fd, p, n);
        if (w >= 0) {
            p += w;
            n -= (size_t)w;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            fail(out, errno);
        }
    }
}

static void drain(struct sj_out *out)
{
    write_all(out, out->buf, out->len);
    out->len = 0;
}

/* In memory the buffer grows; if it cannot, what was collected is worthless and is dropped. */
static void grow(struct sj_out *out)
{
    char *buf = out->error ? NULL : realloc(out->buf, 2 * out->cap);
    if (!buf) {
        fail(out, ENOMEM);
        out->len = 0;
        return;
    }
    out->buf = buf;
    out->cap *= 2;
}

char *sj_out_make_room(struct sj_out *out, size_t n)
{
    if (out->fd >= 0)
        drain(out);
    else
        grow(out);
    assert(out->cap - out->len >= n);
    return out->buf + out->len;
}

void sj_out_write(struct sj_out *out, const char *p, size_t n)
{
    while (n > 0) {
        size_t part = n < SJ_OUT_RESERVE_MAX ? n : SJ_OUT_RESERVE_MAX;
        memcpy(sj_out_reserve(out, part), p, part);
        out->len += part;
        p += part;
        n -= part;
    }
}

void sj_out_text(struct sj_out *out, const char *text)
{
    sj_out_write(out, text, strlen(text));
}

void sj_out_printf(struct sj_out *out, const char *fmt, ...)
{
    char *room = sj_out_reserve(out, SJ_OUT_RESERVE_MAX);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room, SJ_OUT_RESERVE_MAX, fmt, ap);
    va_end(ap);
    if (n > 0)
        out->len += (size_t)n < SJ_OUT_RESERVE_MAX ? (size_t)n : SJ_OUT_RESERVE_MAX - 1;
}

void sj_out_fill(struct sj_out *out, char c, size_t n)
{
    while (n > 0) {
        size_t part = n < SJ_OUT_RESERVE_MAX ? n : SJ_OUT_RESERVE_MAX;
        memset(sj_out_reserve(out, part), c, part);
        out->len += part;
        n -= part;
    }
}

/* A pipe tells that its reader has gone only to who writes, or asks. */
static void notice_closed(struct sj_out *out)
{
    struct pollfd pipe = {.fd = out->fd};
    if (poll(&pipe, 1, 0) == 1 && pipe.revents & POLLERR)
        fail(out, EPIPE);
}

int sj_out_flush(struct sj_out *out, struct sj_err *err)
{
    if (out->fd >= 0 && out->len == 0)
        notice_closed(out);
    else if (out->fd >= 0)
        drain(out);
    if (out->closed)
        return sj_fail(err, EX_OK, "%s", "");
    if (out->error)
        return sj_fail(err, EX_IOERR, "cannot write to %s: %s", out->name, strerror(out->error));
    return 0;
}
