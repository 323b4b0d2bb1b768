// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "decode/decoder.h"

/*
 * TLS 1.0 to 1.3, without keys: record headers are all that can be read. They are followed by length through any cut
 * and through gaps inside of a record.
 *
 * What is sealed has no beginnings and ends, so requests are turns: SJ_MSG_ASK_START at the first application data of
 * the asking side, SJ_MSG_ANSWER_START at the first that comes back; application data of the asking side after that
 * begins the next request. Ends are not told, operation and status are "". Pieces that hold nothing but handshake,
 * alerts and their like are SJ_MSG_IGNORE. What cannot be read is SJ_MSG_LOST_SYNC, and when an ask waits, also the
 * beginning of its answer.
 *
 * TLS 1.3 dresses the end of the handshake as application data. What is recognised: the server's first flight, the
 * client's Finished (by its length, after what comes before it), session tickets while nobody asks, and close_notify
 * (by its length). What is not: a ticket that comes when the client has already asked is taken for the beginning of the
 * answer; early data (0-RTT) counts as handshake; an alert's length is also that of two bytes of data.
 */
extern const struct sj_decoder sj_tls_decoder;
