// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/series.h"

/*
 * Requests as the world sees them: told apart by service_name, role, protocol and operation only. Rows of a snapshot
 * that share those are parts of one series, and what is beyond the limits is part of a rest. For exposition*.c.
 */
struct sj_row {
    const char *service; /* SJ_REST_NAME for the rest */
    const char *operation;
    uint8_t role;
    uint8_t protocol;
    uint8_t classes;                    /* of SJ_KIND_CLASSES: those that are meant */
    const struct sj_cell *cell;         /* NULL: only counted turns */
    const struct sj_hist *counted;      /* NULL: none */
    const struct sj_exemplar *exemplar; /* NULL: none */
    uint64_t created_ns;                /* CLOCK_MONOTONIC: since when it is counted there; 0: since the start */
};

/* Sorted, so that the parts of a series lie side by side. */
struct sj_rows {
    struct sj_row *v; /* owned */
    size_t n;
};

/*
 * The rows of a snapshot for metrics of a kind, each where it is shown. 0 or -ENOMEM, *out untouched then. Release it
 * with sj_rows_free().
 */
int sj_rows_make(const struct sj_snapshot *snap, enum sj_kind kind, struct sj_rows *out);
void sj_rows_free(struct sj_rows *rows);

/* Behind the last row of the series that begins at `first`. */
size_t sj_rows_end(const struct sj_rows *rows, size_t first);
