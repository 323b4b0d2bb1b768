// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/feed.h"

#include <stdlib.h>
#include <string.h>

#include "decode/stages.h"

static void on_ask(struct sj_feeding *f, const struct sj_message *m)
{
    struct sj_connection *c = f->c;
    struct sj_pending *p = c->pendings < SJ_PENDING_MAX ? sj_pending_add(f->table, c) : NULL;
    if (!p) {
        f->dropped++;
        c->blurred = true;
        return;
    }
    f->begun++;
    p->ask_at = c->ask_fed + m->offset;
    p->protocol = c->protocol;
    memcpy(p->operation, m->operation, m->operation_len + 1);
    if (f->begun > 1)
        p->flags |= SJ_REQ_PIPELINED;
}

static void set_status(struct sj_pending *p, const struct sj_message *m)
{
    p->flags |= m->flags;
    p->headless = false;
    size_t i = 0;
    for (; i < sizeof(p->status) - 1 && m->status[i]; i++)
        p->status[i] = m->status[i];
    p->status[i] = '\0';
}

/*
 * An answer that nobody waits for: in a pipeline, to an ask that lay behind the captured bytes. Elsewhere it is none of
 * a request (a server's parting 408).
 */
static struct sj_pending *unseen_ask(struct sj_feeding *f)
{
    if (!f->c->clipped || (f->answers < 2 && !(f->turn->h.flags & SJ_F_CONTINUED)))
        return NULL;
    struct sj_pending *p = f->c->pendings < SJ_PENDING_MAX ? sj_pending_add(f->table, f->c) : NULL;
    if (!p)
        return NULL;
    p->protocol = f->c->protocol;
    p->flags = SJ_REQ_PIPELINED;
    p->timed = true;
    p->start = f->turn->t[0];
    p->recv = f->turn->t[1];
    p->tgid = f->turn->h.tgid;
    return p;
}

static void on_answer(struct sj_feeding *f, const struct sj_message *m)
{
    struct sj_connection *c = f->c;
    struct sj_pending *p = sj_pending_answered(c);
    f->answers++;
    if (p && p->headless) {
        set_status(p, m);
        return;
    }
    if (!f->turn)
        return;
    p = sj_pending_unanswered(c);
    if (!p)
        p = unseen_ask(f);
    if (!p || !p->timed)
        return;
    sj_stages_answer(p, f->turn, c->answer_end);
    set_status(p, m);
    if ((f->turn->h.flags & SJ_F_CONTINUED) || f->answers > 1)
        p->flags |= SJ_REQ_PIPELINED;
    c->answer_end = p->last;
}

static void on_interim(struct sj_feeding *f)
{
    struct sj_pending *p = sj_pending_unanswered(f->c);
    f->answers++;
    if (!p || !p->timed || !f->turn)
        return;
    sj_stages_interim(p, f->turn, f->c->answer_end);
    f->c->answer_end = p->last;
}

static void on_message(void *ctx, const struct sj_message *m)
{
    struct sj_feeding *f = ctx;
    switch (m->kind) {
    case SJ_MSG_ASK_START:
        on_ask(f, m);
        break;
    case SJ_MSG_ANSWER_START:
        on_answer(f, m);
        break;
    case SJ_MSG_INTERIM:
        on_interim(f);
        break;
    case SJ_MSG_IGNORE:
        f->ignore = true;
        break;
    case SJ_MSG_LOST_SYNC:
        f->lost = true;
        break;
    case SJ_MSG_SWITCH:
        f->c->protocol = m->protocol;
        break;
    case SJ_MSG_ASK_END:
        f->ended = true;
        break;
    case SJ_MSG_ANSWER_END:
    case SJ_MSG_MAX_:
    default:
        break;
    }
}

static void drop_decoder(struct sj_connection *c)
{
    if (c->decoder && c->decoder->fini)
        c->decoder->fini(c->state);
    free(c->state);
    c->state = NULL;
    c->decoder = NULL;
}

/* Without memory it only costs more. */
static void share(struct sj_connections *t, const struct sj_decoder *d, void *state)
{
    void **shared = &t->shared[d->protocol];
    if (!d->share)
        return;
    if (!*shared)
        *shared = calloc(1, d->shared_size);
    if (*shared)
        d->share(state, *shared);
}

static void find_decoder(struct sj_connections *t, struct sj_connection *c, uint8_t hint, const uint8_t *p, size_t n)
{
    if (hint != SJ_HINT_HTTP && hint != SJ_HINT_TLS)
        return;
    const struct sj_decoder *d = sj_decoder_probe(SJ_DIR_ASK, p, n);
    if (!d)
        return;
    c->state = calloc(1, d->state_size);
    if (!c->state)
        return;
    d->init(c->state);
    share(t, d, c->state);
    c->decoder = d;
    c->protocol = (uint8_t)d->protocol;
}

static void feed(struct sj_feeding *f, enum sj_dir dir, const uint8_t *p, size_t n, uint64_t gap)
{
    struct sj_connection *c = f->c;
    if (!c->decoder || (!n && !gap))
        return;
    uint8_t before = c->protocol;
    c->decoder->feed(c->state, dir, p, n, gap, on_message, f);
    if (c->protocol != before)
        drop_decoder(c);
}

void sj_feed_ask(struct sj_feeding *f, uint8_t hint, const uint8_t *p, size_t n, uint64_t len)
{
    if (n && !f->c->decoder)
        find_decoder(f->table, f->c, hint, p, n);
    feed(f, SJ_DIR_ASK, p, n, len - n);
    f->c->ask_fed += len;
}

void sj_feed_answer(struct sj_feeding *f, const uint8_t *p, size_t n, uint64_t len)
{
    feed(f, SJ_DIR_ANSWER, p, n, len - n);
}
