// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * An independent answer to "which bucket holds this latency", from the definition alone: bucket i of schema S ends at
 * 2^(i/N) seconds, N = 2^S, so v nanoseconds lie at or below that edge exactly when v^N <= (10^9)^N * 2^i. Both sides
 * are integers of up to 16,700 bits, compared digit by digit. Nothing is taken from the code under test or its tables.
 */

#define ORACLE_LIMBS 520

/* A natural number, least significant 64 bits first; len has no leading zeros. */
struct oracle_big {
    uint64_t limb[ORACLE_LIMBS];
    size_t len;
};

/* The upper edges of all buckets of one schema, in whole nanoseconds rounded down, up to 2^63 - 1. */
struct oracle {
    int schema;
    int first; /* the bucket of edge[0], which lies below 1 ns */
    size_t len;
    uint64_t *edge;
};

static inline void oracle_trim(struct oracle_big *b)
{
    while (b->len && b->limb[b->len - 1] == 0)
        b->len--;
}

static inline void oracle_set(struct oracle_big *b, uint64_t v)
{
    b->limb[0] = v;
    b->len = v > 0;
}

/* *b becomes its 2^times-th power. */
static inline void oracle_square(struct oracle_big *b, int times)
{
    for (; times > 0; times--) {
        struct oracle_big product;

        memset(product.limb, 0, 2 * b->len * sizeof(product.limb[0]));
        for (size_t i = 0; i < b->len; i++) {
            unsigned __int128 carry = 0;

            for (size_t j = 0; j < b->len; j++) {
                carry += (unsigned __int128)b->limb[i] * b->limb[j] + product.limb[i + j];
                product.limb[i + j] = (uint64_t)carry;
                carry >>= 64;
            }
            product.limb[i + b->len] = (uint64_t)carry;
        }
        product.len = 2 * b->len;
        oracle_trim(&product);
        memcpy(b->limb, product.limb, product.len * sizeof(product.limb[0]));
        b->len = product.len;
    }
}

static inline void oracle_shift_left(struct oracle_big *b, size_t bits)
{
    size_t limbs = bits / 64;
    unsigned int rest = bits % 64;

    for (size_t i = b->len + 1; i-- > 0;) {
        unsigned __int128 high = i < b->len ? b->limb[i] : 0;
        unsigned __int128 low = i > 0 ? b->limb[i - 1] : 0;

        b->limb[i + limbs] = (uint64_t)((high << 64 | low) << rest >> 64);
    }
    memset(b->limb, 0, limbs * sizeof(*b->limb));
    b->len += limbs + 1;
    oracle_trim(b);
}

static inline int oracle_compare(const struct oracle_big *a, const struct oracle_big *b)
{
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (size_t i = a->len; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* Whether v nanoseconds are at most 2^(index / 2^schema) seconds; second is (10^9)^(2^schema). */
static inline int oracle_at_most(int schema, const struct oracle_big *second, int index, uint64_t v)
{
    struct oracle_big left;
    struct oracle_big right;

    oracle_set(&left, v);
    oracle_square(&left, schema);
    memcpy(right.limb, second->limb, second->len * sizeof(second->limb[0]));
    right.len = second->len;
    oracle_shift_left(index < 0 ? &left : &right, (size_t)abs(index));
    return oracle_compare(&left, &right) <= 0;
}

/* The last whole nanosecond below 2^63 that is at most the upper edge of a bucket; 0 when there is none. */
static inline uint64_t oracle_edge(int schema, const struct oracle_big *second, int index)
{
    long double guess = 1e9L * exp2l((long double)index / (1 << schema));
    uint64_t v = guess < (long double)INT64_MAX ? (uint64_t)guess : INT64_MAX;

    while (v > 0 && !oracle_at_most(schema, second, index, v))
        v--;
    while (v < INT64_MAX && oracle_at_most(schema, second, index, v + 1))
        v++;
    return v;
}

/* The caller frees o->edge. */
static inline void oracle_init(struct oracle *o, int schema)
{
    static struct oracle_big second;
    int n = 1 << schema;

    oracle_set(&second, 1000000000);
    oracle_square(&second, schema);
    o->schema = schema;
    o->first = -30 * n;
    o->len = (size_t)(65 * n);
    o->edge = calloc(o->len, sizeof(*o->edge));
    for (size_t k = 0; o->edge && k < o->len; k++)
        o->edge[k] = oracle_edge(schema, &second, o->first + (int)k);
}

/* The bucket of v ns, 0 < v < 2^63. */
static inline int oracle_index(const struct oracle *o, uint64_t v)
{
    size_t low = 0;
    size_t high = o->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (o->edge[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    return o->first + (int)low;
}
