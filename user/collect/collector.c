// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/collector.h"

#include <stdlib.h>
#include <string.h>

int sj_collector_open(struct sj_collector *c, unsigned rings, struct sj_err *err)
{
    memset(c, 0, sizeof(*c));
    c->rings = calloc(rings, sizeof(*c->rings));
    c->heads = calloc(rings, sizeof(*c->heads));
    c->heap = calloc(rings, sizeof(*c->heap));
    if (!c->rings || !c->heads || !c->heap) {
        sj_collector_close(c);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    c->count = rings;
    return 0;
}

void sj_collector_close(struct sj_collector *c)
{
    for (unsigned i = 0; i < c->count; i++)
        sj_ring_close(&c->rings[i]);
    free(c->rings);
    free(c->heads);
    free(c->heap);
    memset(c, 0, sizeof(*c));
}

static int turn_valid(const struct sj_rec_turn *t, uint32_t len)
{
    size_t need = sizeof(*t) + t->ask_captured + t->answer_captured;
    if (t->h.flags & SJ_F_SWITCHED)
        need += sizeof(struct sj_waits);
    return need <= len && t->ask_captured <= t->ask_len && t->answer_captured <= t->answer_len && t->t[0] <= t->t[1] &&
           t->t[1] <= t->t[2];
}

int sj_record_valid(const void *p, uint32_t len)
{
    const struct sj_rec *r = p;
    if (len < sizeof(*r) || r->version != SJ_EVENT_VERSION || r->role >= SJ_ROLE_MAX_ || r->hint >= SJ_HINT_MAX_)
        return 0;
    switch (r->type) {
    case SJ_REC_TURN:
        return len >= sizeof(struct sj_rec_turn) && turn_valid(p, len);
    case SJ_REC_TAIL:
    case SJ_REC_CLOSE:
        return len >= sizeof(struct sj_rec_tail);
    case SJ_REC_DATA: {
        const struct sj_rec_data *d = p;
        return len >= sizeof(*d) && d->captured <= d->len && sizeof(*d) + d->captured <= len;
    }
    case SJ_REC_CONN: {
        const struct sj_rec_conn *c = p;
        return len >= sizeof(*c) && c->path_len <= SJ_UNIX_PATH_LEN;
    }
    case SJ_REC_CUT:
        return len >= sizeof(struct sj_rec_cut);
    default:
        return 0;
    }
}

static int refill(struct sj_collector *c, unsigned i)
{
    struct sj_ring_head *h = &c->heads[i];
    int busy = 0;
    for (;;) {
        h->rec = sj_ring_peek(&c->rings[i], &h->len, &busy);
        if (!h->rec)
            return busy;
        if (sj_record_valid(h->rec, h->len))
            return 0;
        c->refused++;
        sj_ring_next(&c->rings[i], h->len);
    }
}

/* Puts ring into the heap's place i, whose children are in order, or further down. */
static void sift_down(struct sj_collector *c, unsigned n, unsigned i, unsigned ring)
{
    uint64_t time = c->heads[ring].rec->time;
    for (unsigned child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && c->heads[c->heap[child + 1]].rec->time < c->heads[c->heap[child]].rec->time)
            child++;
        if (c->heads[c->heap[child]].rec->time >= time)
            break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = ring;
}

/* Returns how many rings have a record. */
static unsigned make_heap(struct sj_collector *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->count; i++)
        if (c->heads[i].rec)
            c->heap[n++] = i;
    for (unsigned i = n / 2; i-- > 0;)
        sift_down(c, n, i, c->heap[i]);
    return n;
}

int sj_collector_poll(struct sj_collector *c, uint64_t until, sj_record_fn fn, void *ctx, double *fill,
                      struct sj_err *err)
{
    int status = 0, waiting = 0;
    *fill = 0;
    for (unsigned i = 0; i < c->count; i++) {
        double f = sj_ring_fill(&c->rings[i]);
        if (f > *fill)
            *fill = f;
        waiting |= refill(c, i);
    }
    /* A record that is being written may be older than all others: what cannot be ordered yet waits for the next time.
     */
    for (unsigned n = make_heap(c); !waiting && n > 0;) {
        unsigned ring = c->heap[0];
        struct sj_ring_head *h = &c->heads[ring];
        if (h->rec->time > until)
            break;
        c->records++;
        status = fn(ctx, h->rec, h->len, err);
        sj_ring_next(&c->rings[ring], h->len);
        if (status)
            break;
        waiting = refill(c, ring);
        if (!h->rec)
            ring = c->heap[--n];
        if (n > 0)
            sift_down(c, n, 0, ring);
    }
    for (unsigned i = 0; i < c->count; i++)
        sj_ring_release(&c->rings[i]);
    return status;
}
