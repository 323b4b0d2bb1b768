// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Hashes of names that come from outside: they begin with a secret. */

static inline uint64_t sj_hash_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

static inline uint64_t sj_hash_eight(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

/* Eight bytes at a step, the last of which may overlap: a name is hashed for every request. */
static inline uint64_t sj_hash_text(uint64_t h, const char *text, size_t n)
{
    h ^= (uint64_t)n << 56;
    if (n < sizeof(uint64_t)) {
        uint64_t word = 0;
        for (size_t i = 0; i < n; i++)
            word = word << 8 | (uint8_t)text[i];
        return sj_hash_mix(h, word);
    }
    for (size_t i = 0; i < n - sizeof(uint64_t); i += sizeof(uint64_t))
        h = sj_hash_mix(h, sj_hash_eight(text + i));
    return sj_hash_mix(h, sj_hash_eight(text + n - sizeof(uint64_t)));
}
