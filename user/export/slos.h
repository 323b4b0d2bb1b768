// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "watch/watch.h"

/* The objectives of a watch, for exporters: one for each service that one looks at, sorted. */
struct sj_slos {
    struct sj_slo_status *v; /* to be freed; strings are the watch's */
    size_t n;
};

/* 0, or -ENOMEM, *out untouched then. */
int sj_slos_make(const struct sj_watch *w, struct sj_slos *out);

/* The windows that burn rates are told of: "5m", "30m", "1h", "6h", "3d". A burn rate is NaN without requests. */
#define SJ_SLO_WINDOWS 5
const char *sj_slo_window_name(size_t i);
double sj_slo_burn(const struct sj_slo_status *s, size_t i);
