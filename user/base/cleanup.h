// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Owning locals release themselves: `sj_autofree char *line = NULL;`. Ownership leaves a scope by SJ_TAKE(p), which
 * reads the pointer and clears it, so that what a function returns is never what it frees.
 */
static inline void sj_free_ptr_(void *p)
{
    free(*(void **)p);
}

static inline void sj_fclose_ptr_(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void sj_close_ptr_(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define sj_autofree __attribute__((cleanup(sj_free_ptr_)))
#define sj_autofclose __attribute__((cleanup(sj_fclose_ptr_)))
#define sj_autoclose __attribute__((cleanup(sj_close_ptr_)))

#define SJ_TAKE(p)                                                                                                     \
    ({                                                                                                                 \
        __typeof__(p) sj_taken_ = (p);                                                                                 \
        (p) = NULL;                                                                                                    \
        sj_taken_;                                                                                                     \
    })
