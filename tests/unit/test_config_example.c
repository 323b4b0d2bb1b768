// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/yaml.h"

/*
 * The annotated example and the manual page have every key that the parser knows. The parser itself is asked: each
 * mapping of the example is replaced by one with a key that cannot be, and the complaint lists the keys there are.
 */

#define STRANGE "zzzzzzzzzzzz" /* like no key, so that none is guessed at */
#define SETS 16
#define WORDS 128
#define NAME 40

struct words {
    char v[WORDS][NAME];
    size_t n;
};

/* What a kind of mapping may hold, and what it does hold in the example. */
struct keys {
    char what[NAME];
    struct words known;
    struct words used;
};

struct all {
    struct keys sets[SETS];
    size_t n;
};

static bool has(const struct words *w, const char *word)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->v[i], word) == 0)
            return true;
    return false;
}

static void add(struct words *w, const char *word)
{
    if (has(w, word))
        return;
    assert_true(w->n < WORDS && strlen(word) < NAME);
    snprintf(w->v[w->n++], NAME, "%s", word);
}

/* What the receivers have in common is shown with one of them. */
static struct keys *set_of(struct all *all, const char *what)
{
    static const char *const receivers[] = {"alertmanager", "pagerduty", "webhook", "exec", "syslog"};
    for (size_t i = 0; i < sizeof(receivers) / sizeof(receivers[0]); i++)
        if (strcmp(what, receivers[i]) == 0)
            what = "a receiver";
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->sets[i].what, what) == 0)
            return &all->sets[i];
    assert_true(all->n < SETS && strlen(what) < NAME);
    snprintf(all->sets[all->n].what, NAME, "%s", what);
    return &all->sets[all->n++];
}

static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fputc('\\', out);
        fputc(*p, out);
    }
    fputc('"', out);
}

/* The document again, but for one mapping. */
static void put(FILE *out, const struct sj_yaml *v, const struct sj_yaml *replaced)
{
    if (v == replaced) {
        fputs("{" STRANGE ": 1}", out);
    } else if (v->kind == SJ_YAML_SCALAR) {
        put_text(out, v->text);
    } else {
        fputc(v->kind == SJ_YAML_MAPPING ? '{' : '[', out);
        for (const struct sj_yaml *item = v->first; item; item = item->next) {
            if (v->kind == SJ_YAML_MAPPING) {
                put_text(out, item->key);
                fputs(": ", out);
            }
            put(out, item, replaced);
            fputs(item->next ? ", " : "", out);
        }
        fputc(v->kind == SJ_YAML_MAPPING ? '}' : ']', out);
    }
}

/* What the parser says of the document with the strange key in v; "" when it takes any key. */
static void complaint(const struct sj_yaml *document, const struct sj_yaml *v, struct sj_err *err)
{
    sj_autofree char *text = NULL;
    size_t n = 0;
    struct sj_config *config = NULL;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    put(out, document, v);
    assert_int_equal(fclose(out), 0);
    *err = (struct sj_err){.status = EX_OK};
    if (sj_config_parse(text, n, "f", &config, err) == 0)
        sj_config_free(config);
}

static void ask(struct all *all, const struct sj_yaml *document, const struct sj_yaml *v)
{
    static const char begins[] = "unknown key '" STRANGE "' in ", lists[] = "; the keys are: ";
    struct sj_err err;
    complaint(document, v, &err);
    char *what = strstr(err.text, begins);
    if (!what)
        return; /* names and values of one's own choice */
    what += strlen(begins);
    char *list = strstr(what, lists);
    assert_non_null(list);
    *list = '\0';
    list += strlen(lists);
    assert_true(strlen(list) < 240); /* a longer list would be cut off */
    struct keys *keys = set_of(all, what);
    char *rest = NULL;
    for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        add(&keys->known, word);
    for (const struct sj_yaml *item = v->first; item; item = item->next)
        add(&keys->used, item->key);
}

static void walk(struct all *all, const struct sj_yaml *document, const struct sj_yaml *v)
{
    if (v->kind == SJ_YAML_MAPPING)
        ask(all, document, v);
    for (const struct sj_yaml *item = v->first; item; item = item->next)
        walk(all, document, item);
}

/* Switches everything on: takes the # away that has an even number of spaces behind it; prose has an odd one. */
static char *switch_on(const char *text)
{
    char *on = malloc(strlen(text) + 1);
    char *to = on;
    assert_non_null(on);
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n") + 1;
        size_t spaces = line[0] == '#' ? strspn(line + 1, " ") : 1;
        size_t skip = spaces % 2 == 0 && n > spaces + 2;
        memcpy(to, line + skip, n - skip);
        to += n - skip;
        line += n;
    }
    *to = '\0';
    return on;
}

static char *read_file(const char *path)
{
    char *text = NULL;
    size_t n;
    struct sj_err err = {.status = EX_OK};
    if (sj_config_read(path, &text, &n, &err))
        fail_msg("%s", err.text);
    return text;
}

static void is_right(const char *text)
{
    struct sj_config *config = NULL;
    struct sj_err err = {.status = EX_OK};
    if (sj_config_parse(text, strlen(text), "deploy/sojourn.yaml", &config, &err))
        fail_msg("%s", err.text);
    if (config->n_warnings)
        fail_msg("%s", config->warnings[0]);
    sj_config_free(config);
}

static void the_example_is_right(void **state)
{
    (void)state;
    sj_autofree char *text = read_file("deploy/sojourn.yaml");
    sj_autofree char *on = switch_on(text);
    is_right(text);
    is_right(on);
}

static void gather(struct all *all)
{
    sj_autofree char *text = read_file("deploy/sojourn.yaml");
    sj_autofree char *on = switch_on(text);
    struct sj_arena arena = {0};
    struct sj_err err = {.status = EX_OK};
    const struct sj_yaml_reader r = {.name = "f", .arena = &arena, .err = &err};
    const struct sj_yaml *document;
    assert_int_equal(sj_yaml_parse(&r, on, strlen(on), &document), 0);
    walk(all, document, document);
    sj_arena_free(&arena);
    assert_int_equal(all->n, 6); /* the file, a rule, match, an objective, the list of receivers, a receiver */
}

static void the_example_has_every_key(void **state)
{
    (void)state;
    static struct all all;
    gather(&all);
    for (size_t i = 0; i < all.n; i++)
        for (size_t k = 0; k < all.sets[i].known.n; k++)
            if (!has(&all.sets[i].used, all.sets[i].known.v[k]))
                fail_msg("deploy/sojourn.yaml lacks the key '%s' of %s", all.sets[i].known.v[k], all.sets[i].what);
}

/* The words of the manual page that are marked as keys. */
static void read_manual(struct words *keys)
{
    sj_autofree char *text = read_file("docs/sojourn.yaml.5");
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *inner = NULL;
        if (strncmp(line, ".It Cm ", 7) != 0 && strncmp(line, ".Cm ", 4) != 0)
            continue;
        for (char *word = strtok_r(strstr(line, "Cm ") + 3, " ,", &inner); word; word = strtok_r(NULL, " ,", &inner))
            add(keys, word);
    }
}

static void the_manual_has_every_key(void **state)
{
    (void)state;
    static struct all all;
    static struct words manual;
    gather(&all);
    read_manual(&manual);
    for (size_t i = 0; i < all.n; i++)
        for (size_t k = 0; k < all.sets[i].known.n; k++)
            if (!has(&manual, all.sets[i].known.v[k]))
                fail_msg("docs/sojourn.yaml.5 lacks the key '%s' of %s", all.sets[i].known.v[k], all.sets[i].what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_right),
        cmocka_unit_test(the_example_has_every_key),
        cmocka_unit_test(the_manual_has_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
