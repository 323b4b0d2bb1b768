// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "request.h"
#include "series/series.h"

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
 * Parses a condition. The unit must fit what is measured: a time, a percentage or a ratio, a rate (10/s, 600/m), a
 * number. -1 with EX_CONFIG and what is expected.
 */
int sj_condition_parse(const char *text, struct sj_condition *out, struct sj_err *err);
