// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/out.h"

/* What the place where text goes can show. */
struct sj_screen {
    bool color;
    bool utf8;
    size_t width; /* columns, SJ_SCREEN_MIN to SJ_SCREEN_MAX */
};

#define SJ_SCREEN_MIN 80
#define SJ_SCREEN_MAX 200

/*
 * Looks at fd and the environment. Colours: on a terminal that is not "dumb", unless NO_COLOR is set and not empty.
 * UTF-8: where the locale says so. Width: of the terminal, else COLUMNS, else 120.
 */
void sj_screen_detect(struct sj_screen *screen, int fd);

enum sj_style { SJ_STYLE_PLAIN = 0, SJ_STYLE_BOLD, SJ_STYLE_DIM, SJ_STYLE_BAD, SJ_STYLE_NOTABLE, SJ_STYLE_MAX_ };

/* The escape sequence that begins a style, "" without colours; any style ends with sj_style_off(). */
const char *sj_style_on(const struct sj_screen *screen, enum sj_style style);
const char *sj_style_off(const struct sj_screen *screen, enum sj_style style);

/* Text from outside, made harmless. */
void sj_screen_text(struct sj_out *out, const struct sj_screen *screen, const char *text);

/* A bar for a share from 0 to 1 that is `width` columns long at 1, not padded; at most SJ_BAR_MAX columns. */
#define SJ_BAR_MAX 60
#define SJ_BAR_SIZE (3 * SJ_BAR_MAX + 1)
void sj_screen_bar(char out[SJ_BAR_SIZE], const struct sj_screen *screen, double share, size_t width);
