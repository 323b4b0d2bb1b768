// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/intern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t hash;
    uint32_t offset;
    uint32_t len;
};

struct sj_intern {
    struct entry *entries;
    uint32_t *slots; /* number of an entry + 1, or 0: open addressing, at most half full */
    uint8_t *bytes;
    uint32_t mask;
    uint32_t n;
    uint32_t used;
    uint32_t max_entries;
    uint32_t max_bytes;
    uint64_t seed;
};

struct sj_intern *sj_intern_new(uint32_t max_entries, uint32_t max_bytes, uint64_t seed)
{
    struct sj_intern *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    uint32_t slots = 2;
    while (slots < 2 * max_entries)
        slots *= 2;
    s->mask = slots - 1;
    s->max_entries = max_entries;
    s->max_bytes = max_bytes;
    s->seed = seed;
    s->entries = calloc(max_entries, sizeof(*s->entries));
    s->slots = calloc(slots, sizeof(*s->slots));
    s->bytes = malloc(max_bytes);
    if (!s->entries || !s->slots || !s->bytes) {
        sj_intern_free(s);
        return NULL;
    }
    return s;
}

void sj_intern_free(struct sj_intern *s)
{
    if (!s)
        return;
    free(s->entries);
    free(s->slots);
    free(s->bytes);
    free(s);
}

bool sj_intern_has_room(const struct sj_intern *s, uint32_t entries, uint32_t bytes)
{
    return s->max_entries - s->n >= entries && s->max_bytes - s->used >= bytes;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

/* Content comes from the network: the seed keeps it from choosing where it lands. */
static uint64_t hash_of(uint64_t seed, const uint8_t *p, uint32_t n)
{
    uint64_t h = mix(seed, n);
    uint64_t word;
    for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = mix(h, word);
    }
    if (n > 0) {
        word = 0;
        memcpy(&word, p, n);
        h = mix(h, word);
    }
    return mix(h, seed);
}

bool sj_intern(struct sj_intern *s, const void *p, uint32_t n, uint32_t *id)
{
    uint64_t hash = hash_of(s->seed, p, n);
    uint32_t slot = (uint32_t)(hash >> 32) & s->mask;
    for (; s->slots[slot]; slot = (slot + 1) & s->mask) {
        const struct entry *e = &s->entries[s->slots[slot] - 1];
        if (e->hash == hash && e->len == n && memcmp(s->bytes + e->offset, p, n) == 0) {
            *id = s->slots[slot] - 1;
            return false;
        }
    }
    assert(sj_intern_has_room(s, 1, n));
    memcpy(s->bytes + s->used, p, n);
    s->entries[s->n] = (struct entry){.hash = hash, .offset = s->used, .len = n};
    s->used += n;
    *id = s->n++;
    s->slots[slot] = s->n;
    return true;
}

void sj_intern_reset(struct sj_intern *s)
{
    memset(s->slots, 0, ((size_t)s->mask + 1) * sizeof(*s->slots));
    s->n = 0;
    s->used = 0;
}
