// SPDX-License-Identifier: GPL-3.0-or-later
#include "decode/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SPARES_MAX 1024 /* freed requests that are kept for reuse */

/* The kernel numbers sockets one after the other: those of one time share cache lines, and no slot. */
static uint32_t slot_of(const struct sj_connections *t, uint64_t cookie)
{
    return (uint32_t)(cookie ^ cookie >> t->bits) & ((1U << t->bits) - 1);
}

static void list_remove(struct sj_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
}

static void list_append(struct sj_list *list, struct sj_list *item)
{
    item->prev = list->prev;
    item->next = list;
    list->prev->next = item;
    list->prev = item;
}

int sj_connections_init(struct sj_connections *t, uint32_t limit)
{
    memset(t, 0, sizeof(*t));
    t->bits = 4;
    while (t->bits < 20 && (1U << t->bits) < limit)
        t->bits++;
    t->buckets = calloc((size_t)1 << t->bits, sizeof(struct sj_connection *));
    if (!t->buckets)
        return -ENOMEM;
    t->limit = limit;
    t->active.prev = &t->active;
    t->active.next = &t->active;
    return 0;
}

void sj_connections_fini(struct sj_connections *t)
{
    if (!t->buckets)
        return;
    while (t->active.next != &t->active)
        sj_connection_drop(t, (struct sj_connection *)t->active.next);
    while (t->spare) {
        struct sj_pending *p = t->spare;
        t->spare = p->next;
        free(p);
    }
    for (int i = 0; i < SJ_PROTO_MAX_; i++)
        free(t->shared[i]);
    free(t->buckets);
    memset(t, 0, sizeof(*t));
}

struct sj_connection *sj_connection_find(struct sj_connections *t, uint64_t cookie)
{
    struct sj_connection *c = t->buckets[slot_of(t, cookie)];
    while (c && c->cookie != cookie)
        c = c->chain;
    return c;
}

struct sj_connection *sj_connection_add(struct sj_connections *t, uint64_t cookie)
{
    struct sj_connection *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    uint32_t slot = slot_of(t, cookie);
    c->cookie = cookie;
    c->chain = t->buckets[slot];
    t->buckets[slot] = c;
    list_append(&t->active, &c->active);
    t->count++;
    return c;
}

void sj_connection_touch(struct sj_connections *t, struct sj_connection *c, uint64_t now)
{
    if (now > c->activity)
        c->activity = now;
    if (t->active.prev == &c->active)
        return;
    list_remove(&c->active);
    list_append(&t->active, &c->active);
}

void sj_connection_drop(struct sj_connections *t, struct sj_connection *c)
{
    struct sj_connection **link = &t->buckets[slot_of(t, c->cookie)];
    while (*link != c)
        link = &(*link)->chain;
    *link = c->chain;
    list_remove(&c->active);
    while (c->head)
        sj_pending_pop(t, c);
    if (c->decoder && c->decoder->fini)
        c->decoder->fini(c->state);
    free(c->state);
    free(c->path);
    free(c);
    t->count--;
}

struct sj_connection *sj_connection_oldest(const struct sj_connections *t)
{
    return t->active.next == &t->active ? NULL : (struct sj_connection *)t->active.next;
}

struct sj_pending *sj_pending_add(struct sj_connections *t, struct sj_connection *c)
{
    struct sj_pending *p = t->spare;
    if (p) {
        t->spare = p->next;
        t->spares--;
    } else {
        p = malloc(sizeof(*p));
        if (!p)
            return NULL;
    }
    /* in parts: a compiler makes a slow loop of one long clearing */
    memset(p, 0, offsetof(struct sj_pending, stage));
    memset(p->stage, 0, sizeof(p->stage));
    memset(p->blocked, 0, sizeof(p->blocked));
    memset(&p->ask_at, 0, offsetof(struct sj_pending, operation) - offsetof(struct sj_pending, ask_at));
    p->operation[0] = '\0';
    p->status[0] = '\0';
    if (c->tail)
        c->tail->next = p;
    else
        c->head = p;
    c->tail = p;
    c->pendings++;
    return p;
}

static void give_back(struct sj_connections *t, struct sj_pending *p)
{
    if (t->spares >= SPARES_MAX) {
        free(p);
        return;
    }
    p->next = t->spare;
    t->spare = p;
    t->spares++;
}

uint32_t sj_pending_drop_tail(struct sj_connections *t, struct sj_connection *c)
{
    struct sj_pending **link = &c->head, *last = NULL;
    uint32_t dropped = 0;
    while (*link && (*link)->timed) {
        last = *link;
        link = &last->next;
    }
    struct sj_pending *p = *link, *next;
    *link = NULL;
    c->tail = last;
    for (; p; p = next) {
        next = p->next;
        give_back(t, p);
        dropped++;
    }
    c->pendings = (uint16_t)(c->pendings - dropped);
    return dropped;
}

void sj_pending_pop(struct sj_connections *t, struct sj_connection *c)
{
    struct sj_pending *p = c->head;
    c->head = p->next;
    c->pendings--;
    if (!c->head)
        c->tail = NULL;
    give_back(t, p);
}
