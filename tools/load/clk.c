// SPDX-License-Identifier: GPL-3.0-or-later
#include "clk.h"

#include <errno.h>
#include <math.h>
#include <time.h>

/* Loop turns between two looks at the clock, some 0.3 us: the system call stays a small part of the work. */
#define BURN_TURNS 400

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * SJ_NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t sj_clk_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t sj_clk_thread_cpu(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void sj_clk_sleep_until(uint64_t at)
{
    struct timespec ts = {.tv_sec = (time_t)(at / SJ_NSEC_PER_SEC), .tv_nsec = (long)(at % SJ_NSEC_PER_SEC)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

void sj_clk_burn(uint64_t ns)
{
    uint64_t end = sj_clk_thread_cpu() + ns;
    volatile uint32_t sink = 1;
    while (sj_clk_thread_cpu() < end)
        for (int i = 0; i < BURN_TURNS; i++)
            sink = sink * 1664525u + 1013904223u;
}

uint64_t sj_rand_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double sj_rand_unit(uint64_t *state)
{
    return ((double)(sj_rand_next(state) >> 11) + 0.5) * 0x1p-53;
}

double sj_rand_exponential(uint64_t *state, double mean)
{
    return -mean * log(sj_rand_unit(state));
}

double sj_rand_lognormal(uint64_t *state, double mean, double sigma)
{
    /* Box and Muller's transform: two even numbers make a normal one. */
    double radius = sqrt(-2 * log(sj_rand_unit(state)));
    double normal = radius * cos(2 * M_PI * sj_rand_unit(state));
    return exp(log(mean) - sigma * sigma / 2 + sigma * normal);
}
