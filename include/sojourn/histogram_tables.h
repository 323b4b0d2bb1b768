/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Written by tools/gen-histogram-tables.py. Included by sojourn/histogram.h only. */
/* clang-format off */

#define SJ_HIST_S5_KMIN (-28)

/* floor(10^9 * 2^33 * 2^(k/32)) for k from SJ_HIST_S5_KMIN on, then padding. */
static const __u64 sj_hist_s5_edges[64] = {
    0x40ffd3d4aa4e5371ULL, 0x426c3136988c69cbULL, 0x43e0891ac1b68b51ULL, 0x455d083ac70f51e7ULL,
    0x46e1dc4b00b253ecULL, 0x486f33fffb000226ULL, 0x4a053f1412cfd9c1ULL, 0x4ba42e4d31156db0ULL,
    0x4d4c3382a6a891c8ULL, 0x4efd81a328e4ce34ULL, 0x50b84cbaefd833abULL, 0x527cc9f9f6bdb0e5ULL,
    0x544b2fba5f832838ULL, 0x5623b586fa1fba2fULL, 0x58069421f08306e1ULL, 0x59f4058b97ea8d7bULL,
    0x5bec4509686ecf50ULL, 0x5def8f2d1b9e72e3ULL, 0x5ffe21dbf3025491ULL, 0x62183c56276a3d73ULL,
    0x643e1f3e81e6df61ULL, 0x66700ca21f5ab672ULL, 0x68ae48005f908e0fULL, 0x6af9165300cba1f0ULL,
    0x6d50be1668caaaedULL, 0x6fb587521c3c9d44ULL, 0x7227bba165ab71eeULL, 0x74a7a63c2ce70833ULL,
    0x7735940000000000ULL, 0x79d1d3794ee86199ULL, 0x7c7cb4ecdad5fca4ULL, 0x7f368a615a88a012ULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
    0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL, 0x7fffffffffffffffULL,
};

/* How many edges lie below the start of each of 64 equal cells of [2^62, 2^63). */
static const __u16 sj_hist_s5_cells[64] = {
    0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11, 11, 12,
    12, 13, 13, 14, 14, 15, 16, 16, 17, 17, 18, 18, 19, 19, 19, 20, 20, 21, 21, 22,
    22, 23, 23, 24, 24, 24, 25, 25, 26, 26, 26, 27, 27, 28, 28, 28, 29, 29, 30, 30,
    30, 31, 31, 31,
};

/* clang-format on */
