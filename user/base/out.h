// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * A buffered stream of bytes to a file descriptor, or into memory. Writing never fails on the spot: the first failure
 * is kept, what follows is dropped, and sj_out_flush() tells. That way what formats needs no error paths.
 */
struct sj_out {
    int fd;           /* not owned; -1: into memory, and buf[0..len) is the text */
    const char *name; /* for messages: "standard output"; not copied */
    bool closed;      /* the reader has gone away (EPIPE) */
    int error;        /* errno of the first failure; ENOMEM in memory */
    char *buf;
    size_t len;
    size_t cap;
};

/* The most that one sj_out_reserve() may ask for. */
#define SJ_OUT_RESERVE_MAX 4096

/* fd -1: into memory. Returns 0, or -1 with *err (EX_OSERR) when there is no memory. Release it with sj_out_fini(). */
int sj_out_init(struct sj_out *out, int fd, const char *name, struct sj_err *err);

/* Frees the buffer without writing what is left in it. */
void sj_out_fini(struct sj_out *out);

/* For sj_out_reserve(), when there is no room. */
char *sj_out_make_room(struct sj_out *out, size_t n);

/* Room for n bytes, n <= SJ_OUT_RESERVE_MAX, at out->buf + out->len; the caller writes there and raises out->len. */
static inline char *sj_out_reserve(struct sj_out *out, size_t n)
{
    return out->cap - out->len >= n ? out->buf + out->len : sj_out_make_room(out, n);
}

void sj_out_write(struct sj_out *out, const char *p, size_t n);
void sj_out_text(struct sj_out *out, const char *text);
void sj_out_printf(struct sj_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* n times the same character. */
void sj_out_fill(struct sj_out *out, char c, size_t n);

/*
 * Writes out what is buffered; when that is nothing, looks whether there is still a reader. Returns 0, or -1 with *err
 * when anything since the start could not be written: EX_IOERR and a line, or EX_OK and an empty text when the reader
 * has closed the pipe, which is a reason to stop and not to complain.
 */
int sj_out_flush(struct sj_out *out, struct sj_err *err);
