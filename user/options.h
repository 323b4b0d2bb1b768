// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "command.h"
#include "filter.h"

enum sj_stages_mode { SJ_STAGES_ALL = 0, SJ_STAGES_QUEUE, SJ_STAGES_NONE };

/* The options that every measuring command shares: where the requests come from and which. */
struct sj_measure_options {
    struct sj_filter filter;
    uint64_t duration_ns; /* 0: until a signal, or the end of the command or file */
    enum sj_stages_mode stages;
    bool payload;          /* false: --payload off */
    uint32_t ring_bytes;   /* of all CPUs together */
    const char *probe_set; /* NULL: chosen by what the kernel offers */
    uint32_t companion;    /* a process that is measured as little as this one; 0: none */
    const char *label;
    const char *from; /* --from FILE, NULL: live */
    bool json;
    const char *fit;    /* NULL: default; "none" */
    const char *output; /* -o FILE */
    char **child;       /* argv of `-- COMMAND...`, NULL-terminated; NULL without */
};

/*
 * Parses argv for cmd. `accepts` is a string of letters naming the groups that the command takes besides the filters:
 * 'd' duration, 'f' --from, 'j' --json, 'o' -o FILE, 't' --fit, 'c' `-- COMMAND`.
 * Returns 0 to go on; otherwise *status is the exit status and everything has been said (help, usage errors).
 */
int sj_options_parse(const struct sj_command *cmd, const char *accepts, int argc, char **argv,
                     struct sj_measure_options *out, int *status);

/* How much memory events on their way from the kernel get without --ring. */
#define SJ_RING_BYTES_DEFAULT (4U << 20)
