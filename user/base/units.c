// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/units.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* number * unit; false when it does not fit. The fraction's digits beyond a billionth of the unit are cut off. */
static bool scale(uint64_t whole, uint64_t billionths, uint64_t unit, uint64_t *out)
{
    uint64_t v;
    uint64_t part = (uint64_t)((unsigned __int128)billionths * unit / 1000000000U);
    return !__builtin_mul_overflow(whole, unit, &v) && !__builtin_add_overflow(v, part, out);
}

/* Digits, then perhaps a point and digits. Returns what follows, NULL when there is no number. */
static const char *parse_decimal(const char *p, uint64_t *whole, uint64_t *billionths)
{
    const char *start = p;
    *whole = *billionths = 0;
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(*whole, 10U, whole) || __builtin_add_overflow(*whole, (uint64_t)(*p - '0'), whole))
            return NULL;
    if (p == start)
        return NULL;
    if (*p != '.')
        return p;
    const char *point = p++;
    for (uint64_t place = 100000000; isdigit((unsigned char)*p); p++, place /= 10)
        *billionths += place * (uint64_t)(*p - '0');
    return p == point + 1 ? NULL : p;
}

int sj_parse_duration(const char *text, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},           {"us", 1000},          {"ms", 1000000},       {"s", 1000000000U},
                 {"m", 60000000000U}, {"h", 3600000000000U}, {"d", 86400000000000U}};
    uint64_t whole, billionths, v;
    const char *unit = parse_decimal(text, &whole, &billionths);
    for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        if (!scale(whole, billionths, units[i].ns, &v))
            return -1;
        *ns = v;
        return 0;
    }
    return -1;
}

int sj_parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}};
    uint64_t whole, billionths, v;
    const char *unit = parse_decimal(text, &whole, &billionths);
    for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        if ((units[i].bytes == 1 && billionths) || !scale(whole, billionths, units[i].bytes, &v))
            return -1;
        *bytes = v;
        return 0;
    }
    return -1;
}
