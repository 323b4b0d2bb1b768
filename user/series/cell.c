// SPDX-License-Identifier: GPL-3.0-or-later
#include "series/cell.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* malloc's own share of a block, roughly. */
#define BLOCK 16

static bool is_clock_stage(enum sj_stage stage)
{
    return stage >= SJ_STAGE_ONCPU && stage <= SJ_STAGE_HANDOFF;
}

/* A stage that did not happen is by far the most frequent case and costs nothing. */
static inline int add_lazily(struct sj_hist **h, uint64_t ns)
{
    if (ns == 0)
        return 0;
    if (!*h) {
        *h = malloc(sizeof(**h));
        if (!*h)
            return -ENOMEM;
        sj_hist_init(*h);
    }
    return sj_hist_add(*h, ns);
}

static enum sj_status_class class_of(const char *status)
{
    unsigned hundreds = (unsigned)(status[0] - '0');
    bool code = hundreds >= 1 && hundreds <= 5 && status[1] >= '0' && status[1] <= '9' && status[2] >= '0' &&
                status[2] <= '9' && !status[3];
    return code ? (enum sj_status_class)hundreds : SJ_CLASS_OTHER;
}

static void count_status(struct sj_cell *c, const char *status)
{
    c->classes[class_of(status)]++;
    if (c->status[0].requests && strcmp(c->status[0].status, status) == 0) {
        c->status[0].requests++;
        return;
    }
    size_t n = strlen(status);
    for (size_t i = 0; i < SJ_STATUSES && n < sizeof(c->status[0].status); i++) {
        struct sj_status_count *s = &c->status[i];
        if (s->requests == 0)
            memcpy(s->status, status, n + 1);
        else if (memcmp(s->status, status, n + 1) != 0)
            continue;
        s->requests++;
        return;
    }
    c->other_statuses++;
}

/* What is counted of every request, however little is kept of it. */
static inline int add_total(struct sj_cell *c, const struct sj_request *req)
{
    const uint32_t flags = req->flags;
    c->requests++;
    if (flags) {
        c->errors += (flags & SJ_REQ_ERROR) != 0;
        c->client_errors += (flags & SJ_REQ_CLIENT_ERROR) != 0;
        c->interleaved += (flags & SJ_REQ_INTERLEAVED) != 0;
        c->unparsed += (flags & SJ_REQ_UNPARSED) != 0;
        c->pipelined += (flags & SJ_REQ_PIPELINED) != 0;
    }
    if (req->status[0])
        count_status(c, req->status);
    int rc = sj_hist_add(&c->total, req->total_ns);
    if (flags & SJ_REQ_ERROR)
        rc |= add_lazily(&c->error_total, req->total_ns);
    return rc;
}

int sj_cell_add_bare(struct sj_cell *c, const struct sj_request *req)
{
    c->bare++;
    return add_total(c, req);
}

int sj_cell_add(struct sj_cell *c, const struct sj_request *req)
{
    const uint32_t flags = req->flags;
    int rc = add_total(c, req);
    if (flags) {
        c->no_arrival += (flags & SJ_REQ_NO_ARRIVAL) != 0;
        c->no_stages += (flags & SJ_REQ_NO_STAGES) != 0;
    }
    if (req->role == SJ_ROLE_CLIENT) {
        for (int i = SJ_STAGE_SEND; i < SJ_STAGE_MAX_; i++)
            rc |= add_lazily(&c->stage[i], req->stage_ns[i]);
        return rc < 0 ? -ENOMEM : 0;
    }
    if (!(flags & SJ_REQ_NO_ARRIVAL))
        rc |= add_lazily(&c->stage[SJ_STAGE_QUEUE], req->stage_ns[SJ_STAGE_QUEUE]);
    rc |= add_lazily(&c->stage[SJ_STAGE_SEND], req->stage_ns[SJ_STAGE_SEND]);
    if (flags & SJ_REQ_NO_STAGES)
        return rc < 0 ? -ENOMEM : 0;
    for (int i = SJ_STAGE_ONCPU; i <= SJ_STAGE_HANDOFF; i++)
        rc |= add_lazily(&c->stage[i], req->stage_ns[i]);
    if (req->stage_ns[SJ_STAGE_BLOCKED])
        for (int i = 0; i < SJ_CAUSE_MAX_; i++)
            rc |= add_lazily(&c->cause[i], req->blocked_ns[i]);
    return rc < 0 ? -ENOMEM : 0;
}

static int merge_lazily(struct sj_hist **dst, const struct sj_hist *src)
{
    if (!src || src->count == 0)
        return 0;
    if (!*dst) {
        *dst = malloc(sizeof(**dst));
        if (!*dst)
            return -ENOMEM;
        sj_hist_init(*dst);
    }
    return sj_hist_merge(*dst, src);
}

static void merge_statuses(struct sj_cell *dst, const struct sj_cell *src)
{
    dst->other_statuses += src->other_statuses;
    for (int i = 0; i < SJ_CLASS_MAX_; i++)
        dst->classes[i] += src->classes[i];
    for (size_t i = 0; i < SJ_STATUSES && src->status[i].requests; i++) {
        size_t k = 0;
        while (k < SJ_STATUSES && dst->status[k].requests && strcmp(dst->status[k].status, src->status[i].status) != 0)
            k++;
        if (k == SJ_STATUSES) {
            dst->other_statuses += src->status[i].requests;
            continue;
        }
        memcpy(dst->status[k].status, src->status[i].status, sizeof(dst->status[k].status));
        dst->status[k].requests += src->status[i].requests;
    }
}

int sj_cell_merge(struct sj_cell *dst, const struct sj_cell *src)
{
    int rc = sj_hist_merge(&dst->total, &src->total);
    dst->requests += src->requests;
    dst->errors += src->errors;
    dst->client_errors += src->client_errors;
    dst->interleaved += src->interleaved;
    dst->unparsed += src->unparsed;
    dst->pipelined += src->pipelined;
    dst->no_arrival += src->no_arrival;
    dst->no_stages += src->no_stages;
    dst->bare += src->bare;
    merge_statuses(dst, src);
    rc |= merge_lazily(&dst->error_total, src->error_total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        rc |= merge_lazily(&dst->stage[i], src->stage[i]);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        rc |= merge_lazily(&dst->cause[i], src->cause[i]);
    return rc < 0 ? -ENOMEM : 0;
}

static void free_lazily(struct sj_hist *h)
{
    if (h)
        sj_hist_free(h);
    free(h);
}

static void free_stages(struct sj_cell *c)
{
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        free_lazily(c->stage[i]);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        free_lazily(c->cause[i]);
    memset(c->stage, 0, sizeof(c->stage));
    memset(c->cause, 0, sizeof(c->cause));
}

void sj_cell_clear(struct sj_cell *c)
{
    free_stages(c);
    sj_hist_free(&c->total);
    free_lazily(c->error_total);
    *c = (struct sj_cell){0};
}

void sj_cell_strip(struct sj_cell *c)
{
    free_stages(c);
    c->bare = c->requests;
    c->no_arrival = 0;
    c->no_stages = 0;
}

void sj_cell_reset(struct sj_cell *c)
{
    struct sj_cell kept = {.total = c->total, .error_total = c->error_total};
    memcpy(kept.stage, c->stage, sizeof(kept.stage));
    memcpy(kept.cause, c->cause, sizeof(kept.cause));
    sj_hist_reset(&kept.total);
    if (kept.error_total)
        sj_hist_reset(kept.error_total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        if (kept.stage[i])
            sj_hist_reset(kept.stage[i]);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        if (kept.cause[i])
            sj_hist_reset(kept.cause[i]);
    *c = kept;
}

static size_t hist_bytes(const struct sj_hist *h)
{
    return h ? sizeof(*h) + h->len * sizeof(*h->counts) + (size_t)2 * BLOCK : 0;
}

size_t sj_cell_bytes(const struct sj_cell *c)
{
    size_t n = hist_bytes(&c->total) - sizeof(c->total) + hist_bytes(c->error_total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        n += hist_bytes(c->stage[i]);
    for (int i = 0; i < SJ_CAUSE_MAX_; i++)
        n += hist_bytes(c->cause[i]);
    return n;
}

uint64_t sj_cell_known(const struct sj_cell *c, enum sj_stage stage)
{
    uint64_t kept = c->requests - c->bare;
    if (stage == SJ_STAGE_QUEUE)
        return kept - c->no_arrival;
    return is_clock_stage(stage) ? kept - c->no_stages : kept;
}

/* The quantile of `known` values of which those in h are all that are not zero. */
static double quantile(const struct sj_hist *h, uint64_t known, double p)
{
    if (known == 0)
        return NAN;
    if (!h || h->count == 0)
        return 0;
    uint64_t zeros = known > h->count ? known - h->count : 0;
    double rank = p * (double)(zeros + h->count);
    if (zeros > 0 && rank <= (double)zeros)
        return 0;
    return sj_hist_at_rank(h, fmin(rank - (double)zeros, (double)h->count), NULL);
}

uint64_t sj_cell_stage_sum(const struct sj_cell *c, enum sj_stage stage)
{
    return c->stage[stage] ? c->stage[stage]->sum_ns : 0;
}

uint64_t sj_cell_cause_sum(const struct sj_cell *c, enum sj_cause cause)
{
    return c->cause[cause] ? c->cause[cause]->sum_ns : 0;
}

double sj_cell_stage_quantile(const struct sj_cell *c, enum sj_stage stage, double p)
{
    return quantile(c->stage[stage], sj_cell_known(c, stage), p);
}

double sj_cell_cause_quantile(const struct sj_cell *c, enum sj_cause cause, double p)
{
    return quantile(c->cause[cause], sj_cell_known(c, SJ_STAGE_BLOCKED), p);
}
