// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

/* Memory that is given back as a whole. All bytes zero is an empty arena. */
struct sj_arena {
    struct sj_arena_block *blocks;
    size_t bytes; /* taken from malloc so far */
};

/* n bytes of zeros, aligned for anything; NULL when there is no memory. */
void *sj_arena_alloc(struct sj_arena *a, size_t n);

/* A copy of the n bytes at text and a NUL; NULL when there is no memory. */
char *sj_arena_text(struct sj_arena *a, const char *text, size_t n);

/* Everything that came from it is gone; the arena is empty and usable afterwards. */
void sj_arena_free(struct sj_arena *a);
