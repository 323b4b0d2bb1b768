// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/out.h"
#include "model/fit.h"
#include "model/rates.h"
#include "term/screen.h"

/* A result for people: a row for each family, how far the best one may be trusted, the tail. 0, or -ENOMEM. */
int sj_fit_text(struct sj_out *out, const struct sj_screen *screen, const struct sj_fit_view *view);

/*
 * The sample as a histogram over logarithmic time, a bar to a line, with a mark where the fit expects its end. Censored
 * values are not in it.
 */
void sj_fit_plot(struct sj_out *out, const struct sj_screen *screen, const struct sj_sample *s,
                 const struct sj_fit *fit);

/*
 * For a report, without the end of the line: "lognormal (quantiles within 3.0 %), p99.9 41.2 ms (36.7 ms to 45.2 ms)",
 * with `between` in place of its comma and space. The p99.9 is that of the tail, or that of the best family where the
 * tail cannot be trusted so far; where neither can, it says so.
 */
void sj_fit_text_best(struct sj_out *out, const struct sj_fit_result *result, const char *between);

/* Event counts: Poisson or negative binomial. */
void sj_counts_text(struct sj_out *out, const struct sj_rates *rates);
