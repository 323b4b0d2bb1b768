// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"
#include "source.h"

struct sj_input;

/*
 * Reads the lines of `trace --json`, or of anything that writes such lines, and feeds the sink, begin to end. Of a line
 * only "total" is required; keys that are not known are ignored, empty lines too. The file says nothing about the
 * measurement but its requests, so the measurement begins with the first request, lasts until the last one ends, and
 * the two clocks of struct sj_measurement are one. Its stages are all, or none when the first line has none.
 *
 * Returns 0; or 1 when the last line is cut off (or the gzip data is): everything before was delivered, the end
 * included, and *err says so. -1 with EX_DATAERR and the number of the line that makes no sense; with the sink's error
 * when that refuses.
 */
int sj_ndjson_read(struct sj_input *in, const struct sj_sink *sink, struct sj_err *err);
