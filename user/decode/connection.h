// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "decode/decoder.h"
#include "request.h"

/* What `decode` remembers: connections by socket cookie, and on each the requests that are not over yet. */

/* A request between its first byte and its end. All zero at first, but for the texts, which are "". */
struct sj_pending {
    struct sj_pending *next;
    uint64_t start;
    uint64_t recv;      /* server: when its recv returned; client: when its last byte was sent */
    uint64_t accounted; /* up to here its time is in a stage */
    uint64_t last;
    uint64_t stage[SJ_STAGE_MAX_];
    uint64_t blocked[SJ_CAUSE_MAX_];
    uint64_t ask_at; /* where in its turn's ask it begins, in bytes */
    uint64_t bytes_ask;
    uint64_t bytes_answer;
    uint32_t tgid;
    uint32_t tid;
    uint32_t flags; /* enum sj_request_flag */
    uint8_t protocol;
    bool timed;    /* its turn's record has come */
    bool answered; /* its answer has begun */
    bool interim;  /* a provisional answer was given, the rest of the ask is awaited */
    bool cut;      /* its beginning was not seen */
    bool counted;  /* the kernel has counted it: it is here only to keep the order */
    bool headless; /* answered, but its answer's head has not been read yet */
    char operation[SJ_OPERATION_MAX];
    char status[SJ_STATUS_MAX];
};

struct sj_list {
    struct sj_list *prev, *next;
};

struct sj_connection {
    struct sj_list active; /* first: connections in the order of their last activity */
    uint64_t cookie;
    struct sj_connection *chain;
    uint64_t activity;
    uint64_t answer_end; /* last byte of the latest answer */
    uint64_t ask_fed;    /* bytes of the running ask that the decoder knows of */
    uint64_t answer_fed;
    uint64_t cgroup;
    const struct sj_decoder *decoder;
    void *state;
    struct sj_pending *head; /* oldest first */
    struct sj_pending *tail;
    char *path; /* unix: NULL when not known */
    struct sj_endpoint local;
    struct sj_endpoint peer;
    uint32_t ask_turn; /* the turn that the pieces of ask belong to */
    uint32_t turn;     /* the turn that was told last */
    uint16_t port;
    uint8_t role;
    uint8_t protocol;
    uint16_t pendings;
    bool asking; /* pieces of an ask have come, its turn's record not yet */
    bool ignore; /* what its decoder said of those pieces, see struct sj_feeding */
    bool lost;
    bool ended;
    bool clipped;   /* not all of the running turn's ask was captured: there may be more asks in it than are known */
    bool blurred;   /* bytes of answers were not seen: which answer was whose is not known */
    uint16_t begun; /* asks that began in the running turn */
    bool wanted;    /* whole answers were asked for */
    bool told;      /* a turn was told: `turn` holds */
};

struct sj_connections {
    struct sj_connection **buckets;
    unsigned bits;
    uint32_t count;
    uint32_t limit;
    struct sj_list active; /* oldest activity first */
    struct sj_pending *spare;
    uint32_t spares;
    void *shared[SJ_PROTO_MAX_]; /* of decoders: see there; NULL until needed */
};

/* limit: the most connections that are remembered. Returns 0 or -ENOMEM. */
int sj_connections_init(struct sj_connections *t, uint32_t limit);
void sj_connections_fini(struct sj_connections *t);

/* The connection, or NULL. */
struct sj_connection *sj_connection_find(struct sj_connections *t, uint64_t cookie);
/* Makes it; the caller has seen to it that there is room. NULL without memory. */
struct sj_connection *sj_connection_add(struct sj_connections *t, uint64_t cookie);
/* Something happened on it at this moment. */
void sj_connection_touch(struct sj_connections *t, struct sj_connection *c, uint64_t now);
/* Forgets it with all that is pending on it. */
void sj_connection_drop(struct sj_connections *t, struct sj_connection *c);
/* The one on which nothing has happened for longest, NULL when there is none. */
struct sj_connection *sj_connection_oldest(const struct sj_connections *t);

/* The most requests that wait on one connection; a deeper pipeline loses its oldest's detail. */
#define SJ_PENDING_MAX 256

/* Appends a fresh request; NULL without memory. */
struct sj_pending *sj_pending_add(struct sj_connections *t, struct sj_connection *c);
/* Takes off those whose turn's record never came; returns how many. They are always the latest. */
uint32_t sj_pending_drop_tail(struct sj_connections *t, struct sj_connection *c);
static inline uint32_t sj_pending_drop_untimed(struct sj_connections *t, struct sj_connection *c)
{
    return c->tail && !c->tail->timed ? sj_pending_drop_tail(t, c) : 0;
}
/* Takes the oldest one off. */
void sj_pending_pop(struct sj_connections *t, struct sj_connection *c);
/* The oldest that is not answered, NULL when there is none. */
static inline struct sj_pending *sj_pending_unanswered(const struct sj_connection *c)
{
    struct sj_pending *p = c->head;
    while (p && p->answered)
        p = p->next;
    return p;
}
/* The latest that is answered, NULL when there is none. */
static inline struct sj_pending *sj_pending_answered(const struct sj_connection *c)
{
    struct sj_pending *latest = NULL;
    for (struct sj_pending *p = c->head; p && p->answered; p = p->next)
        latest = p;
    return latest;
}
