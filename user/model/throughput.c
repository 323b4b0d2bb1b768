// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/throughput.h"

#include <math.h>

double sj_throughput_exponential(double rate, double t)
{
    if (!(rate > 0) || !(t >= 0))
        return NAN;
    return -expm1(-rate * t) / rate;
}

double sj_throughput_capacity(double workers, double hold)
{
    return workers > 0 && hold > 0 ? workers / hold : NAN;
}
