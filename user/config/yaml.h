// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

/*
 * YAML documents that are checked against a schema, with the line of whatever is wrong. A schema is a table of keys,
 * each with the function that takes its value; keys that are not in it are errors, and so are keys that come twice.
 *
 * What a configuration has no use for is refused: anchors, aliases, tags, several documents, nesting beyond
 * SJ_YAML_DEPTH, more than SJ_YAML_VALUES values.
 */
#define SJ_YAML_DEPTH 16
#define SJ_YAML_VALUES 50000u
#define SJ_YAML_KEYS 256u /* in one mapping */

enum sj_yaml_kind { SJ_YAML_SCALAR = 0, SJ_YAML_LIST, SJ_YAML_MAPPING };

struct sj_yaml {
    enum sj_yaml_kind kind;
    bool empty;      /* a scalar that was left out: `key:` or `key: ~` */
    unsigned line;   /* where it begins, from 1 */
    const char *key; /* within a mapping; NULL elsewhere */
    unsigned key_line;
    const char *text; /* of a scalar: UTF-8 without control characters but line breaks and tabs */
    size_t n;         /* of what is in a list or mapping */
    struct sj_yaml *first;
    struct sj_yaml *next;
};

/* Where values are read: whose lines, into which memory, and where to tell. */
struct sj_yaml_reader {
    const char *name; /* of the file, for messages */
    struct sj_arena *arena;
    struct sj_err *err;
};

/*
 * Reads the n bytes at text into r->arena. An empty document is an empty mapping. -1 with EX_CONFIG and "NAME:LINE:
 * ...", or EX_OSERR without memory.
 */
int sj_yaml_parse(const struct sj_yaml_reader *r, const char *text, size_t n, const struct sj_yaml **out);

/* "NAME:LINE: ..." with EX_CONFIG; yields -1. */
int sj_yaml_fail(const struct sj_yaml_reader *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* EX_OSERR; yields -1. */
int sj_yaml_no_memory(const struct sj_yaml_reader *r);

/* Takes a value into *out, whose type is the function's affair. 0, or -1 with *r->err. */
typedef int (*sj_yaml_take)(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);

struct sj_yaml_field {
    const char *key;
    size_t offset; /* of what take() fills, from where the mapping is taken to */
    sj_yaml_take take;
};

/*
 * Takes a mapping by its table of n fields. `what` names it in messages: "an alert". Values that are empty count as
 * left out.
 */
int sj_yaml_fields(const struct sj_yaml_reader *r, const struct sj_yaml *v, const char *what,
                   const struct sj_yaml_field *fields, size_t n, void *out);

/* The value of a key; NULL when it is missing or empty. */
const struct sj_yaml *sj_yaml_get(const struct sj_yaml *mapping, const char *key);

/* The line of a key's value, or that of the mapping where it is missing. */
unsigned sj_yaml_line(const struct sj_yaml *mapping, const char *key);

/* Takes each value of a list into an array of elements of `size` bytes, all zero before; *items belongs to r->arena. */
int sj_yaml_list(const struct sj_yaml_reader *r, const struct sj_yaml *v, size_t size, sj_yaml_take take, void **items,
                 size_t *n);

/* What is shown of a value in messages: short and harmless. */
#define SJ_YAML_SHOWN 64
const char *sj_yaml_shown(char out[SJ_YAML_SHOWN], const char *text);

/* For tables: a text that is not empty, into a const char *. */
int sj_yaml_text(const struct sj_yaml_reader *r, const struct sj_yaml *v, void *out);
