// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sj_err_set(struct sj_err *err, int status, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
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
}
