// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "series/hash.h"
#include "series/store.h"

/* What a new row will take before long: a handful of narrow histograms. */
#define ROW_ESTIMATE 4096
#define EXEMPLAR_NS 60000000000ULL

/* A share of the rows is for services, so that one service's operations cannot keep others from being seen. */
#define SERVICES_PER_ROWS 4

struct sj_series *sj_series_new(const struct sj_series_limits *limits)
{
    struct sj_series *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->limits = limits ? *limits : (struct sj_series_limits){.rows = SJ_SERIES_ROWS, .bytes = SJ_SERIES_BYTES};
    s->until_audit = SJ_AUDIT_EVERY;
    s->course_buckets = SJ_COURSE_BUCKETS;
    /* Names come from outside: without a secret, somebody could choose them so that all share a slot. */
    if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
        s->seed = (uint64_t)(uintptr_t)s;
    size_t slots = 16;
    while (slots < 2 * s->limits.rows)
        slots *= 2;
    s->mask = slots - 1;
    s->services = calloc(slots, sizeof(*s->services));
    s->operations = calloc(slots, sizeof(*s->operations));
    if (s->limits.idle_ns)
        s->names = sj_names_new(2 * s->limits.rows + 16, s->limits.series);
    if (!s->services || !s->operations || (s->limits.idle_ns && !s->names)) {
        sj_series_free(s);
        return NULL;
    }
    return s;
}

static void free_operation(struct sj_series *s, struct sj_operation *op)
{
    sj_interval_free(op);
    sj_name_drop(s->names, op->as);
    sj_cell_clear(&op->cell);
    free(op);
}

static void free_service(struct sj_series *s, struct sj_service *svc)
{
    for (struct sj_operation *op = svc->operations, *next; op; op = next) {
        next = op->next;
        free_operation(s, op);
    }
    if (svc->retired)
        sj_cell_clear(svc->retired);
    free(svc->retired);
    sj_shown_free(s, svc);
    sj_hist_free(&svc->counted);
    sj_hist_free(&svc->counted_interval);
    sj_course_free(&svc->course);
    sj_pids_free(&svc->pids);
    free(svc);
}

void sj_series_free(struct sj_series *s)
{
    if (!s)
        return;
    for (struct sj_service *svc = s->first, *next; svc; svc = next) {
        next = svc->next;
        free_service(s, svc);
    }
    free(s->services);
    free(s->operations);
    sj_names_free(s->names);
    free(s);
}

static bool is_full_for_operations(const struct sj_series *s)
{
    size_t most = s->limits.rows - (s->limits.idle_ns ? s->limits.rows / SERVICES_PER_ROWS : 0);
    return s->rows >= s->limits.rows || s->rows - s->n_services >= most || s->bytes >= s->limits.bytes;
}

/* In a series that lasts, services and what has no operation have memory and rows that operations leave to them. */
static bool is_full(const struct sj_series *s)
{
    return s->rows >= s->limits.rows || s->bytes >= s->limits.bytes + (s->limits.idle_ns ? s->limits.bytes / 8 : 0);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------
 */

struct key {
    const char *service;
    const char *container;
    size_t service_len;
    size_t container_len;
    uint64_t hash;
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
};

static struct key make_key(const struct sj_series *s, const char *service, const char *container, uint8_t role,
                           uint8_t protocol, uint16_t port)
{
    struct key k = {.service = service, .container = container, .role = role, .protocol = protocol, .port = port};
    k.service_len = strlen(service);
    k.container_len = strlen(container);
    uint64_t h = sj_hash_mix(s->seed, (uint64_t)port << 16 | (uint64_t)role << 8 | protocol);
    h = sj_hash_text(h, service, k.service_len);
    k.hash = k.container_len ? sj_hash_text(h, container, k.container_len) : h;
    return k;
}

static bool is_service(const struct sj_service *svc, const struct key *k)
{
    return svc->port == k->port && svc->role == k->role && svc->protocol == k->protocol &&
           svc->service_len == k->service_len && svc->container_len == k->container_len &&
           memcmp(svc->text, k->service, k->service_len) == 0 &&
           memcmp(svc->container, k->container, k->container_len) == 0;
}

static struct sj_service *new_service(struct sj_series *s, const struct key *k)
{
    struct sj_service *svc = calloc(1, sizeof(*svc) + k->service_len + k->container_len + 2);
    if (!svc)
        return NULL;
    sj_hist_init(&svc->counted);
    svc->course.buckets_max = (uint16_t)s->course_buckets;
    svc->hash = k->hash;
    svc->role = k->role;
    svc->protocol = k->protocol;
    svc->port = k->port;
    char *container = svc->text + k->service_len + 1;
    memcpy(svc->text, k->service, k->service_len + 1);
    memcpy(container, k->container, k->container_len + 1);
    svc->container = container;
    svc->service_len = k->service_len;
    svc->container_len = k->container_len;
    svc->identity =
        sj_hash_text(sj_hash_mix(s->seed, (uint64_t)k->role << 8 | k->protocol), k->service, k->service_len);
    svc->created_ns = s->now_ns;
    svc->counted_ns = s->now_ns;
    svc->next = s->first;
    s->first = svc;
    s->bytes += sizeof(*svc) + 128;
    return svc;
}

struct sj_service *sj_store_rest_service(struct sj_series *s, uint8_t role)
{
    struct key k = {.service = "", .container = "", .role = role < SJ_ROLE_MAX_ ? role : SJ_ROLE_UNKNOWN};
    struct sj_service **rest = &s->rest[k.role];
    if (!*rest && (*rest = new_service(s, &k)) != NULL)
        (*rest)->is_rest = true;
    return *rest;
}

static struct sj_service *find_service(const struct sj_series *s, const struct key *k, size_t *place)
{
    size_t i = k->hash & s->mask;
    for (; s->services[i].row; i = (i + 1) & s->mask) {
        struct sj_service *svc = s->services[i].row;
        if (s->services[i].hash == k->hash && is_service(svc, k))
            return svc;
    }
    *place = i;
    return NULL;
}

static struct sj_service *put_service(struct sj_series *s, const struct key *k, size_t place)
{
    struct sj_service *svc = new_service(s, k);
    if (!svc)
        return NULL;
    s->services[place] = (struct sj_slot){k->hash, svc};
    s->rows++;
    s->n_services++;
    sj_interval_service(s, svc);
    return svc;
}

static struct sj_service *get_service(struct sj_series *s, const struct key *k)
{
    size_t place = 0;
    struct sj_service *svc = find_service(s, k, &place);
    if (svc)
        return svc;
    if (is_full(s) || s->n_services >= s->limits.rows / SERVICES_PER_ROWS)
        return sj_store_rest_service(s, k->role);
    return put_service(s, k, place);
}

struct sj_service *sj_store_service(struct sj_series *s, const char *service, uint8_t role, uint8_t protocol)
{
    struct key k = make_key(s, service, "", role, protocol, 0);
    size_t place = 0;
    struct sj_service *svc = find_service(s, &k, &place);
    return svc ? svc : put_service(s, &k, place);
}

static struct sj_operation *new_operation(const struct sj_series *s, struct sj_service *svc, const char *name)
{
    size_t len = strlen(name);
    struct sj_operation *op = calloc(1, sizeof(*op) + len + 1);
    if (!op)
        return NULL;
    sj_hist_init(&op->cell.total);
    memcpy(op->name, name, len + 1);
    op->len = len;
    op->owner = svc;
    op->created_ns = op->used_ns = s->now_ns;
    op->next = svc->operations;
    svc->operations = op;
    return op;
}

struct sj_operation *sj_store_rest_operation(struct sj_series *s, struct sj_service *svc)
{
    if (!svc->rest && (svc->rest = new_operation(s, svc, "")) != NULL)
        sj_interval_operation(s, svc->rest);
    return svc->rest;
}

static struct sj_operation *find_operation(const struct sj_series *s, const struct sj_service *svc, const char *name,
                                           size_t *place, uint64_t *hash)
{
    size_t len = strlen(name);
    *hash = sj_hash_text(svc->hash, name, len);
    size_t i = *hash & s->mask;
    for (; s->operations[i].row; i = (i + 1) & s->mask) {
        struct sj_operation *op = s->operations[i].row;
        if (s->operations[i].hash == *hash && op->owner == svc && op->len == len && memcmp(op->name, name, len) == 0)
            return op;
    }
    *place = i;
    return NULL;
}

struct sj_operation *sj_store_find(const struct sj_series *s, const struct sj_service *svc, const char *name)
{
    size_t place;
    uint64_t hash;
    return find_operation(s, svc, name, &place, &hash);
}

static struct sj_operation *put_operation(struct sj_series *s, struct sj_service *svc, const char *name, size_t place,
                                          uint64_t hash)
{
    struct sj_operation *op = new_operation(s, svc, name);
    if (!op)
        return NULL;
    op->hash = hash;
    if (s->names)
        sj_shown_begin(s, op);
    s->operations[place] = (struct sj_slot){hash, op};
    s->rows++;
    s->bytes += ROW_ESTIMATE;
    sj_interval_operation(s, op);
    return op;
}

static struct sj_operation *get_operation(struct sj_series *s, struct sj_service *svc, const char *name)
{
    size_t place = 0;
    uint64_t hash;
    struct sj_operation *op = find_operation(s, svc, name, &place, &hash);
    if (op)
        return op->folded ? sj_store_rest_operation(s, svc) : op;
    if (svc->is_rest || (name[0] ? is_full_for_operations(s) : is_full(s)))
        return sj_store_rest_operation(s, svc);
    return put_operation(s, svc, name, place, hash);
}

struct sj_operation *sj_store_operation(struct sj_series *s, struct sj_service *svc, const char *name)
{
    size_t place = 0;
    uint64_t hash;
    struct sj_operation *op = find_operation(s, svc, name, &place, &hash);
    return op ? op : put_operation(s, svc, name, place, hash);
}

/* ---- rows that go ---- */

void sj_store_forget(struct sj_slot *table, size_t mask, uint64_t hash, const void *row)
{
    size_t gap = hash & mask;
    while (table[gap].row != row)
        gap = (gap + 1) & mask;
    for (size_t i = (gap + 1) & mask; table[i].row; i = (i + 1) & mask) {
        size_t home = table[i].hash & mask;
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        table[gap] = table[i];
        gap = i;
    }
    table[gap] = (struct sj_slot){0};
}

void sj_store_remove_operation(struct sj_series *s, struct sj_operation *op)
{
    struct sj_service *svc = op->owner;
    struct sj_operation **link = &svc->operations;
    while (*link != op)
        link = &(*link)->next;
    *link = op->next;
    if (op == svc->rest) {
        svc->rest = NULL;
    } else {
        sj_store_forget(s->operations, s->mask, op->hash, op);
        s->rows--;
    }
    memset(s->recent, 0, sizeof(s->recent));
    free_operation(s, op);
}

void sj_store_remove_service(struct sj_series *s, struct sj_service *svc)
{
    struct sj_service **link = &s->first;
    while (svc->operations)
        sj_store_remove_operation(s, svc->operations);
    while (*link != svc)
        link = &(*link)->next;
    *link = svc->next;
    sj_store_forget(s->services, s->mask, svc->hash, svc);
    s->rows--;
    s->n_services--;
    memset(s->recent, 0, sizeof(s->recent));
    free_service(s, svc);
}

static bool is_recent(const struct sj_recent *r, const struct sj_request *req, uint32_t traits)
{
    const struct sj_service *svc = r->service;
    return svc && r->pid == req->pid && r->traits == traits && strcmp(svc->text, req->service) == 0 &&
           svc->container[0] == req->container[0] &&
           (!req->container[0] || strcmp(svc->container, req->container) == 0);
}

/* A process mostly serves, or asks, one service, and often the same of it: what it did last is looked at first. */
static struct sj_operation *operation_of(struct sj_series *s, const struct sj_request *req)
{
    uint32_t traits = (uint32_t)req->port << 16 | (uint32_t)req->role << 8 | req->protocol;
    struct sj_recent *r = &s->recent[((req->pid ^ traits) * 2654435769U) >> (32 - SJ_RECENT_BITS)];
    if (!is_recent(r, req, traits)) {
        struct key k = make_key(s, req->service, req->container, req->role, req->protocol, req->port);
        struct sj_service *svc = get_service(s, &k);
        if (!svc || sj_pids_add(&svc->pids, req->pid) < 0)
            return NULL;
        if (svc->is_rest)
            return get_operation(s, svc, req->operation);
        *r = (struct sj_recent){.service = svc, .pid = req->pid, .traits = traits};
    } else if (r->operation && !r->operation->folded && strcmp(r->operation->name, req->operation) == 0) {
        return r->operation;
    }
    struct sj_operation *op = get_operation(s, r->service, req->operation);
    r->operation = op && op != r->service->rest ? op : NULL;
    return op;
}

/* The slowest request of a minute, or the first one of the next, is the row's example; each is later than the last. */
static void keep_exemplar(const struct sj_series *s, struct sj_operation *op, const struct sj_request *req)
{
    struct sj_exemplar *e = &op->exemplar;
    uint64_t end_ns = req->start_ns + req->total_ns;
    if (end_ns < e->mono_ns || (req->total_ns < e->total_ns && s->now_ns < e->mono_ns + EXEMPLAR_NS))
        return;
    *e = (struct sj_exemplar){.total_ns = req->total_ns, .mono_ns = end_ns, .pid = req->pid, .peer = req->peer};
}

int sj_series_add(struct sj_series *s, const struct sj_request *req)
{
    if (s->until_audit-- == 0 && sj_series_audit(s) < 0)
        return -ENOMEM;
    struct sj_operation *op = operation_of(s, req);
    if (!op)
        return -ENOMEM;
    if (!s->limits.idle_ns) {
        if (sj_course_add(&op->owner->course, req->start_ns, req->total_ns) < 0)
            return -ENOMEM;
        return sj_cell_add(&op->cell, req);
    }
    op->used_ns = s->now_ns;
    keep_exemplar(s, op, req);
    int rc = op->bare ? sj_cell_add_bare(&op->cell, req) : sj_cell_add(&op->cell, req);
    return op->watched && sj_interval_add(op, req) < 0 ? -ENOMEM : rc;
}

/* ---- turns without detail ------------------------------------------------------------------------------------------
 */

/*
 * Whose turns these were: the kernel side knows the service, its port and a guess at the protocol, not the container.
 * Where that leaves exactly one row it is the one; several rows are not chosen between.
 */
static struct sj_service *owner_of(struct sj_series *s, const struct sj_counted *c)
{
    struct sj_service *same = NULL, *similar = NULL;
    size_t n_same = 0, n_similar = 0;
    for (struct sj_service *svc = s->first; svc; svc = svc->next) {
        if (svc->is_rest || svc->role != c->role || svc->port != c->port || strcmp(svc->text, c->service) != 0)
            continue;
        similar = svc;
        n_similar++;
        if (svc->protocol != c->protocol)
            continue;
        same = svc;
        n_same++;
    }
    if (n_same == 1)
        return same;
    if (n_same == 0 && n_similar == 1 && c->protocol == SJ_PROTO_UNKNOWN)
        return similar;
    struct key k = make_key(s, c->service, "", c->role, c->protocol, c->port);
    return get_service(s, &k);
}

int sj_series_add_counted(struct sj_series *s, const struct sj_counted *counted)
{
    if (counted->total.count == 0)
        return 0;
    struct sj_service *svc = owner_of(s, counted);
    if (!svc || sj_hist_merge(&svc->counted, &counted->total) < 0)
        return -ENOMEM;
    if (svc->counted_watched && sj_hist_merge(&svc->counted_interval, &counted->total) < 0)
        return -ENOMEM;
    svc->counted_ns = s->now_ns;
    svc->lower_bound = svc->lower_bound || counted->lower_bound;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        svc->counted_stage_ns[i] += counted->stage_sum_ns[i];
    return 0;
}
