// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"
#include "notify/notify.h"
#include "status.h"

/*
 * What every receiver has been told of every alert, and what it should be told. They are compared, and while they
 * differ there is something to send: nothing is queued that could be lost or grow, and a resolve that was not delivered
 * is still a difference after a restart.
 *
 * A receiver is told each change once: that an alert fires, also when that is over by now, then that it is resolved.
 * One that forgets is told again every minute (env's resend), and of a resolved alert for 15 minutes. What fails is
 * tried again after 1, 2, 4 ... 60 s (15 s for those that forget, or the resend if that is shorter), less up to half of
 * it by chance, or when the receiver says.
 */
struct sj_deliveries;

/* No more alerts than that are kept, in any state. */
#define SJ_DELIVERIES_MAX 10000

struct sj_deliveries_hooks {
    void (*changed)(void *ctx);      /* what has to be on disk is another; sj_deliveries_saved() follows */
    struct sj_now (*now)(void *ctx); /* what time it is */
    void *ctx;
};

/* NULL when there is no memory. */
struct sj_deliveries *sj_deliveries_new(const struct sj_notify_env *env, const struct sj_deliveries_hooks *hooks);

/* Calls off what is under way. NULL is allowed. */
void sj_deliveries_free(struct sj_deliveries *d);

/*
 * The receivers from now on; the array and one reference of each are taken over. One that was there before (by its key)
 * goes on where it was. 0 or -ENOMEM, and then nothing has changed or been taken.
 */
int sj_deliveries_receivers(struct sj_deliveries *d, struct sj_notify **receivers, size_t n);

/* An alert as the collector tells it, in its encoded form, which is kept. -1 with *err when that is damaged. */
int sj_deliveries_alert(struct sj_deliveries *d, const void *data, size_t n, struct sj_err *err);

/* The collector measures: from now on it tells every alert each minute, and one of which it does not is over. */
void sj_deliveries_ready(struct sj_deliveries *d);

/* What was written by the latest sj_deliveries_write() is on disk, or (false) disks do not work and nobody waits. */
void sj_deliveries_saved(struct sj_deliveries *d, bool ok);

/* Sends what is due; about once a second. */
void sj_deliveries_tick(struct sj_deliveries *d);

/* Is anything not as it should be that could be tried now? */
bool sj_deliveries_busy(const struct sj_deliveries *d);

/* By kind of receiver. */
void sj_deliveries_status(const struct sj_deliveries *d, struct sj_notifier_status status[SJ_NOTIFY_MAX_]);

/* The state for the disk, and back: after sj_deliveries_receivers(), before anything else. -1 with *err (EX_DATAERR).
 */
void sj_deliveries_write(struct sj_deliveries *d, struct sj_out *out);
int sj_deliveries_read(struct sj_deliveries *d, const void *data, size_t n, struct sj_err *err);
