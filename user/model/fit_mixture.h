// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "model/fit_family.h"

/*
 * Mixtures of two components of one kind, estimated by EM from a fixed set of starts over a coarse view of the sample,
 * then by Newton's method over all of it. Parameters: weight1, those of component 1, those of component 2; component 1
 * has the smaller mean.
 */
enum sj_component { SJ_COMPONENT_NORMAL, SJ_COMPONENT_EXPONENTIAL };

struct sj_mixture {
    enum sj_component component;
    bool log_axis; /* of y = log x */
};

/* As sj_family_estimate(). -1 also when every start ends with a component at the floor or without weight. */
int sj_mixture_estimate(const struct sj_family *f, const struct sj_sample *s, const double *near, double *theta);
