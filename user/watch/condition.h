// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "request.h"

/* Which series a rule is about: all parts that are set must match. Patterns are those of fnmatch(3). */
struct sj_match {
    const char *service;   /* pattern; NULL: any */
    const char *operation; /* pattern; NULL: the service as a whole */
    const char *container; /* pattern; NULL: any */
    int8_t protocol;       /* enum sj_protocol; -1: any */
    uint8_t role;          /* enum sj_role; SJ_ROLE_UNKNOWN: any */
    uint16_t port;         /* 0: any */
};

enum sj_measure {
    SJ_MEASURE_QUANTILE = 0, /* of the total or a stage, seconds */
    SJ_MEASURE_MEAN,         /* of the total or a stage, seconds */
    SJ_MEASURE_MAX,          /* of the total, seconds */
    SJ_MEASURE_SHARE,        /* of a stage in the total's sum, 0 to 1 */
    SJ_MEASURE_RATE,         /* requests per second */
    SJ_MEASURE_ERROR_RATE,   /* errors per second */
    SJ_MEASURE_ERROR_RATIO,  /* 0 to 1 */
    SJ_MEASURE_REQUESTS,     /* in the window */
    SJ_MEASURE_ERRORS,       /* in the window */
    SJ_MEASURE_MAX_
};

enum sj_compare { SJ_ABOVE = 0, SJ_AT_LEAST, SJ_BELOW, SJ_AT_MOST };

/* `queue.p99 > 50ms`: what is measured, how it is compared, with what. */
struct sj_condition {
    enum sj_measure measure;
    int stage; /* enum sj_stage, -1: the total */
    double p;  /* SJ_MEASURE_QUANTILE: 0 < p < 1 */
    enum sj_compare compare;
    double threshold; /* in the measure's unit */
};

/*
 * Parses a condition:
 *
 *     QUANTITY COMPARISON VALUE
 *
 *     quantity                      its value                    examples
 *     p0.1 to p99.999, mean, max    a time                       p99 > 1s, p99.9 >= 250ms, mean < 1.5ms
 *     STAGE.pN, STAGE.mean          a time                       queue.p99 > 50ms
 *     STAGE.share                   0% to 100%, or 0 to 1        runq.share > 20%
 *     error_ratio                   0% to 100%, or 0 to 1        error_ratio > 1%
 *     rate, error_rate              a number per s, m or h       rate < 10/s, error_rate >= 6/m
 *     requests, errors              a number                     requests < 100
 *
 * COMPARISON is one of > >= < <=; spaces around it may be left out. STAGE is one of sj_stage_name(). What always or
 * never holds (error_ratio > 100%, rate >= 0/s) is refused. -1 with EX_CONFIG and what is expected; *out is untouched
 * then.
 */
int sj_condition_parse(const char *text, struct sj_condition *out, struct sj_err *err);

/* Does `value`, which is a number, fulfil it? */
bool sj_condition_holds(const struct sj_condition *c, double value);

/* What values of a measure are: how they are written for people. */
enum sj_unit { SJ_UNIT_SECONDS = 0, SJ_UNIT_RATIO, SJ_UNIT_PER_SECOND, SJ_UNIT_NUMBER };
enum sj_unit sj_measure_unit(enum sj_measure measure);

/* Is it a rate or a count, for which no requests are a value too, rather than no data? */
bool sj_measure_counts(enum sj_measure measure);

/* Does a service match? Its operations are the caller's affair. */
bool sj_match_series(const struct sj_match *m, const char *service, const char *container, uint8_t role,
                     uint8_t protocol, uint16_t port);
