// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/http_parse.h"

#include <string.h>

/*
 * Header fields. A line is only looked at when its first letter is that of a field that matters; all others are skipped
 * to their end. A value is judged when the next line begins, since a folded line may still continue it.
 */
enum { LINE_BEGIN = 0, LINE_CR, LINE_NAME, LINE_VALUE, LINE_SKIP };
enum { FIELD_NONE = 0, FIELD_LENGTH, FIELD_CODING, FIELD_EXPECT };
enum { VALUE_BLANK = 0, VALUE_OPEN, VALUE_CLOSED, VALUE_BAD };

#define NUMBER_MAX ((uint64_t)INT64_MAX)

static const char *const names[] = {"", "content-length", "transfer-encoding", "expect"};
static const uint8_t name_len[] = {0, 14, 17, 6};
static const char chunked[] = "chunked";

static uint8_t field_beginning_with(uint8_t c)
{
    switch (c | 0x20) {
    case 'c':
        return FIELD_LENGTH;
    case 't':
        return FIELD_CODING;
    case 'e':
        return FIELD_EXPECT;
    default:
        return FIELD_NONE;
    }
}

/* One of the numbers of a list is complete. "5, 5" and repeated fields are valid when they agree (RFC 9112, 6.3). */
static void take_length(struct sj_http_fields *f)
{
    if (f->value == VALUE_BAD || f->value == VALUE_BLANK || ((f->flags & SJ_HTTP_LENGTH) && f->length != f->number))
        f->flags |= SJ_HTTP_BAD_LENGTH;
    f->length = f->number;
    f->flags |= SJ_HTTP_LENGTH;
    f->number = 0;
    f->value = VALUE_BLANK;
}

static void length_byte(struct sj_http_fields *f, uint8_t c)
{
    if (c >= '0' && c <= '9') {
        if (f->value == VALUE_CLOSED || f->value == VALUE_BAD || f->number > (NUMBER_MAX - (c - '0')) / 10)
            f->value = VALUE_BAD;
        else
            f->value = VALUE_OPEN;
        if (f->value == VALUE_OPEN)
            f->number = f->number * 10 + (c - '0');
    } else if (c == ',') {
        take_length(f);
    } else if (c == ' ' || c == '\t' || c == '\r') {
        if (f->value == VALUE_OPEN)
            f->value = VALUE_CLOSED;
    } else {
        f->value = VALUE_BAD;
    }
}

/* Keeps in `match` how much of "chunked" the last element of the list is. */
static void coding_byte(struct sj_http_fields *f, uint8_t c)
{
    if (c == ',') {
        f->value = VALUE_BLANK;
    } else if (c == ' ' || c == '\t' || c == '\r') {
        if (f->value == VALUE_OPEN)
            f->value = VALUE_CLOSED;
    } else {
        if (f->value == VALUE_BLANK) {
            f->match = 0;
            f->value = VALUE_OPEN;
        }
        if (f->value == VALUE_OPEN && f->match < sizeof(chunked) - 1 && (c | 0x20) == chunked[f->match])
            f->match++;
        else
            f->match = UINT8_MAX;
    }
}

/* The field of the last lines is complete. */
static void take_field(struct sj_http_fields *f)
{
    if (f->field == FIELD_LENGTH) {
        take_length(f);
    } else if (f->field == FIELD_CODING) {
        f->flags |= SJ_HTTP_CODED;
        f->flags &= (uint8_t)~SJ_HTTP_CHUNKED;
        if (f->match == sizeof(chunked) - 1)
            f->flags |= SJ_HTTP_CHUNKED;
    } else if (f->field == FIELD_EXPECT) {
        f->flags |= SJ_HTTP_EXPECT;
    }
    f->field = FIELD_NONE;
}

static size_t skip_line(struct sj_http_fields *f, const uint8_t *p, size_t i, size_t n)
{
    const uint8_t *end = i < n ? memchr(p + i, '\n', n - i) : NULL;

    f->line = end ? LINE_BEGIN : LINE_SKIP;
    return end ? (size_t)(end - p) + 1 : n;
}

static size_t read_name(struct sj_http_fields *f, const uint8_t *p, size_t i, size_t n)
{
    const char *name = names[f->field];
    size_t len = name_len[f->field];

    /* most lines with the right first letter are told apart by where their colon is */
    if (f->match == 0 && n - i > len && p[i + len] != ':') {
        f->field = FIELD_NONE;
        return skip_line(f, p, i, n);
    }
    for (; i < n && f->match < len; i++, f->match++) {
        uint8_t c = p[i];

        /* only letters have two cases: '\r' | 0x20 is a hyphen */
        if ((name[f->match] == '-' ? c : c | 0x20) != name[f->match])
            break;
    }
    if (i == n) {
        f->line = LINE_NAME;
        return n;
    }
    if (f->match == len && p[i] == ':') {
        f->line = LINE_VALUE;
        f->value = VALUE_BLANK;
        f->match = 0;
        f->number = 0;
        return i + 1;
    }
    f->field = FIELD_NONE;
    return skip_line(f, p, i, n);
}

static size_t read_value(struct sj_http_fields *f, const uint8_t *p, size_t i, size_t n)
{
    if (f->field == FIELD_EXPECT)
        return skip_line(f, p, i, n);
    for (; i < n; i++) {
        if (p[i] == '\n') {
            f->line = LINE_BEGIN;
            return i + 1;
        }
        if (f->field == FIELD_LENGTH)
            length_byte(f, p[i]);
        else
            coding_byte(f, p[i]);
    }
    f->line = LINE_VALUE;
    return n;
}

/* The first byte of a line. */
static size_t begin_line(struct sj_http_fields *f, const uint8_t *p, size_t i, size_t n)
{
    uint8_t c = p[i];

    if (c == ' ' || c == '\t') {
        if (f->field == FIELD_NONE || f->field == FIELD_EXPECT)
            return skip_line(f, p, i, n);
        return read_value(f, p, i, n);
    }
    if (f->field != FIELD_NONE)
        take_field(f);
    if (c == '\r') {
        f->line = LINE_CR;
        return i + 1;
    }
    f->field = f->trailer ? FIELD_NONE : field_beginning_with(c);
    if (f->field == FIELD_NONE)
        return skip_line(f, p, i, n);
    f->match = 0;
    return read_name(f, p, i, n);
}

enum sj_http_progress sj_http_read_fields(struct sj_http_fields *f, const uint8_t *p, size_t n, size_t *i)
{
    size_t at = *i;
    bool done = false;

    while (at < n && !done) {
        switch (f->line) {
        case LINE_BEGIN:
            if (p[at] == '\n') {
                take_field(f);
                at++;
                done = true;
            } else {
                at = begin_line(f, p, at, n);
            }
            break;
        case LINE_CR:
            done = p[at] == '\n';
            at = done ? at + 1 : skip_line(f, p, at, n);
            break;
        case LINE_NAME:
            at = read_name(f, p, at, n);
            break;
        case LINE_VALUE:
            at = read_value(f, p, at, n);
            break;
        default:
            at = skip_line(f, p, at, n);
        }
    }
    *i = at;
    return done ? SJ_HTTP_DONE : SJ_HTTP_MORE;
}
