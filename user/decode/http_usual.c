// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "decode/http_parse.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * Most headers are whole and plain. What matters in them is where lines begin and with which letter, so that is all
 * that is looked for, a block of bytes at a time. Anything out of the ordinary is left to the machine of http_fields.c.
 */
enum { PLAIN = 0, BLANK, LENGTH, CODING, EXPECT };

#define LENGTH_DIGITS 18

static const uint8_t kind_of[256] = {
    [0 ... ' '] = BLANK, ['c'] = LENGTH, ['C'] = LENGTH, ['t'] = CODING, ['T'] = CODING, ['e'] = EXPECT, ['E'] = EXPECT,
};
static const uint8_t name_len[] = {0, 0, 14, 17, 6};

static uint64_t eight(const void *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* Bit k: there is a line feed at p[k], k < BLOCK. */
#ifdef __SSE2__
#define BLOCK 16
static unsigned line_feeds(const uint8_t *p)
{
    __m128i block;

    memcpy(&block, p, sizeof(block));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8('\n')));
}
#else
#define BLOCK 8
static unsigned line_feeds(const uint8_t *p)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fULL;
    uint64_t word = eight(p);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    word ^= 0x0a0a0a0a0a0a0a0aULL;
    word = ~(((word & low) + low) | word | low); /* the highest bit of each byte that is zero */
    return (unsigned)((word >> 7) * 0x0102040810204080ULL >> 56);
}
#endif

/* "Content-Length" as it is mostly written, at p. */
static bool is_length_name(const uint8_t *p)
{
    static const char big[] = "Content-Length", small[] = "content-length";
    uint64_t first = eight(p), last = eight(p + 6);

    return (first == eight(big) && last == eight(big + 6)) || (first == eight(small) && last == eight(small + 6));
}

/* "Content-Length: 1234" and the end of the line, at p[i]: false when it is not, or not all of it is there. */
static bool read_length(const uint8_t *p, size_t n, size_t i, uint64_t *length)
{
    size_t at = i + name_len[LENGTH] + 1, first;
    uint64_t number = 0;

    if (!is_length_name(p + i))
        return false;
    at += at < n && p[at] == ' ';
    first = at;
    for (; at < n && at - first < LENGTH_DIGITS && (unsigned)(p[at] - '0') <= 9; at++)
        number = number * 10 + (unsigned)(p[at] - '0');
    *length = number;
    return at > first && n - at > 1 && p[at] == '\r' && p[at + 1] == '\n';
}

/* The line that begins at p[i]: 0 to go on, a length to end there, or SIZE_MAX when it is not for us. */
static size_t read_line(struct sj_http_fields *f, const uint8_t *p, size_t n, size_t i, unsigned kind)
{
    uint64_t length;

    if (kind == BLANK)
        return p[i] == '\r' && n - i > 1 && p[i + 1] == '\n' ? i + 2 : SIZE_MAX;
    if (n - i <= name_len[kind])
        return SIZE_MAX;
    if (p[i + name_len[kind]] != ':')
        return 0;
    if (kind != LENGTH || !read_length(p, n, i, &length) || ((f->flags & SJ_HTTP_LENGTH) && f->length != length))
        return SIZE_MAX;
    f->flags |= SJ_HTTP_LENGTH;
    f->length = length;
    return 0;
}

/* Bit k: there is a line feed at p[i + k], k < 64 and i + k < last; last is at least BLOCK. */
static uint64_t next_line_feeds(const uint8_t *p, size_t i, size_t last)
{
    uint64_t feeds = 0;
    unsigned k = 0;

    if (last - i >= 64) {
        for (; k < 64; k += BLOCK)
            feeds |= (uint64_t)line_feeds(p + i + k) << k;
        return feeds;
    }
    for (; last - i - k >= BLOCK; k += BLOCK)
        feeds |= (uint64_t)line_feeds(p + i + k) << k;
    if (i + k < last)
        feeds |= (uint64_t)line_feeds(p + last - BLOCK) >> (i + k - (last - BLOCK)) << k;
    return feeds;
}

size_t sj_http_read_usual_fields(struct sj_http_fields *f, const uint8_t *p, size_t n, size_t i)
{
    struct sj_http_fields got = {0};
    size_t last = n - 1; /* no line begins behind a line feed there */

    if (last < BLOCK)
        return 0;
    for (; i < last; i += 64) {
        for (uint64_t feeds = next_line_feeds(p, i, last); feeds; feeds &= feeds - 1) {
            size_t at = i + (unsigned)__builtin_ctzll(feeds) + 1, end;

            if (kind_of[p[at]] == PLAIN)
                continue;
            end = read_line(&got, p, n, at, kind_of[p[at]]);
            if (end == SIZE_MAX)
                return 0;
            if (end) {
                f->flags = got.flags;
                f->length = got.length;
                return end;
            }
        }
    }
    return 0;
}
