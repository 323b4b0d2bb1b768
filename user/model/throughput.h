// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/*
 * The throughput model: a request holds a worker until it is done or, after a timeout of t seconds, given up. The mean
 * time that it holds one is T(t), the integral of the survival function from 0 to t; T(INFINITY) is the mean. For the
 * exponential distribution T(t) = (1 - exp(-rate t)) / rate; every family has its own (restricted_mean), and data have
 * one too (sj_ecdf_restricted_mean()).
 */

/* T(t) of the exponential distribution; rate > 0 per second, t >= 0 seconds or INFINITY. NAN outside. */
double sj_throughput_exponential(double rate, double t);

/* How many requests per second `workers` serve that are held for `hold` seconds each. NAN unless both are positive. */
double sj_throughput_capacity(double workers, double hold);
