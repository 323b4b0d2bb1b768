// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

/*
 * A service manager, if there is one: datagrams to $NOTIFY_SOCKET, see sd_notify(3). The socket is opened while the
 * process may still do so; -1 without a manager, and then telling it does nothing.
 */
int sj_manager_open(void);
void sj_manager_tell(int fd, const char *state);

/* A reload begins; monotonic time. */
void sj_manager_reloading(int fd, uint64_t mono_ns);

/* The program is alive: only told when $WATCHDOG_USEC asks for it. */
void sj_manager_alive(int fd);
