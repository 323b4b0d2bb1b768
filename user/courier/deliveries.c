// SPDX-License-Identifier: GPL-3.0-or-later
#include "courier/deliveries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "command.h"
#include "courier/deliveries_state.h"
#include "serve/message.h"

#define SECONDS(n) ((n)*SJ_SECOND_NS)
#define SILENCE_NS SECONDS(180) /* of a collector that tells every alert each minute */
#define TOLD_AFTER_NS SECONDS(900)
/* Longer than the collector tells of a resolved alert, lest it is taken for a new one. */
#define KEPT_AFTER_NS SECONDS(1200)
#define STALE_NS SECONDS(86400)

struct sj_deliveries *sj_deliveries_new(const struct sj_notify_env *env, const struct sj_deliveries_hooks *hooks)
{
    struct sj_deliveries *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->env = env;
    d->hooks = *hooks;
    TAILQ_INIT(&d->messages);
    return d;
}

static void free_record(struct record *r)
{
    free(r->data);
    free(r->room);
    free(r->to);
    free(r);
}

static void free_slot(struct slot *s)
{
    sj_notify_unref(s->notify);
    free(s);
}

void sj_deliveries_free(struct sj_deliveries *d)
{
    struct message *m;
    if (!d)
        return;
    while ((m = TAILQ_FIRST(&d->messages)) != NULL) {
        sj_attempt_cancel(m->attempt);
        if (m->slot->gone && m->slot->busy == 1)
            free_slot(m->slot);
        else
            m->slot->busy--;
        sj_message_free(m);
    }
    for (size_t i = 0; i < d->n; i++)
        free_record(d->records[i]);
    for (size_t i = 0; i < d->n_slots; i++)
        free_slot(d->slots[i]);
    free(d->records);
    free(d->slots);
    free(d);
}

/* ---- receivers ---- */

static size_t find_slot(const struct sj_deliveries *d, const char *key)
{
    size_t i = 0;
    while (i < d->n_slots && strcmp(sj_notify_key(d->slots[i]->notify), key) != 0)
        i++;
    return i;
}

/* The deliveries of a record to the new receivers: one that is new is not told of what is over. */
static struct delivery *rearrange(const struct sj_deliveries *d, const struct record *r, struct sj_notify **receivers,
                                  size_t n)
{
    struct delivery *to = calloc(n ? n : 1, sizeof(*to));
    for (size_t i = 0; to && i < n; i++) {
        size_t old = find_slot(d, sj_notify_key(receivers[i]));
        if (old < d->n_slots)
            to[i] = r->to[old];
        else if (r->alert.state == SJ_ALERT_RESOLVED)
            to[i] = (struct delivery){.told = TOLD_RESOLVED, .episode_ns = r->alert.starts_real_ns};
    }
    return to;
}

/* Slots for the receivers: those that there are already, or new ones. */
static struct slot **make_slots(const struct sj_deliveries *d, struct sj_notify **receivers, size_t n)
{
    struct slot **slots = calloc(n ? n : 1, sizeof(struct slot *));
    for (size_t i = 0; slots && i < n; i++) {
        size_t old = find_slot(d, sj_notify_key(receivers[i]));
        slots[i] = old < d->n_slots ? d->slots[old] : calloc(1, sizeof(struct slot));
        if (slots[i])
            continue;
        while (i-- > 0)
            if (!slots[i]->notify)
                free(slots[i]);
        free(slots);
        return NULL;
    }
    return slots;
}

static void retire(struct sj_deliveries *d, struct slot *s)
{
    struct sj_notifier_status *past = &d->past[sj_notify_kind(s->notify)];
    past->delivered += s->delivered;
    past->failed += s->failed;
    past->dropped += s->dropped;
    s->gone = true;
    if (s->busy == 0)
        free_slot(s);
}

int sj_deliveries_receivers(struct sj_deliveries *d, struct sj_notify **receivers, size_t n)
{
    struct slot **slots = make_slots(d, receivers, n);
    struct delivery **to = calloc(d->n ? d->n : 1, sizeof(struct delivery *));
    bool enough = slots && to;
    for (size_t i = 0; enough && i < d->n; i++)
        enough = (to[i] = rearrange(d, d->records[i], receivers, n)) != NULL;
    if (!enough) {
        for (size_t i = 0; to && i < d->n; i++)
            free(to[i]);
        for (size_t i = 0; slots && i < n; i++)
            if (!slots[i]->notify)
                free(slots[i]);
        free(slots);
        free(to);
        return -ENOMEM;
    }
    for (size_t i = 0; i < d->n; i++) {
        free(d->records[i]->to);
        d->records[i]->to = to[i];
    }
    free(to);
    for (size_t i = 0; i < d->n_slots; i++) {
        bool stays = false;
        for (size_t k = 0; k < n; k++)
            stays = stays || slots[k] == d->slots[i];
        if (!stays)
            retire(d, d->slots[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sj_notify_unref(slots[i]->notify);
        slots[i]->notify = receivers[i];
        slots[i]->not_before_ns = 0; /* whoever reloads has perhaps mended it */
    }
    free(receivers);
    free(d->slots);
    d->slots = slots;
    d->n_slots = n;
    sj_deliveries_changed(d);
    return 0;
}

/* ---- alerts ---- */

struct sj_now sj_deliveries_now(const struct sj_deliveries *d)
{
    return d->hooks.now(d->hooks.ctx);
}

void sj_deliveries_changed(struct sj_deliveries *d)
{
    d->change++;
    d->hooks.changed(d->hooks.ctx);
}

struct record *sj_deliveries_find(const struct sj_deliveries *d, const char *id, size_t *place)
{
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(d->records[middle]->alert.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return low < d->n && strcmp(d->records[low]->alert.id, id) == 0 ? d->records[low] : NULL;
}

/* Lets the record hold another message about its alert, which is taken over. */
static int fill(struct record *r, void *data, size_t length, struct sj_err *err)
{
    struct sj_alert alert;
    void *room;
    if (sj_message_get_alert(data, length, &alert, &room, err) < 0)
        return -1;
    free(r->data);
    free(r->room);
    r->data = data;
    r->length = length;
    r->room = room;
    r->alert = alert;
    return 0;
}

struct record *sj_deliveries_insert(struct sj_deliveries *d, size_t place, void *data, size_t length,
                                    struct sj_err *err)
{
    if (d->n == d->room) {
        size_t room = d->room ? 2 * d->room : 16;
        struct record **more = reallocarray(d->records, room, sizeof(struct record *));
        if (!more) {
            sj_err_set(err, EX_OSERR, "out of memory");
            return NULL;
        }
        d->records = more;
        d->room = room;
    }
    struct record *r = calloc(1, sizeof(*r));
    if (!r || !(r->to = calloc(d->n_slots ? d->n_slots : 1, sizeof(*r->to)))) {
        free(r);
        sj_err_set(err, EX_OSERR, "out of memory");
        return NULL;
    }
    if (fill(r, data, length, err) < 0) {
        free_record(r);
        return NULL;
    }
    r->heard_ns = sj_deliveries_now(d).mono_ns;
    memmove(d->records + place + 1, d->records + place, (d->n - place) * sizeof(struct record *));
    d->records[place] = r;
    d->n++;
    return r;
}

static void resolve(struct record *r, uint64_t ends_ns)
{
    if (r->alert.state == SJ_ALERT_RESOLVED)
        return;
    r->alert.state = SJ_ALERT_RESOLVED;
    r->alert.ends_real_ns = ends_ns;
}

static int add(struct sj_deliveries *d, size_t place, const struct sj_alert *alert, const void *data, size_t n,
               struct sj_err *err)
{
    if (d->n >= SJ_DELIVERIES_MAX) {
        if (!d->full)
            sj_complain(EX_SOFTWARE, "more than %d alerts; further ones are not delivered", SJ_DELIVERIES_MAX);
        d->full = true;
        return 0;
    }
    void *copy = malloc(n);
    if (!copy)
        return sj_fail(err, EX_OSERR, "out of memory");
    memcpy(copy, data, n);
    struct record *r = sj_deliveries_insert(d, place, copy, n, err);
    if (!r) {
        free(copy);
        return -1;
    }
    for (size_t i = 0; alert->state == SJ_ALERT_RESOLVED && i < d->n_slots; i++)
        r->to[i] = (struct delivery){.told = TOLD_UNKNOWN, .episode_ns = alert->starts_real_ns};
    r->need = d->change + 1;
    return 1;
}

static int update(struct sj_deliveries *d, struct record *r, const struct sj_alert *alert, const void *data, size_t n,
                  struct sj_err *err)
{
    bool changes = alert->state != r->alert.state || alert->starts_real_ns != r->alert.starts_real_ns;
    struct sj_now now = sj_deliveries_now(d);
    r->heard_ns = now.mono_ns;
    if (alert->state == SJ_ALERT_PENDING) /* it has not ended, and not begun anew */
        return 0;
    if (alert->state == SJ_ALERT_INACTIVE) {
        bool fires = r->alert.state == SJ_ALERT_FIRING;
        resolve(r, now.real_ns);
        return fires;
    }
    /* An end that was found here stays; the collector may not know of it. */
    if (alert->state == SJ_ALERT_RESOLVED && r->alert.state == SJ_ALERT_RESOLVED &&
        alert->starts_real_ns <= r->alert.starts_real_ns)
        return 0;
    void *copy = malloc(n);
    if (!copy)
        return sj_fail(err, EX_OSERR, "out of memory");
    memcpy(copy, data, n);
    if (fill(r, copy, n, err) < 0) {
        free(copy);
        return -1;
    }
    if (changes && alert->state == SJ_ALERT_FIRING)
        r->need = d->change + 1;
    return changes;
}

int sj_deliveries_alert(struct sj_deliveries *d, const void *data, size_t n, struct sj_err *err)
{
    struct sj_alert alert;
    void *room;
    size_t place;
    if (sj_message_get_alert(data, n, &alert, &room, err) < 0)
        return -1;
    struct record *r = sj_deliveries_find(d, alert.id, &place);
    bool tells = alert.state == SJ_ALERT_FIRING || alert.state == SJ_ALERT_RESOLVED;
    int rc = r ? update(d, r, &alert, data, n, err) : tells ? add(d, place, &alert, data, n, err) : 0;
    free(room);
    if (rc > 0)
        sj_deliveries_changed(d);
    return rc < 0 ? -1 : 0;
}

void sj_deliveries_ready(struct sj_deliveries *d)
{
    d->ready_ns = sj_deliveries_now(d).mono_ns;
}

/* ---- what there is to do ---- */

enum told sj_delivery_due(const struct sj_deliveries *d, const struct record *r, size_t slot, struct sj_now now)
{
    const struct delivery *to = &r->to[slot];
    const struct sj_alert *a = &r->alert;
    uint64_t resend_ns = sj_notify_resend_ns(d->slots[slot]->notify);
    if (!sj_notify_wants(d->slots[slot]->notify, &a->labels))
        return TOLD_NOTHING;
    bool same = to->episode_ns == a->starts_real_ns;
    bool again = resend_ns > 0 && (to->told_ns == 0 || now.mono_ns - to->told_ns >= resend_ns);
    if (a->state == SJ_ALERT_FIRING)
        return to->told == TOLD_FIRING && same && !again ? TOLD_NOTHING : TOLD_FIRING;
    bool stale = now.real_ns > a->ends_real_ns && now.real_ns - a->ends_real_ns > STALE_NS;
    if (to->told == TOLD_RESOLVED && same)
        return again && to->told_ns > 0 && now.real_ns < a->ends_real_ns + TOLD_AFTER_NS ? TOLD_RESOLVED : TOLD_NOTHING;
    if (to->told == TOLD_FIRING || to->told == TOLD_UNKNOWN)
        return same || to->told == TOLD_UNKNOWN || stale ? TOLD_RESOLVED : TOLD_FIRING;
    return stale ? TOLD_NOTHING : TOLD_FIRING; /* nobody has told of it while it fired */
}

/* Is there nothing more to do about it? */
static bool is_over(const struct sj_deliveries *d, const struct record *r, struct sj_now now)
{
    if (r->alert.state != SJ_ALERT_RESOLVED || now.real_ns < r->alert.ends_real_ns + KEPT_AFTER_NS ||
        now.mono_ns - r->heard_ns < SILENCE_NS)
        return false;
    for (size_t i = 0; i < d->n_slots; i++)
        if (r->to[i].busy || sj_delivery_due(d, r, i, now) != TOLD_NOTHING)
            return false;
    return true;
}

/* Ends alerts that the collector no longer knows, and forgets those of which everybody knows that they are over. */
static void sweep(struct sj_deliveries *d)
{
    struct sj_now now = sj_deliveries_now(d);
    bool listening = d->ready_ns > 0 && now.mono_ns - d->ready_ns > SILENCE_NS, changes = false;
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct record *r = d->records[i];
        if (listening && r->alert.state == SJ_ALERT_FIRING && now.mono_ns - r->heard_ns > SILENCE_NS) {
            resolve(r, now.real_ns);
            changes = true;
        }
        if (is_over(d, r, now)) {
            free_record(r);
            changes = true;
        } else {
            d->records[kept++] = r;
        }
    }
    d->n = kept;
    d->full = d->full && kept >= SJ_DELIVERIES_MAX;
    if (changes)
        sj_deliveries_changed(d);
}

void sj_deliveries_tick(struct sj_deliveries *d)
{
    sweep(d);
    sj_deliveries_pump(d);
}

void sj_deliveries_saved(struct sj_deliveries *d, bool ok)
{
    d->durable = ok ? d->writing : d->change;
    sj_deliveries_pump(d);
}

bool sj_deliveries_busy(const struct sj_deliveries *d)
{
    struct sj_now now = sj_deliveries_now(d);
    if (!TAILQ_EMPTY(&d->messages))
        return true;
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < d->n_slots; k++)
            if (sj_delivery_due(d, d->records[i], k, now) != TOLD_NOTHING &&
                d->records[i]->to[k].not_before_ns <= now.mono_ns && d->slots[k]->not_before_ns <= now.mono_ns)
                return true;
    return false;
}

void sj_deliveries_status(const struct sj_deliveries *d, struct sj_notifier_status status[SJ_NOTIFY_MAX_])
{
    struct sj_now now = sj_deliveries_now(d);
    memcpy(status, d->past, sizeof(d->past));
    for (size_t k = 0; k < d->n_slots; k++) {
        const struct slot *s = d->slots[k];
        struct sj_notifier_status *sum = &status[sj_notify_kind(s->notify)];
        sum->delivered += s->delivered;
        sum->failed += s->failed;
        sum->dropped += s->dropped;
        for (size_t i = 0; i < d->n; i++)
            sum->waiting += sj_delivery_due(d, d->records[i], k, now) != TOLD_NOTHING;
    }
}
