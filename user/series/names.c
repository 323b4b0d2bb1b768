// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/names.h"

#include <stdlib.h>
#include <string.h>

#include "series/store.h"

/* Of the series of a metric so many are for operations; the others for services, lest their operations hide others. */
#define OPERATIONS_OF_3 2

struct budget {
    uint64_t all, operations;          /* limits */
    uint64_t used, used_by_operations; /* of them */
};

struct sj_names {
    struct budget budgets[SJ_KIND_MAX_];
    struct sj_slot *table;
    size_t mask;
};

static unsigned stages_of(uint8_t role)
{
    return (unsigned)__builtin_popcount(sj_stages_of_role((enum sj_role)role));
}

/* The services beyond the limits are one series for each role, whatever else there is. */
static struct budget budget(uint64_t max_series, uint64_t reserved)
{
    uint64_t all = max_series > reserved ? max_series - reserved : 0;
    return (struct budget){.all = all, .operations = all * OPERATIONS_OF_3 / 3};
}

struct sj_names *sj_names_new(size_t room, uint64_t max_series)
{
    struct sj_names *n = calloc(1, sizeof(*n));
    size_t slots = 16, stages = 0;
    if (!n)
        return NULL;
    while (slots < 2 * room)
        slots *= 2;
    for (int role = 0; role < SJ_ROLE_MAX_; role++)
        stages += stages_of((uint8_t)role);
    n->budgets[SJ_KIND_TOTAL] = budget(max_series, SJ_ROLE_MAX_);
    n->budgets[SJ_KIND_STAGES] = budget(max_series, stages);
    n->budgets[SJ_KIND_CLASSES] = budget(max_series, (uint64_t)SJ_ROLE_MAX_ * SJ_CLASSES);
    n->mask = slots - 1;
    n->table = calloc(slots, sizeof(*n->table));
    if (n->table)
        return n;
    free(n);
    return NULL;
}

void sj_names_free(struct sj_names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i <= n->mask; i++)
        free(n->table[i].row);
    free(n->table);
    free(n);
}

static bool take(struct budget *b, bool operation, uint64_t series)
{
    if (b->used + series > b->all || (operation && b->used_by_operations + series > b->operations))
        return false;
    b->used += series;
    b->used_by_operations += operation ? series : 0;
    return true;
}

static void give(struct budget *b, bool operation, uint64_t series)
{
    b->used -= series;
    b->used_by_operations -= operation ? series : 0;
}

/* How many series a metric of the kind has for these classes of it. */
static uint64_t series_of(const struct sj_name *name, enum sj_kind kind, unsigned classes)
{
    if (kind == SJ_KIND_CLASSES)
        return (uint64_t)__builtin_popcount(classes);
    return classes == 0 ? 0 : kind == SJ_KIND_STAGES ? stages_of(name->role) : 1;
}

struct sj_name *sj_name_hold(struct sj_names *n, uint64_t hash, uint8_t role, bool operation)
{
    size_t i = hash & n->mask;
    for (; n->table[i].row; i = (i + 1) & n->mask)
        if (n->table[i].hash == hash)
            return sj_name_share(n->table[i].row);
    struct sj_name *name = calloc(1, sizeof(*name));
    if (!name)
        return NULL;
    *name = (struct sj_name){.hash = hash, .rows = 1, .role = role, .operation = operation};
    n->table[i] = (struct sj_slot){hash, name};
    return name;
}

struct sj_name *sj_name_share(struct sj_name *name)
{
    if (name)
        name->rows++;
    return name;
}

void sj_name_drop(struct sj_names *n, struct sj_name *name)
{
    if (!name || --name->rows > 0)
        return;
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        give(&n->budgets[kind], name->operation, series_of(name, (enum sj_kind)kind, name->granted[kind]));
    sj_store_forget(n->table, n->mask, name->hash, name);
    free(name);
}

static void decide(struct sj_names *n, struct sj_name *name, enum sj_kind kind, unsigned classes)
{
    if (take(&n->budgets[kind], name->operation, series_of(name, kind, classes)))
        name->granted[kind] |= (uint8_t)classes;
    else
        name->denied[kind] |= (uint8_t)classes;
}

void sj_name_ask(struct sj_names *n, struct sj_name *name, enum sj_kind kind, unsigned classes)
{
    unsigned open = classes & ~(unsigned)(name->granted[kind] | name->denied[kind]);
    if (kind != SJ_KIND_CLASSES && open)
        decide(n, name, kind, SJ_CLASSES_ALL);
    for (unsigned k = 0; kind == SJ_KIND_CLASSES && open >> k; k++)
        if (open >> k & 1)
            decide(n, name, kind, 1U << k);
}

struct sj_shown sj_name_shown(const struct sj_name *name)
{
    struct sj_shown shown = {.bare = name && name->bare};
    if (name)
        memcpy(shown.in, name->granted, sizeof(shown.in));
    return shown;
}

unsigned sj_classes_of(const struct sj_cell *c, uint64_t counted)
{
    uint64_t told = 0;
    unsigned present = 0;
    for (unsigned k = 0; c && k < SJ_CLASS_MAX_; k++) {
        told += c->classes[k];
        present |= c->classes[k] ? 1U << k : 0;
    }
    uint64_t all = (c ? c->requests : 0) + counted;
    return present | (all > told ? 1U << SJ_CLASS_MAX_ : 0);
}
