// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/tally.h"

/*
 * A sliding window over what came in, in up to SJ_WINDOW_SLOTS slots: at evaluations it holds between 59/60 and all of
 * its length (all, as long as that is at most 60 intervals). Slots without requests take no memory. Times are
 * nanoseconds on the clock that never jumps. Within this folder only.
 */
#define SJ_WINDOW_SLOTS 60

/* How much memory all windows together may take, and do. */
struct sj_budget {
    size_t limit;
    size_t used;
    uint64_t refused; /* how often something did not fit */
};

struct sj_window {
    int64_t over_ns;
    int64_t slot_ns;
    struct sj_tracks tracks;
    int64_t born_ns;    /* nothing is known of the time before */
    int64_t open_ns;    /* when the slot began that takes in */
    int64_t covered_ns; /* how long a time the records are of, as of the latest close */
    uint8_t *records;   /* owned: the oldest first, from `head` to `end` */
    uint32_t head;
    uint32_t open; /* where the open slot's records begin */
    uint32_t end;
    uint32_t size;
    bool changed; /* since the latest sum */
    bool torn;    /* requests of the open slot found no memory */
    bool rates;   /* some rule asks for events per time, which change with the length covered */
};

/* When the latest intervals began, which tells how long a time a window is of: evaluations are never quite on time. */
struct sj_ticks {
    int64_t at[SJ_WINDOW_SLOTS + 4];
    uint32_t n; /* that there ever were */
};
void sj_ticks_add(struct sj_ticks *t, int64_t now_ns);

/* What functions here need besides a window, shared by all of them. */
struct sj_window_room {
    struct sj_budget *budget;
    struct sj_tally *tally; /* scratch */
    uint8_t *bytes;         /* scratch, of SJ_TALLY_BYTES_MAX */
    const struct sj_ticks *ticks;
};

struct sj_window *sj_window_new(const struct sj_window_room *room, uint64_t over_ns, uint64_t interval_ns,
                                struct sj_tracks tracks, int64_t now_ns);
void sj_window_free(const struct sj_window_room *room, struct sj_window *w);

/* An empty window is of the time from now on. */
void sj_window_begin(struct sj_window *w, int64_t now_ns);

/*
 * Adds to the open slot. Where the budget is short the oldest records give way, or the new ones are left out; that is
 * counted, and the window is known from then on only. 0, or -ENOMEM for scratch memory.
 */
int sj_window_add(const struct sj_window_room *room, struct sj_window *w, const struct sj_cell *cell,
                  const struct sj_hist *counted);

/* Ends an interval, the latest of the ticks: the slot too when it is long enough, and what is too old leaves. 0 or
 * -ENOMEM. */
int sj_window_close(const struct sj_window_room *room, struct sj_window *w, int64_t now_ns, int64_t interval_ns);

/* Sums the window up into room->tally. 0 or -ENOMEM. */
int sj_window_sum(const struct sj_window_room *room, struct sj_window *w);

/* Has it been watched for its whole length? */
bool sj_window_filled(const struct sj_window *w, int64_t now_ns, int64_t interval_ns);
