// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "term/screen.h"

/*
 * A table of text that fits the screen: columns are as wide as what they hold; where that is too wide, those that
 * matter least are dropped and those that may shrink are cut. A column without anything in it is left out.
 */
struct sj_table;

struct sj_column {
    const char *title;
    bool right;     /* aligned to the right */
    uint8_t drop;   /* 0: never dropped; otherwise the highest goes first */
    uint8_t shrink; /* 0: never cut; otherwise the width down to which it may be */
    uint8_t width;  /* at least so wide */
};

/* columns must outlive the table. NULL when there is no memory. Release it with sj_table_free(). */
struct sj_table *sj_table_new(const struct sj_column *columns, size_t n);
void sj_table_free(struct sj_table *t);

/* The next cell; after the last column comes the next row. Text from outside is made harmless; "" leaves it empty. */
void sj_table_cell(struct sj_table *t, const struct sj_screen *screen, const char *text, enum sj_style style);

/* Prints it indented, with a line of titles when wanted. 0, or -ENOMEM when a cell could not be kept. */
int sj_table_print(const struct sj_table *t, struct sj_out *out, const struct sj_screen *screen, size_t indent,
                   bool titles);
