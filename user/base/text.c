// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"

#include <stdio.h>
#include <string.h>

struct range {
    uint32_t first;
    uint32_t last;
};

/* After Unicode's East Asian Width (W and F) and the emoji blocks: enough to align a table. */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x2e80, 0x303e},
    {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xa960, 0xa97f},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18cff}, {0x1aff0, 0x1b2ff}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff},
    {0x20000, 0x3fffd},
};
static const struct range combining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},   {0x064b, 0x065f},   {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d},   {0x20d0, 0x20ff},   {0xfe00, 0xfe0f},
    {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0x2060, 0x2064}, {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef},
};

static bool in_ranges(const struct range *r, size_t n, uint32_t cp)
{
    for (size_t i = 0; i < n; i++)
        if (cp >= r[i].first && cp <= r[i].last)
            return true;
    return false;
}

#define IN(table, cp) in_ranges(table, sizeof(table) / sizeof((table)[0]), cp)

size_t sj_utf8_next(const char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    unsigned char lead = (unsigned char)p[0];
    if (lead < 0x80) {
        *cp = lead;
        return 1;
    }
    size_t len = lead >= 0xf8 ? 0 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t v = lead & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (c & 0x3f);
    }
    if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *cp = v;
    return len;
}

bool sj_text_is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x061c || (cp >= 0x200e && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* What one code point (bad: one stray byte) looks like; returns the length in out, which holds 12 bytes. */
static size_t escape(char *out, uint32_t cp, bool bad)
{
    const char *shorthand = bad          ? NULL
                            : cp == '\n' ? "\\n"
                            : cp == '\r' ? "\\r"
                            : cp == '\t' ? "\\t"
                            : cp == 0x1b ? "\\e"
                            : cp == '\\' ? "\\\\"
                                         : NULL;
    if (shorthand)
        return (size_t)snprintf(out, 12, "%s", shorthand);
    if (bad || cp < 0x80)
        return (size_t)snprintf(out, 12, "\\x%02x", (unsigned)cp);
    return (size_t)snprintf(out, 12, cp > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)cp);
}

size_t sj_text_printable(char *out, size_t size, const char *in, bool utf8)
{
    size_t left = strlen(in), used = 0;
    if (size == 0)
        return 0;
    while (left > 0) {
        char piece[12];
        uint32_t cp = 0;
        size_t len, took = sj_utf8_next(in, left, &cp);
        bool bad = took == 0;
        if (bad) {
            cp = (unsigned char)*in;
            took = 1;
        }
        if (bad || sj_text_is_control(cp) || cp == '\\' || (cp >= 0x80 && !utf8))
            len = escape(piece, cp, bad);
        else
            memcpy(piece, in, len = took);
        if (used + len + 1 > size)
            break;
        memcpy(out + used, piece, len);
        used += len;
        in += took;
        left -= took;
    }
    out[used] = '\0';
    return used;
}

/* The columns of the character at p, and its length in bytes. */
static size_t columns(const char *p, size_t left, size_t *len)
{
    uint32_t cp = 0;
    *len = sj_utf8_next(p, left, &cp);
    if (*len == 0) {
        *len = 1;
        return 1;
    }
    return cp < 0x300 ? 1 : IN(combining, cp) ? 0 : IN(wide, cp) ? 2 : 1;
}

size_t sj_text_width(const char *text)
{
    size_t width = 0, len;
    for (size_t left = strlen(text); left > 0; left -= len, text += len)
        width += columns(text, left, &len);
    return width;
}

size_t sj_text_cut(char *text, size_t size, size_t width, bool utf8)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t whole = sj_text_width(text);
    if (whole <= width)
        return whole;
    char *p = text;
    size_t taken = 0, len;
    for (size_t left = strlen(text); left > 0; left -= len, p += len) {
        size_t next = columns(p, left, &len);
        if (taken + next + 1 > width)
            break;
        taken += next;
    }
    bool dots = utf8 && (size_t)(p - text) + sizeof(ellipsis) <= size;
    memcpy(p, dots ? ellipsis : "~", dots ? sizeof(ellipsis) : 2);
    return taken + 1;
}
