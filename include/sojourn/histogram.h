/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The bucket of a latency, for the kernel side and for user space alike.
 *
 * Buckets are base-2 exponential and aligned to one second, as Prometheus native histograms and OTLP exponential
 * histograms have them: bucket i of schema S holds (2^((i-1)/2^S), 2^(i/2^S)] seconds. Everything is recorded at
 * schema 5, whose buckets are 2.2 % wide. The index is exact: it is what unlimited precision would give.
 *
 * A kernel-side program includes vmlinux.h (or linux/types.h) before this file.
 */

#ifndef __bpf__
#include <linux/types.h>
#endif

#include "histogram_tables.h"

#define SJ_HIST_SCHEMA 5

/* The bucket of 1 ns and that of 2^63 - 1 ns: every index lies between, both included. */
#define SJ_HIST_INDEX_MIN (-956)
#define SJ_HIST_INDEX_MAX 1060

/*
 * Shifts *x left until bit 62 is its highest one and returns by how much. 0 < *x < 2^63.
 * Binary steps without a branch, since the BPF instruction set has no count of leading zeros: each step takes the
 * sign bit of a difference as "the value is smaller than this power of two".
 */
static inline __attribute__((always_inline)) __u32 sj_hist_normalise(__u64 *x)
{
    __u64 v = *x;
    __u64 t;
    __u64 c;

    t = ((v - (1ULL << 31)) >> 63) << 5;
    v <<= t;
    c = t;
    t = ((v - (1ULL << 47)) >> 63) << 4;
    v <<= t;
    c += t;
    t = ((v - (1ULL << 55)) >> 63) << 3;
    v <<= t;
    c += t;
    t = ((v - (1ULL << 59)) >> 63) << 2;
    v <<= t;
    c += t;
    t = ((v - (1ULL << 61)) >> 63) << 1;
    v <<= t;
    c += t;
    t = (v - (1ULL << 62)) >> 63;
    v <<= t;
    c += t;
    *x = v;
    return (__u32)c;
}

/*
 * The schema-5 bucket of a latency of ns nanoseconds, 0 < ns < 2^63; zero belongs into the zero bucket and has no
 * index. Outside that range the result means nothing, but no table is left.
 *
 * x is scaled to [2^62, 2^63); the 64 linear cells there hold at most one bucket edge each, so one comparison after
 * one look-up decides, and since x is an integer, comparing with the floor of the edge is comparing with the edge.
 */
static inline __attribute__((always_inline)) __s32 sj_hist_index(__u64 ns)
{
    __u64 x = ns;
    __u32 r;
#ifdef __bpf__
    __u32 c = sj_hist_normalise(&x);
#else
    __u32 c = (__u32)__builtin_clzll(ns | 1) - 1;
    x <<= c & 63;
#endif

    r = sj_hist_s5_cells[(x >> (61 - SJ_HIST_SCHEMA)) & 63];
    r += (__u32)((sj_hist_s5_edges[r & 63] - x) >> 63);
    return (32 * (33 - (__s32)c)) + SJ_HIST_S5_KMIN + (__s32)r;
}
