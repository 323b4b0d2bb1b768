// SPDX-License-Identifier: GPL-3.0-or-later
#include "command.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/out.h"
#include "base/text.h"

#define LINE_SIZE 1024

static int complain(int status, const char *text)
{
    char safe[SJ_TEXT_ESCAPE_MAX * LINE_SIZE];
    sj_text_printable(safe, sizeof(safe), text, strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
    fprintf(stderr, "sojourn: %s\n", safe);
    return status;
}

int sj_complain(int status, const char *fmt, ...)
{
    char text[LINE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return complain(status, text);
}

int sj_usage_error(const struct sj_command *cmd, const char *fmt, ...)
{
    char what[LINE_SIZE / 2], text[LINE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    snprintf(text, sizeof(text), "%s: %s; see 'sojourn %s --help'", cmd->name, what, cmd->name);
    return complain(EX_USAGE, text);
}

int sj_print_help(const struct sj_command *cmd)
{
    struct sj_err err = {.status = EX_OK};
    struct sj_out out;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err) < 0)
        return sj_complain(err.status, "%s", err.text);
    sj_out_printf(&out, "Usage: sojourn %s\n\n%s.\n", cmd->usage, cmd->summary);
    if (cmd->options)
        sj_out_printf(&out, "\nOptions:\n%s", cmd->options);
    int failed = sj_out_flush(&out, &err);
    sj_out_fini(&out);
    return failed && err.status != EX_OK ? sj_complain(err.status, "%s", err.text) : EX_OK;
}
