// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "2026-11-22T09:00:00.123456789Z" and its NUL. */
#define SJ_TIME_SIZE 31

/* RFC 3339 in UTC with nanoseconds; real_ns is CLOCK_REALTIME, so years 1970 to 2554. Returns out. */
char *sj_time_rfc3339(char out[SJ_TIME_SIZE], uint64_t real_ns);

/* Room for any text that the functions below make. */
#define SJ_HUMAN_SIZE 32

/*
 * A time for people, with three significant digits and its unit: "0 s", "850 ns", "12.3 us", "1.20 ms", "45.0 s",
 * "12.5 min", "3.00 h". "-" when it is not a number, "inf" when it has no end. Returns out.
 */
char *sj_time_human(char out[SJ_HUMAN_SIZE], double seconds);

/* Digits in groups of three: "10,007". Returns out. */
char *sj_count_human(char out[SJ_HUMAN_SIZE], uint64_t n);

/*
 * The decimal digits of ns nanoseconds as seconds, exact and without trailing zeros: "0", "1.5", "0.000000001".
 * At most 21 bytes, no NUL. Returns the length.
 */
size_t sj_seconds_exact(char *out, uint64_t ns);

/* The decimal digits of n; at most 20 bytes, no NUL. Returns the length. */
size_t sj_digits(char *out, uint64_t n);
