// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

/*
 * Writes JSON as it goes: commas, quoting and layout are its business, the order is the caller's. Nothing is kept.
 * Objects and arrays nest at most 31 deep. Those that are opened as lines have one element to a line, indented, all of
 * whose containers should be lines too; others stay on one line.
 */
struct sj_json {
    struct sj_out *out;
    uint32_t filled; /* bit d: the container at depth d has an element */
    uint32_t lines;  /* bit d: it has its elements on lines of their own */
    uint8_t depth;
    bool after_key;
    bool spaced; /* a space after commas and colons */
};

/* spaced: for people; otherwise nothing that need not be there. */
void sj_json_init(struct sj_json *w, struct sj_out *out, bool spaced);

void sj_json_object_lines(struct sj_json *w);
void sj_json_array_lines(struct sj_json *w);
void sj_json_object(struct sj_json *w);
void sj_json_object_end(struct sj_json *w);
void sj_json_array(struct sj_json *w);
void sj_json_array_end(struct sj_json *w);

/* name is written as it is: a literal without anything to escape. */
void sj_json_key(struct sj_json *w, const char *name);

/* A key that comes from outside. */
void sj_json_key_text(struct sj_json *w, const char *name);

/* Any bytes: control characters are escaped, also DEL, C1 and those of writing direction; what is not UTF-8 is U+FFFD.
 */
void sj_json_string(struct sj_json *w, const char *text);
void sj_json_bool(struct sj_json *w, bool value);
void sj_json_uint(struct sj_json *w, uint64_t value);

/* Must be finite: JSON has no other numbers. Thirteen significant digits: those of a sum over a billion
 * values, such as a log-likelihood, have three behind the point. */
void sj_json_real(struct sj_json *w, double value);

/* Nanoseconds as seconds, exactly. */
void sj_json_seconds(struct sj_json *w, uint64_t ns);

/* key and value together; left out when value is not finite. */
void sj_json_key_real(struct sj_json *w, const char *name, double value);
