// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/pids.h"

#include <errno.h>
#include <stdlib.h>

#include "series/series.h"

static uint32_t *find(uint32_t *slots, uint32_t size, uint32_t pid)
{
    uint32_t i = pid * 2654435769U >> 7 & (size - 1);
    while (slots[i] && slots[i] != pid)
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static int grow(struct sj_pids *set)
{
    uint32_t size = set->size ? 2 * set->size : 8;
    uint32_t *slots = calloc(size, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < set->size; i++)
        if (set->slots[i])
            *find(slots, size, set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->size = size;
    return 0;
}

int sj_pids_add_slow(struct sj_pids *set, uint32_t pid)
{
    if (pid == 0)
        return 0;
    if (set->count < SJ_PIDS_MAX && 2 * (set->count + 1) > set->size && grow(set) < 0)
        return -ENOMEM;
    uint32_t *slot = find(set->slots, set->size, pid);
    if (!*slot && set->count < SJ_PIDS_MAX) {
        *slot = pid;
        set->count++;
    }
    set->last = pid;
    return 0;
}

void sj_pids_free(struct sj_pids *set)
{
    free(set->slots);
    *set = (struct sj_pids){0};
}
