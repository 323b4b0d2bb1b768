// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/connection.h"

/* What the answers of a connection mean for the requests that wait for them. */

/* Answers ran together unseen and the asker goes on: all requests that wait were answered with the last one. */
void sj_answers_resolve(struct sj_connection *c);

/* Is it unknown where the answers stand, so that one may have ended and the next begun unseen? */
bool sj_answer_blind(const struct sj_connection *c);

/* Are bytes of the running answer known to be missing? */
bool sj_answer_torn(const struct sj_connection *c);

/* No more is heard of the connection: an answer that still misses bytes is one whose end was not seen. */
void sj_answer_cut_torn(struct sj_connection *c);

/* The connection broke before all of the request's answer had arrived. NULL is allowed. */
void sj_answer_spoil(struct sj_pending *p);

/* The request's answer went on until `at`, by so many bytes. */
void sj_answer_more(struct sj_connection *c, struct sj_pending *p, uint64_t at, uint64_t bytes);
