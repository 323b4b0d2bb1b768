// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* What must hold whatever the input is. */
static inline void expect(bool condition)
{
    if (!condition)
        __builtin_trap();
}

/* A failure is told in one line, with a status. */
static inline void expect_told(const struct sj_err *err)
{
    expect(err->status != 0 && err->text[0]);
    expect(!strchr(err->text, '\n'));
}
