// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "decode/process.h"

/*
 * Names for process ids: the program, and the container it runs in. The kernel side's records bring the name; /proc is
 * asked for what they lack, once per process, so that a process that has already ended keeps its name.
 */
struct sj_processes;

/* NULL without memory. */
struct sj_processes *sj_processes_new(void);
void sj_processes_free(struct sj_processes *t);

/* A record told of this process. */
void sj_processes_learn(struct sj_processes *t, const struct sj_rec_conn *rec);

/* The process; never NULL: one of whom nothing is known has empty names. Valid until the next call of learn or find. */
const struct sj_process *sj_processes_find(struct sj_processes *t, uint32_t tgid);

/* The service's name for a process name as the kernel has it (cut at 15 bytes) and its command line's first word. */
void sj_process_service(const char *comm, const char *argv0, char *out, size_t size);

/* The container id in the text of /proc/PID/cgroup: the last run of 64 hex digits; "" without one. */
void sj_container_of_cgroup(const char *text, char *out, size_t size);
