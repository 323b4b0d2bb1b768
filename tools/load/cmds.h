// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"

/* The subcommands. argv holds their options only; they return the exit status, or -1 with *err filled. */
int sj_cmd_server(int argc, char *const *argv, struct sj_err *err);
int sj_cmd_client(int argc, char *const *argv, struct sj_err *err);
int sj_cmd_garbage(int argc, char *const *argv, struct sj_err *err);
