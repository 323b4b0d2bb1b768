// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/condition.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define TEXT_MAX 64

/* A condition that is being read. */
struct text {
    char quantity[TEXT_MAX];
    char compare[3];
    char value[TEXT_MAX];
};

static const struct {
    const char *name;
    enum sj_measure measure;
    bool of_stage; /* may follow "STAGE." */
    bool of_total; /* may stand alone */
} measures[] = {
    {"mean", SJ_MEASURE_MEAN, true, true},
    {"max", SJ_MEASURE_MAX, false, true},
    {"share", SJ_MEASURE_SHARE, true, false},
    {"rate", SJ_MEASURE_RATE, false, true},
    {"error_rate", SJ_MEASURE_ERROR_RATE, false, true},
    {"error_ratio", SJ_MEASURE_ERROR_RATIO, false, true},
    {"requests", SJ_MEASURE_REQUESTS, false, true},
    {"errors", SJ_MEASURE_ERRORS, false, true},
};

enum sj_unit sj_measure_unit(enum sj_measure measure)
{
    switch (measure) {
    case SJ_MEASURE_SHARE:
    case SJ_MEASURE_ERROR_RATIO:
        return SJ_UNIT_RATIO;
    case SJ_MEASURE_RATE:
    case SJ_MEASURE_ERROR_RATE:
        return SJ_UNIT_PER_SECOND;
    case SJ_MEASURE_REQUESTS:
    case SJ_MEASURE_ERRORS:
        return SJ_UNIT_NUMBER;
    default:
        return SJ_UNIT_SECONDS;
    }
}

bool sj_measure_counts(enum sj_measure measure)
{
    enum sj_unit unit = sj_measure_unit(measure);
    return unit == SJ_UNIT_PER_SECOND || unit == SJ_UNIT_NUMBER;
}

bool sj_condition_holds(const struct sj_condition *c, double value)
{
    switch (c->compare) {
    case SJ_ABOVE:
        return value > c->threshold;
    case SJ_AT_LEAST:
        return value >= c->threshold;
    case SJ_BELOW:
        return value < c->threshold;
    default:
        return value <= c->threshold;
    }
}

bool sj_match_series(const struct sj_match *m, const char *service, const char *container, uint8_t role,
                     uint8_t protocol, uint16_t port)
{
    if (m->role != SJ_ROLE_UNKNOWN && m->role != role)
        return false;
    if (m->protocol >= 0 && m->protocol != protocol)
        return false;
    if (m->port && m->port != port)
        return false;
    if (m->service && fnmatch(m->service, service, 0) != 0)
        return false;
    return !m->container || fnmatch(m->container, container, 0) == 0;
}

/* A copy without spaces around it; false when it is empty or too long. */
static bool trim(char out[TEXT_MAX], const char *p, size_t n)
{
    while (n && isspace((unsigned char)*p)) {
        p++;
        n--;
    }
    while (n && isspace((unsigned char)p[n - 1]))
        n--;
    if (n == 0 || n >= TEXT_MAX)
        return false;
    memcpy(out, p, n);
    out[n] = '\0';
    return true;
}

static bool split(const char *text, struct text *t)
{
    size_t at = strcspn(text, "<>");
    size_t len = text[at] ? 1 + (text[at + 1] == '=') : 0;
    if (len == 0)
        return false;
    memcpy(t->compare, text + at, len);
    t->compare[len] = '\0';
    return trim(t->quantity, text, at) && trim(t->value, text + at + len, strlen(text + at + len));
}

/* Digits with at most one point among them, as a number. */
static bool decimal(const char *p, const char **end, double *out)
{
    const char *q = p;
    while (isdigit((unsigned char)*q))
        q++;
    if (q == p)
        return false;
    if (*q == '.') {
        const char *point = q++;
        while (isdigit((unsigned char)*q))
            q++;
        if (q == point + 1)
            return false;
    }
    *out = strtod(p, NULL);
    *end = q;
    return isfinite(*out);
}

static int parse_quantile(const char *name, struct sj_condition *c, struct sj_err *err)
{
    const char *end;
    double percent;
    if (!decimal(name + 1, &end, &percent) || *end)
        return sj_fail(err, EX_CONFIG, "'%s' is no quantile; write p50, p99 or p99.9", name);
    if (percent < 0.1 || percent > 99.999)
        return sj_fail(err, EX_CONFIG, "the quantile %s is out of range: p0.1 to p99.999 (p999 is written p99.9)",
                       name);
    c->measure = SJ_MEASURE_QUANTILE;
    c->p = percent / 100;
    return 0;
}

static int parse_quantity(const char *text, struct sj_condition *c, struct sj_err *err)
{
    const char *dot = strchr(text, '.');
    const char *name = text;
    c->stage = -1;
    if (dot && !(text[0] == 'p' && isdigit((unsigned char)text[1]))) {
        char stage[TEXT_MAX];
        memcpy(stage, text, (size_t)(dot - text));
        stage[dot - text] = '\0';
        c->stage = sj_stage_by_name(stage);
        if (c->stage < 0)
            return sj_fail(err, EX_CONFIG,
                           "there is no stage '%s': queue oncpu busy runq blocked handoff send wait pickup receive",
                           stage);
        name = dot + 1;
    }
    if (name[0] == 'p' && isdigit((unsigned char)name[1]))
        return parse_quantile(name, c, err);
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if (strcmp(name, measures[i].name) != 0)
            continue;
        if (c->stage >= 0 && !measures[i].of_stage)
            return sj_fail(err, EX_CONFIG, "a stage has no %s; of stages there are pN, mean and share", name);
        if (c->stage < 0 && !measures[i].of_total)
            return sj_fail(err, EX_CONFIG, "%s is that of a stage, such as runq.%s", name, name);
        c->measure = measures[i].measure;
        return 0;
    }
    return sj_fail(err, EX_CONFIG,
                   "unknown quantity '%s': pN (p99, p99.9), mean, max, STAGE.pN, STAGE.mean, STAGE.share, rate, "
                   "error_rate, error_ratio, requests or errors",
                   text);
}

static bool parse_time(const char *value, double *out)
{
    uint64_t ns;
    if (sj_parse_duration(value, &ns) < 0)
        return false;
    *out = (double)ns / 1e9;
    return true;
}

static bool parse_ratio(const char *value, double *out)
{
    const char *end;
    if (!decimal(value, &end, out))
        return false;
    if (strcmp(end, "%") == 0)
        *out /= 100;
    else if (*end)
        return false;
    return *out <= 1;
}

static bool parse_per_second(const char *value, double *out)
{
    const char *end;
    if (!decimal(value, &end, out) || end[0] != '/' || !end[1] || end[2])
        return false;
    *out /= end[1] == 'm' ? 60 : end[1] == 'h' ? 3600 : 1;
    return strchr("smh", end[1]) != NULL;
}

static bool parse_number(const char *value, double *out)
{
    const char *end;
    return decimal(value, &end, out) && !*end;
}

static int parse_value(const struct text *t, struct sj_condition *c, struct sj_err *err)
{
    static const struct {
        bool (*parse)(const char *value, double *out);
        const char *expected;
    } units[] = {
        [SJ_UNIT_SECONDS] = {parse_time, "a time with its unit, such as 250us, 50ms, 1.5s or 2m"},
        [SJ_UNIT_RATIO] = {parse_ratio, "a share such as 1% or 0.01, at most 100%"},
        [SJ_UNIT_PER_SECOND] = {parse_per_second, "a number per s, m or h, such as 10/s or 600/m"},
        [SJ_UNIT_NUMBER] = {parse_number, "a number without a unit, such as 100"},
    };
    enum sj_unit unit = sj_measure_unit(c->measure);
    double v = 0;
    if (!units[unit].parse(t->value, &v))
        return sj_fail(err, EX_CONFIG, "%s is compared with %s, not '%s'", t->quantity, units[unit].expected, t->value);
    bool never = (c->compare == SJ_BELOW && v == 0) || (c->compare == SJ_ABOVE && unit == SJ_UNIT_RATIO && v == 1);
    bool always =
        (c->compare == SJ_AT_LEAST && v == 0) || (c->compare == SJ_AT_MOST && unit == SJ_UNIT_RATIO && v == 1);
    if (never || always)
        return sj_fail(err, EX_CONFIG, "'%s %s %s' %s holds", t->quantity, t->compare, t->value,
                       never ? "never" : "always");
    c->threshold = v;
    return 0;
}

int sj_condition_parse(const char *text, struct sj_condition *out, struct sj_err *err)
{
    static const char *const compares[] = {
        [SJ_ABOVE] = ">", [SJ_AT_LEAST] = ">=", [SJ_BELOW] = "<", [SJ_AT_MOST] = "<="};
    struct sj_condition c = {.stage = -1};
    struct text t;
    if (!split(text, &t))
        return sj_fail(err, EX_CONFIG,
                       "a condition is a quantity, a comparison (> >= < <=) and a value, such as 'p99 > 1s'");
    for (int i = 0; i <= SJ_AT_MOST; i++)
        if (strcmp(t.compare, compares[i]) == 0)
            c.compare = (enum sj_compare)i;
    if (parse_quantity(t.quantity, &c, err) < 0 || parse_value(&t, &c, err) < 0)
        return -1;
    *out = c;
    return 0;
}
