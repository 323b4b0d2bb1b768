// SPDX-License-Identifier: GPL-3.0-or-later
#include "opt.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_NUMBER (UINT64_C(1) << 53)
#define LONGEST_SECONDS 86400.0

/* strtod without its surprises: no spaces, no sign, no hexadecimal, no nan and no inf. */
static int real(const char *text, double *value, const char **rest, struct sj_err *err)
{
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return sj_fail(err, EX_USAGE, "'%s' is not a number", text);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return sj_fail(err, EX_USAGE, "'%s' is not a decimal number", text);
    errno = 0;
    double v = strtod(text, &end);
    if (errno || end == text || !isfinite(v))
        return sj_fail(err, EX_USAGE, "'%s' is not a number in range", text);
    *value = v;
    *rest = end;
    return 0;
}

int sj_opt_duration(const char *text, uint64_t *ns, struct sj_err *err)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"m", 60}, {"h", 3600}};
    double v;
    const char *unit;
    if (real(text, &v, &unit, err))
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].unit) != 0)
            continue;
        if (v * units[i].seconds > LONGEST_SECONDS)
            return sj_fail(err, EX_USAGE, "'%s' is longer than a day", text);
        *ns = (uint64_t)llround(v * units[i].seconds * 1e9);
        return 0;
    }
    return sj_fail(err, EX_USAGE, "'%s' is not a duration: write 250us, 10ms, 1.5s or 2m", text);
}

static int count(const char *text, uint64_t *value, const char **rest, struct sj_err *err)
{
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]))
        return sj_fail(err, EX_USAGE, "'%s' is not a whole number", text);
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || v > LARGEST_NUMBER)
        return sj_fail(err, EX_USAGE, "'%s' is too large", text);
    *value = v;
    *rest = end;
    return 0;
}

int sj_opt_bytes(const char *text, uint64_t *bytes, struct sj_err *err)
{
    uint64_t v;
    const char *unit;
    if (count(text, &v, &unit, err))
        return -1;
    unsigned int shift = 0;
    if (strcmp(unit, "K") == 0)
        shift = 10;
    else if (strcmp(unit, "M") == 0)
        shift = 20;
    else if (*unit)
        return sj_fail(err, EX_USAGE, "'%s' is not a size: write 4096, 64K or 1M", text);
    if (v > LARGEST_NUMBER >> shift)
        return sj_fail(err, EX_USAGE, "'%s' is too large", text);
    *bytes = v << shift;
    return 0;
}

static int number(const struct sj_opt *row, const char *text, uint64_t *value, struct sj_err *err)
{
    uint64_t v = 0;
    const char *rest = "";
    int rc;
    if (row->kind == SJ_OPT_DURATION)
        rc = sj_opt_duration(text, &v, err);
    else if (row->kind == SJ_OPT_BYTES)
        rc = sj_opt_bytes(text, &v, err);
    else
        rc = count(text, &v, &rest, err);
    if (rc)
        return -1;
    if (*rest)
        return sj_fail(err, EX_USAGE, "'%s' is not a whole number", text);
    if (row->max && v > row->max)
        return sj_fail(err, EX_USAGE, "'%s' is too large, at most %llu", text, (unsigned long long)row->max);
    *value = v;
    return 0;
}

static int choice(const struct sj_opt *row, const char *text, int *value, struct sj_err *err)
{
    char known[256] = "";
    size_t len = 0;
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], text) == 0) {
            *value = i;
            return 0;
        }
        int n = snprintf(known + len, sizeof(known) - len, " %s", row->choices[i]);
        if (n > 0 && (size_t)n < sizeof(known) - len)
            len += (size_t)n;
    }
    return sj_fail(err, EX_USAGE, "'%s' is none of:%s", text, known);
}

static int assign(const struct sj_opt *row, void *into, const char *text, struct sj_err *err)
{
    char *field = (char *)into + row->at;
    const char *rest;
    switch (row->kind) {
    case SJ_OPT_FLAG:
        *(bool *)field = true;
        return 0;
    case SJ_OPT_SET:
        *(int *)field = row->value;
        return 0;
    case SJ_OPT_COUNT:
    case SJ_OPT_BYTES:
    case SJ_OPT_DURATION:
        return number(row, text, (uint64_t *)field, err);
    case SJ_OPT_REAL: {
        double v;
        if (real(text, &v, &rest, err))
            return -1;
        if (*rest || v <= 0)
            return sj_fail(err, EX_USAGE, "'%s' is not a number above 0", text);
        *(double *)field = v;
        return 0;
    }
    case SJ_OPT_TEXT:
        *(const char **)field = text;
        return 0;
    case SJ_OPT_CHOICE:
        return choice(row, text, (int *)field, err);
    }
    return sj_fail(err, EX_SOFTWARE, "option --%s has no kind", row->name);
}

int sj_opt_parse(const struct sj_opt *table, void *into, int argc, char *const *argv, struct sj_err *err)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            return sj_fail(err, EX_USAGE, "'%s' is not an option (try --help)", argv[i]);
        const char *name = argv[i] + 2;
        size_t len = strcspn(name, "=");
        const struct sj_opt *row = table;
        while (row->name && (strlen(row->name) != len || strncmp(row->name, name, len) != 0))
            row++;
        if (!row->name)
            return sj_fail(err, EX_USAGE, "unknown option '%s' (try --help)", argv[i]);
        bool bare = row->kind == SJ_OPT_FLAG || row->kind == SJ_OPT_SET;
        const char *text = name[len] == '=' ? name + len + 1 : NULL;
        if (bare && text)
            return sj_fail(err, EX_USAGE, "--%s takes no value", row->name);
        if (!bare && !text) {
            if (++i == argc)
                return sj_fail(err, EX_USAGE, "--%s needs a value", row->name);
            text = argv[i];
        }
        if (assign(row, into, text, err))
            return sj_fail_prefix(err, "--%s", row->name);
    }
    return 0;
}

void sj_opt_help(FILE *out, const struct sj_opt *table)
{
    for (; table->name; table++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", table->name, table->metavar ? " " : "",
                 table->metavar ? table->metavar : "");
        fprintf(out, "  %-26s %s\n", left, table->help);
    }
}
