// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* What this kernel and these rights allow. Found by trying and by the kernel's BTF, never by its version number. */

struct sj_kernel_feature {
    const char *name; /* "btf", "sk_data_ready", ... */
    bool have;
    bool required;
    const char *consequence; /* what is switched off without it, or what to do */
};

#define SJ_KERNEL_FEATURES 16

/* Fills features[0..n) and returns n. Needs no rights; what cannot be told without them is left out. */
unsigned sj_kernel_features(struct sj_kernel_feature features[SJ_KERNEL_FEATURES]);

/*
 * Can requests be measured here with this probe set (NULL: any), and with the thread clock when that is wanted? 0, or
 * -1 with *err: EX_NOPERM or EX_UNAVAILABLE. *walk (may be NULL): whether programs may walk over the state that is kept
 * with sockets.
 */
int sj_kernel_require(const char *probe_set, bool clock, bool *walk, struct sj_err *err);

/* Why did the kernel refuse the programs and their buffers (of log_bytes for each CPU)? Returns -1 with *err. */
int sj_kernel_explain_load(int error, unsigned cpus, unsigned log_bytes, struct sj_err *err);

/* The lockdown mode, "none", "integrity", "confidentiality", or "unknown". */
const char *sj_kernel_lockdown(void);
