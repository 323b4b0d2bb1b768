// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include <sojourn/histogram.h>

/* How many latencies one run takes; tests/unit/test_hist_bpf.c asks the skeleton for it. */
#define BATCH 256

__u64 latencies[BATCH];
__s32 indexes[BATCH];

/* Run by hand, never attached: the buckets of all latencies. */
SEC("raw_tp/sched_switch")
int on_test_run(void *ctx)
{
    for (__u32 i = 0; i < BATCH; i++)
        indexes[i] = sj_hist_index(latencies[i]);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
