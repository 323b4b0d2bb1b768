// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"
#include "config/config.h"

/*
 * The daemon: starts the courier, measures until SIGTERM or SIGINT, evaluates rules, answers what the courier asks.
 * Takes config over. Returns 0 after a clean end, or -1 with *err: EX_UNAVAILABLE when the address is taken or the
 * kernel does not allow it, EX_NOPERM, EX_SOFTWARE when the courier is gone.
 */
int sj_serve(const char *config_path, struct sj_config *config, struct sj_err *err);
