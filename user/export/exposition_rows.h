// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/series.h"

/*
 * Requests as the world sees them: told apart by service_name, role, protocol and operation only. Rows of a snapshot
 * that share those are parts of one series, and what is beyond the limit is part of the rest. For exposition*.c.
 */
struct sj_row {
    const char *service; /* SJ_REST_NAME for the rest */
    const char *operation;
    uint8_t role;
    uint8_t protocol;
    const struct sj_cell *cell;    /* NULL: only counted turns */
    const struct sj_hist *counted; /* NULL: none */
};

/* Sorted, so that the parts of a series lie side by side. */
struct sj_rows {
    struct sj_row *v; /* owned */
    size_t n;
};

/*
 * The rows of a snapshot for a metric of which each set of labels makes up to `width` series: at most max_series in
 * all, as long as that is at least one for each role. A row stays in its series, or in the rest, for its whole life:
 * which rows are shown is a matter of their slots. 0 or -ENOMEM, *out untouched then. Release it with sj_rows_free().
 */
int sj_rows_make(const struct sj_snapshot *snap, uint64_t max_series, unsigned width, struct sj_rows *out);
void sj_rows_free(struct sj_rows *rows);

/* Behind the last row of the series that begins at `first`. */
size_t sj_rows_end(const struct sj_rows *rows, size_t first);

/* All of a row's requests, those without detail included. */
uint64_t sj_row_requests(const struct sj_row *row);
