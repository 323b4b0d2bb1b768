// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is quoted may be anything, also lines of a file and what moves a terminal's cursor. */
static void make_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

void sj_err_set(struct sj_err *err, int status, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    make_line(err->text);
    err->status = status;
}

void sj_err_prefix(struct sj_err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char whole[2 * sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(whole, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t used = strlen(whole);
    snprintf(whole + used, sizeof(whole) - used, ": %s", err->text);
    memcpy(err->text, whole, sizeof(err->text) - 1);
    err->text[sizeof(err->text) - 1] = '\0';
    make_line(err->text);
}

void sj_err_read(struct sj_err *err, const char *path, int error)
{
    if (error == EACCES || error == EPERM)
        sj_err_set(err, EX_NOPERM,
                   "cannot read %s: %s; it is read by the user with the id %u, who has no special rights here: let its "
                   "owner and mode, and those of its folders, allow that",
                   path, strerror(error), (unsigned)geteuid());
    else
        sj_err_set(err, EX_NOINPUT, "cannot read %s: %s", path, strerror(error));
}
