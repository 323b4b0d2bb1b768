// SPDX-License-Identifier: GPL-3.0-or-later
#include "notify/template.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/timefmt.h"

enum field {
    FIELD_STATUS = 0,
    FIELD_NAME,
    FIELD_ID,
    FIELD_VALUE,
    FIELD_NO_DATA,
    FIELD_STARTS,
    FIELD_ENDS,
    FIELD_HOST,
    FIELD_LABELS,
    FIELD_ANNOTATIONS,
    FIELD_MAX_
};
static const char *const field_names[] = {"$status",    "$name",    "$id",   "$value",  "$no_data",
                                          "$starts_at", "$ends_at", "$host", "$labels", "$annotations"};

struct piece {
    size_t begin, end; /* of the text before the placeholder */
    bool has_field;
    bool in_string;
    enum field field;
    char *key; /* of $labels.KEY; NULL: all of them */
};

struct sj_template {
    char *text;
    struct piece *pieces;
    size_t n;
};

static unsigned line_of(const char *text, size_t at)
{
    unsigned line = 1;
    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

static int set_field(struct piece *p, const char *name, size_t n, struct sj_err *err)
{
    for (int f = 0; f < FIELD_MAX_; f++) {
        size_t m = strlen(field_names[f]);
        bool keyed = (f == FIELD_LABELS || f == FIELD_ANNOTATIONS) && n > m + 1 && name[m] == '.';
        if (n < m || memcmp(name, field_names[f], m) != 0 || (n > m && !keyed))
            continue;
        p->has_field = true;
        p->field = (enum field)f;
        if (keyed && !(p->key = strndup(name + m + 1, n - m - 1)))
            return sj_fail(err, EX_OSERR, "out of memory");
        if (!keyed && p->in_string && (f == FIELD_LABELS || f == FIELD_ANNOTATIONS))
            return sj_fail(err, EX_CONFIG, "%s is an object, which does not go into a string", field_names[f]);
        return 0;
    }
    return sj_fail(err, EX_CONFIG,
                   "unknown placeholder; known are $status, $name, $id, $value, $no_data, $starts_at, $ends_at, $host, "
                   "$labels, $annotations, $labels.NAME, $annotations.NAME");
}

static int add_piece(struct sj_template *t, const struct piece *p, struct sj_err *err)
{
    struct piece *more = reallocarray(t->pieces, t->n + 1, sizeof(*more));
    if (!more)
        return sj_fail(err, EX_OSERR, "out of memory");
    t->pieces = more;
    more[t->n++] = *p;
    return 0;
}

/* The placeholder whose name begins at *at: appended, and *at moved behind it. */
static int read_field(struct sj_template *t, size_t n, size_t *at, struct piece *p, struct sj_err *err)
{
    const char *name = t->text + *at, *end = memmem(name, n - *at, "}}", 2);
    if (!end)
        return sj_fail(err, EX_CONFIG, "{{ without }}");
    size_t next = (size_t)(end - t->text) + 2;
    while (name < end && (*name == ' ' || *name == '\t'))
        name++;
    while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    int rc = set_field(p, name, (size_t)(end - name), err);
    if (add_piece(t, p, err) < 0) {
        free(p->key);
        return -1;
    }
    *at = next;
    return rc;
}

static int scan(struct sj_template *t, size_t n, size_t *at, struct sj_err *err)
{
    struct piece p = {0};
    bool in_string = false;
    for (*at = 0; *at < n;) {
        char c = t->text[*at];
        if (c == '{' && *at + 1 < n && t->text[*at + 1] == '{') {
            p.end = *at;
            p.in_string = in_string;
            size_t name = *at + 2;
            if (read_field(t, n, &name, &p, err) < 0)
                return -1;
            *at = name;
            p = (struct piece){.begin = *at};
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        *at += c == '\\' && in_string ? 2 : 1;
    }
    p.end = n;
    return add_piece(t, &p, err);
}

static const char *find(const struct sj_labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, name) == 0)
            return l->v[i].value;
    return NULL;
}

/* The text of a field, NULL when the notice has none. */
static const char *text_of(const struct piece *p, const struct sj_notice *n, char room[64])
{
    const struct sj_alert *a = n->alert;
    switch (p->field) {
    case FIELD_STATUS:
        return sj_notice_status(n);
    case FIELD_NAME:
        return a->name;
    case FIELD_ID:
        return a->id;
    case FIELD_HOST:
        return n->host;
    case FIELD_VALUE:
        snprintf(room, 64, "%.13g", a->value);
        return isfinite(a->value) ? room : NULL;
    case FIELD_NO_DATA:
        return a->no_data ? "true" : "false";
    case FIELD_STARTS:
        return sj_time_rfc3339(room, a->starts_real_ns);
    case FIELD_ENDS:
        return n->firing ? NULL : sj_time_rfc3339(room, a->ends_real_ns);
    case FIELD_LABELS:
        return find(&a->labels, p->key);
    case FIELD_ANNOTATIONS:
        return find(&a->annotations, p->key);
    default:
        return NULL;
    }
}

static void write_field(const struct piece *p, const struct sj_notice *n, struct sj_out *out)
{
    char room[64];
    struct sj_json j;
    sj_json_init(&j, out, false);
    if (!p->key && p->field == FIELD_LABELS) {
        sj_notice_labels(n, &j);
        return;
    }
    if (!p->key && p->field == FIELD_ANNOTATIONS) {
        sj_notice_annotations(n, &j);
        return;
    }
    const char *text = text_of(p, n, room);
    if (p->in_string) {
        struct sj_out quoted;
        if (!text || sj_out_init(&quoted, -1, "text", NULL) < 0)
            return;
        sj_json_init(&j, &quoted, false);
        sj_json_string(&j, text);
        if (!quoted.error)
            sj_out_write(out, quoted.buf + 1, quoted.len - 2);
        sj_out_fini(&quoted);
    } else if (!text || p->field == FIELD_VALUE || p->field == FIELD_NO_DATA) {
        sj_out_text(out, text ? text : "null");
    } else {
        sj_json_string(&j, text);
    }
}

void sj_template_write(const struct sj_template *t, const struct sj_notice *notice, struct sj_out *out)
{
    for (size_t i = 0; i < t->n; i++) {
        sj_out_write(out, t->text + t->pieces[i].begin, t->pieces[i].end - t->pieces[i].begin);
        if (t->pieces[i].has_field)
            write_field(&t->pieces[i], notice, out);
    }
}

/* What the template makes of an alert must be JSON, whatever the alert's labels say: this one's are full of quotes. */
static int try_out(const struct sj_template *t, const char *name, struct sj_err *err)
{
    const struct sj_alert alert = {.id = "0", .name = "\"\\", .value = NAN, .state = SJ_ALERT_FIRING};
    const struct sj_notice notice = {.alert = &alert, .firing = true, .host = "\""};
    json_error_t why;
    struct sj_out out;
    if (sj_out_init(&out, -1, "a message", err) < 0)
        return -1;
    sj_template_write(t, &notice, &out);
    json_t *value = out.error ? NULL : json_loadb(out.buf, out.len, JSON_REJECT_DUPLICATES, &why);
    int rc = out.error ? sj_fail(err, EX_OSERR, "out of memory")
             : value   ? 0
                       : sj_fail(err, EX_CONFIG, "%s:%d: the document is no JSON: %s", name, why.line, why.text);
    json_decref(value);
    sj_out_fini(&out);
    return rc;
}

int sj_template_parse(const char *text, size_t n, const char *name, struct sj_template **out, struct sj_err *err)
{
    struct sj_template *t = calloc(1, sizeof(*t));
    if (!t || !(t->text = malloc(n + 1))) {
        free(t);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    memcpy(t->text, text, n);
    t->text[n] = '\0';
    size_t at = 0;
    int rc = scan(t, n, &at, err);
    if (rc < 0 && err->status == EX_CONFIG)
        sj_err_prefix(err, "%s:%u", name, line_of(text, at < n ? at : n));
    if (rc == 0)
        rc = try_out(t, name, err);
    if (rc < 0)
        sj_template_free(t);
    else
        *out = t;
    return rc;
}

void sj_template_free(struct sj_template *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->pieces[i].key);
    free(t->pieces);
    free(t->text);
    free(t);
}
