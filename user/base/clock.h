// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>
#include <time.h>

#define SJ_SECOND_NS ((uint64_t)1000000000)

static inline uint64_t sj_clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SJ_SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Spans are measured on this: it never jumps, and counts while the machine is suspended too. */
static inline uint64_t sj_mono_ns(void)
{
    return sj_clock_ns(CLOCK_BOOTTIME);
}

static inline uint64_t sj_real_ns(void)
{
    return sj_clock_ns(CLOCK_REALTIME);
}
