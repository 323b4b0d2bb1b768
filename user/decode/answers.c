// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/answers.h"

#include <stdio.h>

/*
 * Where answers ran together unseen, the asker's next ask tells that it has got them all: they ended with the last one.
 */
void sj_answers_resolve(struct sj_connection *c)
{
    for (struct sj_pending *p = c->head; p; p = p->next) {
        if (p->answered || !p->timed)
            continue;
        p->answered = true;
        uint64_t from = p->interim ? p->accounted : p->recv;
        uint64_t end = c->answer_end > from ? c->answer_end : from;
        if (c->role == SJ_ROLE_CLIENT) {
            p->stage[SJ_STAGE_SEND] += p->interim ? 0 : p->recv - p->start;
            p->stage[SJ_STAGE_WAIT] += end - from;
        } else {
            p->stage[SJ_STAGE_QUEUE] += p->interim ? end - from : end - p->start;
        }
        p->accounted = end;
        p->last = end;
    }
    c->blurred = false;
}

bool sj_answer_blind(const struct sj_connection *c)
{
    return !c->decoder || c->decoder->blind(c->state);
}

bool sj_answer_torn(const struct sj_connection *c)
{
    return c->decoder && !c->decoder->whole(c->state);
}

void sj_answer_spoil(struct sj_pending *p)
{
    if (!p)
        return;
    p->flags |= SJ_REQ_ERROR;
    if (!p->status[0])
        snprintf(p->status, sizeof(p->status), "reset");
}

void sj_answer_cut_torn(struct sj_connection *c)
{
    struct sj_pending *p = sj_pending_answered(c);
    if (p && sj_answer_torn(c))
        p->cut = true;
}

void sj_answer_more(struct sj_connection *c, struct sj_pending *p, uint64_t at, uint64_t bytes)
{
    p->bytes_answer += bytes;
    if (at > p->last) {
        p->last = at;
        c->answer_end = at;
    }
}
