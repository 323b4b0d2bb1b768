// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How an option's text becomes a field of the program's settings. */
enum sj_opt_kind {
    SJ_OPT_FLAG,     /* no value; bool := true */
    SJ_OPT_SET,      /* no value; int := row.value */
    SJ_OPT_COUNT,    /* uint64_t, a plain number */
    SJ_OPT_BYTES,    /* uint64_t, with K or M for 1024 and 1024^2 */
    SJ_OPT_DURATION, /* uint64_t nanoseconds: 250us, 10ms, 1.5s, 2m; a bare number is seconds */
    SJ_OPT_REAL,     /* double, positive */
    SJ_OPT_TEXT,     /* const char *, kept by reference */
    SJ_OPT_CHOICE,   /* int, index into row.choices (ends with NULL) */
};

/* One row of a command's option table; the table ends with a row without a name. */
struct sj_opt {
    const char *name;
    enum sj_opt_kind kind;
    size_t at; /* offset of the field */
    const char *metavar;
    const char *help;
    const char *const *choices;
    uint64_t max; /* largest value of a number; 0: 2^53 */
    int value;
};

/* SJ_OPT_ROW(struct settings, "name", KIND, field, "METAVAR", "help", .choices = ..., .max = ...) */
#define SJ_OPT_ROW(type, text, shape, field, meta, what, ...)                                                          \
    {                                                                                                                  \
        .name = text, .kind = SJ_OPT_##shape, .at = offsetof(type, field), .metavar = meta, .help = what, __VA_ARGS__  \
    }

/*
 * Fills the fields of `into` from `--name value` and `--name=value`. `argv` holds options only, no program name.
 * Anything that is not in the table, out of range or left over is EX_USAGE.
 */
int sj_opt_parse(const struct sj_opt *table, void *into, int argc, char *const *argv, struct sj_err *err);

/* One line per option. */
void sj_opt_help(FILE *out, const struct sj_opt *table);

/* "20ms" -> 20000000. At most 24 hours. */
int sj_opt_duration(const char *text, uint64_t *ns, struct sj_err *err);

/* "64K" -> 65536. */
int sj_opt_bytes(const char *text, uint64_t *bytes, struct sj_err *err);
