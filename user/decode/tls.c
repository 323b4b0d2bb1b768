// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/tls.h"

#include <string.h>

#define HEADER 5
#define RECORD_MAX (16384 + 2048) /* RFC 5246, 6.2.3 */
#define SEALED_MAX (16384 + 256)  /* RFC 8446, 5.2; in practice also that of 1.2 */
#define SEALED_MIN 17

/* In 1.3 a sealed record is one byte and a tag of 16 longer than its content; all its suites have this tag. */
#define SEAL 17
#define CLOSE_NOTIFY_13 (2 + SEAL)
#define FINISHED_13_SHA256 (4 + 32 + SEAL)
#define FINISHED_13_SHA384 (4 + 48 + SEAL)
/* In 1.2 the longest sealed Finished is 96 bytes (CBC, SHA-384); a plain hello with a session id is longer. */
#define FINISHED_12_MAX 104

enum record_type { CHANGE_CIPHER_SPEC = 20, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT };
enum handshake_type { CLIENT_HELLO = 1, SERVER_HELLO = 2 };
enum version { VERSION_UNKNOWN = 0, VERSION_12, VERSION_13 };

struct side {
    uint32_t left; /* of the record's body */
    uint8_t have;  /* bytes of the header */
    uint8_t head[HEADER];
    bool data; /* the record is part of an ask or an answer */
    bool lost;
    bool was_lost;
    bool ciphered; /* a ChangeCipherSpec went by */
    bool began;    /* a record was seen */
};

struct tls {
    struct side side[SJ_DIR_MAX_];
    uint8_t version;
    bool handshake;  /* seen from its beginning */
    bool finished;   /* 1.3: the client's flight is complete */
    bool odd_flight; /* 1.3: it began with something else than Finished */
    bool asked;
    bool answered;
};
_Static_assert(sizeof(struct tls) <= 256, "one per connection");

struct feed {
    struct tls *st;
    struct side *side;
    enum sj_dir dir;
    size_t offset; /* of the record, in this piece */
    bool data;     /* the piece holds some of an ask or an answer */
    bool other;    /* ... of something else */
    sj_message_fn fn;
    void *ctx;
};

static void tell(struct feed *f, enum sj_message_kind kind, size_t offset)
{
    struct sj_message msg;

    msg.kind = kind;
    msg.offset = offset < UINT32_MAX ? (uint32_t)offset : UINT32_MAX;
    msg.flags = 0;
    msg.protocol = SJ_PROTO_TLS;
    msg.operation_len = 0;
    msg.operation = msg.status = "";
    f->fn(f->ctx, &msg);
}

static bool is_header(const uint8_t *h, unsigned max)
{
    unsigned len = (unsigned)h[3] << 8 | h[4];

    return h[0] >= CHANGE_CIPHER_SPEC && h[0] <= HEARTBEAT && h[1] == 3 && h[2] <= 4 && len > 0 && len <= max &&
           (h[0] != CHANGE_CIPHER_SPEC || len == 1);
}

/* Bytes of the asking side that are part of a request. */
static void ask_goes_on(struct feed *f)
{
    struct tls *st = f->st;

    if (st->asked && !st->answered)
        return;
    st->asked = true;
    st->answered = false;
    tell(f, SJ_MSG_ASK_START, f->offset);
}

static void answer_goes_on(struct feed *f)
{
    struct tls *st = f->st;

    if (!st->asked || st->answered)
        return;
    st->answered = true;
    tell(f, SJ_MSG_ANSWER_START, f->offset);
}

static void lose(struct feed *f, size_t offset)
{
    f->offset = offset;
    /* unreadable as it is, after an ask it is what answers it */
    if (f->dir == SJ_DIR_ANSWER)
        answer_goes_on(f);
    tell(f, SJ_MSG_LOST_SYNC, offset);
    f->side->lost = f->side->was_lost = true;
    f->side->left = 0;
    f->side->have = 0;
}

/* Application data of the client before its handshake is complete; true when it is data after all. */
static bool client_flight(struct feed *f, unsigned len)
{
    struct tls *st = f->st;
    const struct side *server = &st->side[SJ_DIR_ANSWER];

    if (!server->began && !server->lost)
        return false; /* early data */
    if (len == FINISHED_13_SHA256 || len == FINISHED_13_SHA384) {
        st->finished = true;
        return false;
    }
    if (f->side->was_lost) {
        st->finished = true;
        return true;
    }
    /* a certificate, or a Finished in one record with others: it ends when the server has its say */
    st->odd_flight = true;
    return false;
}

static bool application_data(struct feed *f, unsigned len)
{
    struct tls *st = f->st;

    /* 1.2 has sent a sealed Finished as a handshake record before any data */
    if (st->handshake && st->version == VERSION_UNKNOWN)
        st->version = VERSION_13;
    if (st->version != VERSION_12 && len == CLOSE_NOTIFY_13)
        return false;
    if (st->version == VERSION_13 && !st->finished) {
        if (f->dir == SJ_DIR_ASK)
            return client_flight(f, len);
        st->finished = st->odd_flight;
        return false;
    }
    return f->dir == SJ_DIR_ASK || st->asked;
}

/* A header is complete. */
static void record_begins(struct feed *f)
{
    struct tls *st = f->st;
    struct side *s = f->side;
    unsigned len = (unsigned)s->head[3] << 8 | s->head[4];

    if (!st->side[SJ_DIR_ASK].began && !st->side[SJ_DIR_ANSWER].began)
        st->handshake = s->head[0] == HANDSHAKE;
    s->data = false;
    switch (s->head[0]) {
    case CHANGE_CIPHER_SPEC:
        s->ciphered = true;
        break;
    case HANDSHAKE:
        if (s->ciphered && len <= FINISHED_12_MAX && st->version == VERSION_UNKNOWN)
            st->version = VERSION_12;
        break;
    case APPLICATION_DATA:
        s->data = application_data(f, len);
        break;
    default:
        break;
    }
    s->began = true;
    s->have = 0;
    s->left = len;
    if (s->data && f->dir == SJ_DIR_ASK)
        ask_goes_on(f);
    else if (s->data)
        answer_goes_on(f);
}

static void touch(struct feed *f)
{
    if (f->side->data)
        f->data = true;
    else
        f->other = true;
}

static void read_piece(struct feed *f, const uint8_t *p, size_t n)
{
    struct side *s = f->side;
    size_t i = 0;

    while (i < n && !s->lost) {
        size_t take = n - i;

        if (s->left > 0) {
            if (take > s->left)
                take = s->left;
            s->left -= (uint32_t)take;
            i += take;
            touch(f);
            continue;
        }
        if (s->have == 0)
            f->offset = i;
        if (take > (size_t)(HEADER - s->have))
            take = HEADER - s->have;
        memcpy(s->head + s->have, p + i, take);
        s->have = (uint8_t)(s->have + take);
        i += take;
        if (s->have < HEADER)
            break;
        if (is_header(s->head, RECORD_MAX)) {
            record_begins(f);
            touch(f);
        } else {
            lose(f, f->offset);
        }
    }
}

static void skip_gap(struct feed *f, size_t n, uint64_t gap)
{
    struct side *s = f->side;

    if (gap > s->left) {
        lose(f, n);
        return;
    }
    s->left -= (uint32_t)gap;
    touch(f);
}

static void tls_feed(void *state, enum sj_dir dir, const uint8_t *p, size_t n, uint64_t gap, sj_message_fn fn,
                     void *ctx)
{
    struct tls *st = state;
    struct feed f = {.st = st, .side = &st->side[dir], .dir = dir, .fn = fn, .ctx = ctx};

    if (f.side->lost && n >= HEADER && is_header(p, RECORD_MAX))
        f.side->lost = false;
    if (f.side->lost) {
        if (n > 0 || gap > 0)
            lose(&f, 0);
        return;
    }
    read_piece(&f, p, n);
    if (gap > 0 && !f.side->lost)
        skip_gap(&f, n, gap);
    if (f.other && !f.data && !f.side->lost)
        tell(&f, SJ_MSG_IGNORE, 0);
}

/* What follows the record, if it is in sight, must be another one. */
static bool next_is_record(const uint8_t *p, size_t n)
{
    size_t next = HEADER + ((size_t)p[3] << 8 | p[4]);

    return n < next + HEADER || is_header(p + next, RECORD_MAX);
}

static bool tls_probe(enum sj_dir dir, const uint8_t *p, size_t n)
{
    uint8_t hello = dir == SJ_DIR_ASK ? CLIENT_HELLO : SERVER_HELLO;
    unsigned len;

    if (n < HEADER || !is_header(p, SEALED_MAX))
        return false;
    len = (unsigned)p[3] << 8 | p[4];
    if (p[0] == HANDSHAKE) {
        /* type, length, version, random and three lengths */
        if (len < 4 + 2 + 32 + 4 || (n > HEADER && p[5] != hello))
            return false;
        /* a hello of 16 MiB is none; its version repeats the record's major */
        if ((n > 6 && p[6] != 0) || (n > 9 && p[9] != 3))
            return false;
        return next_is_record(p, n);
    }
    if (p[0] == APPLICATION_DATA)
        return p[2] == 3 && len >= SEALED_MIN && next_is_record(p, n);
    return false;
}

static void tls_init(void *state)
{
    memset(state, 0, sizeof(struct tls));
}

static bool tls_whole(const void *state)
{
    const struct side *s = &((const struct tls *)state)->side[SJ_DIR_ANSWER];

    return s->lost || (s->left == 0 && s->have == 0);
}

static bool tls_blind(const void *state)
{
    return ((const struct tls *)state)->side[SJ_DIR_ANSWER].lost;
}

const struct sj_decoder sj_tls_decoder = {
    .protocol = SJ_PROTO_TLS,
    .state_size = sizeof(struct tls),
    .probe = tls_probe,
    .init = tls_init,
    .feed = tls_feed,
    .whole = tls_whole,
    .blind = tls_blind,
};
