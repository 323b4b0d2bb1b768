// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "config/yaml.h"

/* Longest word that is compared with others for likeness. */
#define WORD 32

/* How many letters must be put in, taken out, changed or swapped with their neighbour to make b of a. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned d[WORD + 1][WORD + 1];
    if (n > WORD || m > WORD)
        return WORD;
    for (size_t i = 0; i <= n; i++) {
        for (size_t k = 0; k <= m; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = (unsigned)(i + k);
                continue;
            }
            unsigned best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            if (d[i - 1][k] + 1 < best)
                best = d[i - 1][k] + 1;
            if (d[i][k - 1] + 1 < best)
                best = d[i][k - 1] + 1;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && d[i - 2][k - 2] + 1 < best)
                best = d[i - 2][k - 2] + 1;
            d[i][k] = best;
        }
    }
    return d[n][m];
}

static int unknown_key(const struct sj_yaml_reader *r, const struct sj_yaml *v, const char *what,
                       const struct sj_yaml_field *fields, size_t n)
{
    char shown[SJ_YAML_SHOWN], all[256] = "";
    const char *like = NULL;
    unsigned least = 3;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(v->key, fields[i].key);
        if (d < least) {
            least = d;
            like = fields[i].key;
        }
        int wrote = snprintf(all + used, sizeof(all) - used, "%s%s", i ? " " : "", fields[i].key);
        used += wrote > 0 && (size_t)wrote < sizeof(all) - used ? (size_t)wrote : 0;
    }
    sj_yaml_shown(shown, v->key);
    if (like)
        return sj_yaml_fail(r, v->key_line, "unknown key '%s' in %s; is '%s' meant?", shown, what, like);
    return sj_yaml_fail(r, v->key_line, "unknown key '%s' in %s; the keys are: %s", shown, what, all);
}

int sj_yaml_fields(const struct sj_yaml_reader *r, const struct sj_yaml *v, const char *what,
                   const struct sj_yaml_field *fields, size_t n, void *out)
{
    if (v->kind != SJ_YAML_MAPPING)
        return sj_yaml_fail(r, v->line, "%s is a mapping of keys and values, such as '%s: ...'", what, fields[0].key);
    for (const struct sj_yaml *item = v->first; item; item = item->next) {
        size_t i = 0;
        while (i < n && strcmp(item->key, fields[i].key) != 0)
            i++;
        if (i == n)
            return unknown_key(r, item, what, fields, n);
        if (item->kind == SJ_YAML_SCALAR && item->empty)
            continue;
        if (fields[i].take(r, item, (char *)out + fields[i].offset) < 0)
            return -1;
    }
    return 0;
}

const struct sj_yaml *sj_yaml_get(const struct sj_yaml *mapping, const char *key)
{
    for (const struct sj_yaml *v = mapping->first; v; v = v->next)
        if (v->key && strcmp(v->key, key) == 0)
            return v->kind == SJ_YAML_SCALAR && v->empty ? NULL : v;
    return NULL;
}

unsigned sj_yaml_line(const struct sj_yaml *mapping, const char *key)
{
    const struct sj_yaml *v = sj_yaml_get(mapping, key);
    return v ? v->line : mapping->line;
}

int sj_yaml_list(const struct sj_yaml_reader *r, const struct sj_yaml *v, size_t size, sj_yaml_take take, void **items,
                 size_t *n)
{
    if (v->kind != SJ_YAML_LIST)
        return sj_yaml_fail(r, v->line, "%s is a list: each of its values begins with '- '", v->key ? v->key : "this");
    char *all = sj_arena_alloc(r->arena, v->n * size);
    size_t i = 0;
    if (!all)
        return sj_yaml_no_memory(r);
    for (const struct sj_yaml *item = v->first; item; item = item->next, i++)
        if (take(r, item, all + i * size) < 0)
            return -1;
    *items = all;
    *n = v->n;
    return 0;
}

int sj_yaml_text(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out)
{
    const char **text = out;
    if (v->kind != SJ_YAML_SCALAR || v->empty || !v->text[0])
        return sj_yaml_fail(r, v->line, "%s takes a text that is not empty", v->key ? v->key : "this");
    *text = v->text;
    return 0;
}
