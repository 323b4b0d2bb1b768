// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdint.h>

#include <sojourn/event.h>

/* A process that serves or asks, as far as it is known. Strings are never NULL. */
struct sj_process {
    uint32_t tgid;
    uint64_t start; /* of its first thread, CLOCK_MONOTONIC ns; 0 unknown */
    uint64_t cgroup;
    char comm[SJ_COMM_LEN];
    char service[64];
    char container[80];
};
