// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/fit_mixture.h"

/* The inside of fit_mixture.c: expectation and maximisation for mixtures of two normals or two exponentials. */

/* A weight that small is no component: the data say nothing about it. */
#define SJ_EM_WEIGHT_MIN 1e-4

/* Components in EM's coordinates: location is the mean, or unused; scale is the sd, or the mean of an exponential. */
struct sj_em_part {
    double weight;
    double location;
    double scale;
};

struct sj_em_state {
    struct sj_em_part part[2];
};

struct sj_em {
    const struct sj_mixture *kind;
    const struct sj_sample *s;
    double floor; /* of a normal component's sd */
};

/*
 * Expected sums over the components, given a state: how many values each has, and the sums of y - location and of its
 * square (of x for exponentials). They serve EM and the gradient alike.
 */
struct sj_em_sums {
    double loglik;
    double n[2];
    double first[2];
    double second[2];
};

struct sj_em_sums sj_em_expect(const struct sj_em *e, const struct sj_em_state *st);

/* Whether both components have weight and are wider than the floor. */
bool sj_em_alive(const struct sj_em *e, const struct sj_em_state *st);

/* Rounds of EM; false when a component dies. *loglik is that of the state before the last round. */
bool sj_em_run(const struct sj_em *e, struct sj_em_state *st, int rounds, double *loglik);
