// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Text from outside (names, paths, operations) may hold any byte. Before it is shown it is made harmless: nothing in
 * it can move a cursor, change a colour, reverse the direction of what follows or break a line.
 */

/*
 * The first code point of the n bytes at p. Returns how many bytes it takes (1 to 4), or 0 when they begin no valid
 * UTF-8 (too long a form, a surrogate, above U+10FFFF, cut short) or n is 0; *cp is untouched then.
 */
size_t sj_utf8_next(const char *p, size_t n, uint32_t *cp);

/* Control characters (C0, DEL, C1), line and paragraph separators, and what changes the direction of writing. */
bool sj_text_is_control(uint32_t cp);

/* Bytes that one byte of input can become in sj_text_printable(). */
#define SJ_TEXT_ESCAPE_MAX 4

/*
 * A copy of `in` that is safe on a terminal, at most size - 1 bytes and a NUL, cut between characters when it does not
 * fit. A control character becomes \n, \t, \r, \e, \xNN or \uNNNN, a byte that is not UTF-8 \xNN, a backslash \\.
 * utf8: whether the terminal reads UTF-8; if not, everything outside ASCII is escaped. Returns the length.
 */
size_t sj_text_printable(char *out, size_t size, const char *in, bool utf8);

/* How many columns printable text takes on a terminal: wide characters two, combining ones none. */
size_t sj_text_width(const char *text);

/*
 * Cuts printable text to `width` columns (at least 1) in place. Where something was cut the last column is an ellipsis:
 * "…", or "~" without utf8. `size` is the size of the array that holds the text. Returns the columns taken.
 */
size_t sj_text_cut(char *text, size_t size, size_t width, bool utf8);
