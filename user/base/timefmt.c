// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/timefmt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000ULL

static char *put_digits(char *p, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

/*
 * Days since 1970-01-01 to a date, by counting in 400-year eras that begin on 1 March: then the leap day is the last
 * day of a year and the lengths of months follow (153 m + 2) / 5.
 */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468; /* 0000-03-01 to 1970-01-01 */
    uint64_t era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = (unsigned)(yoe + era * 400 + (*month <= 2));
}

char *sj_time_rfc3339(char out[SJ_TIME_SIZE], uint64_t real_ns)
{
    uint64_t s = real_ns / NS_PER_S, in_day = s % 86400;
    unsigned year, month, day;
    civil(s / 86400, &year, &month, &day);
    char *p = put_digits(out, year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, day, 2);
    *p++ = 'T';
    p = put_digits(p, in_day / 3600, 2);
    *p++ = ':';
    p = put_digits(p, in_day / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, in_day % 60, 2);
    *p++ = '.';
    p = put_digits(p, real_ns % NS_PER_S, 9);
    *p++ = 'Z';
    *p = '\0';
    return out;
}

char *sj_time_human(char out[SJ_HUMAN_SIZE], double seconds)
{
    static const struct {
        double unit;
        double below; /* the largest number of this unit that is shown in it */
        const char *name;
    } units[] = {
        {1e-9, 999.5, "ns"}, {1e-6, 999.5, "us"}, {1e-3, 999.5, "ms"},
        {1, 599.5, "s"},     {60, 599.5, "min"},  {3600, INFINITY, "h"},
    };
    if (isnan(seconds))
        return memcpy(out, "-", 2);
    if (isinf(seconds))
        return seconds > 0 ? memcpy(out, "inf", 4) : memcpy(out, "-inf", 5);
    if (seconds == 0)
        return memcpy(out, "0 s", 4);
    size_t i = 0;
    double size = fabs(seconds);
    while (size / units[i].unit >= units[i].below)
        i++;
    double v = seconds / units[i].unit, a = fabs(v);
    int decimals = i == 0 ? (a < 9.995 && a != floor(a)) : a < 9.995 ? 2 : a < 99.95 ? 1 : 0;
    snprintf(out, SJ_HUMAN_SIZE, "%.*f %s", decimals, v, units[i].name);
    return out;
}

char *sj_count_human(char out[SJ_HUMAN_SIZE], uint64_t n)
{
    char digits[20];
    size_t len = sj_digits(digits, n), used = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

size_t sj_digits(char *out, uint64_t n)
{
    char reversed[20];
    size_t len = 0;
    do {
        reversed[len++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}

size_t sj_seconds_exact(char *out, uint64_t ns)
{
    size_t len = sj_digits(out, ns / NS_PER_S);
    uint64_t fraction = ns % NS_PER_S;
    if (fraction == 0)
        return len;
    int places = 9;
    for (; fraction % 10 == 0; fraction /= 10)
        places--;
    out[len++] = '.';
    put_digits(out + len, fraction, places);
    return len + (size_t)places;
}
