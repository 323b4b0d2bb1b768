// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/path.h"

#include <string.h>

#define SEGMENT_MAX 40
#define CAMEL_MAX 64
#define PLAIN_MAX 15 /* so many letters are never an id */
#define HEX_MIN 16
#define EXTENSION_MAX 8

/* ---- what a byte is ---- */

enum {
    C_DIGIT = 1 << 0,
    C_HEX = 1 << 1,
    C_UPPER = 1 << 2,
    C_LOWER = 1 << 3,
    C_HYPHEN = 1 << 4,
    C_JOIN = 1 << 5,
    C_OTHER = 1 << 6, /* plain punctuation */
    C_KEY = 1 << 7,
    C_PERCENT = 1 << 8,
    C_PAREN = 1 << 9,
    C_RAW = 1 << 10,  /* must be escaped */
    C_END = 1 << 11,  /* of a segment */
    C_WORD = 1 << 12, /* a letter that is no hexadecimal digit */
    C_LETTER = C_UPPER | C_LOWER,
};

static const uint16_t class_of[256] = {
    [0x00 ... ' '] = C_RAW,
    ['!' ... '"'] = C_OTHER,
    ['#'] = C_END,
    ['$'] = C_OTHER,
    ['%'] = C_PERCENT,
    ['&' ... '\''] = C_OTHER,
    ['('] = C_PAREN,
    [')' ... ','] = C_OTHER,
    ['-'] = C_HYPHEN,
    ['.'] = C_JOIN,
    ['/'] = C_END,
    ['0' ... '9'] = C_DIGIT | C_HEX,
    [':'] = C_JOIN,
    [';'] = C_END,
    ['<'] = C_OTHER,
    ['='] = C_KEY,
    ['>'] = C_OTHER,
    ['?'] = C_END,
    ['@'] = C_KEY,
    ['A' ... 'F'] = C_UPPER | C_HEX,
    ['G' ... 'Z'] = C_UPPER | C_WORD,
    ['[' ... '^'] = C_OTHER,
    ['_'] = C_JOIN,
    ['`'] = C_OTHER,
    ['a' ... 'f'] = C_LOWER | C_HEX,
    ['g' ... 'z'] = C_LOWER | C_WORD,
    ['{' ... '}'] = C_OTHER,
    ['~'] = C_JOIN,
    [0x7f ... 0xff] = C_RAW,
};

static bool ends_path(uint8_t c)
{
    return c == '?' || c == '#';
}

/* ---- what a segment is ---- */

/* What can be told about a segment from its characters alone. */
struct shape {
    size_t len;
    unsigned digits;
    unsigned groups; /* runs of digits */
    unsigned words;  /* letters that are no hexadecimal digits */
    unsigned upper;
    unsigned lower;
    unsigned hyphens;
    unsigned other;     /* anything but letters, digits and hyphens */
    unsigned escapes;   /* percent escapes, and bytes that need one */
    bool numeric;       /* so many digits that nothing else matters, or was counted */
    bool key;           /* an '@' or '=' */
    bool number_at_end; /* ends with digits that follow a separator */
};

static bool is_escape(const uint8_t *p, size_t n)
{
    return n >= 3 && p[0] == '%' && (class_of[p[1]] & C_HEX) && (class_of[p[2]] & C_HEX);
}

static struct shape shape_of(const uint8_t *p, size_t n)
{
    struct shape s = {.len = n};
    unsigned run = 0, before = 0, before_run = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned c = class_of[p[i]];

        if (c & C_PERCENT && is_escape(p + i, n - i)) {
            s.key |= p[i + 1] == '4' && p[i + 2] == '0';
            s.escapes++;
            i += 2;
        }
        run = c & C_DIGIT ? run + 1 : 0;
        before_run = run == 1 ? before : before_run;
        before = c;
        if (run > 0) {
            s.digits++;
            s.groups += run == 1;
            s.numeric = run == 3 || s.groups == 3;
            if (s.numeric)
                break;
        }
        s.words += (c & C_WORD) != 0;
        s.upper += (c & C_UPPER) != 0;
        s.lower += (c & C_LOWER) != 0;
        s.hyphens += (c & C_HYPHEN) != 0;
        s.other += (c & (C_DIGIT | C_LETTER | C_HYPHEN)) == 0;
        s.escapes += (c & C_RAW) != 0;
        s.key |= (c & C_KEY) != 0;
    }
    s.number_at_end = run > 0 && (before_run & (C_HYPHEN | C_JOIN));
    return s;
}

/* The rules of path.h. */
static bool is_id(const struct shape *s)
{
    bool letters = s->upper + s->lower > 0;
    bool solid = s->hyphens == 0 && s->other == 0;
    bool hex = s->words == 0 && s->other == 0;
    bool camel = s->upper && s->lower && s->hyphens == 0 && s->escapes == 0;

    if (s->numeric || s->key || s->escapes >= 3 || s->len > (camel ? CAMEL_MAX : SEGMENT_MAX))
        return true;
    if (hex && s->len >= HEX_MIN)
        return true;
    if (s->digits == 0)
        return solid && s->len >= 32 && (s->upper == 0 || s->lower == 0);
    if (!letters || (s->number_at_end && s->groups == 1))
        return true;
    if (hex && s->len >= 6 && s->digits >= 2)
        return true;
    return (s->groups >= 2 && s->upper && s->lower && s->len >= 8) || (solid && s->len >= 16);
}

/* ---- what is written of it ---- */

struct text {
    char *p;
    size_t len;
    size_t max; /* bytes that may be used */
    bool full;
};

static void put(struct text *t, const void *s, size_t n)
{
    if (n > t->max - t->len) {
        t->full = true;
        return;
    }
    memcpy(t->p + t->len, s, n);
    t->len += n;
}

static void put_id(struct text *t)
{
    put(t, ":id", 3);
}

static void put_escaped(struct text *t, const uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < n && !t->full; i++) {
        if (class_of[p[i]] & C_RAW)
            put(t, (const char[]){'%', hex[p[i] >> 4], hex[p[i] & 15]}, 3);
        else
            put(t, p + i, 1);
    }
}

/* The position of the dot before an extension, or n. Short ones with a letter count: js, mp4, 7z, parquet. */
static size_t extension_of(const uint8_t *p, size_t n)
{
    unsigned letters = 0, digits = 0;

    for (size_t i = n; i-- > 1 && n - i <= EXTENSION_MAX + 1;) {
        unsigned c = class_of[p[i]];

        if (p[i] == '.')
            return letters > 0 && digits <= 2 ? i : n;
        if (!(c & (C_DIGIT | C_LETTER)))
            return n;
        letters += !(c & C_DIGIT);
        digits += (c & C_DIGIT) != 0;
    }
    return n;
}

/* How much of a piece that is an id are words before its first digit, "report-" of "report-2024". */
static size_t words_before(const uint8_t *p, size_t n)
{
    size_t words = 0;

    for (size_t i = 0; i + 1 < n && !(class_of[p[i]] & C_DIGIT); i++)
        if (p[i] == '-' || p[i] == '_')
            words = i + 1;
    return words;
}

/* One dot-separated piece of a file name. */
static void put_piece(struct text *t, const uint8_t *p, size_t n, bool first)
{
    struct shape s = shape_of(p, n);
    bool id = is_id(&s);
    size_t words = id && n <= SEGMENT_MAX && s.escapes == 0 ? words_before(p, n) : 0;

    /* 1.2.3 is one id, not three */
    if (id && words == 0 && !first && t->len >= 3 && memcmp(t->p + t->len - 3, ":id", 3) == 0)
        return;
    if (!first)
        put(t, ".", 1);
    put_escaped(t, p, id ? words : n);
    if (id)
        put_id(t);
}

static void put_file(struct text *t, const uint8_t *p, size_t stem, size_t n)
{
    for (size_t i = 0; i < stem;) {
        const uint8_t *dot = memchr(p + i, '.', stem - i);
        size_t end = dot ? (size_t)(dot - p) : stem;

        put_piece(t, p + i, end - i, i == 0);
        i = end + 1;
    }
    put(t, p + stem, n - stem);
}

static void put_mixed(struct text *t, const uint8_t *p, size_t n, unsigned seen)
{
    size_t stem = n;

    if (seen & C_JOIN && !(seen & (C_KEY | C_PERCENT)) && p[0] != '.')
        stem = extension_of(p, n);
    if (stem < n) {
        put_file(t, p, stem, n);
        return;
    }
    struct shape s = shape_of(p, n);

    if (is_id(&s))
        put_id(t);
    else
        put_escaped(t, p, n);
}

/* `seen` holds the classes of its bytes: most segments need no closer look. */
static void put_segment(struct text *t, const uint8_t *p, size_t n, unsigned seen)
{
    unsigned odd = seen & (C_KEY | C_PERCENT | C_PAREN | C_RAW);

    if (!odd && !(seen & C_DIGIT) && n <= PLAIN_MAX) {
        put(t, p, n);
    } else if (!odd && seen & C_DIGIT && !(seen & C_LETTER)) {
        put_id(t);
    } else if (!odd && !(seen & (C_WORD | C_JOIN | C_OTHER)) && n >= HEX_MIN) {
        put_id(t);
    } else if (seen & C_PAREN && p[0] != '(') {
        const uint8_t *open = memchr(p, '(', n);

        put_mixed(t, p, (size_t)(open - p), seen);
        put(t, "(:id)", 5);
    } else {
        put_mixed(t, p, n, seen);
    }
}

/* ---- the path ---- */

/* Bytes of "scheme://authority". */
static size_t origin_of(const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (i < n && (class_of[p[i]] & C_LETTER))
        i++;
    if (i == 0 || n - i < 3 || memcmp(p + i, "://", 3) != 0)
        return 0;
    for (i += 3; i < n && p[i] != '/' && !ends_path(p[i]); i++)
        ;
    return i;
}

static size_t finish(struct text *t)
{
    t->p[t->len] = '\0';
    return t->len;
}

/* The rest of the path from this length on is not told. */
static size_t finish_rest(struct text *t, size_t len)
{
    memcpy(t->p + len, "/*", 2);
    t->len = len + 2;
    return finish(t);
}

/* "." and "..", and a segment that was nothing but parameters. */
static bool is_dots(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')));
}

size_t sj_path_normalise(const uint8_t *target, size_t n, bool cut, char *out, size_t size)
{
    /* two bytes and the NUL are kept back for a final star */
    struct text t = {.p = out, .max = size - 3};
    size_t starts[SJ_PATH_SEGMENTS];
    size_t depth = 0, i = 0;
    bool slash = true;

    if (n == 1 && target[0] == '*' && !cut) {
        memcpy(out, "*", 2);
        return 1;
    }
    if (n > 0 && target[0] != '/')
        i = origin_of(target, n);
    while (i < n && !ends_path(target[i])) {
        size_t from = i, len;
        unsigned seen = 0, c;

        if (target[i] == '/') {
            slash = true;
            i++;
            continue;
        }
        for (; i < n && !((c = class_of[target[i]]) & C_END); i++)
            seen |= c;
        if (i == n && cut)
            return finish_rest(&t, t.len);
        len = i - from;
        while (i < n && target[i] != '/' && !ends_path(target[i]))
            i++;
        slash = is_dots(target + from, len);
        if (slash) {
            if (len == 2)
                t.len = depth > 0 ? starts[--depth] : 0;
            continue;
        }
        if (depth == SJ_PATH_SEGMENTS)
            return finish_rest(&t, t.len);
        starts[depth++] = t.len;
        put(&t, "/", 1);
        put_segment(&t, target + from, len, seen);
        if (t.full)
            return finish_rest(&t, starts[depth - 1]);
    }
    if (i == n && cut)
        return finish_rest(&t, t.len);
    if (slash)
        t.p[t.len++] = '/';
    return finish(&t);
}

size_t sj_path_authority(const uint8_t *target, size_t n, bool cut, char *out, size_t size)
{
    size_t digits = 0;

    while (digits < n && (class_of[target[n - 1 - digits]] & C_DIGIT))
        digits++;
    if (cut || digits == 0 || digits > 5 || digits == n || target[n - 1 - digits] != ':' || digits + 3 > size)
        digits = 0;
    else
        digits++; /* the colon */
    out[0] = '*';
    memcpy(out + 1, target + n - digits, digits);
    out[1 + digits] = '\0';
    return 1 + digits;
}
