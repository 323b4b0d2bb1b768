// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/template.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/timefmt.h"

enum what { LABEL, VALUE, THRESHOLD };
enum function { PLAIN, HUMANIZE, DURATION, PERCENTAGE };

#define NAME_MAX_ 128

/* What stands between {{ and }}. */
struct place {
    enum what what;
    enum function function;
    char label[NAME_MAX_];
};

static const struct {
    const char *name;
    enum function function;
} functions[] = {{"humanize", HUMANIZE}, {"humanizeDuration", DURATION}, {"humanizePercentage", PERCENTAGE}};

static const char *skip_spaces(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* The word at *p into out, which has room for NAME_MAX_; *p moves behind it. Longer ones stay cut. */
static void word(const char **p, char *out)
{
    size_t n = 0;
    const char *q = *p;
    for (; isalnum((unsigned char)*q) || *q == '_'; q++)
        if (n < NAME_MAX_ - 1)
            out[n++] = *q;
    out[n] = '\0';
    *p = q;
}

static bool starts(const char **p, const char *with)
{
    size_t n = strlen(with);
    if (strncmp(*p, with, n) != 0)
        return false;
    *p += n;
    return true;
}

/* Reads what follows "{{". Returns what follows "}}", or NULL with *err. */
static const char *parse_place(const char *p, struct place *place, struct sj_err *err)
{
    static const char expected[] =
        "{{ $labels.NAME }}, {{ $value }}, {{ $threshold }}, and behind them | humanize, humanizeDuration or "
        "humanizePercentage";
    *place = (struct place){0};
    p = skip_spaces(p);
    if (starts(&p, "$labels.")) {
        word(&p, place->label);
    } else if (*p == '$') {
        char name[NAME_MAX_];
        p++;
        word(&p, name);
        place->what = strcmp(name, "value") == 0 ? VALUE : strcmp(name, "threshold") == 0 ? THRESHOLD : LABEL;
    }
    if (place->what == LABEL && !place->label[0]) {
        sj_fail(err, EX_CONFIG, "a template knows %s", expected);
        return NULL;
    }
    p = skip_spaces(p);
    if (*p == '|') {
        char name[NAME_MAX_];
        p = skip_spaces(p + 1);
        word(&p, name);
        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
            if (strcmp(name, functions[i].name) == 0)
                place->function = functions[i].function;
        if (place->function == PLAIN || place->what == LABEL) {
            sj_fail(err, EX_CONFIG, "a template knows %s", expected);
            return NULL;
        }
        p = skip_spaces(p);
    }
    if (!starts(&p, "}}")) {
        sj_fail(err, EX_CONFIG, "a template's {{ is not closed by }}, or holds more than %s", expected);
        return NULL;
    }
    return p;
}

int sj_template_check(const char *text, sj_template_label_fn known, const void *ctx, struct sj_err *err)
{
    for (const char *p = strstr(text, "{{"); p; p = strstr(p, "{{")) {
        struct place place;
        p = parse_place(p + 2, &place, err);
        if (!p)
            return -1;
        if (place.what == LABEL && !known(ctx, place.label))
            return sj_fail(err, EX_CONFIG, "a template names the label '%s', which the alert does not have",
                           place.label);
    }
    return 0;
}

struct fill {
    char *out;
    size_t size;
    size_t used;
    bool full;
};

/* Whole characters only: half of one is worse than none. */
static void put(struct fill *f, const char *text, size_t n)
{
    while (n && !f->full) {
        uint32_t cp;
        size_t took = sj_utf8_next(text, n, &cp);
        if (took == 0)
            took = 1;
        if (f->used + took + 1 > f->size) {
            f->full = true;
            return;
        }
        memcpy(f->out + f->used, text, took);
        f->used += took;
        text += took;
        n -= took;
    }
}

static void humanize(char *out, size_t size, double v)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    size_t i = 0;
    while (fabs(v) >= 1000 && i + 1 < sizeof(prefixes) / sizeof(prefixes[0])) {
        v /= 1000;
        i++;
    }
    snprintf(out, size, "%.4g%s", v, prefixes[i]);
}

static void by_unit(char *out, size_t size, double v, enum sj_unit unit)
{
    switch (unit) {
    case SJ_UNIT_SECONDS:
        sj_time_human(out, v);
        return;
    case SJ_UNIT_RATIO:
        snprintf(out, size, "%.3g%%", 100 * v);
        return;
    case SJ_UNIT_PER_SECOND:
        snprintf(out, size, "%.3g/s", v);
        return;
    default:
        snprintf(out, size, "%.12g", v);
    }
}

static void put_number(struct fill *f, double v, enum function function, enum sj_unit unit)
{
    char text[SJ_HUMAN_SIZE];
    if (isnan(v))
        snprintf(text, sizeof(text), "no data");
    else if (function == HUMANIZE)
        humanize(text, sizeof(text), v);
    else if (function == DURATION)
        by_unit(text, sizeof(text), v, SJ_UNIT_SECONDS);
    else if (function == PERCENTAGE)
        by_unit(text, sizeof(text), v, SJ_UNIT_RATIO);
    else
        by_unit(text, sizeof(text), v, unit);
    put(f, text, strlen(text));
}

size_t sj_template_fill(char *out, size_t size, const char *text, const struct sj_template_values *values)
{
    struct fill f = {.out = out, .size = size};
    const char *p = text;
    for (const char *open = strstr(p, "{{"); open; open = strstr(p, "{{")) {
        struct place place;
        put(&f, p, (size_t)(open - p));
        p = parse_place(open + 2, &place, NULL);
        if (!p) {
            p = "";
            break;
        }
        const char *label = place.what == LABEL ? sj_labels_get(values->labels, place.label) : NULL;
        if (label)
            put(&f, label, strlen(label));
        else if (place.what != LABEL)
            put_number(&f, place.what == VALUE ? values->value : values->threshold, place.function, values->unit);
    }
    put(&f, p, strlen(p));
    out[f.used] = '\0';
    return f.used;
}
