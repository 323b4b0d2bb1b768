// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "base/out.h"
#include "courier/state_file.h"
#include "net/worker.h"

/*
 * Keeps the state on disk up to date: in a thread of its own, each file again when it has changed, the newest state
 * only. When that fails it says so, once and then every ten minutes, and tries again every five seconds.
 */
struct sj_saver;

struct sj_saver_hooks {
    /* Writes what is to be saved now into out. */
    void (*make)(void *ctx, enum sj_state_kind kind, struct sj_out *out);
    /* What make wrote the last time is on disk, or could not be put there. */
    void (*saved)(void *ctx, enum sj_state_kind kind, bool ok);
    void *ctx;
};

/* The folder is taken over. NULL with *err. */
struct sj_saver *sj_saver_new(struct event_base *base, struct sj_state_dir *dir, const struct sj_saver_hooks *hooks,
                              struct sj_err *err);

/* The folder is known to be of no use now, and that was told: everything is tried again as after a failure. */
void sj_saver_cannot(struct sj_saver *s);

/* Something has changed. */
void sj_saver_touch(struct sj_saver *s, enum sj_state_kind kind);

/* Tries again what failed; about once a second. */
void sj_saver_tick(struct sj_saver *s);

uint64_t sj_saver_errors(const struct sj_saver *s);

/* Saves what has changed, waits for it, and frees. NULL is allowed. */
void sj_saver_free(struct sj_saver *s);
