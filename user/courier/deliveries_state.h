// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/queue.h>

#include "courier/deliveries.h"

/* What the files of the deliveries share. */
enum told {
    TOLD_NOTHING = 0,
    TOLD_UNKNOWN, /* the alert was over when it was first heard of: told or not, it must be told to be resolved */
    TOLD_FIRING,
    TOLD_RESOLVED,
    TOLD_MAX_
};

/* An alert and a receiver. */
struct delivery {
    uint8_t told;        /* enum told: what the receiver accepted last */
    uint64_t episode_ns; /* when the alert began to fire of which it was told */
    uint64_t told_ns;    /* when; of this run */
    uint64_t not_before_ns;
    unsigned tries; /* that failed, since the last success */
    bool busy;
};

struct record {
    struct sj_alert alert; /* firing or resolved; its strings lie in data and room */
    void *data;            /* as it was told */
    size_t length;
    void *room;
    uint64_t heard_ns;   /* when the collector told of it last */
    uint64_t need;       /* nothing is sent before this change is on disk */
    struct delivery *to; /* of each receiver */
};

/* A receiver. */
struct slot {
    struct sj_notify *notify;
    uint64_t not_before_ns;
    unsigned tries;
    size_t busy;            /* messages under way */
    size_t next;            /* the record to look at first: everybody gets a turn */
    uint64_t complained_ns; /* 0: it works */
    uint64_t delivered, failed, dropped;
    bool gone; /* no longer configured; ends with its last message */
};

struct message {
    TAILQ_ENTRY(message) link;
    struct sj_deliveries *d;
    struct slot *slot;
    struct sj_attempt *attempt;
    size_t n;
    struct {
        char id[SJ_ALERT_ID_SIZE];
        uint64_t episode_ns;
        bool firing;
    } of[];
};

struct sj_deliveries {
    const struct sj_notify_env *env;
    struct sj_deliveries_hooks hooks;
    struct record **records; /* sorted by id */
    size_t n, room;
    struct slot **slots;
    size_t n_slots;
    TAILQ_HEAD(, message) messages;
    uint64_t change, writing, durable; /* numbers of changes: the latest, that in the latest write, that on disk */
    uint64_t ready_ns;                 /* since when the collector measures; 0: not yet */
    struct sj_notifier_status past[SJ_NOTIFY_MAX_]; /* of receivers that are gone */
    bool full;                                      /* that has been told */
};

struct sj_now sj_deliveries_now(const struct sj_deliveries *d);

/* What a receiver should be told now, or nothing. */
enum told sj_delivery_due(const struct sj_deliveries *d, const struct record *r, size_t slot, struct sj_now now);

/* The record of an id; *place: where it is, or should be. */
struct record *sj_deliveries_find(const struct sj_deliveries *d, const char *id, size_t *place);

/* A record at a place, without deliveries to anybody; data is taken over. NULL when there is no memory. */
struct record *sj_deliveries_insert(struct sj_deliveries *d, size_t place, void *data, size_t length,
                                    struct sj_err *err);
void sj_deliveries_changed(struct sj_deliveries *d);

/* Sends what is due and may be sent. */
void sj_deliveries_pump(struct sj_deliveries *d);
void sj_message_free(struct message *m);
