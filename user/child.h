// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * The command of `report -- COMMAND`: it runs while the measurement does, and neither outlives the other. Its process
 * is made before the measurement gives its rights up, so that the command has those of the user, and waits for its
 * start.
 */
struct sj_child {
    pid_t pid;  /* 0: none is running */
    int status; /* how it ended: its exit status, 128 + the signal that killed it, -1 when it did not run */
    int go;     /* the end of a pipe at whose other end it waits; -1 once it was started */
};

#define SJ_CHILD_NONE ((struct sj_child){.status = -1, .go = -1})

/* Makes the process that is to run argv[0], looked for in PATH, with argv. 0, or -1 with *err. */
int sj_child_prepare(struct sj_child *child, char **argv, struct sj_err *err);

/* Lets it run. */
void sj_child_start(struct sj_child *child);

/* Has a child that was prepared ended? */
bool sj_child_ended(struct sj_child *child);

/*
 * Ends it if it still runs: with SIGTERM, and after two seconds with SIGKILL. 0, or -1 with *err (EX_NOPERM) when it
 * has taken another user's identity and is left alone.
 */
int sj_child_stop(struct sj_child *child, struct sj_err *err);
