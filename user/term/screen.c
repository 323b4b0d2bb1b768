// SPDX-License-Identifier: GPL-3.0-or-later
#include "term/screen.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

#define WIDTH_UNKNOWN 120

static size_t width_of(int fd, bool tty)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    long width = WIDTH_UNKNOWN;
    if (tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    else if (columns && *columns)
        width = strtol(columns, NULL, 10);
    return width < SJ_SCREEN_MIN ? SJ_SCREEN_MIN : width > SJ_SCREEN_MAX ? SJ_SCREEN_MAX : (size_t)width;
}

void sj_screen_detect(struct sj_screen *screen, int fd)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool tty = isatty(fd);
    screen->color = tty && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    screen->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    screen->width = width_of(fd, tty);
}

const char *sj_style_on(const struct sj_screen *screen, enum sj_style style)
{
    static const char *const on[] = {"", "\033[1m", "\033[2m", "\033[31m", "\033[33m"};
    _Static_assert(sizeof(on) / sizeof(on[0]) == SJ_STYLE_MAX_, "a sequence for each style");
    return screen->color && style < SJ_STYLE_MAX_ ? on[style] : "";
}

const char *sj_style_off(const struct sj_screen *screen, enum sj_style style)
{
    return screen->color && style != SJ_STYLE_PLAIN ? "\033[0m" : "";
}

void sj_screen_text(struct sj_out *out, const struct sj_screen *screen, const char *text)
{
    char safe[1024];
    sj_text_printable(safe, sizeof(safe), text, screen->utf8);
    sj_out_text(out, safe);
}

void sj_screen_bar(char out[SJ_BAR_SIZE], const struct sj_screen *screen, double share, size_t width)
{
    /* Blocks of one to seven eighths, and the whole one. */
    static const char blocks[8][4] = {"\xe2\x96\x88", "\xe2\x96\x8f", "\xe2\x96\x8e", "\xe2\x96\x8d",
                                      "\xe2\x96\x8c", "\xe2\x96\x8b", "\xe2\x96\x8a", "\xe2\x96\x89"};
    width = width > SJ_BAR_MAX ? SJ_BAR_MAX : width;
    double exact = (share > 0 ? fmin(share, 1) : 0) * (double)width;
    out[0] = '\0';
    if (!screen->utf8) {
        size_t n = (size_t)lround(exact);
        memset(out, '#', n);
        out[n] = '\0';
        return;
    }
    size_t eighths = (size_t)lround(8 * exact);
    for (; eighths >= 8; eighths -= 8)
        out = stpcpy(out, blocks[0]);
    if (eighths)
        stpcpy(out, blocks[eighths]);
}
