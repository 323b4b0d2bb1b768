// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "decode/decoder.h"

/*
 * Heads that were read lately, as they were sent, with what they said. Who is asked often is mostly asked alike, and
 * answers alike: the same bytes need no second reading. All connections of a table share them.
 */
#define SJ_HTTP_HEADS 64
#define SJ_HTTP_HEAD_MAX 320      /* longer ones are not kept */
#define SJ_HTTP_HEAD_OPERATION 64 /* nor those with a longer operation */

struct sj_http_head {
    uint64_t length; /* what its fields said, as in struct sj_http_fields */
    uint16_t len;    /* bytes; 0: a free place */
    uint16_t status; /* of an answer */
    uint8_t dir;     /* enum sj_dir */
    uint8_t flags;   /* of its fields */
    uint8_t method;  /* of an ask */
    uint8_t operation_len;
    char operation[SJ_HTTP_HEAD_OPERATION];
    uint8_t bytes[SJ_HTTP_HEAD_MAX];
};

/* All bytes zero: empty. */
struct sj_http_heads {
    struct sj_http_head head[SJ_HTTP_HEADS];
};

/* Does p[0..n) begin with the head that is kept at this place? */
static inline bool sj_http_head_is(const struct sj_http_head *head, enum sj_dir dir, const uint8_t *p, size_t n)
{
    return head->len > 0 && head->dir == dir && head->len <= n && memcmp(head->bytes, p, head->len) == 0;
}

/* Where a head of len bytes, 8 to SJ_HTTP_HEAD_MAX, is kept: its bytes have been put there, the rest is the caller's.
 */
uint8_t sj_http_heads_keep(struct sj_http_heads *h, enum sj_dir dir, const uint8_t *p, size_t len);
