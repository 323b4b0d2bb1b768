// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "buf.h"
#include "io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cut: what lies before it goes out in calls of its own, and the rest waits. */
struct sj_outbox_cut {
    size_t at;
    uint64_t gap_ns; /* pause after it; SJ_OUTBOX_ON_WORD: until sj_outbox_go() */
};

#define SJ_OUTBOX_ON_WORD UINT64_MAX

/* A message on its way out, in pieces at set times. Zero-initialised but for `file` is empty. */
struct sj_outbox {
    struct sj_buf buf;
    size_t pos;
    struct sj_outbox_cut *cuts;
    size_t n_cuts, cap_cuts, next_cut;
    uint64_t hold_until; /* not before this time; 0: now */
    size_t limit;        /* stop for good at this byte; 0: no limit */
    int file;            /* holds buf.at[file_from ...] from its start on; -1: none */
    size_t file_from;
    bool cork; /* a piece may be marked as followed by more */
};

enum sj_outbox_state {
    SJ_OUTBOX_DONE,  /* all sent, and the message is empty again */
    SJ_OUTBOX_AGAIN, /* the socket is full */
    SJ_OUTBOX_HOLD,  /* wait until hold_until, or for sj_outbox_go() */
    SJ_OUTBOX_LIMIT, /* the limit is reached */
    SJ_OUTBOX_ERROR, /* *error is set */
};

void sj_outbox_cut_here(struct sj_outbox *out, uint64_t gap_ns);
void sj_outbox_go(struct sj_outbox *out);
/* Sends what may be sent now; called again it goes on where it was held or the socket was full. */
enum sj_outbox_state sj_outbox_push(struct sj_outbox *out, struct sj_io *io, int fd, int *error);
void sj_outbox_clear(struct sj_outbox *out);
void sj_outbox_free(struct sj_outbox *out);
