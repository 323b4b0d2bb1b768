// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/decoder.h"
#include "decode/http_heads.h"
#include "decode/http_parse.h"

/* What the HTTP decoder's files share: its state, one piece being read, and what may be told about it. */

enum sj_http_phase {
    SJ_AT_START = 0, /* between messages */
    SJ_AT_LINE,
    SJ_AT_REASON, /* the rest of a status line */
    SJ_AT_FIELDS,
    SJ_AT_BODY,
    SJ_AT_CHUNK_SIZE,
    SJ_AT_CHUNK_EXTENSION,
    SJ_AT_CHUNK_DATA,
    SJ_AT_CHUNK_END,
    SJ_AT_TRAILER,
    SJ_AT_CLOSE, /* a body that ends with the connection */
    SJ_AT_CUT,   /* in a message whose end is not known */
    SJ_AT_LOST,
};

enum sj_http_side_flag {
    SJ_SIDE_INTERIM = 1 << 0,    /* 1xx: another answer follows */
    SJ_SIDE_BODILESS = 1 << 1,   /* the answer has no body whatever its header says */
    SJ_SIDE_SWITCHES = 1 << 2,   /* HTTP ends with this header */
    SJ_SIDE_ASK_UNSEEN = 1 << 3, /* nobody knows whether it answers a HEAD */
    SJ_SIDE_UNTOUCHED = 1 << 4,  /* the ask waits for 100 and none of its body was seen */
    SJ_SIDE_DIGIT = 1 << 5,      /* of a chunk size */
};

struct sj_http_side {
    struct sj_http_fields fields;
    uint64_t left; /* of the body or the chunk */
    uint8_t phase; /* enum sj_http_phase */
    uint8_t flags; /* enum sj_http_side_flag */
};

struct sj_http {
    struct sj_http_side side[SJ_DIR_MAX_];
    struct sj_http_heads *heads; /* shared; may be NULL */
    uint64_t head;               /* bit i: the ask i after the oldest unanswered one is a HEAD */
    uint64_t connect;            /* ... a CONNECT */
    uint32_t unanswered;         /* asks whose final answer has not begun */
    bool stale;                  /* some of them may have been answered unseen */
    bool switched;
    struct sj_http_status_line status;
    uint8_t latest[SJ_DIR_MAX_]; /* place of the latest head among them */
    uint8_t known; /* bytes of line.text that are the latest request line as it was sent, its operation behind them */
    uint8_t known_len; /* of that operation; known is 0 when there is none */
    struct sj_http_request_line line;
};
_Static_assert(sizeof(struct sj_http) <= 256, "one per connection");

struct sj_http_feed {
    struct sj_http *st;
    struct sj_http_side *side;
    enum sj_dir dir;
    const uint8_t *p;
    size_t n;
    size_t i;
    size_t start; /* of the message, in this piece */
    bool begun;   /* it begins in this piece */
    sj_message_fn fn;
    void *ctx;
};

/* Tells the message; `offset` is clamped to what it can hold. */
void sj_http_tell_message(struct sj_http_feed *f, struct sj_message *msg, enum sj_message_kind kind, size_t offset);
/* One without operation and status. */
void sj_http_tell(struct sj_http_feed *f, enum sj_message_kind kind, size_t offset);
/* From here on the end of the message cannot be found: CUT, or LOST. */
void sj_http_go_blind(struct sj_http_feed *f, enum sj_http_phase phase);
/* What stands at this offset cannot be read. */
void sj_http_lose(struct sj_http_feed *f, size_t offset);

/* A message's first line has just been read in this piece, at least as far as its reason. */
void sj_http_read_head(struct sj_http_feed *f);
/* The same where the head, which begins at `start`, is one that was read before. */
void sj_http_take_head(struct sj_http_feed *f, const struct sj_http_head *head);
/* The phases from REASON to TRAILER: takes at least one byte. */
void sj_http_read_rest(struct sj_http_feed *f);
/* The same for a gap of that many bytes. */
void sj_http_skip_rest(struct sj_http_feed *f, uint64_t gap);
/* The request line is complete: header fields follow. */
void sj_http_begin_fields(struct sj_http_side *s);
