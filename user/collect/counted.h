// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

#include <sojourn/event.h>

#include "base/err.h"
#include "source.h"

/* Puts the cells of the kernel side's overflow histogram together: one struct sj_counted per service, role and port. */
struct sj_counted_table {
    struct sj_counted *rows;
    char (*comms)[SJ_COMM_LEN]; /* the name of each row */
    size_t count;
    size_t room;
};

void sj_counted_init(struct sj_counted_table *t);
void sj_counted_fini(struct sj_counted_table *t);
/* One cell, summed over the CPUs. Usable as a sj_overflow_fn. */
int sj_counted_cell(void *table, const struct sj_overflow_key *key, const struct sj_overflow_value *sum,
                    struct sj_err *err);
/* The sums of a service, from its cell SJ_BUCKET_SUMS. */
void sj_counted_sums(struct sj_counted *row, const struct sj_overflow_value *sum);
/* What a counted turn's protocol was, as far as the kernel side knows. */
uint8_t sj_counted_protocol(uint8_t hint);
/* All requests in the table. */
uint64_t sj_counted_requests(const struct sj_counted_table *t);
