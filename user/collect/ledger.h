// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sojourn/event.h>

#include "base/err.h"
#include "source.h"

/*
 * Counted turns, told while they are counted. When the answer of a counted turn goes on, the kernel side moves it to a
 * higher bucket: the lower one may then get a count below zero, though it was told already. What was told is not taken
 * back. The bucket owes it, as many turns of higher buckets are held back, and its next turns pay the debt. So the
 * number that is told is exact at any time, nothing that was told ever falls, and only where turns stand is late.
 */
struct sj_ledger;

struct sj_ledger *sj_ledger_new(void);
void sj_ledger_free(struct sj_ledger *l);

/* One cell of what was counted since the last time, summed over the CPUs. Usable as a sj_overflow_fn. */
int sj_ledger_cell(void *ledger, const struct sj_overflow_key *key, const struct sj_overflow_value *sum,
                   struct sj_err *err);

/* Tells fn all that can be told: per service, role, port and protocol what is new. 0, or -1 with *err. */
typedef int (*sj_counted_fn)(void *ctx, const struct sj_counted *counted, struct sj_err *err);
int sj_ledger_tell(struct sj_ledger *l, sj_counted_fn fn, void *ctx, struct sj_err *err);
