// SPDX-License-Identifier: GPL-3.0-or-later
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "courier/deliveries_state.h"

#define PAUSE_NS (60 * SJ_SECOND_NS)           /* between tries, at most */
#define PAUSE_FORGETFUL_NS (15 * SJ_SECOND_NS) /* for receivers that take what they are not told for resolved */
#define COMPLAIN_NS (3600 * SJ_SECOND_NS)
#define BATCH_MAX 64

void sj_message_free(struct message *m)
{
    TAILQ_REMOVE(&m->d->messages, m, link);
    free(m);
}

/* The longest pause. One that forgets has to be told again before it does. */
static uint64_t longest_ns(const struct slot *s)
{
    uint64_t resend_ns = sj_notify_resend_ns(s->notify);
    return resend_ns == 0 ? PAUSE_NS : resend_ns < PAUSE_FORGETFUL_NS ? resend_ns : PAUSE_FORGETFUL_NS;
}

/*
 * 1, 2, 4 ... seconds, at most most_ns, less up to half of it so that many do not come back together, but never less
 * than what the receiver asked for.
 */
static uint64_t pause_ns(unsigned tries, uint64_t most_ns, const struct sj_send_result *result)
{
    uint32_t chance = 0;
    uint64_t ns = tries < 7 ? SJ_SECOND_NS << tries : most_ns;
    RAND_bytes((unsigned char *)&chance, sizeof(chance));
    ns = ns < most_ns ? ns : most_ns;
    ns -= ns / 2 * (chance >> 16) / 65536;
    return ns > result->retry_after_ns ? ns : result->retry_after_ns;
}

static void complain(struct slot *s, const struct sj_send_result *result, uint64_t now)
{
    if (s->complained_ns && now - s->complained_ns < COMPLAIN_NS)
        return;
    s->complained_ns = now;
    sj_complain(EX_TEMPFAIL, "%s: %s; it is tried again", sj_notify_name(s->notify), result->text);
}

static void accepted(struct message *m)
{
    struct slot *s = m->slot;
    s->delivered++;
    s->tries = 0;
    s->not_before_ns = 0;
    if (s->complained_ns)
        sj_complain(EX_OK, "%s accepts messages again", sj_notify_name(s->notify));
    s->complained_ns = 0;
}

static void note_told(struct message *m, struct delivery *to, size_t i, uint64_t now)
{
    to->told = m->of[i].firing ? TOLD_FIRING : TOLD_RESOLVED;
    to->episode_ns = m->of[i].episode_ns;
    to->told_ns = now;
    to->tries = 0;
    to->not_before_ns = 0;
}

/* A message of several of which one is refused is sent again one by one. */
static void refused(struct message *m, const struct record *r, struct delivery *to, size_t i,
                    const struct sj_send_result *result, uint64_t now)
{
    if (m->n > 1) {
        to->tries = to->tries ? to->tries : 1;
        return;
    }
    m->slot->dropped++;
    sj_complain(EX_DATAERR, "%s: %s; that alert %s (id %s) is %s is not told again", sj_notify_name(m->slot->notify),
                result->text, r->alert.name, m->of[i].id, m->of[i].firing ? "firing" : "resolved");
    note_told(m, to, i, now);
}

/* Messages that were under way together and fail together are one failure, or the pauses would grow too fast. */
static void hold_back(struct slot *s, uint64_t now, const struct sj_send_result *result)
{
    if (s->not_before_ns <= now)
        s->not_before_ns = now + pause_ns(s->tries++, longest_ns(s), result);
    else if (s->not_before_ns < now + result->retry_after_ns)
        s->not_before_ns = now + result->retry_after_ns;
}

/* Does what the result asks for. Returns whether anything has changed that is to be on disk. */
static bool settle(struct message *m, const struct sj_send_result *result, uint64_t now)
{
    struct sj_deliveries *d = m->d;
    struct slot *s = m->slot;
    uint64_t dropped = s->dropped;
    size_t index = 0, place;
    while (index < d->n_slots && d->slots[index] != s)
        index++;
    for (size_t i = 0; i < m->n && index < d->n_slots; i++) {
        struct record *r = sj_deliveries_find(d, m->of[i].id, &place);
        if (!r)
            continue;
        struct delivery *to = &r->to[index];
        to->busy = false;
        if (result->outcome == SJ_SEND_ACCEPTED)
            note_told(m, to, i, now);
        else if (result->outcome == SJ_SEND_REFUSED)
            refused(m, r, to, i, result, now);
        else if (result->outcome == SJ_SEND_FAILED)
            to->not_before_ns = now + pause_ns(to->tries++, longest_ns(s), result);
    }
    if (result->outcome == SJ_SEND_ACCEPTED) {
        accepted(m);
        return true;
    }
    s->failed += result->outcome != SJ_SEND_REFUSED || m->n > 1;
    if (result->outcome == SJ_SEND_DOWN)
        hold_back(s, now, result);
    if (result->outcome != SJ_SEND_REFUSED)
        complain(s, result, now);
    return s->dropped > dropped;
}

static void on_sent(void *ctx, const struct sj_send_result *result)
{
    struct message *m = ctx;
    struct sj_deliveries *d = m->d;
    struct slot *s = m->slot;
    bool changes = settle(m, result, sj_deliveries_now(d).mono_ns);
    sj_message_free(m);
    s->busy--;
    if (s->gone && s->busy == 0) {
        sj_notify_unref(s->notify);
        free(s);
    }
    if (changes)
        sj_deliveries_changed(d);
    sj_deliveries_pump(d);
}

static void take(struct message *m, struct sj_notice *notice, struct record *r, bool firing, uint64_t real)
{
    size_t i = m->n++;
    *notice = (struct sj_notice){.alert = &r->alert,
                                 .firing = firing,
                                 .host = m->d->env->host,
                                 .now_real_ns = real,
                                 .valid_ns = sj_notify_resend_ns(m->slot->notify)};
    memcpy(m->of[i].id, r->alert.id, sizeof(m->of[i].id));
    m->of[i].episode_ns = r->alert.starts_real_ns;
    m->of[i].firing = firing;
}

/* Gathers what one message may hold of what is due. */
static void gather(struct message *m, size_t slot, struct sj_notice *notices, size_t most, struct sj_now now)
{
    struct sj_deliveries *d = m->d;
    struct slot *s = m->slot;
    for (size_t i = 0; i < d->n && m->n < most; i++) {
        size_t at = (s->next + i) % d->n;
        struct record *r = d->records[at];
        struct delivery *to = &r->to[slot];
        if (to->busy || to->not_before_ns > now.mono_ns || r->need > d->durable)
            continue;
        enum told due = sj_delivery_due(d, r, slot, now);
        if (due == TOLD_NOTHING || (to->tries > 0 && m->n > 0)) /* what has failed goes alone */
            continue;
        take(m, &notices[m->n], r, due == TOLD_FIRING, now.real_ns);
        to->busy = true;
        if (m->n == most || to->tries > 0) {
            s->next = at + 1;
            return;
        }
    }
}

static void give_back(struct message *m, size_t slot)
{
    size_t place;
    for (size_t i = 0; i < m->n; i++) {
        struct record *r = sj_deliveries_find(m->d, m->of[i].id, &place);
        if (r)
            r->to[slot].busy = false;
    }
}

/* Sends one message if there is one to send. */
static bool send_one(struct sj_deliveries *d, size_t slot, struct sj_now now)
{
    struct sj_notice notices[BATCH_MAX];
    struct slot *s = d->slots[slot];
    size_t most = sj_notify_batch(s->notify);
    struct message *m = calloc(1, sizeof(*m) + most * sizeof(m->of[0]));
    if (!m)
        return false;
    m->d = d;
    m->slot = s;
    gather(m, slot, notices, most < BATCH_MAX ? most : BATCH_MAX, now);
    m->attempt = m->n > 0 ? sj_notify_send(s->notify, notices, m->n, on_sent, m) : NULL;
    if (!m->attempt) {
        give_back(m, slot);
        free(m);
        return false;
    }
    TAILQ_INSERT_TAIL(&d->messages, m, link);
    s->busy++;
    return true;
}

void sj_deliveries_pump(struct sj_deliveries *d)
{
    struct sj_now now = sj_deliveries_now(d);
    for (size_t k = 0; k < d->n_slots; k++) {
        struct slot *s = d->slots[k];
        while (s->not_before_ns <= now.mono_ns && s->busy < sj_notify_parallel(s->notify) && send_one(d, k, now))
            ;
    }
}
