// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/series.h"

/* How cells are filled: for the series itself. All bytes zero is an empty cell. */

/* 0, or -ENOMEM, then the request is counted in part. */
int sj_cell_add(struct sj_cell *c, const struct sj_request *req);

/* The same without stages. */
int sj_cell_add_bare(struct sj_cell *c, const struct sj_request *req);

/* Forgets the stages of all that was added. */
void sj_cell_strip(struct sj_cell *c);

/* Empties c and keeps the memory of its histograms. */
void sj_cell_reset(struct sj_cell *c);

/* Adds all of src to dst. 0, or -ENOMEM, dst then holds a part. */
int sj_cell_merge(struct sj_cell *dst, const struct sj_cell *src);

/* Releases the histograms; c is empty afterwards. */
void sj_cell_clear(struct sj_cell *c);

/* Memory that c owns, in bytes, itself not included. */
size_t sj_cell_bytes(const struct sj_cell *c);
