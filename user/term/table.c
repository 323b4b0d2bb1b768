// SPDX-License-Identifier: GPL-3.0-or-later
#include "term/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define COLUMNS_MAX 24
#define GUTTER 2
#define CELL_SIZE 512

struct cell {
    char *text;
    enum sj_style style;
};

struct sj_table {
    const struct sj_column *columns;
    size_t n_columns;
    struct cell *cells; /* row by row */
    size_t n_cells;
    size_t cap;
    bool failed;
};

struct sj_table *sj_table_new(const struct sj_column *columns, size_t n)
{
    struct sj_table *t = n <= COLUMNS_MAX ? calloc(1, sizeof(*t)) : NULL;
    if (t) {
        t->columns = columns;
        t->n_columns = n;
    }
    return t;
}

void sj_table_free(struct sj_table *t)
{
    for (size_t i = 0; t && i < t->n_cells; i++)
        free(t->cells[i].text);
    if (t)
        free(t->cells);
    free(t);
}

void sj_table_cell(struct sj_table *t, const struct sj_screen *screen, const char *text, enum sj_style style)
{
    char safe[CELL_SIZE];
    if (t->failed)
        return;
    if (t->n_cells == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct cell *cells = realloc(t->cells, cap * sizeof(*cells));
        t->failed = !cells;
        if (t->failed)
            return;
        t->cells = cells;
        t->cap = cap;
    }
    sj_text_printable(safe, sizeof(safe), text, screen->utf8);
    char *copy = strdup(safe);
    t->failed = !copy;
    if (copy)
        t->cells[t->n_cells++] = (struct cell){copy, style};
}

/* How wide each column is; 0: left out. */
struct layout {
    size_t width[COLUMNS_MAX];
};

static size_t sum(const struct layout *l, size_t n)
{
    size_t total = 0;
    for (size_t c = 0; c < n; c++)
        total += l->width[c] ? l->width[c] + GUTTER : 0;
    return total > GUTTER ? total - GUTTER : 0;
}

/* The column that matters least of those that may go; -1: none. */
static int least(const struct sj_table *t, const struct layout *l)
{
    int found = -1;
    for (size_t c = 0; c < t->n_columns; c++)
        if (l->width[c] && t->columns[c].drop && (found < 0 || t->columns[c].drop > t->columns[found].drop))
            found = (int)c;
    return found;
}

/* Takes one character after the other from the column that is furthest above what it may shrink to. */
static bool shrink(const struct sj_table *t, struct layout *l)
{
    int widest = -1;
    for (size_t c = 0; c < t->n_columns; c++)
        if (t->columns[c].shrink && l->width[c] > t->columns[c].shrink &&
            (widest < 0 || l->width[c] > l->width[widest]))
            widest = (int)c;
    if (widest < 0)
        return false;
    l->width[widest]--;
    return true;
}

static size_t at_least(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure(const struct sj_table *t, struct layout *l, size_t room, bool titles)
{
    *l = (struct layout){{0}};
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t c = i % t->n_columns;
        l->width[c] = at_least(l->width[c], sj_text_width(t->cells[i].text));
    }
    for (size_t c = 0; c < t->n_columns; c++) {
        if (l->width[c] == 0)
            continue;
        l->width[c] = at_least(l->width[c], t->columns[c].width);
        if (titles)
            l->width[c] = at_least(l->width[c], sj_text_width(t->columns[c].title));
    }
    /* A name cut a little is worth more than a lost column, a name cut to its least is not. */
    struct layout whole = *l;
    for (;;) {
        while (sum(l, t->n_columns) > room && shrink(t, l))
            ;
        int victim = sum(l, t->n_columns) > room ? least(t, l) : -1;
        if (victim < 0)
            return;
        whole.width[victim] = 0;
        *l = whole;
    }
}

static void put_cell(struct sj_out *out, const struct sj_screen *screen, const char *text, enum sj_style style,
                     size_t width, bool right, bool last)
{
    char cut[CELL_SIZE];
    snprintf(cut, sizeof(cut), "%s", text);
    size_t taken = sj_text_cut(cut, sizeof(cut), width, screen->utf8);
    size_t pad = width > taken ? width - taken : 0;
    if (right)
        sj_out_fill(out, ' ', pad);
    sj_out_text(out, sj_style_on(screen, style));
    sj_out_text(out, cut);
    sj_out_text(out, sj_style_off(screen, style));
    if (!right && !last)
        sj_out_fill(out, ' ', pad);
}

/* One line; cells NULL: the titles. Nothing is put after the last text, so lines do not end in spaces. */
static void put_row(const struct sj_table *t, struct sj_out *out, const struct sj_screen *screen,
                    const struct layout *l, size_t indent, const struct cell *cells)
{
    size_t last = t->n_columns;
    while (last > 0 && (l->width[last - 1] == 0 || !(cells ? cells[last - 1].text : t->columns[last - 1].title)[0]))
        last--;
    sj_out_fill(out, ' ', last ? indent : 0);
    bool any = false;
    for (size_t c = 0; c < last; c++) {
        if (l->width[c] == 0)
            continue;
        sj_out_fill(out, ' ', any ? GUTTER : 0);
        any = true;
        put_cell(out, screen, cells ? cells[c].text : t->columns[c].title, cells ? cells[c].style : SJ_STYLE_DIM,
                 l->width[c], t->columns[c].right, c + 1 == last);
    }
    sj_out_text(out, "\n");
}

int sj_table_print(const struct sj_table *t, struct sj_out *out, const struct sj_screen *screen, size_t indent,
                   bool titles)
{
    struct layout l;
    if (t->failed)
        return -ENOMEM;
    measure(t, &l, screen->width - indent, titles);
    if (titles)
        put_row(t, out, screen, &l, indent, NULL);
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        put_row(t, out, screen, &l, indent, &t->cells[i]);
    return 0;
}
