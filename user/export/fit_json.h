// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/json.h"
#include "model/fit.h"
#include "model/rates.h"

/* The output of `fit --json`: one object, "sojourn.fit/1". */
void sj_fit_json(struct sj_out *out, const struct sj_fit_view *view);

/* The output of `fit --counts --json`: one object, "sojourn.counts/1". */
void sj_counts_json(struct sj_out *out, const struct sj_rates *rates);

/*
 * For a report's service: one object with the best family, its parameters, how well it fits, how far it may be trusted,
 * and the tail; what is not known is left out.
 */
void sj_fit_json_best(struct sj_json *w, const struct sj_fit_result *result);
