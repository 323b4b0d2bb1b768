// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* What a process may still do when it has all that it needs. */

/* What the process is for decides which system calls it keeps. */
enum sj_rights_profile {
    SJ_RIGHTS_MEASURE,   /* a command: reads what the kernel side tells, and /proc; writes what is open already */
    SJ_RIGHTS_COLLECTOR, /* the measuring half of a daemon: as above, and talks over sockets that are open already */
    SJ_RIGHTS_COURIER,   /* the other half: the network, files and commands, but nothing that changes the system */
};

/*
 * Gives everything up, for good: the capabilities of all sets (of the bounding set where that is allowed), the right to
 * gain any by exec, and the system calls that the profile does not list. They fail with EPERM from then on.
 *
 * `works` (may be NULL) tells whether what the process is there for can still be done. Some kernels want CAP_BPF for
 * every bpf() call: where it fails without, that one capability stays, and *kept (may be NULL) says so. Returns 0, or
 * -1 with *err (EX_OSERR, EX_NOPERM) when it fails even so. System calls are limited for all threads there are;
 * capabilities belong to the one that calls: whoever starts another before has it call sj_rights_drop_thread().
 */
int sj_rights_drop(enum sj_rights_profile profile, bool (*works)(void *ctx), void *ctx, bool *kept, struct sj_err *err);

/* Gives up the capabilities of the calling thread alone. 0, or -1 with *err (EX_OSERR). Not while another one calls. */
int sj_rights_drop_thread(struct sj_err *err);
