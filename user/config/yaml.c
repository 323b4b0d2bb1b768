// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/text.h"

struct parse {
    const struct sj_yaml_reader *r;
    yaml_parser_t *yaml;
    const char *text;
    size_t n;
    size_t values;
    struct sj_yaml *open[SJ_YAML_DEPTH]; /* lists and mappings that are not over yet, the outermost first */
    struct sj_yaml *last[SJ_YAML_DEPTH]; /* what came last in each of them */
    const char *key[SJ_YAML_DEPTH];      /* of a mapping: the key whose value comes next */
    unsigned key_line[SJ_YAML_DEPTH];
    size_t depth;
    struct sj_yaml *root;
    bool done;
};

int sj_yaml_fail(const struct sj_yaml_reader *r, unsigned line, const char *fmt, ...)
{
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return sj_fail(r->err, EX_CONFIG, "%s:%u: %s", r->name, line, what);
}

int sj_yaml_no_memory(const struct sj_yaml_reader *r)
{
    return sj_fail(r->err, EX_OSERR, "%s: out of memory", r->name);
}

const char *sj_yaml_shown(char out[SJ_YAML_SHOWN], const char *text)
{
    char head[SJ_YAML_SHOWN];
    snprintf(head, sizeof(head), "%s", text);
    sj_text_printable(out, SJ_YAML_SHOWN - 1, head, true);
    sj_text_cut(out, SJ_YAML_SHOWN, 48, true);
    return out;
}

static unsigned line_of(const yaml_mark_t *mark)
{
    return (unsigned)mark->line + 1;
}

/* Bytes that are no text are told by their place alone. */
static unsigned line_of_offset(const struct parse *p, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < p->n; i++)
        line += p->text[i] == '\n';
    return line;
}

static int not_yaml(const struct parse *p)
{
    const yaml_parser_t *y = p->yaml;
    const char *problem = y->problem ? y->problem : "it cannot be read";
    if (y->error == YAML_MEMORY_ERROR)
        return sj_yaml_no_memory(p->r);
    if (y->error == YAML_READER_ERROR)
        return sj_yaml_fail(p->r, line_of_offset(p, y->problem_offset), "not UTF-8 text: %s", problem);
    unsigned line = line_of(&y->problem_mark);
    if (strstr(problem, "cannot start any token"))
        return sj_yaml_fail(p->r, line, "not YAML: %s; indent with spaces, not tabs, and quote what begins with @ or `",
                            problem);
    if (y->context)
        return sj_yaml_fail(p->r, line, "not YAML: %s, %s", y->context, problem);
    return sj_yaml_fail(p->r, line, "not YAML: %s", problem);
}

static struct sj_yaml *new_value(struct parse *p, enum sj_yaml_kind kind, const yaml_event_t *e)
{
    struct sj_yaml *v = sj_arena_alloc(p->r->arena, sizeof(*v));
    if (v) {
        v->kind = kind;
        v->line = line_of(&e->start_mark);
        v->text = "";
    }
    return v;
}

/* A key: remembered until its value comes. */
static int put_key(struct parse *p, const struct sj_yaml *v, bool plain)
{
    char shown[SJ_YAML_SHOWN];
    const struct sj_yaml *mapping = p->open[p->depth - 1];
    if (v->kind != SJ_YAML_SCALAR || v->empty)
        return sj_yaml_fail(p->r, v->line, "a key must be a word");
    if (plain && strcmp(v->text, "<<") == 0)
        return sj_yaml_fail(p->r, v->line, "merging with << is not supported; write the keys out");
    if (mapping->n >= SJ_YAML_KEYS)
        return sj_yaml_fail(p->r, v->line, "more than %u keys", SJ_YAML_KEYS);
    for (const struct sj_yaml *other = mapping->first; other; other = other->next)
        if (strcmp(other->key, v->text) == 0)
            return sj_yaml_fail(p->r, v->line, "'%s' is given twice, before in line %u", sj_yaml_shown(shown, v->text),
                                other->key_line);
    p->key[p->depth - 1] = v->text;
    p->key_line[p->depth - 1] = v->line;
    return 0;
}

static int put_value(struct parse *p, struct sj_yaml *v, bool plain)
{
    if (++p->values > SJ_YAML_VALUES)
        return sj_yaml_fail(p->r, v->line, "more than %u values", SJ_YAML_VALUES);
    if (p->depth == 0) {
        p->root = v;
        return 0;
    }
    size_t at = p->depth - 1;
    if (p->open[at]->kind == SJ_YAML_MAPPING) {
        if (!p->key[at])
            return put_key(p, v, plain);
        v->key = p->key[at];
        v->key_line = p->key_line[at];
        p->key[at] = NULL;
    }
    if (p->last[at])
        p->last[at]->next = v;
    else
        p->open[at]->first = v;
    p->last[at] = v;
    p->open[at]->n++;
    return 0;
}

static bool is_null(const yaml_event_t *e)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp((const char *)e->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

static int on_scalar(struct parse *p, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    unsigned line = line_of(&e->start_mark);
    if (e->data.scalar.tag)
        return sj_yaml_fail(p->r, line, "tags such as !!str are not supported; write the value alone");
    for (size_t i = 0, took; i < n; i += took) {
        uint32_t cp = 0;
        took = sj_utf8_next(text + i, n - i, &cp);
        if (took == 0 || (sj_text_is_control(cp) && cp != '\n' && cp != '\t'))
            return sj_yaml_fail(p->r, line, "a control character in a value");
    }
    struct sj_yaml *v = new_value(p, SJ_YAML_SCALAR, e);
    if (!v)
        return sj_yaml_no_memory(p->r);
    v->empty = is_null(e);
    v->text = sj_arena_text(p->r->arena, v->empty ? "" : text, v->empty ? 0 : n);
    return v->text ? put_value(p, v, e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) : sj_yaml_no_memory(p->r);
}

static int on_start(struct parse *p, const yaml_event_t *e, enum sj_yaml_kind kind)
{
    const yaml_char_t *tag = kind == SJ_YAML_LIST ? e->data.sequence_start.tag : e->data.mapping_start.tag;
    unsigned line = line_of(&e->start_mark);
    if (tag)
        return sj_yaml_fail(p->r, line, "tags such as !!map are not supported; write the value alone");
    if (p->depth == SJ_YAML_DEPTH)
        return sj_yaml_fail(p->r, line, "nested more than %d deep", SJ_YAML_DEPTH);
    struct sj_yaml *v = new_value(p, kind, e);
    if (!v)
        return sj_yaml_no_memory(p->r);
    if (put_value(p, v, false) < 0)
        return -1;
    p->open[p->depth] = v;
    p->last[p->depth] = NULL;
    p->key[p->depth] = NULL;
    p->depth++;
    return 0;
}

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static int on_event(struct parse *p, const yaml_event_t *e)
{
    unsigned line = line_of(&e->start_mark);
    if (e->type == YAML_ALIAS_EVENT || anchor_of(e))
        return sj_yaml_fail(p->r, line,
                            "anchors (&) and aliases (*) are not supported; write the value out, and quote "
                            "text that begins with & or *");
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return p->root ? sj_yaml_fail(p->r, line, "a second document; a configuration is one") : 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(p, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(p, e, SJ_YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        return on_start(p, e, SJ_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        p->depth--;
        return 0;
    case YAML_STREAM_END_EVENT:
        p->done = true;
        return 0;
    default:
        return 0;
    }
}

static int run(struct parse *p)
{
    while (!p->done) {
        yaml_event_t e;
        if (!yaml_parser_parse(p->yaml, &e))
            return not_yaml(p);
        int rc = on_event(p, &e);
        yaml_event_delete(&e);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int sj_yaml_parse(const struct sj_yaml_reader *r, const char *text, size_t n, const struct sj_yaml **out)
{
    yaml_parser_t yaml;
    struct parse p = {.r = r, .yaml = &yaml, .text = text, .n = n};
    if (!yaml_parser_initialize(&yaml))
        return sj_yaml_no_memory(r);
    yaml_parser_set_encoding(&yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&yaml, (const unsigned char *)text, n);
    int rc = run(&p);
    yaml_parser_delete(&yaml);
    if (rc < 0)
        return -1;
    if (!p.root || (p.root->kind == SJ_YAML_SCALAR && p.root->empty)) {
        p.root = sj_arena_alloc(r->arena, sizeof(*p.root));
        if (!p.root)
            return sj_yaml_no_memory(r);
        *p.root = (struct sj_yaml){.kind = SJ_YAML_MAPPING, .line = 1, .text = ""};
    }
    *out = p.root;
    return 0;
}
