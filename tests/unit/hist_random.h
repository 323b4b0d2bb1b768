// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <math.h>
#include <stdint.h>

/* Seeded random numbers for the tests of the histogram: splitmix64, the same on every machine. */
struct random_state {
    uint64_t state;
};

static inline uint64_t random_bits(struct random_state *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Uniform in (0, 1). */
static inline double random_unit(struct random_state *r)
{
    return ((double)(random_bits(r) >> 12) + 0.5) * 0x1p-52;
}

static inline double random_normal(struct random_state *r)
{
    return sqrt(-2 * log(random_unit(r))) * cos(2 * M_PI * random_unit(r));
}

/* Any latency from 1 ns to 2^63 - 1 ns, all magnitudes equally likely. */
static inline uint64_t random_latency(struct random_state *r)
{
    uint64_t v = (random_bits(r) >> 1) >> (random_bits(r) % 63);

    return v ? v : 1;
}
