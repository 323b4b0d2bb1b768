// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/burn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantile.h"

#define S 1000000000LL

/* One-sided: 5 % of the time the truth lies below. */
#define LEVEL 0.90

enum { LEVEL_HOUR, LEVEL_QUARTER, LEVEL_DAYS, LEVEL_BUDGET };
static const uint32_t slots_of[SJ_BURN_LEVELS] = {360, 360, 432, 720};
#define SLOTS (360 + 360 + 432 + 720)

struct level {
    int64_t slot_ns;
    int64_t newest; /* number of the slot that takes in */
    struct sj_burn_count *slots;
    uint32_t n;
};

struct sj_burn {
    struct level levels[SJ_BURN_LEVELS];
    int64_t born_ns;
    struct sj_burn_count slots[SLOTS];
};

static const struct {
    unsigned level;
    int64_t ns; /* 0: all of the level */
} windows[SJ_BURN_WINDOW_MAX_] = {
    [SJ_BURN_5M] = {LEVEL_HOUR, 300 * S}, [SJ_BURN_30M] = {LEVEL_HOUR, 1800 * S}, [SJ_BURN_1H] = {LEVEL_HOUR, 0},
    [SJ_BURN_6H] = {LEVEL_QUARTER, 0},    [SJ_BURN_3D] = {LEVEL_DAYS, 0},         [SJ_BURN_BUDGET] = {LEVEL_BUDGET, 0},
};

const struct sj_burn_alert sj_burn_alerts[SJ_BURN_PAIR_MAX_] = {
    [SJ_BURN_FAST] = {14.4, SJ_BURN_1H, SJ_BURN_5M, 3600 * S, 300 * S, "page", "1h", "5m"},
    [SJ_BURN_SLOW] = {6, SJ_BURN_6H, SJ_BURN_30M, 6 * 3600 * S, 1800 * S, "page", "6h", "30m"},
    [SJ_BURN_TICKET] = {1, SJ_BURN_3D, SJ_BURN_6H, 72 * 3600 * S, 6 * 3600 * S, "ticket", "3d", "6h"},
};

static int64_t number_of(const struct level *l, int64_t now_ns)
{
    int64_t q = now_ns / l->slot_ns;
    return q - (now_ns % l->slot_ns < 0);
}

static struct sj_burn_count *slot(const struct level *l, int64_t number)
{
    int64_t at = number % l->n;
    return &l->slots[at < 0 ? at + l->n : at];
}

struct sj_burn *sj_burn_new(uint64_t budget_window_ns, int64_t now_ns)
{
    const int64_t slot_ns[SJ_BURN_LEVELS] = {10 * S, 60 * S, 600 * S, (int64_t)(budget_window_ns / 720)};
    struct sj_burn *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->born_ns = now_ns;
    for (unsigned i = 0, at = 0; i < SJ_BURN_LEVELS; at += slots_of[i++]) {
        b->levels[i] = (struct level){.slot_ns = slot_ns[i], .slots = b->slots + at, .n = slots_of[i]};
        b->levels[i].newest = number_of(&b->levels[i], now_ns);
    }
    return b;
}

size_t sj_burn_bytes(void)
{
    return sizeof(struct sj_burn);
}

static void advance(struct level *l, int64_t now_ns)
{
    int64_t number = number_of(l, now_ns);
    int64_t steps = number - l->newest;
    if (steps <= 0)
        return;
    if (steps > l->n)
        steps = l->n;
    for (int64_t i = 0; i < steps; i++)
        *slot(l, number - i) = (struct sj_burn_count){0};
    l->newest = number;
}

void sj_burn_add(struct sj_burn *b, int64_t now_ns, struct sj_burn_count n)
{
    for (unsigned i = 0; i < SJ_BURN_LEVELS; i++) {
        struct level *l = &b->levels[i];
        advance(l, now_ns);
        slot(l, l->newest)->bad += n.bad;
        slot(l, l->newest)->total += n.total;
    }
}

struct sj_burn_count sj_burn_sum(struct sj_burn *b, enum sj_burn_window window, int64_t now_ns)
{
    struct level *l = &b->levels[windows[window].level];
    int64_t n = windows[window].ns ? windows[window].ns / l->slot_ns : l->n;
    struct sj_burn_count sum = {0};
    advance(l, now_ns);
    for (int64_t i = 0; i < n; i++) {
        const struct sj_burn_count *c = slot(l, l->newest - i);
        sum.bad += c->bad;
        sum.total += c->total;
    }
    return sum;
}

int64_t sj_burn_age(const struct sj_burn *b, int64_t now_ns)
{
    return now_ns - b->born_ns;
}

/* The last bucket that is not slow: its upper edge is the edge nearest to the threshold. */
static int last_fast_bucket(uint64_t latency_ns)
{
    double seconds = (double)latency_ns / 1e9;
    int index = sj_hist_index(latency_ns);
    double low = sj_hist_lower_bound(SJ_HIST_SCHEMA, index), high = sj_hist_upper_bound(SJ_HIST_SCHEMA, index);
    return high - seconds <= seconds - low ? index : index - 1;
}

static uint64_t above(const struct sj_hist *h, int last_fast)
{
    int first, last;
    uint64_t n = 0;
    if (!h || !sj_hist_range(h, &first, &last))
        return 0;
    for (int i = last; i > last_fast && i >= first; i--)
        n += sj_hist_count_at(h, i);
    return n;
}

struct sj_burn_count sj_burn_of(const struct sj_cell *cell, const struct sj_hist *counted, uint64_t latency_ns)
{
    struct sj_burn_count n = {0};
    int last_fast = latency_ns ? last_fast_bucket(latency_ns) : SJ_HIST_INDEX_MAX;
    if (cell) {
        n.total = cell->requests;
        n.bad = cell->errors + above(&cell->total, last_fast) - above(cell->error_total, last_fast);
    }
    if (counted) {
        n.total += counted->count;
        n.bad += above(counted, last_fast);
    }
    return n;
}

bool sj_burn_can_fire(const struct sj_slo *slo, enum sj_burn_pair pair)
{
    const struct sj_burn_alert *a = &sj_burn_alerts[pair];
    return a->factor * (1 - slo->objective) < 1 && a->long_ns <= slo->window_ns;
}

double sj_burn_rate(struct sj_burn_count n, double objective)
{
    return n.total ? (double)n.bad / (double)n.total / (1 - objective) : NAN;
}

int sj_burn_judge(struct sj_burn *b, const struct sj_slo *slo, enum sj_burn_pair pair, int64_t now_ns, double *rate)
{
    const struct sj_burn_alert *a = &sj_burn_alerts[pair];
    struct sj_burn_count n = sj_burn_sum(b, a->long_window, now_ns);
    struct sj_interval i;
    *rate = sj_burn_rate(n, slo->objective);
    /* A burst just after the start is no burn rate of days: the short window must have been watched once. */
    if (n.total < slo->min_requests || !(*rate > a->factor) || sj_burn_age(b, now_ns) < (int64_t)a->short_ns)
        return 0;
    if (sj_ratio_interval(n.bad, n.total, LEVEL, &i) < 0 || !(i.low / (1 - slo->objective) > a->factor))
        return 0;
    double now_rate = sj_burn_rate(sj_burn_sum(b, a->short_window, now_ns), slo->objective);
    return isnan(now_rate) ? -1 : now_rate > a->factor;
}

uint32_t sj_burn_slots(unsigned at)
{
    return slots_of[at];
}

uint32_t sj_burn_slots_between(const struct sj_burn *b, unsigned at, int64_t from_ns, int64_t to_ns)
{
    const struct level *l = &b->levels[at];
    int64_t n = number_of(l, to_ns) - number_of(l, from_ns);
    return n < 0 ? 0 : n > l->n ? l->n : (uint32_t)n;
}

struct sj_burn_count sj_burn_get(struct sj_burn *b, unsigned at, uint32_t back, int64_t now_ns)
{
    advance(&b->levels[at], now_ns);
    return *slot(&b->levels[at], b->levels[at].newest - back);
}

void sj_burn_set(struct sj_burn *b, unsigned at, uint32_t back, int64_t now_ns, struct sj_burn_count n)
{
    advance(&b->levels[at], now_ns);
    *slot(&b->levels[at], b->levels[at].newest - back) = n;
}

void sj_burn_set_age(struct sj_burn *b, int64_t age_ns, int64_t now_ns)
{
    b->born_ns = now_ns - age_ns;
}
