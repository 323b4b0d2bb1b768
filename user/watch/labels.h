// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Names and values, sorted by name, no name twice. Who owns the strings says so where it holds them. */
struct sj_label {
    const char *name;
    const char *value;
};

struct sj_labels {
    struct sj_label *v;
    size_t n;
};

/* The value of a label, NULL when there is none of that name. */
const char *sj_labels_get(const struct sj_labels *l, const char *name);

/* Sorts by name; for whoever fills one. */
void sj_labels_sort(struct sj_labels *l);

bool sj_labels_equal(const struct sj_labels *a, const struct sj_labels *b);

/* Has l every label of `only`, with a value that matches the pattern there (fnmatch(3))? */
bool sj_labels_match(const struct sj_labels *l, const struct sj_labels *only);
