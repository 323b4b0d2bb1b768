// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/tally.h"

#include <errno.h>

#include "base/varint.h"

/* Multiples of the histogram's own steps around all buckets that there are. */
#define BASE (-960)
#define BUCKETS 2048
_Static_assert(BASE <= SJ_HIST_INDEX_MIN && BASE + BUCKETS > SJ_HIST_INDEX_MAX && BASE % 32 == 0, "all buckets fit");

void sj_tally_clear(struct sj_tally *t)
{
    t->requests = t->detailed = t->errors = t->sum_ns = t->max_ns = t->detailed_sum_ns = 0;
    sj_hist_reset(&t->total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        t->stage[i].known = t->stage[i].sum_ns = 0;
        sj_hist_reset(&t->stage[i].hist);
    }
}

void sj_tally_free(struct sj_tally *t)
{
    sj_hist_free(&t->total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++)
        sj_hist_free(&t->stage[i].hist);
}

static uint64_t add_up_to_most(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int add_totals(struct sj_tally *t, struct sj_tracks tracks, const struct sj_hist *h)
{
    if (h->count == 0)
        return 0;
    t->requests += h->count;
    t->sum_ns = add_up_to_most(t->sum_ns, h->sum_ns);
    t->max_ns = h->max_ns > t->max_ns ? h->max_ns : t->max_ns;
    return tracks.hists & SJ_TALLY_TOTAL ? sj_hist_merge(&t->total, h) : 0;
}

int sj_tally_add(struct sj_tally *t, struct sj_tracks tracks, const struct sj_cell *cell, const struct sj_hist *counted)
{
    int rc = counted ? add_totals(t, tracks, counted) : 0;
    if (!cell)
        return rc < 0 ? -ENOMEM : 0;
    rc |= add_totals(t, tracks, &cell->total);
    t->detailed += cell->requests;
    t->errors += cell->errors;
    t->detailed_sum_ns = add_up_to_most(t->detailed_sum_ns, cell->total.sum_ns);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        if (!(tracks.sums >> i & 1))
            continue;
        t->stage[i].known += sj_cell_known(cell, (enum sj_stage)i);
        t->stage[i].sum_ns = add_up_to_most(t->stage[i].sum_ns, sj_cell_stage_sum(cell, (enum sj_stage)i));
        if (tracks.hists >> i & 1 && cell->stage[i])
            rc |= sj_hist_merge(&t->stage[i].hist, cell->stage[i]);
    }
    return rc < 0 ? -ENOMEM : 0;
}

static uint8_t *put(uint8_t *to, uint64_t v)
{
    return to + sj_varint_put(to, v);
}

/* Zeros, sum, smallest, largest, used buckets, and for each the steps from the one before it and its count. */
static uint8_t *put_hist(uint8_t *to, const struct sj_hist *h)
{
    int first = 0, last = -1;
    uint64_t used = 0;
    to = put(to, h->zero_count);
    to = put(to, h->sum_ns);
    to = put(to, h->count ? h->min_ns : 0);
    to = put(to, h->max_ns);
    sj_hist_range(h, &first, &last);
    for (int i = first; i <= last; i++)
        used += sj_hist_count_at(h, i) != 0;
    to = put(to, used);
    for (int i = first, before = BASE; i <= last; i++) {
        uint64_t n = sj_hist_count_at(h, i);
        if (n == 0)
            continue;
        to = put(to, (uint64_t)(i - before));
        to = put(to, n);
        before = i;
    }
    return to;
}

size_t sj_tally_encode(const struct sj_tally *t, struct sj_tracks tracks, uint8_t *to)
{
    uint8_t *p = to;
    p = put(p, t->requests);
    p = put(p, t->detailed);
    p = put(p, t->errors);
    p = put(p, t->sum_ns);
    p = put(p, t->max_ns);
    p = put(p, t->detailed_sum_ns);
    if (tracks.hists & SJ_TALLY_TOTAL)
        p = put_hist(p, &t->total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        if (!(tracks.sums >> i & 1))
            continue;
        p = put(p, t->stage[i].known);
        p = put(p, t->stage[i].sum_ns);
        if (tracks.hists >> i & 1)
            p = put_hist(p, &t->stage[i].hist);
    }
    return (size_t)(p - to);
}

/* What is being read. Its bytes are our own; should they ever end early, zeros follow. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t get(struct reader *r)
{
    uint64_t v = 0;
    sj_varint_get(&r->at, r->end, &v);
    return v;
}

static int get_hist(struct reader *r, struct sj_hist *to)
{
    uint64_t counts[BUCKETS];
    struct sj_hist h = {.counts = counts, .base = BASE};
    h.zero_count = h.count = get(r);
    h.sum_ns = get(r);
    h.min_ns = get(r);
    h.max_ns = get(r);
    uint64_t used = get(r), at = 0, filled = 0;
    for (uint64_t i = 0; i < used; i++) {
        at += get(r);
        if (at >= BUCKETS)
            return 0;
        if (i == 0) {
            filled = at / 32 * 32;
            h.base += (int32_t)filled;
            h.counts = counts + filled;
        }
        while (filled < (at / 32 + 1) * 32)
            counts[filled++] = 0;
        counts[at] = get(r);
        h.count += counts[at];
    }
    h.len = used ? (uint32_t)(filled - (uint64_t)(h.counts - counts)) : 0;
    return sj_hist_merge(to, &h);
}

int sj_tally_decode(struct sj_tally *t, struct sj_tracks tracks, const uint8_t *p, size_t n)
{
    struct reader r = {p, p + n};
    int rc = 0;
    t->requests += get(&r);
    t->detailed += get(&r);
    t->errors += get(&r);
    t->sum_ns = add_up_to_most(t->sum_ns, get(&r));
    uint64_t max_ns = get(&r);
    t->max_ns = max_ns > t->max_ns ? max_ns : t->max_ns;
    t->detailed_sum_ns = add_up_to_most(t->detailed_sum_ns, get(&r));
    if (tracks.hists & SJ_TALLY_TOTAL)
        rc |= get_hist(&r, &t->total);
    for (int i = 0; i < SJ_STAGE_MAX_; i++) {
        if (!(tracks.sums >> i & 1))
            continue;
        t->stage[i].known += get(&r);
        t->stage[i].sum_ns = add_up_to_most(t->stage[i].sum_ns, get(&r));
        if (tracks.hists >> i & 1)
            rc |= get_hist(&r, &t->stage[i].hist);
    }
    return rc < 0 ? -ENOMEM : 0;
}
