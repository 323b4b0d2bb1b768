// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "export/exposition.h"

/*
 * Accept (RFC 9110, 12.5.1): media ranges with parameters and a weight q. Parameters that are not known are passed
 * over, so that readers may ask for more than there is. A header that cannot be read asks for nothing in particular.
 */

struct range {
    const char *type; /* "text/plain", not terminated */
    size_t type_len;
    bool version_ok[SJ_EXPOSITION_MAX_];
    bool family; /* proto= of the message that there is */
    bool delimited;
    unsigned q; /* thousandths */
};

struct span {
    const char *p;
    size_t n;
};

static bool is(struct span s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static struct span trim(const char *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return (struct span){p, n};
}

/* Up to the separator, which may stand in quotes, or the end. *p goes behind it. */
static struct span next(const char **p, const char *end, char separator)
{
    const char *start = *p, *at = start;
    bool quoted = false;
    for (; at < end && (quoted || *at != separator); at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (quoted && *at == '\\' && at + 1 < end)
            at++;
    }
    *p = at < end ? at + 1 : end;
    return trim(start, (size_t)(at - start));
}

/* "1", "0.5", "0.123": thousandths. What is no weight is 0. */
static unsigned weight(struct span s)
{
    unsigned q = 0, digit = 100;
    if (s.n == 0 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.') || s.n > 5)
        return 0;
    q = (unsigned)(s.p[0] - '0') * 1000;
    for (size_t i = 2; i < s.n; i++, digit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        q += digit * (unsigned)(s.p[i] - '0');
    }
    return q < 1000 ? q : 1000;
}

static void parameter(struct range *r, struct span s)
{
    const char *equals = memchr(s.p, '=', s.n);
    if (!equals)
        return;
    struct span name = trim(s.p, (size_t)(equals - s.p));
    struct span value = trim(equals + 1, s.n - (size_t)(equals + 1 - s.p));
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = (struct span){value.p + 1, value.n - 2};
    if (is(name, "q"))
        r->q = weight(value);
    else if (is(name, "proto"))
        r->family = is(value, "io.prometheus.client.MetricFamily");
    else if (is(name, "encoding"))
        r->delimited = is(value, "delimited");
    if (!is(name, "version"))
        return;
    r->version_ok[SJ_EXPOSITION_TEXT] = is(value, "0.0.4");
    r->version_ok[SJ_EXPOSITION_OPENMETRICS] = is(value, "1.0.0");
}

static struct range read_range(struct span s)
{
    const char *p = s.p, *end = s.p + s.n;
    struct span type = next(&p, end, ';');
    struct range r = {.type = type.p, .type_len = type.n, .version_ok = {true, true, true}, .q = 1000};
    while (p < end)
        parameter(&r, next(&p, end, ';'));
    return r;
}

/* How closely the range means the format: 0 not at all, 3 by its name. Only text is meant where anything will do. */
static int match(const struct range *r, enum sj_exposition_format format)
{
    struct span type = {r->type, r->type_len};
    switch (format) {
    case SJ_EXPOSITION_PROTOBUF:
        return is(type, "application/vnd.google.protobuf") && r->family && r->delimited ? 3 : 0;
    case SJ_EXPOSITION_OPENMETRICS:
        if (is(type, "application/openmetrics-text") && r->version_ok[format])
            return 3;
        return is(type, "application/*") ? 2 : 0;
    default:
        if (is(type, "text/plain") && r->version_ok[SJ_EXPOSITION_TEXT])
            return 3;
        return is(type, "text/*") ? 2 : is(type, "*/*") ? 1 : 0;
    }
}

enum sj_exposition_format sj_exposition_negotiate(const char *accept)
{
    struct {
        int closeness;
        unsigned q;
    } best[SJ_EXPOSITION_MAX_] = {{0}};
    enum sj_exposition_format chosen = SJ_EXPOSITION_TEXT;
    unsigned q = 0;
    const char *p = accept ? accept : "", *end = p + strlen(p);
    while (p < end) {
        struct range r = read_range(next(&p, end, ','));
        for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
            int closeness = match(&r, (enum sj_exposition_format)f);
            if (closeness > best[f].closeness || (closeness && closeness == best[f].closeness && r.q > best[f].q)) {
                best[f].closeness = closeness;
                best[f].q = r.q;
            }
        }
    }
    /* Of equal weights the one that says more. */
    for (int f = 0; f < SJ_EXPOSITION_MAX_; f++) {
        if (best[f].q && best[f].q >= q) {
            q = best[f].q;
            chosen = (enum sj_exposition_format)f;
        }
    }
    return chosen;
}

const char *sj_exposition_content_type(enum sj_exposition_format format)
{
    switch (format) {
    case SJ_EXPOSITION_OPENMETRICS:
        return "application/openmetrics-text; version=1.0.0; charset=utf-8";
    case SJ_EXPOSITION_PROTOBUF:
        return "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    default:
        return "text/plain; version=0.0.4; charset=utf-8";
    }
}
