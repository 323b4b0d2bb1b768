// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/varint.h"
#include "courier/deliveries_state.h"

/*
 * varint version, varint receivers, their keys (32 bytes each), varint alerts; each alert: varint length, the alert as
 * the collector told it, varint state, varint end, then for each receiver varint told, varint episode.
 */
#define VERSION 1
#define KEY_BYTES 32
#define RECEIVERS_MAX 1024
#define ALERT_MAX (1u << 20)

static void put(struct sj_out *out, uint64_t v)
{
    out->len += sj_varint_put((uint8_t *)sj_out_reserve(out, SJ_VARINT_MAX), v);
}

void sj_deliveries_write(struct sj_deliveries *d, struct sj_out *out)
{
    d->writing = d->change;
    put(out, VERSION);
    put(out, d->n_slots);
    for (size_t k = 0; k < d->n_slots; k++)
        sj_out_write(out, sj_notify_key(d->slots[k]->notify), KEY_BYTES);
    put(out, d->n);
    for (size_t i = 0; i < d->n; i++) {
        const struct record *r = d->records[i];
        put(out, r->length);
        sj_out_write(out, r->data, r->length);
        put(out, r->alert.state);
        put(out, r->alert.ends_real_ns);
        for (size_t k = 0; k < d->n_slots; k++) {
            put(out, r->to[k].told);
            put(out, r->to[k].episode_ns);
        }
    }
}

struct reader {
    const uint8_t *p, *end;
    struct sj_deliveries *d;
    size_t slot_of[RECEIVERS_MAX]; /* where a receiver of the file is now; n_slots: nowhere */
    size_t n_receivers;
    uint64_t now;
};

static bool get(struct reader *r, uint64_t max, uint64_t *v)
{
    return sj_varint_get_max(&r->p, r->end, max, v);
}

static bool read_receivers(struct reader *r)
{
    uint64_t n;
    if (!get(r, RECEIVERS_MAX, &n) || n * KEY_BYTES > (size_t)(r->end - r->p))
        return false;
    r->n_receivers = n;
    for (size_t i = 0; i < n; i++, r->p += KEY_BYTES) {
        size_t k = 0;
        while (k < r->d->n_slots && memcmp(sj_notify_key(r->d->slots[k]->notify), r->p, KEY_BYTES) != 0)
            k++;
        r->slot_of[i] = k;
    }
    return true;
}

static bool read_told(struct reader *r, struct record *record)
{
    for (size_t k = 0; record->alert.state == SJ_ALERT_RESOLVED && k < r->d->n_slots; k++)
        record->to[k] = (struct delivery){.told = TOLD_RESOLVED, .episode_ns = record->alert.starts_real_ns};
    for (size_t i = 0; i < r->n_receivers; i++) {
        uint64_t told, episode;
        if (!get(r, TOLD_MAX_ - 1, &told) || !get(r, UINT64_MAX, &episode))
            return false;
        if (r->slot_of[i] < r->d->n_slots) /* told_ns 0: who forgets is told again at once */
            record->to[r->slot_of[i]] = (struct delivery){.told = (uint8_t)told, .episode_ns = episode};
    }
    return true;
}

static bool read_alert(struct reader *r)
{
    struct sj_err ignored;
    uint64_t length, state, ends;
    size_t place;
    if (!get(r, ALERT_MAX, &length) || length > (size_t)(r->end - r->p) || length == 0)
        return false;
    void *data = malloc(length);
    if (!data)
        return false;
    memcpy(data, r->p, length);
    r->p += length;
    struct record *record = sj_deliveries_insert(r->d, r->d->n, data, length, &ignored);
    if (!record) {
        free(data);
        return false;
    }
    struct record *last = r->d->records[--r->d->n]; /* out again, and to where it belongs */
    bool twice = sj_deliveries_find(r->d, last->alert.id, &place) != NULL;
    memmove(r->d->records + place + 1, r->d->records + place, (r->d->n - place) * sizeof(struct record *));
    r->d->records[place] = last;
    r->d->n++;
    if (twice || !get(r, SJ_ALERT_MAX_ - 1, &state) || !get(r, UINT64_MAX, &ends) ||
        (state != SJ_ALERT_FIRING && state != SJ_ALERT_RESOLVED))
        return false;
    record->alert.state = (enum sj_alert_state)state;
    record->alert.ends_real_ns = ends;
    return read_told(r, record);
}

static void forget_all(struct sj_deliveries *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->records[i]->data);
        free(d->records[i]->room);
        free(d->records[i]->to);
        free(d->records[i]);
    }
    d->n = 0;
}

int sj_deliveries_read(struct sj_deliveries *d, const void *data, size_t n, struct sj_err *err)
{
    struct reader r = {.p = data, .end = (const uint8_t *)data + n, .d = d};
    uint64_t version, alerts = 0;
    bool good =
        get(&r, VERSION, &version) && version == VERSION && read_receivers(&r) && get(&r, SJ_DELIVERIES_MAX, &alerts);
    for (uint64_t i = 0; good && i < alerts; i++)
        good = read_alert(&r);
    if (good && r.p == r.end)
        return 0;
    forget_all(d);
    return sj_fail(err, EX_DATAERR, "the saved deliveries are damaged");
}
