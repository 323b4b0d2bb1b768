// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/timefmt.h"

#define DEPTH_MAX 31

void sj_json_init(struct sj_json *w, struct sj_out *out, bool spaced)
{
    *w = (struct sj_json){.out = out, .spaced = spaced};
}

static void put(struct sj_json *w, char c)
{
    *sj_out_reserve(w->out, 1) = c;
    w->out->len++;
}

static bool has(uint32_t bits, uint8_t depth)
{
    return bits >> depth & 1;
}

static void new_line(struct sj_json *w)
{
    put(w, '\n');
    sj_out_fill(w->out, ' ', w->depth);
}

/* What must stand before an element: nothing after its key, otherwise a comma unless it is the first. */
static void element(struct sj_json *w)
{
    if (w->after_key || w->depth == 0) {
        w->after_key = false;
        return;
    }
    bool first = !has(w->filled, w->depth);
    if (!first)
        put(w, ',');
    if (has(w->lines, w->depth))
        new_line(w);
    else if (!first && w->spaced)
        put(w, ' ');
    w->filled |= 1U << w->depth;
}

static void enter(struct sj_json *w, char c, bool lines)
{
    element(w);
    put(w, c);
    assert(w->depth < DEPTH_MAX);
    w->depth++;
    w->filled &= ~(1U << w->depth);
    w->lines = lines ? w->lines | 1U << w->depth : w->lines & ~(1U << w->depth);
}

static void leave(struct sj_json *w, char c)
{
    assert(w->depth > 0);
    bool own_line = has(w->filled, w->depth) && has(w->lines, w->depth);
    w->depth--;
    if (own_line)
        new_line(w);
    put(w, c);
}

void sj_json_object(struct sj_json *w)
{
    enter(w, '{', false);
}

void sj_json_object_lines(struct sj_json *w)
{
    enter(w, '{', true);
}

void sj_json_object_end(struct sj_json *w)
{
    leave(w, '}');
}

void sj_json_array(struct sj_json *w)
{
    enter(w, '[', false);
}

void sj_json_array_lines(struct sj_json *w)
{
    enter(w, '[', true);
}

void sj_json_array_end(struct sj_json *w)
{
    leave(w, ']');
}

void sj_json_key(struct sj_json *w, const char *name)
{
    element(w);
    size_t n = strlen(name);
    char *p = sj_out_reserve(w->out, n + 4);
    p[0] = '"';
    memcpy(p + 1, name, n);
    memcpy(p + n + 1, "\": ", 3);
    w->out->len += n + (w->spaced ? 4 : 3);
    w->after_key = true;
}

/* One character that cannot stand for itself, as JSON writes it; at most 12 bytes. */
static void put_escaped(struct sj_json *w, uint32_t cp)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    static const char hex[] = "0123456789abcdef";
    const char *known = cp > 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    char *p = sj_out_reserve(w->out, 6);
    p[0] = '\\';
    if (known) {
        p[1] = to[known - from];
        w->out->len += 2;
        return;
    }
    p[1] = 'u';
    for (int i = 0; i < 4; i++)
        p[2 + i] = hex[cp >> (12 - 4 * i) & 15];
    w->out->len += 6;
}

static bool stands_for_itself(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(const char *text, size_t n)
{
    size_t run = 0;
    while (run < n && stands_for_itself((unsigned char)text[run]))
        run++;
    return run;
}

static void quoted(struct sj_json *w, const char *text)
{
    size_t left = strlen(text), run = plain_run(text, left);
    if (run == left && left + 2 <= SJ_OUT_RESERVE_MAX) { /* as nearly all are */
        char *p = sj_out_reserve(w->out, left + 2);
        p[0] = '"';
        memcpy(p + 1, text, left);
        p[left + 1] = '"';
        w->out->len += left + 2;
        return;
    }
    put(w, '"');
    for (; left > 0; run = plain_run(text, left)) {
        sj_out_write(w->out, text, run);
        text += run;
        left -= run;
        if (left == 0)
            break;
        uint32_t cp = 0;
        size_t took = sj_utf8_next(text, left, &cp);
        if (took == 0)
            sj_out_text(w->out, "\xef\xbf\xbd");
        else if (cp < 0x80 || sj_text_is_control(cp))
            put_escaped(w, cp);
        else
            sj_out_write(w->out, text, took);
        took = took ? took : 1;
        text += took;
        left -= took;
    }
    put(w, '"');
}

void sj_json_key_text(struct sj_json *w, const char *name)
{
    element(w);
    quoted(w, name);
    sj_out_text(w->out, w->spaced ? ": " : ":");
    w->after_key = true;
}

void sj_json_string(struct sj_json *w, const char *text)
{
    element(w);
    quoted(w, text);
}

void sj_json_bool(struct sj_json *w, bool value)
{
    element(w);
    sj_out_text(w->out, value ? "true" : "false");
}

void sj_json_uint(struct sj_json *w, uint64_t value)
{
    element(w);
    w->out->len += sj_digits(sj_out_reserve(w->out, 20), value);
}

void sj_json_real(struct sj_json *w, double value)
{
    element(w);
    assert(isfinite(value));
    sj_out_printf(w->out, "%.13g", value);
}

void sj_json_seconds(struct sj_json *w, uint64_t ns)
{
    element(w);
    w->out->len += sj_seconds_exact(sj_out_reserve(w->out, 21), ns);
}

void sj_json_key_real(struct sj_json *w, const char *name, double value)
{
    if (!isfinite(value))
        return;
    sj_json_key(w, name);
    sj_json_real(w, value);
}
