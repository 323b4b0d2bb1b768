// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "source.h"

/*
 * One finished request as one line of JSON. Times are seconds, exact to the nanosecond; the stages sum to the total.
 * What is unknown has no key: addresses of unix sockets have only "unix:PATH" of the side that listens; `stages` holds
 * those of the role that were measured; `blocked_by` stands beside `stages`, with the causes that were not 0. Flags
 * other than error and interleaved (client_error, unparsed, no_arrival, no_stages, pipelined) appear when they are
 * true.
 */
void sj_ndjson_request(struct sj_out *out, const struct sj_measurement *m, const struct sj_request *req);

/*
 * From the first byte to the first byte of the answer, ns: on the server the answer's being sent, on the client its
 * being readable.
 */
uint64_t sj_request_ttfb(const struct sj_request *req);

/* The stages that are known of this request, as a bit mask: measured, of its role, and seen. */
unsigned sj_request_stages(const struct sj_measurement *m, const struct sj_request *req);
