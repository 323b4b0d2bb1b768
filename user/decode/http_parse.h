// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The three grammars of an HTTP/1 header: request line, status line, fields. Each is a machine that stops at any byte
 * and goes on with the next piece, keeping only what it needs. That is the reason why nothing is buffered but a target.
 */
#define SJ_HTTP_TARGET_MAX 128 /* bytes of a target that are looked at */

enum sj_http_progress { SJ_HTTP_MORE, SJ_HTTP_DONE, SJ_HTTP_BAD };

enum sj_http_method { SJ_HTTP_OTHER = 0, SJ_HTTP_HEAD, SJ_HTTP_CONNECT, SJ_HTTP_NAMED };

/* Start with all zeroes but for `text`, which need not be initialised. */
struct sj_http_request_line {
    uint8_t part;
    uint8_t match;  /* of the version */
    uint8_t method; /* index of its name */
    uint8_t len;    /* of text: the method, then the target */
    bool cut;       /* the target was longer */
    uint8_t text[SJ_HTTP_TARGET_MAX];
};

struct sj_http_status_line {
    uint8_t match;
    uint16_t status;
};

/* Flags of the fields that were read. */
enum sj_http_field_flag {
    SJ_HTTP_LENGTH = 1 << 0,     /* Content-Length: `length` is valid */
    SJ_HTTP_BAD_LENGTH = 1 << 1, /* it makes no sense, or there are several that differ */
    SJ_HTTP_CODED = 1 << 2,      /* Transfer-Encoding */
    SJ_HTTP_CHUNKED = 1 << 3,    /* and the last coding is chunked */
    SJ_HTTP_EXPECT = 1 << 4,
};

/* Start with all zeroes. */
struct sj_http_fields {
    uint64_t length;
    uint64_t number; /* being read */
    uint8_t line;    /* where in a line */
    uint8_t field;   /* which field the line belongs to */
    uint8_t match;
    uint8_t value; /* where in the value */
    uint8_t flags; /* enum sj_http_field_flag */
    bool trailer;  /* no field of a trailer means anything */
};

/*
 * Each reads p[*i..n) and moves *i behind what it took. The status line is done once its code is complete: the reason
 * up to the end of the line is left to the caller.
 */
enum sj_http_progress sj_http_read_request(struct sj_http_request_line *l, const uint8_t *p, size_t n, size_t *i);
enum sj_http_progress sj_http_read_status(struct sj_http_status_line *l, const uint8_t *p, size_t n, size_t *i);
enum sj_http_progress sj_http_read_fields(struct sj_http_fields *f, const uint8_t *p, size_t n, size_t *i);

/*
 * The same for all fields at once, when nothing about them is unusual and all are there: from p[i], which is the line
 * feed before them or earlier in that line, with i < n. Sets flags and length. Returns where what follows them begins;
 * 0 when sj_http_read_fields() must see to it, *f is untouched then.
 */
size_t sj_http_read_usual_fields(struct sj_http_fields *f, const uint8_t *p, size_t n, size_t i);

/* Is an unfinished line more than likely one of ours? The method must be well known and the target look like one. */
bool sj_http_request_is_plausible(const struct sj_http_request_line *l);
bool sj_http_status_is_plausible(const struct sj_http_status_line *l);

/* What the method means to the answer. */
enum sj_http_method sj_http_method_of(const struct sj_http_request_line *l);

/* "GET /users/:id" from a request line whose target began; out is a string of at most size bytes, size >= 32. Returns
 * its length. */
size_t sj_http_operation(const struct sj_http_request_line *l, char *out, size_t size);
