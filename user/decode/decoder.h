// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

/*
 * A protocol decoder: bytes in, messages out. Pure: no I/O, no clock, no allocation but its own bounded state.
 *
 * A connection has two byte streams, the ask and the answer direction. The kernel side captures the beginning of
 * messages, so a piece of a stream is `n` bytes that were seen followed by `gap` bytes that were not. A decoder must
 * cope with any cut: headers split over pieces, several messages in one piece, a gap in a body (harmless when the
 * body's length is known), a gap in a header (it must find its footing again at the next piece that begins a message),
 * and garbage.
 */
enum sj_dir { SJ_DIR_ASK = 0, SJ_DIR_ANSWER, SJ_DIR_MAX_ };

enum sj_message_kind {
    SJ_MSG_ASK_START,    /* a request begins; operation is set */
    SJ_MSG_ASK_END,      /* its last byte was in this piece (or gap) */
    SJ_MSG_ANSWER_START, /* the answer to the oldest unanswered request begins; status and error are set */
    SJ_MSG_ANSWER_END,   /* its last byte was in this piece; without one, only the end of the turn tells */
    SJ_MSG_INTERIM,      /* an answer that is not final (HTTP 1xx): the request goes on */
    SJ_MSG_IGNORE,       /* bytes that belong to no request (a TLS handshake) */
    SJ_MSG_SWITCH,       /* from here on the connection speaks `protocol` (an upgrade): turns of that name */
    SJ_MSG_LOST_SYNC,    /* the stream cannot be followed: told for each piece until one begins with a message */
    SJ_MSG_MAX_
};

#define SJ_OPERATION_MAX 128
#define SJ_STATUS_MAX 16

struct sj_message {
    enum sj_message_kind kind;
    uint32_t offset;        /* of its first byte in the piece */
    uint32_t flags;         /* SJ_REQ_ERROR, SJ_REQ_CLIENT_ERROR */
    uint8_t protocol;       /* with SJ_MSG_SWITCH */
    uint32_t operation_len; /* below SJ_OPERATION_MAX */
    /* These live until the call returns. */
    const char *operation; /* low cardinality, masked: no query string, no literals; "" when unknown */
    const char *status;    /* with its NUL at most SJ_STATUS_MAX bytes */
};

/* Called once per message, in order, from within feed. */
typedef void (*sj_message_fn)(void *ctx, const struct sj_message *msg);

struct sj_decoder {
    enum sj_protocol protocol;
    size_t state_size; /* <= 256: there is one per connection */

    /* Does this piece begin an ask, or an answer, of this protocol? Must be strict: random bytes are not a protocol. */
    bool (*probe)(enum sj_dir dir, const uint8_t *p, size_t n);
    void (*init)(void *state);
    /*
     * Optional: shared_size bytes of memory, zeroed at first, which the states of a table's connections share, so that
     * what one has read another need not read again. Called right after init, if at all; it outlives the state.
     */
    void (*share)(void *state, void *shared);
    size_t shared_size;
    /* Releases what the state owns; may be NULL. */
    void (*fini)(void *state);
    /* n may be 0 with a gap. Never fails: what it cannot read is SJ_MSG_LOST_SYNC. */
    void (*feed)(void *state, enum sj_dir dir, const uint8_t *p, size_t n, uint64_t gap, sj_message_fn fn, void *ctx);
    /* The peer closed, or the turn is over: is the answer that began whole? False when bytes of it are missing. */
    bool (*whole)(const void *state);
    /* Is it unknown where in its bytes the running answer stands: behind a gap, or in one that only the close ends? */
    bool (*blind)(const void *state);
};

/* All decoders, NULL-terminated, in the order in which they are probed. */
extern const struct sj_decoder *const sj_decoders[];

/* The decoder whose message begins like this, or NULL. */
const struct sj_decoder *sj_decoder_probe(enum sj_dir dir, const uint8_t *p, size_t n);
