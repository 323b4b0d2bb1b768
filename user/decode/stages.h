// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/connection.h"

/*
 * Gives a request its share of a turn's times, when its answer (or a provisional one) begins. after: the last byte of
 * the connection's previous answer; what a pipelined request waited for that is queue. Sets first, last and the stages
 * up to the first answer byte; they sum to it.
 */
void sj_stages_answer(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after);

/* A provisional answer: the time up to it is accounted, the request goes on. */
void sj_stages_interim(struct sj_pending *p, const struct sj_rec_turn *turn, uint64_t after);

/* The request is over at p->last: what is left becomes the stage after the first answer byte. Returns its total in ns.
 */
uint64_t sj_stages_finish(struct sj_pending *p, uint8_t role);

/* The struct sj_waits behind a turn record with SJ_F_SWITCHED, otherwise NULL. */
const struct sj_waits *sj_turn_waits(const struct sj_rec_turn *turn);
/* The captured bytes behind a turn record: of the ask, then of the answer. */
const uint8_t *sj_turn_payload(const struct sj_rec_turn *turn);
