// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/hash.h"
#include "series/store.h"

/*
 * Where an exporter shows what a row counts: by its own name, as part of the rest of its service, or as part of the
 * rest of all services. Each kind of metric has names of its own, so a row can be in several of these places. When it
 * goes, the series of its own name end; those of a rest go on and must not fall, so what it had part in there is kept:
 * in the service's `kept` while that is there, then in that of the services beyond the limits.
 */

/* Names that no operation has. */
enum { NAME_PLAIN = 1, NAME_REST };

/* What of a row is not shown by its name, by kinds and classes. */
struct parts {
    unsigned of[SJ_KIND_MAX_];
};

static struct parts parts_beyond(const struct sj_name *name)
{
    struct parts p;
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        p.of[kind] = name ? name->denied[kind] : SJ_CLASSES_ALL;
    return p;
}

/* The same, and not in the rest of the service either. */
static struct parts parts_beyond_both(const struct sj_name *name, const struct sj_name *rest)
{
    struct parts p = parts_beyond(name);
    for (int kind = 0; rest && kind < SJ_KIND_MAX_; kind++)
        p.of[kind] &= ~(unsigned)rest->granted[kind];
    return p;
}

/* ---- settling ---- */

static struct sj_name *hold(struct sj_series *s, const struct sj_service *svc, unsigned which)
{
    return sj_name_hold(s->names, sj_hash_mix(svc->identity, which), svc->role, false);
}

/* What cannot be shown in a metric of totals is not shown in others either. */
static void ask_all(struct sj_series *s, struct sj_name *name, unsigned classes)
{
    sj_name_ask(s->names, name, SJ_KIND_TOTAL, SJ_CLASSES_ALL);
    if (name->denied[SJ_KIND_TOTAL])
        memset(name->denied, SJ_CLASSES_ALL, sizeof(name->denied));
    sj_name_ask(s->names, name, SJ_KIND_STAGES, SJ_CLASSES_ALL);
    sj_name_ask(s->names, name, SJ_KIND_CLASSES, classes);
}

void sj_shown_begin(struct sj_series *s, struct sj_operation *op)
{
    if (!op->name[0] || strcmp(op->name, SJ_REST_NAME) == 0)
        return;
    uint64_t hash = sj_hash_text(op->owner->identity, op->name, op->len);
    op->as = sj_name_hold(s->names, hash, op->owner->role, true);
    if (op->as)
        ask_all(s, op->as, 0);
}

/* Asks for what is present, and adds what is left over of it. */
static void settle(struct sj_series *s, struct sj_name *name, unsigned present, struct parts *left)
{
    if (name && present)
        ask_all(s, name, present);
    struct parts beyond = parts_beyond(name);
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        left->of[kind] |= beyond.of[kind] & (kind == SJ_KIND_CLASSES ? present : present ? SJ_CLASSES_ALL : 0);
}

static void settle_rest(struct sj_series *s, struct sj_service *svc, struct parts left)
{
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        if (svc->kept[kind])
            left.of[kind] |= kind == SJ_KIND_CLASSES ? sj_classes_of(svc->kept[kind], 0) : SJ_CLASSES_ALL;
    /* what is called like the rest of all would end, and that does not */
    if (!(left.of[0] | left.of[1] | left.of[2]) || strcmp(svc->text, SJ_REST_NAME) == 0)
        return;
    svc->rest_as = svc->rest_as ? svc->rest_as : hold(s, svc, NAME_REST);
    for (int kind = 0; svc->rest_as && kind < SJ_KIND_MAX_; kind++)
        sj_name_ask(s->names, svc->rest_as, (enum sj_kind)kind, left.of[kind]);
}

void sj_shown_settle(struct sj_series *s, struct sj_service *svc)
{
    struct parts left = {0};
    unsigned plain = sj_classes_of(NULL, svc->counted.count);
    if (svc->is_rest)
        return;
    for (const struct sj_operation *op = svc->operations; op; op = op->next) {
        unsigned present = sj_classes_of(&op->cell, 0);
        if (op == svc->rest)
            settle(s, NULL, present, &left);
        else if (op->name[0])
            settle(s, op->as, present, &left);
        else
            plain |= present;
    }
    if (plain) {
        svc->plain_as = svc->plain_as ? svc->plain_as : hold(s, svc, NAME_PLAIN);
        settle(s, svc->plain_as, plain, &left);
    }
    settle_rest(s, svc, left);
}

/* ---- keeping ---- */

static struct sj_cell *kept_of(struct sj_service *to, enum sj_kind kind)
{
    if (!to->kept[kind]) {
        to->kept[kind] = calloc(1, sizeof(*to->kept[kind]));
        if (to->kept[kind])
            sj_hist_init(&to->kept[kind]->total);
    }
    return to->kept[kind];
}

static int keep_total(struct sj_service *to, const struct sj_cell *c, const struct sj_hist *counted)
{
    struct sj_cell *kept = kept_of(to, SJ_KIND_TOTAL);
    if (!kept || (c && sj_hist_merge(&kept->total, &c->total) < 0) ||
        (counted && sj_hist_merge(&kept->total, counted) < 0))
        return -ENOMEM;
    kept->requests += (c ? c->requests : 0) + (counted ? counted->count : 0);
    kept->errors += c ? c->errors : 0;
    kept->bare = kept->requests;
    return 0;
}

static int keep_stages(struct sj_service *to, const struct sj_cell *c)
{
    struct sj_cell *kept = kept_of(to, SJ_KIND_STAGES);
    return kept ? sj_cell_merge(kept, c) : -ENOMEM;
}

static int keep_classes(struct sj_service *to, const struct sj_cell *c, uint64_t counted, unsigned classes)
{
    struct sj_cell *kept = kept_of(to, SJ_KIND_CLASSES);
    uint64_t without = (c ? c->requests : 0) + counted;
    if (!kept)
        return -ENOMEM;
    for (unsigned k = 0; c && k < SJ_CLASS_MAX_; k++) {
        without -= c->classes[k];
        if (!(classes >> k & 1))
            continue;
        kept->classes[k] += c->classes[k];
        kept->requests += c->classes[k];
    }
    if (classes >> SJ_CLASS_MAX_ & 1)
        kept->requests += without;
    kept->bare = kept->requests;
    return 0;
}

static int keep(struct sj_service *to, const struct sj_cell *c, const struct sj_hist *counted, struct parts p)
{
    uint64_t n = counted ? counted->count : 0;
    unsigned present = sj_classes_of(c, n), classes = p.of[SJ_KIND_CLASSES] & present;
    if (p.of[SJ_KIND_TOTAL] && present && keep_total(to, c, counted) < 0)
        return -ENOMEM;
    if (p.of[SJ_KIND_STAGES] && c && c->requests && keep_stages(to, c) < 0)
        return -ENOMEM;
    return classes ? keep_classes(to, c, n, classes) : 0;
}

int sj_shown_keep(struct sj_service *svc, const struct sj_operation *op)
{
    return keep(svc, &op->cell, NULL, parts_beyond(op->as));
}

int sj_shown_keep_stages(struct sj_service *svc, const struct sj_operation *op)
{
    struct sj_name *name = op->name[0] ? op->as : svc->plain_as;
    if (name && name->granted[SJ_KIND_STAGES])
        name->bare = true;
    else if (op->cell.requests)
        return keep_stages(svc, &op->cell);
    return 0;
}

int sj_shown_retire(struct sj_service *rest, const struct sj_service *svc)
{
    int rc = keep(rest, NULL, &svc->counted, parts_beyond_both(svc->plain_as, svc->rest_as));
    for (const struct sj_operation *op = svc->operations; op && rc == 0; op = op->next) {
        const struct sj_name *name = op == svc->rest ? NULL : op->name[0] ? op->as : svc->plain_as;
        rc = keep(rest, &op->cell, NULL, parts_beyond_both(name, svc->rest_as));
    }
    for (int kind = 0; kind < SJ_KIND_MAX_ && rc == 0; kind++) {
        struct parts p = {0};
        p.of[kind] = parts_beyond_both(NULL, svc->rest_as).of[kind];
        if (svc->kept[kind])
            rc = keep(rest, svc->kept[kind], NULL, p);
    }
    return rc;
}

int sj_shown_depart(struct sj_service *d, const struct sj_service *svc)
{
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        if (svc->kept[kind] && (!kept_of(d, (enum sj_kind)kind) || sj_cell_merge(d->kept[kind], svc->kept[kind]) < 0))
            return -ENOMEM;
    d->plain_as = d->plain_as ? d->plain_as : sj_name_share(svc->plain_as);
    d->rest_as = d->rest_as ? d->rest_as : sj_name_share(svc->rest_as);
    return 0;
}

size_t sj_shown_bytes(const struct sj_service *svc)
{
    size_t n = 0;
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++)
        n += svc->kept[kind] ? sizeof(*svc->kept[kind]) + sj_cell_bytes(svc->kept[kind]) : 0;
    return n;
}

void sj_shown_free(struct sj_series *s, struct sj_service *svc)
{
    sj_name_drop(s->names, svc->plain_as);
    sj_name_drop(s->names, svc->rest_as);
    for (int kind = 0; kind < SJ_KIND_MAX_; kind++) {
        if (svc->kept[kind])
            sj_cell_clear(svc->kept[kind]);
        free(svc->kept[kind]);
    }
}
