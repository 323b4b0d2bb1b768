// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/connection.h"

/* Hands pieces of a connection's streams to its decoder, and does to its pending requests what the decoder says. */
struct sj_feeding {
    struct sj_connections *table;
    struct sj_connection *c;
    const struct sj_rec_turn *turn; /* NULL while the turn's record has not come */
    uint64_t dropped;               /* asks for which there was no room */
    uint32_t begun;                 /* asks that began */
    uint32_t answers;               /* answers, also provisional ones, that began */
    bool ended;                     /* an ask was complete */
    bool ignore;                    /* bytes that belong to no request were seen */
    bool lost;                      /* the decoder has lost its footing */
};

/* len bytes of the running ask, of which the first n are at p. hint: what the kernel side takes the protocol for. */
void sj_feed_ask(struct sj_feeding *f, uint8_t hint, const uint8_t *p, size_t n, uint64_t len);

/* len bytes of the answer. */
void sj_feed_answer(struct sj_feeding *f, const uint8_t *p, size_t n, uint64_t len);
