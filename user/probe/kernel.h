// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "probe/sets.h"

/* What this kernel and these rights allow. Found by trying and by the kernel's BTF, never by its version number. */

struct sj_kernel_feature {
    const char *name; /* "btf", "sk_data_ready", ... */
    bool have;
    bool required;
    const char *consequence; /* what is switched off without it, or what to do */
};

#define SJ_KERNEL_FEATURES 24

/* Fills features[0..n) and returns n. Needs no rights; what cannot be told without them is left out. */
unsigned sj_kernel_features(struct sj_kernel_feature features[SJ_KERNEL_FEATURES]);

/*
 * Which probe set can measure requests here, with the thread clock when that is wanted? name: that one or none; NULL:
 * the best there is. 0, or -1 with *err: EX_NOPERM or EX_UNAVAILABLE.
 *
 * *walks (unless NULL) becomes whether programs may walk over the state of the set's sockets. Some kernels keep such
 * walks from everybody: found by loading a program that does nothing; false too when that fails for want of rights.
 */
int sj_kernel_choose(const char *name, bool clock, const struct sj_probe_set **set, bool *walks, struct sj_err *err);

/* Why did the kernel refuse the programs and their buffers (of log_bytes for each CPU)? Returns -1 with *err. */
int sj_kernel_explain_load(int error, unsigned cpus, unsigned log_bytes, struct sj_err *err);

/*
 * The lockdown mode, "none", "integrity", "confidentiality", or "unknown": as the kernel tells, or if that cannot be
 * read, as a trial shows, which finds out "confidentiality" alone.
 */
const char *sj_kernel_lockdown(void);
