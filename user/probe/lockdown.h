// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>

/*
 * lockdown=confidentiality keeps the kernel's memory from BPF programs: bpf_probe_read_kernel() is refused, and the old
 * bpf_probe_read() with it. Reading the memory of user space is not, but libbpf concludes from the first refusal that
 * the kernel is too old to tell the two apart, and makes the old call of every bpf_probe_read_user().
 */

/* Does this kernel refuse bpf_probe_read_kernel()? Found by trying; false where nothing at all may be loaded. */
bool sj_lockdown_hides_kernel(void);

struct sj_lockdown;

/*
 * From now on libbpf loads programs of the sections tp_btf/ with the calls that were written there. NULL with errno
 * when that cannot be had. One at a time; ended by sj_lockdown_end() when the programs are attached, NULL being
 * allowed.
 */
struct sj_lockdown *sj_lockdown_begin(void);
void sj_lockdown_end(struct sj_lockdown *l);
