// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "filter.h"
#include "source.h"

/*
 * A file of requests, as bytes: FILE or standard input, gzip taken off when there is some, in a buffer of fixed size.
 * A read that a signal interrupts is the end of the input: who reads from a pipe until Ctrl-C wants what came so far.
 */
struct sj_input;

/* The longest line, in bytes. */
#define SJ_INPUT_LINE_MAX (64u * 1024)

/*
 * Opens path, "-" being standard input. *out is to be closed. -1 with EX_NOINPUT (EX_NOPERM when access is denied).
 */
int sj_input_open(const char *path, struct sj_input **out, struct sj_err *err);

/* The same over n bytes of memory, which stay the caller's and must live until the input is closed. */
int sj_input_open_memory(const void *data, size_t n, struct sj_input **out, struct sj_err *err);

/* NULL is allowed. */
void sj_input_close(struct sj_input *in);

/* For messages: the path, or "standard input". */
const char *sj_input_name(const struct sj_input *in);

/* How many bytes were consumed so far, after gzip was taken off. */
uint64_t sj_input_offset(const struct sj_input *in);

/* At the end of the input: did gzip's own end come before? */
bool sj_input_cut_off(const struct sj_input *in);

/* At the end of the input: was it a signal that ended it? */
bool sj_input_interrupted(const struct sj_input *in);

/*
 * The next bytes without consuming them: *p and *got, fewer than n only at the end; n <= 512. They stay valid until the
 * next call. -1 with EX_IOERR when reading fails, EX_DATAERR when the gzip data is broken.
 */
int sj_input_peek(struct sj_input *in, size_t n, const uint8_t **p, size_t *got, struct sj_err *err);

/* Consumes n bytes into buf; *got is smaller only at the end. Errors as sj_input_peek(). */
int sj_input_read(struct sj_input *in, void *buf, size_t n, size_t *got, struct sj_err *err);

struct sj_line {
    const char *text; /* without its newline, not terminated */
    size_t len;
    bool ended; /* by a newline: false when the input ends in the middle of it */
};

/*
 * Consumes a line: 1, or 0 at the end of the input. It stays valid until the next call. Errors as sj_input_peek(), and
 * EX_DATAERR for a line longer than SJ_INPUT_LINE_MAX.
 */
int sj_input_line(struct sj_input *in, struct sj_line *line, struct sj_err *err);

/*
 * Reads path ("-": standard input) to its end, a recording or the lines of `trace --json`, gzipped or not, and feeds
 * the sink with the requests that match the filter (NULL: all). When some do not match, the completeness that the sink
 * gets is that of those which do, except cut_off and lost, of which nothing more is known than their number; turns
 * counted without detail are left out where the filter asks for what they do not have, and the number is marked a lower
 * bound.
 *
 * Returns 0; or 1 when the input was cut off: everything whole was delivered, the end included, and *err holds the
 * warning to show. -1 with EX_NOINPUT, EX_NOPERM, EX_IOERR, EX_DATAERR, or the sink's error.
 */
int sj_input_run(const char *path, const struct sj_filter *filter, const struct sj_sink *sink, struct sj_err *err);
