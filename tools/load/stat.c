// SPDX-License-Identifier: GPL-3.0-or-later
#include "stat.h"

#include "buf.h"

#include <stdlib.h>
#include <string.h>

static void keep(struct sj_stat *stat, const uint64_t *samples, size_t n)
{
    if (n > SJ_STAT_SAMPLES - stat->n)
        n = SJ_STAT_SAMPLES - stat->n;
    if (!n)
        return;
    if (stat->cap - stat->n < n) {
        size_t cap = stat->cap ? stat->cap : 1024;
        while (cap - stat->n < n)
            cap *= 2;
        stat->samples = sj_grown(stat->samples, cap * sizeof(*stat->samples));
        stat->cap = cap;
    }
    memcpy(stat->samples + stat->n, samples, n * sizeof(*samples));
    stat->n += n;
}

void sj_stat_add(struct sj_stat *stat, uint64_t ns)
{
    keep(stat, &ns, 1);
    stat->count++;
    stat->sum += (double)ns;
    if (ns > stat->max)
        stat->max = ns;
}

void sj_stat_merge(struct sj_stat *into, const struct sj_stat *from)
{
    keep(into, from->samples, from->n);
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

void sj_stat_free(struct sj_stat *stat)
{
    free(stat->samples);
    *stat = (struct sj_stat){0};
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The smallest sample that at least permille/1000 of the samples do not exceed. */
static uint64_t quantile(const struct sj_stat *stat, size_t permille)
{
    size_t rank = (stat->n * permille + 999) / 1000;
    return stat->samples[rank ? rank - 1 : 0];
}

void sj_stat_json(struct sj_stat *stat, struct sj_json *w)
{
    static const struct {
        const char *name;
        size_t permille;
    } quantiles[] = {{"min", 0}, {"p50", 500}, {"p90", 900}, {"p99", 990}};
    sj_json_object(w);
    sj_json_key(w, "count");
    sj_json_uint(w, stat->count);
    if (stat->n) {
        qsort(stat->samples, stat->n, sizeof(*stat->samples), by_value);
        sj_json_key_real(w, "mean", stat->sum / (double)stat->count / 1e9);
        for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
            sj_json_key(w, quantiles[i].name);
            sj_json_seconds(w, quantile(stat, quantiles[i].permille));
        }
        sj_json_key(w, "max");
        sj_json_seconds(w, stat->max);
    }
    sj_json_object_end(w);
}
