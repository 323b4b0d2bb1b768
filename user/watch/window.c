// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In front of each tally. Not aligned: copied in and out. */
struct head {
    int64_t start_ns; /* of its slot */
    uint32_t bytes;
    uint32_t reserved;
};

struct sj_window *sj_window_new(const struct sj_window_room *room, uint64_t over_ns, uint64_t interval_ns,
                                struct sj_tracks tracks, int64_t now_ns)
{
    if (room->budget->used + sizeof(struct sj_window) > room->budget->limit) {
        room->budget->refused++;
        return NULL;
    }
    struct sj_window *w = malloc(sizeof(*w));
    if (!w)
        return NULL;
    uint64_t slot_ns = (over_ns + SJ_WINDOW_SLOTS - 1) / SJ_WINDOW_SLOTS;
    *w = (struct sj_window){
        .over_ns = (int64_t)over_ns,
        .slot_ns = (int64_t)(slot_ns > interval_ns ? slot_ns : interval_ns),
        .tracks = tracks,
        .born_ns = now_ns,
        .open_ns = now_ns,
        .changed = true,
    };
    room->budget->used += sizeof(*w);
    return w;
}

void sj_window_begin(struct sj_window *w, int64_t now_ns)
{
    w->born_ns = now_ns;
    w->open_ns = now_ns;
}

void sj_window_free(const struct sj_window_room *room, struct sj_window *w)
{
    if (!w)
        return;
    room->budget->used -= sizeof(*w) + w->size;
    free(w->records);
    free(w);
}

static struct head head_at(const struct sj_window *w, uint32_t at)
{
    struct head h;
    memcpy(&h, w->records + at, sizeof(h));
    return h;
}

static uint32_t next(const struct sj_window *w, uint32_t at)
{
    return at + (uint32_t)sizeof(struct head) + head_at(w, at).bytes;
}

static void drop_oldest(struct sj_window *w)
{
    bool open = w->head == w->open;
    w->head = next(w, w->head);
    if (open)
        w->open = w->head;
    w->changed = true;
}

/* For want of memory: the window is not known any more from where that one began. */
static void lose_oldest(struct sj_window *w)
{
    w->torn = w->torn || w->head == w->open;
    drop_oldest(w);
    w->born_ns = w->head < w->end ? head_at(w, w->head).start_ns : w->open_ns;
}

static void move_to_front(struct sj_window *w)
{
    if (w->head == 0)
        return;
    memmove(w->records, w->records + w->head, w->end - w->head);
    w->open -= w->head;
    w->end -= w->head;
    w->head = 0;
}

/* Room for n more bytes at the end: false when the budget, or memory, does not allow it. */
static bool grow(const struct sj_window_room *room, struct sj_window *w, uint32_t n)
{
    uint32_t used = w->end - w->head;
    uint32_t size = w->size;
    if (w->size - w->end >= n)
        return true;
    /* Moving all for a few bytes of room, again and again, would be slow. */
    if (w->size - used >= n && w->head >= w->size / 4) {
        move_to_front(w);
        return true;
    }
    while (size < used + n)
        size = size ? size + size / 2 : 64;
    if (size > 16 * SJ_TALLY_BYTES_MAX || room->budget->used + (size - w->size) > room->budget->limit)
        return false;
    move_to_front(w);
    uint8_t *records = realloc(w->records, size);
    if (!records)
        return false;
    room->budget->used += size - w->size;
    w->records = records;
    w->size = size;
    return true;
}

static void append(const struct sj_window_room *room, struct sj_window *w, const struct sj_tally *t)
{
    uint32_t bytes = (uint32_t)sj_tally_encode(t, w->tracks, room->bytes);
    const struct head h = {w->open_ns, bytes, 0};
    uint32_t n = (uint32_t)sizeof(h) + bytes;
    if (!grow(room, w, n)) {
        room->budget->refused++;
        if (w->size < n) {
            w->torn = true;
            return;
        }
        while (w->size - (w->end - w->head) < n)
            lose_oldest(w);
        move_to_front(w);
    }
    memcpy(w->records + w->end, &h, sizeof(h));
    memcpy(w->records + w->end + sizeof(h), room->bytes, bytes);
    w->end += n;
    w->changed = true;
}

static int add_record(const struct sj_window *w, uint32_t at, struct sj_tally *t)
{
    return sj_tally_decode(t, w->tracks, w->records + at + sizeof(struct head), head_at(w, at).bytes);
}

int sj_window_add(const struct sj_window_room *room, struct sj_window *w, const struct sj_cell *cell,
                  const struct sj_hist *counted)
{
    sj_tally_clear(room->tally);
    if (sj_tally_add(room->tally, w->tracks, cell, counted) < 0)
        return -ENOMEM;
    if (room->tally->requests)
        append(room, w, room->tally);
    return 0;
}

/* One record of the open slot's, so that a slot takes the same memory however many slices came. */
static int join_open(const struct sj_window_room *room, struct sj_window *w)
{
    if (w->open == w->end || next(w, w->open) == w->end)
        return 0;
    sj_tally_clear(room->tally);
    for (uint32_t at = w->open; at < w->end; at = next(w, at))
        if (add_record(w, at, room->tally) < 0)
            return -ENOMEM;
    w->end = w->open;
    append(room, w, room->tally);
    return 0;
}

/* What a busy time has needed is given back after it. */
static void shrink(const struct sj_window_room *room, struct sj_window *w)
{
    uint32_t used = w->end - w->head, size = used + used / 2;
    if (w->size < 1024 || used > w->size / 4)
        return;
    move_to_front(w);
    uint8_t *records = size ? realloc(w->records, size) : NULL;
    if (size && !records)
        return;
    if (!size)
        free(w->records);
    room->budget->used -= w->size - size;
    w->records = records;
    w->size = size;
}

#define TICKS (sizeof((struct sj_ticks){0}.at) / sizeof(int64_t))

void sj_ticks_add(struct sj_ticks *t, int64_t now_ns)
{
    t->at[t->n++ % TICKS] = now_ns;
}

/* When the oldest slot began that is not older than `oldest`. The newest slot counts even if it is. */
static int64_t start_of(const struct sj_ticks *t, const struct sj_window *w, int64_t oldest, int64_t interval_ns)
{
    int64_t start = w->open_ns;
    if (start > oldest && w->slot_ns > interval_ns)
        start -= (start - oldest) / w->slot_ns * w->slot_ns;
    for (uint32_t i = 1; w->slot_ns <= interval_ns && i <= t->n && i <= TICKS; i++) {
        int64_t at = t->at[(t->n - i) % TICKS];
        if (at < oldest || at < w->born_ns)
            break;
        start = at < start ? at : start;
    }
    return start > w->born_ns ? start : w->born_ns;
}

int sj_window_close(const struct sj_window_room *room, struct sj_window *w, int64_t now_ns, int64_t interval_ns)
{
    /* Evaluations are never quite on time; half an interval early or late is on time. */
    const int64_t slack = interval_ns / 2;
    const int64_t oldest = now_ns - w->over_ns - slack;
    if (join_open(room, w) < 0)
        return -ENOMEM;
    if (w->torn) {
        w->born_ns = now_ns;
        w->torn = false;
    }
    w->covered_ns = now_ns - start_of(room->ticks, w, oldest, interval_ns);
    /* The newest slot stays, even if it began before the window: there was no evaluation for long. */
    while (w->head < w->end && w->head != w->open && head_at(w, w->head).start_ns < oldest)
        drop_oldest(w);
    if (now_ns - w->open_ns + slack >= w->slot_ns) {
        w->open_ns = now_ns;
        w->open = w->end;
    }
    shrink(room, w);
    return 0;
}

int sj_window_sum(const struct sj_window_room *room, struct sj_window *w)
{
    sj_tally_clear(room->tally);
    for (uint32_t at = w->head; at < w->end; at = next(w, at))
        if (add_record(w, at, room->tally) < 0)
            return -ENOMEM;
    w->changed = false;
    return 0;
}

bool sj_window_filled(const struct sj_window *w, int64_t now_ns, int64_t interval_ns)
{
    return now_ns - w->born_ns + interval_ns / 2 >= w->over_ns;
}
