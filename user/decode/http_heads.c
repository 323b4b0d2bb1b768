// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/http_heads.h"

static uint64_t mix(uint64_t h, const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 32;
}

/* A few of its bytes are enough to choose: who chooses badly only reads more often. */
uint8_t sj_http_heads_keep(struct sj_http_heads *h, enum sj_dir dir, const uint8_t *p, size_t len)
{
    uint64_t hash = mix(mix(mix(len, p), p + (len - 8) / 2), p + len - 8);
    uint8_t place = (uint8_t)(hash % SJ_HTTP_HEADS);
    struct sj_http_head *head = &h->head[place];

    head->len = (uint16_t)len;
    head->dir = (uint8_t)dir;
    memcpy(head->bytes, p, len);
    return place;
}
