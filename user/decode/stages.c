// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/stages.h"

const struct sj_waits *sj_turn_waits(const struct sj_rec_turn *turn)
{
    if (!(turn->h.flags & SJ_F_SWITCHED))
        return NULL;
    return (const struct sj_waits *)(turn + 1);
}

const uint8_t *sj_turn_payload(const struct sj_rec_turn *turn)
{
    const uint8_t *p = (const uint8_t *)(turn + 1);
    return turn->h.flags & SJ_F_SWITCHED ? p + sizeof(struct sj_waits) : p;
}

static void add_clock(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t service)
{
    if (turn->h.flags & SJ_F_HANDOFF) {
        p->stage[SJ_STAGE_HANDOFF] += service;
        return;
    }
    if (!(turn->h.flags & SJ_F_STAGES)) {
        p->flags |= SJ_REQ_NO_STAGES;
        return;
    }
    p->stage[SJ_STAGE_ONCPU] += turn->oncpu;
    if (turn->h.flags & SJ_F_INTERLEAVED)
        p->flags |= SJ_REQ_INTERLEAVED;
    const struct sj_waits *w = sj_turn_waits(turn);
    if (!w)
        return;
    p->stage[SJ_STAGE_BUSY] += w->busy;
    p->stage[SJ_STAGE_RUNQ] += w->runq;
    for (int i = 0; i < SJ_CAUSE_MAX_; i++) {
        p->blocked[i] += w->blocked[i];
        p->stage[SJ_STAGE_BLOCKED] += w->blocked[i];
    }
}

/*
 * The thread clock of the record covers [clock_from, first answer byte]. The request's own service begins at the later
 * of its recv and the previous answer's end. The two are the same but on connections that pipeline with asks in flight;
 * what the clock does not cover there is nobody's in particular: handoff.
 */
static void account_server(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after)
{
    uint64_t first = turn->t[2];
    uint64_t clock_from = turn->t[1];
    if ((turn->h.flags & SJ_F_CONTINUED) && turn->t[3] > clock_from)
        clock_from = turn->t[3];
    uint64_t from = p->accounted;
    if (!p->interim) {
        from = after > p->recv ? after : p->recv;
        if (from > first)
            from = first;
        p->stage[SJ_STAGE_QUEUE] += from - p->start;
    }
    if (from > first)
        from = first;
    if (clock_from > first)
        clock_from = first;
    if (clock_from < from) {
        p->stage[SJ_STAGE_HANDOFF] += first - from;
    } else {
        uint64_t before = clock_from - from;
        if (p->interim) { /* the thread waited for the rest of the ask */
            p->stage[SJ_STAGE_BLOCKED] += before;
            p->blocked[SJ_CAUSE_NET] += before;
        } else {
            p->stage[SJ_STAGE_HANDOFF] += before;
        }
        add_clock(p, turn, first - clock_from);
    }
    p->accounted = first;
}

static void account_client(struct sj_pending *p, const struct sj_rec_turn *turn)
{
    uint64_t readable = turn->t[2], taken = turn->t[3];
    if (!p->interim)
        p->stage[SJ_STAGE_SEND] += p->recv - p->start;
    uint64_t from = p->interim ? p->accounted : p->recv;
    if (readable < from)
        readable = from;
    if (taken < readable)
        taken = readable;
    p->stage[SJ_STAGE_WAIT] += readable - from;
    p->stage[SJ_STAGE_PICKUP] += taken - readable;
    p->accounted = taken;
}

static void account(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after)
{
    if (turn->h.role == SJ_ROLE_CLIENT)
        account_client(p, turn);
    else
        account_server(p, turn, after);
    p->last = p->accounted;
    p->tid = turn->tid;
}

void sj_stages_answer(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after)
{
    account(p, turn, after);
    p->answered = true;
}

void sj_stages_interim(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after)
{
    account(p, turn, after);
    p->interim = true;
}

uint64_t sj_stages_finish(struct sj_pending *p, uint8_t role)
{
    if (p->last < p->accounted)
        p->last = p->accounted;
    p->stage[role == SJ_ROLE_CLIENT ? SJ_STAGE_RECEIVE : SJ_STAGE_SEND] += p->last - p->accounted;
    return p->last - p->start;
}
