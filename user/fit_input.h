// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/fit_sample.h"
#include "model/rates.h"

/*
 * What `fit` reads: a recording, the lines of `trace --json`, or plain numbers in seconds, one per line, a trailing '+'
 * marking a right-censored one; empty lines and lines that begin with '#' are passed over. Memory is bounded: the
 * values are kept up to a limit, beyond it only their bins.
 */

/* Values that are kept as they are, censored ones included. */
#define SJ_FIT_RAW_MAX 1000000
/* The schema of the bins beyond that. */
#define SJ_FIT_RAW_SCHEMA 8

struct sj_fit_input {
    struct sj_sample *sample; /* owned */
    int schema_binned;        /* -1: exact values */
    uint64_t lines;           /* of plain numbers; 0 for the other two */
    char note[200];           /* what the reader should know about how it was read; "" */
};

/*
 * Reads path, "-" being standard input. schema: bin the values at a schema from 0 to 8, -1: keep them.
 * Turns that a recording only counted have their bins alone: then everything is binned, at schema 5 or coarser.
 * -1 with EX_NOINPUT, EX_NOPERM, EX_IOERR, EX_OSERR, or EX_DATAERR, which names the line. out is untouched then.
 */
int sj_fit_input_read(const char *path, int schema, struct sj_fit_input *out, struct sj_err *err);

void sj_fit_input_free(struct sj_fit_input *in);

/* Different event counts that are kept. */
#define SJ_FIT_COUNTS_MAX 1000000

struct sj_fit_counts {
    struct sj_count *counts; /* owned; ascending */
    size_t len;
    uint64_t lines;
};

/* Event counts per interval, whole numbers, one per line. Errors as above. */
int sj_fit_counts_read(const char *path, struct sj_fit_counts *out, struct sj_err *err);

void sj_fit_counts_free(struct sj_fit_counts *c);
