// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "series/store.h"

/* What a new row will take before long: a handful of narrow histograms. */
#define ROW_ESTIMATE 4096
#define AUDIT_EVERY 8192

/* A share of the rows is for services, so that one service's operations cannot keep others from being seen. */
#define SERVICES_PER_ROWS 4

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

static uint64_t eight(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

/* Eight bytes at a step, the last of which may overlap: a name is hashed for every request. */
static uint64_t mix_text(uint64_t h, const char *text, size_t n)
{
    h ^= (uint64_t)n << 56;
    if (n < sizeof(uint64_t)) {
        uint64_t word = 0;
        for (size_t i = 0; i < n; i++)
            word = word << 8 | (uint8_t)text[i];
        return mix(h, word);
    }
    for (size_t i = 0; i < n - sizeof(uint64_t); i += sizeof(uint64_t))
        h = mix(h, eight(text + i));
    return mix(h, eight(text + n - sizeof(uint64_t)));
}

/* There are as many slots as there may be rows, so one is free for every new row. */
static uint32_t take_slot(uint64_t *taken)
{
    size_t word = 0;
    while (taken[word] == UINT64_MAX)
        word++;
    unsigned bit = (unsigned)__builtin_ctzll(~taken[word]);
    taken[word] |= 1ULL << bit;
    return (uint32_t)(64 * word + bit);
}

struct sj_series *sj_series_new(const struct sj_series_limits *limits)
{
    struct sj_series *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->limits = limits ? *limits : (struct sj_series_limits){SJ_SERIES_ROWS, SJ_SERIES_BYTES};
    s->until_audit = AUDIT_EVERY;
    /* Names come from outside: without a secret, somebody could choose them so that all share a slot. */
    if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
        s->seed = (uint64_t)(uintptr_t)s;
    size_t slots = 16;
    while (slots < 2 * s->limits.rows)
        slots *= 2;
    s->mask = slots - 1;
    s->services = calloc(slots, sizeof(*s->services));
    s->operations = calloc(slots, sizeof(*s->operations));
    s->service_slots = calloc(s->limits.rows / 64 + 1, sizeof(*s->service_slots));
    s->operation_slots = calloc(s->limits.rows / 64 + 1, sizeof(*s->operation_slots));
    if (!s->services || !s->operations || !s->service_slots || !s->operation_slots) {
        sj_series_free(s);
        return NULL;
    }
    return s;
}

static void free_service(struct sj_service *svc)
{
    for (struct sj_operation *op = svc->operations, *next; op; op = next) {
        next = op->next;
        sj_cell_clear(&op->cell);
        free(op);
    }
    sj_hist_free(&svc->counted);
    sj_pids_free(&svc->pids);
    free(svc);
}

void sj_series_free(struct sj_series *s)
{
    if (!s)
        return;
    for (struct sj_service *svc = s->first, *next; svc; svc = next) {
        next = svc->next;
        free_service(svc);
    }
    free(s->services);
    free(s->operations);
    free(s->service_slots);
    free(s->operation_slots);
    free(s);
}

/* ---- memory --------------------------------------------------------------------------------------------------------
 */

static size_t operation_bytes(const struct sj_operation *op)
{
    return sizeof(*op) + op->len + 16 + sj_cell_bytes(&op->cell);
}

size_t sj_series_bytes(const struct sj_series *s)
{
    size_t n = sizeof(*s) + 2 * (s->mask + 1) * sizeof(struct sj_slot);
    for (const struct sj_service *svc = s->first; svc; svc = svc->next) {
        n += sizeof(*svc) + svc->counted.len * sizeof(uint64_t) + svc->pids.size * sizeof(uint32_t) + 128;
        for (const struct sj_operation *op = svc->operations; op; op = op->next)
            n += operation_bytes(op);
    }
    return n;
}

static int by_requests(const void *a, const void *b)
{
    uint64_t x = (*(struct sj_operation *const *)a)->cell.requests;
    uint64_t y = (*(struct sj_operation *const *)b)->cell.requests;
    return x < y ? -1 : x > y;
}

static int put_operation(struct sj_service *svc, const char *name, struct sj_operation **out);

static int fold(struct sj_operation *op)
{
    struct sj_service *svc = op->owner;
    if (!svc->rest && put_operation(svc, "", &svc->rest) < 0)
        return -ENOMEM;
    int rc = sj_cell_merge(&svc->rest->cell, &op->cell);
    sj_cell_clear(&op->cell);
    op->folded = true;
    return rc;
}

/* Histograms grow as latencies scatter. When all of them have grown too much, the least used operations give way. */
static int fold_least_used(struct sj_series *s)
{
    struct sj_operation **all = malloc((s->rows + 1) * sizeof(struct sj_operation *));
    size_t n = 0, excess = s->bytes - s->limits.bytes, saved = 0;
    int rc = 0;
    if (!all)
        return -ENOMEM;
    for (struct sj_service *svc = s->first; svc; svc = svc->next)
        for (struct sj_operation *op = svc->operations; op && svc->operations->next; op = op->next)
            if (!op->folded && op != svc->rest && op->name[0] && n < s->rows)
                all[n++] = op;
    qsort(all, n, sizeof(struct sj_operation *), by_requests);
    for (size_t i = 0; i < n && saved < excess && rc == 0; i++) {
        saved += sj_cell_bytes(&all[i]->cell);
        rc = fold(all[i]);
    }
    free(all);
    s->bytes = sj_series_bytes(s);
    return rc;
}

static int audit(struct sj_series *s)
{
    s->until_audit = AUDIT_EVERY;
    s->bytes = sj_series_bytes(s);
    return s->bytes > s->limits.bytes + s->limits.bytes / 4 ? fold_least_used(s) : 0;
}

static bool is_full(const struct sj_series *s)
{
    return s->rows >= s->limits.rows || s->bytes >= s->limits.bytes;
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
    uint64_t h = mix(s->seed, (uint64_t)port << 16 | (uint64_t)role << 8 | protocol);
    h = mix_text(h, service, k.service_len);
    k.hash = k.container_len ? mix_text(h, container, k.container_len) : h;
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
    svc->next = s->first;
    s->first = svc;
    s->bytes += sizeof(*svc) + 128;
    return svc;
}

static struct sj_service *rest_service(struct sj_series *s, uint8_t role)
{
    struct key k = {.service = "", .container = "", .role = role < SJ_ROLE_MAX_ ? role : SJ_ROLE_UNKNOWN};
    struct sj_service **rest = &s->rest[k.role];
    if (!*rest && (*rest = new_service(s, &k)) != NULL)
        (*rest)->is_rest = true;
    return *rest;
}

static struct sj_service *get_service(struct sj_series *s, const struct key *k)
{
    size_t i = k->hash & s->mask;
    for (; s->services[i].row; i = (i + 1) & s->mask) {
        struct sj_service *svc = s->services[i].row;
        if (s->services[i].hash == k->hash && is_service(svc, k))
            return svc;
    }
    if (is_full(s) || s->n_services >= s->limits.rows / SERVICES_PER_ROWS)
        return rest_service(s, k->role);
    struct sj_service *svc = new_service(s, k);
    if (!svc)
        return NULL;
    svc->slot = take_slot(s->service_slots);
    s->services[i] = (struct sj_slot){k->hash, svc};
    s->rows++;
    s->n_services++;
    return svc;
}

static int put_operation(struct sj_service *svc, const char *name, struct sj_operation **out)
{
    size_t len = strlen(name);
    struct sj_operation *op = calloc(1, sizeof(*op) + len + 1);
    if (!op)
        return -ENOMEM;
    sj_hist_init(&op->cell.total);
    memcpy(op->name, name, len + 1);
    op->len = len;
    op->owner = svc;
    op->next = svc->operations;
    svc->operations = op;
    *out = op;
    return 0;
}

static struct sj_operation *rest_operation(struct sj_service *svc)
{
    if (!svc->rest && put_operation(svc, "", &svc->rest) < 0)
        return NULL;
    return svc->rest;
}

static struct sj_operation *get_operation(struct sj_series *s, struct sj_service *svc, const char *name)
{
    size_t len = strlen(name);
    uint64_t hash = mix_text(svc->hash, name, len);
    size_t i = hash & s->mask;
    for (; s->operations[i].row; i = (i + 1) & s->mask) {
        struct sj_operation *op = s->operations[i].row;
        if (s->operations[i].hash == hash && op->owner == svc && op->len == len && memcmp(op->name, name, len) == 0)
            return op->folded ? rest_operation(svc) : op;
    }
    if (svc->is_rest || is_full(s))
        return rest_operation(svc);
    struct sj_operation *op;
    if (put_operation(svc, name, &op) < 0)
        return NULL;
    op->hash = hash;
    op->slot = take_slot(s->operation_slots);
    s->operations[i] = (struct sj_slot){hash, op};
    s->rows++;
    s->bytes += ROW_ESTIMATE;
    return op;
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

int sj_series_add(struct sj_series *s, const struct sj_request *req)
{
    if (s->until_audit-- == 0 && audit(s) < 0)
        return -ENOMEM;
    struct sj_operation *op = operation_of(s, req);
    return op ? sj_cell_add(&op->cell, req) : -ENOMEM;
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
    svc->lower_bound = svc->lower_bound || counted->lower_bound;
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        svc->counted_stage_ns[i] += counted->stage_sum_ns[i];
    return 0;
}
