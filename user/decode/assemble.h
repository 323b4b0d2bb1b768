// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sojourn/event.h>

#include "base/err.h"
#include "decode/process.h"
#include "request.h"

/*
 * Makes requests out of the kernel side's records: feeds captured bytes to the decoder of each connection, pairs asks
 * with answers, and gives each request its share of its turn's times. Pure: no I/O and no clock; who needs those is
 * asked through the operations below. What is kept per connection is bounded, and so is their number.
 */
struct sj_assembler;

struct sj_assembler_ops {
    void *ctx;
    /* A finished request; its strings live until the call returns. 0, or -1 with *err to stop. */
    int (*request)(void *ctx, const struct sj_request *req, struct sj_err *err);
    /* Who is this? Never NULL. */
    const struct sj_process *(*process)(void *ctx, uint32_t tgid);
    /* A connection was announced: a chance to learn about its process. */
    void (*seen)(void *ctx, const struct sj_rec_conn *rec);
    /* This connection pipelines: whole answers are wanted from now on. May be NULL. */
    void (*want_answers)(void *ctx, uint64_t conn);
};

struct sj_assembler_stats {
    uint64_t detailed;
    uint64_t unparsed; /* part of detailed */
    uint64_t cut_off;
    uint64_t cut_records; /* SJ_REC_CUT seen */
    uint64_t ignored;     /* turns that are no requests: TLS handshakes */
    uint64_t out_of_order;
    bool lower_bound; /* asks lay behind the captured bytes: some may have been missed */
    uint64_t evicted; /* connections forgotten because there were too many */
};

/* NULL when there is no memory. */
struct sj_assembler *sj_assembler_new(const struct sj_assembler_ops *ops);
void sj_assembler_free(struct sj_assembler *a);

/* One validated record (sj_record_valid). Returns 0, or -1 with *err. */
int sj_assembler_record(struct sj_assembler *a, const struct sj_rec *rec, uint32_t len, struct sj_err *err);

/* Finishes the answered requests of connections on which nothing has happened since the moment `before`. */
int sj_assembler_expire(struct sj_assembler *a, uint64_t before, struct sj_err *err);

/* The end: finishes all that were answered, and counts the rest of pipelined ones as cut off. */
int sj_assembler_finish(struct sj_assembler *a, struct sj_err *err);

void sj_assembler_stats(const struct sj_assembler *a, struct sj_assembler_stats *out);
