// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "source.h"

/*
 * A recording: the finished requests of a measurement in a file, compact and readable up to its last whole block when
 * it was cut off. What the format is stands in collect/recording_format.h.
 */

struct sj_input;
struct sj_recording_writer;

struct sj_recording_stats {
    uint64_t requests; /* written to the file */
    uint64_t bytes;    /* of the file */
    bool whole;        /* the sink's end was reached: outcome is valid */
    struct sj_outcome outcome;
};

/*
 * Opens path for writing, "-" being standard output. A file that exists keeps its content until the measurement begins
 * and is replaced then. *out is to be closed. -1 with EX_CANTCREAT when it cannot be opened, EX_USAGE when it is a
 * terminal; nothing is left behind.
 */
int sj_recording_writer_open(const char *path, struct sj_recording_writer **out, struct sj_err *err);

/*
 * The sink that writes; it lives as long as w. At most about a second of a measurement that gets ticks is held back in
 * memory. A write that fails is EX_IOERR, or EX_OK with an empty text when the reader of a pipe has gone away; it is
 * not tried again, and the file ends with its last whole block.
 */
struct sj_sink sj_recording_sink(struct sj_recording_writer *w);

/*
 * Writes what is held back, closes and releases w (which may be NULL) in any case. A file that this writer created is
 * removed when no measurement began. *stats, unless NULL, is filled in any case. -1 with EX_IOERR when something could
 * not be written.
 */
int sj_recording_writer_close(struct sj_recording_writer *w, struct sj_recording_stats *stats, struct sj_err *err);

/*
 * Reads a recording and feeds the sink, begin to end. Returns 0; or 1 when the recording was cut off: then the sink got
 * everything that is whole, the outcome (its completeness is marked as a lower bound) was made from that, and *err says
 * so. -1 with EX_DATAERR when the file is damaged, of another version, or cut off before its first request; with the
 * sink's error when that refuses.
 */
int sj_recording_read(struct sj_input *in, const struct sj_sink *sink, struct sj_err *err);

/* Do these first n bytes of a file begin a recording, as far as they go? */
bool sj_recording_probe(const uint8_t *p, size_t n);
