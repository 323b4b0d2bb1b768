// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "collect/counted.h"

/* Between two tellings; what is beyond is counted under somebody else's name. */
#define ROWS_MAX 1024
/* Who owes something after a telling. Debts are few and short; those that are forgotten cancel out in the number. */
#define DEBTORS_MAX 64
#define BUCKETS (SJ_HIST_INDEX_MAX - SJ_HIST_INDEX_MIN + 2)

struct row {
    char comm[SJ_COMM_LEN];
    struct sj_counted sums;   /* of what is not told yet; its histogram has no counts */
    int64_t buckets[BUCKETS]; /* first the zeros, then by index: what is not told, or owed */
};

struct sj_ledger {
    struct row *rows[ROWS_MAX];
    size_t n;
};

struct sj_ledger *sj_ledger_new(void)
{
    return calloc(1, sizeof(struct sj_ledger));
}

void sj_ledger_free(struct sj_ledger *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->rows[i]);
    free(l);
}

static struct row *row_of(struct sj_ledger *l, const struct sj_overflow_key *key)
{
    uint8_t protocol = sj_counted_protocol(key->hint);
    for (size_t i = 0; i < l->n; i++) {
        struct row *r = l->rows[i];
        if (r->sums.role == key->role && r->sums.port == key->port && r->sums.protocol == protocol &&
            strncmp(r->comm, key->comm, SJ_COMM_LEN - 1) == 0)
            return r;
    }
    if (l->n == ROWS_MAX)
        return l->rows[ROWS_MAX - 1];
    struct row *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    memcpy(r->comm, key->comm, SJ_COMM_LEN - 1);
    r->sums.service = r->comm;
    r->sums.role = key->role;
    r->sums.port = key->port;
    r->sums.protocol = protocol;
    l->rows[l->n++] = r;
    return r;
}

int sj_ledger_cell(void *ledger, const struct sj_overflow_key *key, const struct sj_overflow_value *sum,
                   struct sj_err *err)
{
    if (key->role >= SJ_ROLE_MAX_)
        return 0;
    struct row *r = row_of(ledger, key);
    if (!r)
        return sj_fail(err, EX_OSERR, "out of memory");
    if (key->bucket == SJ_BUCKET_SUMS)
        sj_counted_sums(&r->sums, sum);
    else if (key->bucket == SJ_BUCKET_ZERO)
        r->buckets[0] += sum->count;
    else if (key->bucket >= SJ_HIST_INDEX_MIN && key->bucket <= SJ_HIST_INDEX_MAX)
        r->buckets[1 + key->bucket - SJ_HIST_INDEX_MIN] += sum->count;
    return 0;
}

/* Puts what can be told of a row into *total, from the highest bucket down. Returns 0 or a negative errno. */
static int settle(struct row *r, struct sj_hist *total)
{
    int64_t owed = 0;
    int rc = 0;
    for (int i = 0; i < BUCKETS; i++)
        owed += r->buckets[i] < 0 ? -r->buckets[i] : 0;
    for (int i = BUCKETS - 1; i >= 0 && rc == 0; i--) {
        int64_t n = r->buckets[i], held = n < owed ? n : owed;
        if (n <= 0)
            continue;
        owed -= held;
        r->buckets[i] = held;
        if (n > held && i > 0)
            rc = sj_hist_add_bucket(total, i - 1 + SJ_HIST_INDEX_MIN, (uint64_t)(n - held), 0);
        else if (n > held)
            rc = sj_hist_add_n(total, 0, (uint64_t)(n - held));
    }
    return rc;
}

static int tell_row(struct row *r, sj_counted_fn fn, void *ctx, struct sj_err *err)
{
    struct sj_counted told = r->sums;
    sj_hist_init(&told.total);
    int status = settle(r, &told.total);
    if (status < 0) {
        status = sj_fail(err, EX_OSERR, "out of memory");
    } else if (told.total.count > 0) {
        told.total.sum_ns = r->sums.total.sum_ns;
        status = fn(ctx, &told, err);
        r->sums.total.sum_ns = 0;
        r->sums.lower_bound = false;
        memset(r->sums.stage_sum_ns, 0, sizeof(r->sums.stage_sum_ns));
    }
    sj_hist_free(&told.total);
    return status;
}

static bool is_done(const struct row *r)
{
    for (int i = 0; i < BUCKETS; i++)
        if (r->buckets[i])
            return false;
    return r->sums.total.sum_ns == 0;
}

int sj_ledger_tell(struct sj_ledger *l, sj_counted_fn fn, void *ctx, struct sj_err *err)
{
    size_t kept = 0;
    int status = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct row *r = l->rows[i];
        if (!status)
            status = tell_row(r, fn, ctx, err);
        if (is_done(r) || (!status && kept >= DEBTORS_MAX))
            free(r);
        else
            l->rows[kept++] = r;
    }
    l->n = kept;
    return status;
}
