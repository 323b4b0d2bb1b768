// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/counted.h"

#include <stdlib.h>
#include <string.h>

static const enum sj_stage server_stages[SJ_OVERFLOW_STAGES] = {
    SJ_STAGE_QUEUE, SJ_STAGE_ONCPU, SJ_STAGE_BUSY, SJ_STAGE_RUNQ, SJ_STAGE_BLOCKED, SJ_STAGE_HANDOFF, SJ_STAGE_SEND};
static const enum sj_stage client_stages[] = {SJ_STAGE_SEND, SJ_STAGE_WAIT, SJ_STAGE_PICKUP, SJ_STAGE_RECEIVE};

void sj_counted_init(struct sj_counted_table *t)
{
    memset(t, 0, sizeof(*t));
}

void sj_counted_fini(struct sj_counted_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        sj_hist_free(&t->rows[i].total);
    free(t->rows);
    free(t->comms);
    sj_counted_init(t);
}

uint8_t sj_counted_protocol(uint8_t hint)
{
    return hint == SJ_HINT_HTTP ? SJ_PROTO_HTTP : hint == SJ_HINT_TLS ? SJ_PROTO_TLS : SJ_PROTO_UNKNOWN;
}

static bool grow(struct sj_counted_table *t)
{
    size_t room = t->room ? 2 * t->room : 16;
    void *comms = realloc(t->comms, room * sizeof(*t->comms));
    if (!comms)
        return false;
    t->comms = comms;
    struct sj_counted *rows = realloc(t->rows, room * sizeof(*rows));
    if (!rows)
        return false;
    t->rows = rows;
    t->room = room;
    for (size_t i = 0; i < t->count; i++)
        t->rows[i].service = t->comms[i];
    return true;
}

static struct sj_counted *row_of(struct sj_counted_table *t, const struct sj_overflow_key *key)
{
    uint8_t protocol = sj_counted_protocol(key->hint);
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].role == key->role && t->rows[i].port == key->port && t->rows[i].protocol == protocol &&
            memcmp(t->comms[i], key->comm, SJ_COMM_LEN) == 0)
            return &t->rows[i];
    if (t->count == t->room && !grow(t))
        return NULL;
    struct sj_counted *row = &t->rows[t->count];
    memset(row, 0, sizeof(*row));
    memcpy(t->comms[t->count], key->comm, SJ_COMM_LEN);
    t->comms[t->count][SJ_COMM_LEN - 1] = '\0';
    row->service = t->comms[t->count];
    row->role = key->role;
    row->port = key->port;
    row->protocol = protocol;
    sj_hist_init(&row->total);
    t->count++;
    return row;
}

/* The histogram's own sum is made of bucket edges: only the difference to the true one is carried here. */
void sj_counted_sums(struct sj_counted *row, const struct sj_overflow_value *sum)
{
    if (sum->total_ns > 0)
        row->total.sum_ns += (uint64_t)sum->total_ns;
    bool client = row->role == SJ_ROLE_CLIENT;
    size_t n = client ? sizeof(client_stages) / sizeof(client_stages[0]) : SJ_OVERFLOW_STAGES;
    for (size_t i = 0; i < n; i++)
        if (sum->stage_ns[i] > 0)
            row->stage_sum_ns[client ? client_stages[i] : server_stages[i]] += (uint64_t)sum->stage_ns[i];
    row->lower_bound |= sum->pipelined > 0;
}

int sj_counted_cell(void *table, const struct sj_overflow_key *key, const struct sj_overflow_value *sum,
                    struct sj_err *err)
{
    if (key->role >= SJ_ROLE_MAX_)
        return 0;
    struct sj_counted *row = row_of(table, key);
    if (!row)
        return sj_fail(err, EX_OSERR, "out of memory");
    int status = 0;
    if (key->bucket == SJ_BUCKET_SUMS) {
        sj_counted_sums(row, sum);
    } else if (sum->count > 0) {
        if (key->bucket == SJ_BUCKET_ZERO)
            status = sj_hist_add_n(&row->total, 0, (uint64_t)sum->count);
        else
            status = sj_hist_add_bucket(&row->total, key->bucket, (uint64_t)sum->count, 0);
    }
    return status ? sj_fail(err, EX_OSERR, "cannot add up the overflow histogram") : 0;
}

uint64_t sj_counted_requests(const struct sj_counted_table *t)
{
    uint64_t n = 0;
    for (size_t i = 0; i < t->count; i++)
        n += t->rows[i].total.count;
    return n;
}
