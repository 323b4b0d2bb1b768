// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "request.h"

/*
 * What the user asked to see. A live measurement applies pid, comm, port, cgroup and role in the kernel; what is
 * left (container, protocol, operation, slower: known only when a request is over), and everything when reading a
 * recording, is applied by sj_filter_match().
 */
struct sj_filter {
    uint32_t pid;                     /* 0: any */
    uint16_t port;                    /* 0: any; of the answering side */
    uint8_t role;                     /* enum sj_role; SJ_ROLE_UNKNOWN: any */
    int8_t protocol;                  /* enum sj_protocol, -1: any */
    uint64_t cgroup;                  /* id of a cgroup v2 directory, 0: any; its descendants match too (live only) */
    uint32_t cgroup_level;            /* how many directories below the root of the hierarchy it lies */
    uint64_t slower_ns;               /* only requests whose total is at least this */
    char comm[SJ_COMM_LEN];           /* "": any */
    char container[128];              /* prefix of the id, or the name; "": any */
    char operation[SJ_COMM_LEN * 16]; /* fnmatch(3) pattern, "": any */
};

void sj_filter_init(struct sj_filter *f);

/* One FILTER option, name without dashes. Returns 0, or -1 with *err (EX_USAGE) naming the option and what it takes. */
int sj_filter_set(struct sj_filter *f, const char *name, const char *value, struct sj_err *err);

/* Does the finished request match all that was asked? */
bool sj_filter_match(const struct sj_filter *f, const struct sj_request *req);
