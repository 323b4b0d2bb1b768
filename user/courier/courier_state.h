// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "courier/api.h"
#include "courier/courier.h"
#include "courier/deliveries.h"
#include "courier/saver.h"
#include "net/resolver.h"

/* What the files of the courier itself share. */
struct courier {
    struct event_base *base;
    struct sj_channel *channel;
    struct event *readable, *writable, *tick, *stop;
    const char *config_path;
    struct sj_config *start_config; /* not that of a reload */
    char host[65];
    struct sj_notify_env env;
    struct sj_resolver *resolver;
    struct sj_worker *hasher;
    struct sj_api *api;
    struct sj_web *web;
    struct sj_saver *saver;
    struct sj_deliveries *deliveries;
    void *watch; /* the state of the watch, as the collector told it last */
    size_t watch_length;
    uint64_t reloads_failed;
    bool last_reload_ok;
    bool stopping;
    bool ended; /* the loop runs no more */
    int status;
};

/* What a configuration asks of the courier, checked and ready to be used. */
struct sj_setup {
    struct sj_web_config *web; /* NULL: none */
    struct sj_notify **receivers;
    size_t n_receivers;
};

/* How often a firing alert is told again, in ns: no more often than the rules are looked at. */
uint64_t sj_setup_resend_ns(const struct sj_config *config);

/* -1 with *err, and nothing is left behind. */
int sj_setup_make(const struct sj_config *config, const struct sj_notify_env *env, struct sj_setup *out,
                  struct sj_err *err);
void sj_setup_free(struct sj_setup *s);

/* Can the secrets of its receivers be read now? -1 with *err, which names the line and the file. */
int sj_setup_secrets(const struct sj_config *config, const struct sj_notify_env *env, const struct sj_setup *s,
                     struct sj_err *err);

/* Makes it the courier's; *s is empty afterwards. -1 with *err: it goes on as before. */
int sj_setup_apply(struct courier *c, struct sj_setup *s, struct sj_err *err);

/* Reads the configuration again; a bad one changes nothing. The collector is told of a good one. */
void sj_courier_reload(struct courier *c);

/* Sends a message to the collector; ends the loop when that cannot be done. */
int sj_courier_tell(struct courier *c, enum sj_message_type type, uint32_t id, const void *data, size_t n);
