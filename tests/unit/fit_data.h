// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

/*
 * Serving sizes of ground beef in g, n = 254: M. L. Delignette-Muller, C. Dutang, Journal of Statistical Software 64/4
 * (2015); value and how often it occurs.
 */
static const double ground_beef[][2] = {
    {10, 1}, {11.5, 1}, {17, 1},   {20, 8},   {24, 2},  {25, 7},  {25.5, 2}, {26, 1},   {30, 6},  {32, 1},  {40, 18},
    {44, 1}, {50, 49},  {51, 11},  {52.5, 1}, {60, 6},  {64, 1},  {65, 1},   {70, 3},   {75, 5},  {79, 3},  {80, 54},
    {90, 1}, {100, 19}, {105, 13}, {115, 2},  {117, 1}, {120, 1}, {125, 1},  {130, 26}, {150, 3}, {160, 1}, {200, 3},
};

/* Writes all 254 into x. */
static inline size_t ground_beef_values(double x[254])
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof(ground_beef) / sizeof(ground_beef[0]); i++)
        for (int k = 0; k < (int)ground_beef[i][1]; k++)
            x[n++] = ground_beef[i][0];
    return n;
}
