// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "series/series.h"

/*
 * Which series an exporter may show by their own names. To it a series is a service's name, role and protocol, and an
 * operation; how many of them a metric may have is limited. What a name was once granted or denied it keeps as long as
 * a row has that name, so that no count ever changes from one series to another. For the files of this folder only.
 */
struct sj_names;

/* All that rows of one name share. A kind that does not tell classes apart is granted or denied all of them at once. */
struct sj_name {
    uint64_t hash;
    uint32_t rows;                 /* that hold it */
    uint8_t role;                  /* of the service */
    bool operation;                /* of the service's own, not what has no operation, nor the rest */
    bool bare;                     /* stages were given up: from now on it has none */
    uint8_t granted[SJ_KIND_MAX_]; /* bit masks of classes */
    uint8_t denied[SJ_KIND_MAX_];
};

/* room: names that may be held at once; max_series: of each metric. NULL when there is no memory. */
struct sj_names *sj_names_new(size_t room, uint64_t max_series);
void sj_names_free(struct sj_names *n);

/* Another row of the name with that hash holds it. NULL without memory. */
struct sj_name *sj_name_hold(struct sj_names *n, uint64_t hash, uint8_t role, bool operation);
struct sj_name *sj_name_share(struct sj_name *name);
/* A row holds it no longer; NULL is allowed. */
void sj_name_drop(struct sj_names *n, struct sj_name *name);

/* Grants or denies the classes of a kind that were not decided yet. */
void sj_name_ask(struct sj_names *n, struct sj_name *name, enum sj_kind kind, unsigned classes);

/* As it is shown; a name of NULL is shown nowhere. */
struct sj_shown sj_name_shown(const struct sj_name *name);

/* The classes of which a cell, and turns without detail, have requests. */
unsigned sj_classes_of(const struct sj_cell *c, uint64_t counted);
