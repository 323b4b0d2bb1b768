// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* The command of `report -- COMMAND`: it runs while the measurement does, and neither outlives the other. */
struct sj_child {
    pid_t pid;  /* 0: none is running */
    int status; /* how it ended: its exit status, 128 + the signal that killed it, -1 when it did not run */
};

/* Starts argv[0], looked for in PATH, with argv. 0, or -1 with *err. */
int sj_child_start(struct sj_child *child, char **argv, struct sj_err *err);

/* Has a child that was started ended? */
bool sj_child_ended(struct sj_child *child);

/* Ends it if it still runs: with SIGTERM, and after two seconds with SIGKILL. */
void sj_child_stop(struct sj_child *child);
