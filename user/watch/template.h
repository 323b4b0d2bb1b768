// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "watch/condition.h"
#include "watch/labels.h"

/*
 * Annotations are texts with places to fill in:
 *
 *     {{ $labels.NAME }}       the label's value, nothing where the alert has none of that name
 *     {{ $value }}             the measured value for people, by its unit: "1.20 s", "3.5%", "12.3/s", "17"
 *     {{ $threshold }}         what it is compared with, likewise
 *     {{ $value | FUNCTION }}  humanize (4 digits and k, M, G), humanizeDuration, humanizePercentage
 *
 * Everything else stands for itself; {{ }} of any other content is refused by sj_template_check().
 */

/* Is there a label of that name? */
typedef bool (*sj_template_label_fn)(const void *ctx, const char *name);

/* -1 with EX_CONFIG and what is wrong with the text. known says which labels there can be. */
int sj_template_check(const char *text, sj_template_label_fn known, const void *ctx, struct sj_err *err);

struct sj_template_values {
    const struct sj_labels *labels;
    double value; /* NaN: none, shown as "no data" */
    double threshold;
    enum sj_unit unit;
};

/*
 * Fills the text in: at most size - 1 bytes, cut between characters, and a NUL; size > 0. What sj_template_check()
 * would refuse is left out. Returns the length.
 */
size_t sj_template_fill(char *out, size_t size, const char *text, const struct sj_template_values *values);
