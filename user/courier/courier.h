// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "serve/message.h"

/*
 * The process that speaks to the world: HTTP in (metrics, report, health), notifications out, the state on disk. It
 * sees neither BPF nor the process that measures, but for the messages of serve/message.h.
 */
struct sj_courier_options {
    const char *config_path; /* read again at SJ_MSG_RELOAD; files that are named in it lie beside it */
    int listen_fd;           /* bound and listening already; -1: it binds config's address itself */
};

/*
 * Binds config's address. Returns the socket, or -1 with *err (EX_UNAVAILABLE when the address is taken, EX_NOPERM,
 * EX_CONFIG). Before the fork, so that an address that is taken ends the program before anything is loaded.
 */
int sj_courier_bind(const struct sj_config *config, struct sj_err *err);

/*
 * Checks what the configuration names and the courier uses: the web configuration with its certificates, the receivers'
 * URLs, templates, authorities and secrets. -1 with *err (EX_CONFIG, EX_NOINPUT, EX_NOPERM).
 */
int sj_courier_check(const struct sj_config *config, const char *config_path, struct sj_err *err);

/* The same without the secrets, which a daemon that starts can do without for a while. */
int sj_courier_check_start(const struct sj_config *config, const char *config_path, struct sj_err *err);

/*
 * Runs until the collector says stop or is gone; takes over channel and config. Returns the exit status of the process.
 * What goes wrong meanwhile is told on standard error, a line each. EX_UNAVAILABLE: another daemon uses state_dir.
 */
int sj_courier_run(struct sj_channel *channel, struct sj_config *config, const struct sj_courier_options *options);
