// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#define SJ_NSEC_PER_SEC UINT64_C(1000000000)

/* CLOCK_MONOTONIC, the clock that the kernel side measures with; nanoseconds. */
uint64_t sj_clk_now(void);

/* CPU time that the calling thread has used; nanoseconds. */
uint64_t sj_clk_thread_cpu(void);

/* Sleeps until sj_clk_now() has reached `at`; signals do not shorten it. */
void sj_clk_sleep_until(uint64_t at);

/* Keeps the calling thread computing until it has used `ns` more of its own CPU time; overshoots by about 1 us. */
void sj_clk_burn(uint64_t ns);

/* The next of a sequence of 64 evenly distributed bits (splitmix64); any start value of *state is good. */
uint64_t sj_rand_next(uint64_t *state);

/* Evenly distributed in (0, 1). */
double sj_rand_unit(uint64_t *state);

/* Exponential with that mean. */
double sj_rand_exponential(uint64_t *state, double mean);

/* Lognormal whose logarithm has the standard deviation `sigma`, scaled so that its mean is `mean`. */
double sj_rand_lognormal(uint64_t *state, double mean, double sigma);
