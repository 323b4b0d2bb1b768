// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

/* How people write amounts: a number and its unit, without a space between them. */

/* "250us", "10ms", "1.5s", "2m", "1h", "30d"; a unit is required. Returns 0, or -1 when it is not a duration. */
int sj_parse_duration(const char *text, uint64_t *ns);
/* "64KiB", "4MiB", "65536"; Returns 0 or -1. */
int sj_parse_size(const char *text, uint64_t *bytes);
