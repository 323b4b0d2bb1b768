// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/labels.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

const char *sj_labels_get(const struct sj_labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, name) == 0)
            return l->v[i].value;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sj_label *)a)->name, ((const struct sj_label *)b)->name);
}

void sj_labels_sort(struct sj_labels *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), by_name);
}

bool sj_labels_equal(const struct sj_labels *a, const struct sj_labels *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i].name, b->v[i].name) != 0 || strcmp(a->v[i].value, b->v[i].value) != 0)
            return false;
    return true;
}

bool sj_labels_match(const struct sj_labels *l, const struct sj_labels *only)
{
    for (size_t i = 0; i < only->n; i++) {
        const char *value = sj_labels_get(l, only->v[i].name);
        if (!value || fnmatch(only->v[i].value, value, 0) != 0)
            return false;
    }
    return true;
}
