// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/slos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct sj_slos slos;
    size_t size;
};

static int keep(void *ctx, const struct sj_slo_status *s)
{
    struct walk *w = ctx;
    if (w->slos.n < w->size)
        w->slos.v[w->slos.n++] = *s;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct sj_slo_status *x = a, *y = b;
    int c = strcmp(x->slo, y->slo);
    c = c ? c : strcmp(x->id.service, y->id.service);
    c = c ? c : x->id.role - y->id.role;
    c = c ? c : x->id.protocol - y->id.protocol;
    c = c ? c : x->id.port - y->id.port;
    c = c ? c : strcmp(x->id.container, y->id.container);
    return c ? c : strcmp(x->id.operation, y->id.operation);
}

int sj_slos_make(const struct sj_watch *w, struct sj_slos *out)
{
    struct sj_watch_stats stats;
    sj_watch_stats(w, &stats);
    struct walk walk = {.slos.v = calloc(stats.slos + 1, sizeof(*walk.slos.v)), .size = stats.slos};
    if (!walk.slos.v)
        return -ENOMEM;
    sj_watch_slos(w, keep, &walk);
    qsort(walk.slos.v, walk.slos.n, sizeof(*walk.slos.v), compare);
    *out = walk.slos;
    return 0;
}

const char *sj_slo_window_name(size_t i)
{
    static const char *const names[SJ_SLO_WINDOWS] = {"5m", "30m", "1h", "6h", "3d"};
    return names[i];
}

double sj_slo_burn(const struct sj_slo_status *s, size_t i)
{
    const double burns[SJ_SLO_WINDOWS] = {s->burn_5m, s->burn_30m, s->burn_1h, s->burn_6h, s->burn_3d};
    return burns[i];
}
