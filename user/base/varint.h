// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Integers of variable length: seven bits a byte, the lowest first, the top bit set on all bytes but the last. Numbers
 * that may be below zero are folded first (0, -1, 1, -2, ... become 0, 1, 2, 3, ...), so that small ones stay short.
 */
#define SJ_VARINT_MAX 10

/* Writes v to p, which has room for SJ_VARINT_MAX bytes. Returns how many it took. */
static inline size_t sj_varint_put(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

/*
 * Reads one integer from [*p, end) and moves *p behind it. False when it does not end there or does not fit into
 * 64 bits; then *p and *v are untouched.
 */
static inline bool sj_varint_get(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    uint64_t x = 0;
    const uint8_t *q = *p;
    for (unsigned shift = 0; q < end && shift < 64; shift += 7) {
        uint8_t b = *q++;
        if (shift == 63 && b > 1)
            return false;
        x |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *p = q;
            *v = x;
            return true;
        }
    }
    return false;
}

/* The same, false also when the number is larger than max. */
static inline bool sj_varint_get_max(const uint8_t **p, const uint8_t *end, uint64_t max, uint64_t *v)
{
    const uint8_t *q = *p;
    uint64_t x;
    if (!sj_varint_get(&q, end, &x) || x > max)
        return false;
    *p = q;
    *v = x;
    return true;
}

/* The difference of two numbers, modulo 2^64, folded. */
static inline uint64_t sj_varint_fold(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static inline uint64_t sj_varint_unfold(uint64_t folded)
{
    return folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0);
}
