// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/out.h"
#include "status.h"
#include "watch/alert.h"

/*
 * What the two processes of `serve` say to each other over a pair of stream sockets: a head, then `length` bytes. The
 * collector measures and evaluates, the courier speaks to the world. Each takes the other for hostile: lengths are
 * bounded, unknown types and versions end the connection.
 */
#define SJ_MESSAGE_VERSION 1
#define SJ_MESSAGE_MAX (4u << 20)

enum sj_message_type {
    /* courier to collector */
    SJ_MSG_RESTORE = 1, /* the saved state of the watch, possibly of no bytes; the first message, once */
    SJ_MSG_CONFIG,      /* the text of a configuration that the courier has checked: go on with it */
    SJ_MSG_SCRAPE,      /* id; struct sj_scrape */
    SJ_MSG_COURIER,     /* struct sj_courier_status, about once a second */
    /* collector to courier */
    SJ_MSG_READY,  /* everything is attached: the text is a line about it */
    SJ_MSG_BODY,   /* id; a part of the answer to a scrape; SJ_MSG_LAST on the last one */
    SJ_MSG_ALERT,  /* an alert: told at each change, and each one again after READY and every minute */
    SJ_MSG_STATE,  /* the state of the watch, to be saved: after changes, at most once a second */
    SJ_MSG_RELOAD, /* read the configuration again (SIGHUP) */
    SJ_MSG_STOP,   /* finish: deliver what can be delivered within two seconds, save, exit */
    SJ_MSG_MAX_
};

enum sj_message_flag { SJ_MSG_LAST = 1 << 0, SJ_MSG_FAILED = 1 << 1 };

struct sj_message {
    uint8_t version;
    uint8_t type;
    uint16_t flags;
    uint32_t id; /* of a scrape, chosen by the courier; 0 otherwise */
    uint32_t length;
    uint32_t reserved;
};
_Static_assert(sizeof(struct sj_message) == 16, "message head");

enum sj_scrape_what { SJ_SCRAPE_METRICS = 0, SJ_SCRAPE_REPORT };
struct sj_scrape {
    uint8_t what;   /* enum sj_scrape_what */
    uint8_t format; /* enum sj_exposition_format */
    uint8_t reserved[6];
};

/*
 * One end of the pair, not blocking. Writes are kept in memory until the socket takes them; beyond 16 MiB the other
 * side is taken for dead.
 */
struct sj_channel;

/* Takes fd over, and closes it in sj_channel_free(). NULL when there is no memory. */
struct sj_channel *sj_channel_new(int fd);
void sj_channel_free(struct sj_channel *c);
int sj_channel_fd(const struct sj_channel *c);

/* 0, or -1 with *err (EX_OSERR) when the channel is broken or its memory full. length <= SJ_MESSAGE_MAX. */
int sj_channel_send(struct sj_channel *c, enum sj_message_type type, uint16_t flags, uint32_t id, const void *data,
                    size_t length, struct sj_err *err);

/* How many bytes wait until the socket takes them. */
size_t sj_channel_backlog(const struct sj_channel *c);

/* Writes what the socket takes now. Returns whether something is left, or -1. */
int sj_channel_flush(struct sj_channel *c, struct sj_err *err);

/* data is valid until the function returns. Returns 0, or -1 with *err to stop. */
typedef int (*sj_message_fn)(void *ctx, const struct sj_message *head, const void *data, struct sj_err *err);

/* Reads what there is and hands on whole messages. 0; 1 when the other side has closed; -1 with *err. */
int sj_channel_receive(struct sj_channel *c, sj_message_fn fn, void *ctx, struct sj_err *err);

/* An alert as bytes and back. Decoding borrows from data; *labels and *annotations point into *room, which is freed. */
void sj_message_put_alert(struct sj_out *out, const struct sj_alert *alert);
int sj_message_get_alert(const void *data, size_t n, struct sj_alert *alert, void **room, struct sj_err *err);
