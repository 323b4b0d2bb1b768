// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decoder.h"

/*
 * A fuzz input is a list of pieces: a byte of flags, a length (two bytes, low first), for FUZZ_GAP a gap of one byte,
 * for FUZZ_LONG_GAP one of eight, then the piece's bytes. A length beyond the input is what is left.
 */
enum { FUZZ_ANSWER = 1, FUZZ_GAP = 2, FUZZ_LONG_GAP = 4 };

struct fuzz_feed {
    size_t n;
    uint32_t offset; /* of the latest message */
    unsigned told;
    bool switched;
};

static inline void fuzz_require(bool holds)
{
    if (!holds)
        abort();
}

static inline void fuzz_text(const char *s, size_t max)
{
    size_t n = strnlen(s, max);

    fuzz_require(n < max);
    for (size_t i = 0; i < n; i++)
        fuzz_require(s[i] >= ' ' && s[i] <= '~');
}

static inline void fuzz_message(void *ctx, const struct sj_message *msg)
{
    struct fuzz_feed *feed = ctx;

    fuzz_require(!feed->switched);
    fuzz_require((unsigned)msg->kind < SJ_MSG_MAX_ && msg->protocol < SJ_PROTO_MAX_);
    fuzz_require(msg->offset <= feed->n);
    /* in order, except for what is said about the piece as a whole */
    fuzz_require(msg->kind == SJ_MSG_IGNORE || msg->offset >= feed->offset);
    fuzz_text(msg->operation, SJ_OPERATION_MAX);
    fuzz_text(msg->status, SJ_STATUS_MAX);
    fuzz_require((msg->kind == SJ_MSG_ASK_START) >= (msg->operation[0] != '\0'));
    fuzz_require(msg->flags == 0 || msg->kind == SJ_MSG_ANSWER_START);
    feed->offset = msg->offset;
    feed->switched = msg->kind == SJ_MSG_SWITCH;
    feed->told++;
}

static inline uint64_t fuzz_number(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* Each piece, and the state, are blocks of exactly their size, so that the sanitizer sees the first byte beyond. */
static inline void fuzz_decoder(const struct sj_decoder *decoder, const uint8_t *data, size_t size)
{
    struct fuzz_feed feed = {0};
    void *state = malloc(decoder->state_size);

    fuzz_require(state != NULL);
    memset(state, 0xa5, decoder->state_size);
    decoder->init(state);
    fuzz_require(decoder->whole(state));
    while (size >= 3) {
        unsigned flags = data[0];
        enum sj_dir dir = flags & FUZZ_ANSWER ? SJ_DIR_ANSWER : SJ_DIR_ASK;
        size_t n = (size_t)fuzz_number(data + 1, 2), long_gap = flags & FUZZ_LONG_GAP ? 8 : flags & FUZZ_GAP ? 1 : 0;

        data += 3;
        size -= 3;
        if (long_gap > size)
            break;
        uint64_t gap = fuzz_number(data, long_gap);
        data += long_gap;
        size -= long_gap;
        n = n < size ? n : size;

        uint8_t *piece = malloc(n ? n : 1);
        fuzz_require(piece != NULL);
        memcpy(piece, data, n);
        decoder->probe(dir, piece, n);
        feed.n = n;
        feed.offset = 0;
        feed.told = 0;
        decoder->feed(state, dir, piece, n, gap, fuzz_message, &feed);
        /* the shortest messages are a few bytes long: nobody can make us tell more than we read */
        fuzz_require(feed.told <= n / 4 + 4);
        decoder->whole(state);
        free(piece);
        data += n;
        size -= n;
    }
    if (decoder->fini)
        decoder->fini(state);
    free(state);
}
