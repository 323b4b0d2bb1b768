// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/decoder.h"

/*
 * HTTP/1.0 and 1.1. Header, body and trailer are followed byte for byte through any cut; what a gap hides of a body of
 * known length costs nothing. When a gap hides the end of a header, the message is known but its end is not: the next
 * piece that begins like a message is one, and everything up to there belongs to the running message (no end is told,
 * and no loss either). SJ_MSG_LOST_SYNC is told when what cannot be read is the beginning of a message.
 *
 * The status of a final answer is told with SJ_MSG_ANSWER_START, as soon as its code is complete; an operation with
 * SJ_MSG_ASK_START at the end of the request line. The offset of an end is that of the byte behind the message.
 * An answer whose header says nothing about its length ends with the connection: no SJ_MSG_ANSWER_END.
 * After 101, and after 2xx to CONNECT, the connection speaks something else (SJ_MSG_SWITCH, SJ_PROTO_UNKNOWN): the
 * decoder then stays silent.
 */
extern const struct sj_decoder sj_http_decoder;
