// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"
#include "series/report_fit.h"

/*
 * The fits that the daemon shows. They take up to a second in all, so they are made on a thread of their own, of the
 * lowest priority, from copies of histograms. Measuring never waits for it: one word says whose the copies and results
 * are, and no lock is shared. The thread takes nothing from the memory of the other that it would have to give back.
 */
struct sj_fits;

/* Starts the thread, which has no rights. Before sj_rights_drop(). NULL with *err (EX_OSERR) when that fails. */
struct sj_fits *sj_fits_new(struct sj_err *err);

/* When the thread is in the middle of a fit it is left alone, with all that it uses: the process is about to end. */
void sj_fits_free(struct sj_fits *f);

/*
 * Takes what is done, and lets fit what has become due: services with new requests, each minute, and sooner while they
 * grow fast. Call it a few times a second. 0 or -ENOMEM.
 */
int sj_fits_tick(struct sj_fits *f, struct sj_series *s, uint64_t mono_ns);

/* The latest fits of the services of a snapshot. Borrowed until the next tick: *out is not to be freed. */
void sj_fits_of(struct sj_fits *f, const struct sj_snapshot *snap, struct sj_report_fits *out);
