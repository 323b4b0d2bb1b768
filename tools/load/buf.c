// SPDX-License-Identifier: GPL-3.0-or-later
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Enough for most prints at the first try. */
#define PRINT_ROOM 128

void *sj_grown(void *at, size_t size)
{
    void *bigger = realloc(at, size);
    if (!bigger) {
        fputs("load: out of memory\n", stderr);
        exit(EX_OSERR);
    }
    return bigger;
}

void sj_buf_reserve(struct sj_buf *buf, size_t more)
{
    if (buf->cap - buf->len >= more)
        return;
    size_t cap = buf->cap ? buf->cap : 512;
    while (cap - buf->len < more)
        cap *= 2;
    buf->at = sj_grown(buf->at, cap);
    buf->cap = cap;
}

void sj_buf_add(struct sj_buf *buf, const void *bytes, size_t len)
{
    if (!len)
        return;
    sj_buf_reserve(buf, len);
    memcpy(buf->at + buf->len, bytes, len);
    buf->len += len;
}

void sj_buf_print(struct sj_buf *buf, const char *fmt, ...)
{
    va_list ap;
    sj_buf_reserve(buf, PRINT_ROOM);
    for (;;) {
        size_t room = buf->cap - buf->len;
        va_start(ap, fmt);
        int n = vsnprintf(buf->at + buf->len, room, fmt, ap);
        va_end(ap);
        if (n < 0)
            return;
        if ((size_t)n < room) {
            buf->len += (size_t)n;
            return;
        }
        sj_buf_reserve(buf, (size_t)n + 1);
    }
}

void sj_buf_eat(struct sj_buf *buf, size_t len)
{
    buf->len -= len;
    if (buf->len && len)
        memmove(buf->at, buf->at + len, buf->len);
}

void sj_buf_free(struct sj_buf *buf)
{
    free(buf->at);
    *buf = (struct sj_buf){0};
}
