/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What vmlinux.h cannot say since it is made from one kernel's types: how others have them. CO-RE ignores what follows
 * three underscores in a name.
 */
#include "vmlinux.h"

/* Helpers that not every kernel has; whether this one does shows in its BTF. */
enum bpf_func_id___later {
    BPF_FUNC_get_current_task_btf___later = 158, /* 5.11: 3ca1032ab7ab "bpf: Implement get_current_task_btf" */
    BPF_FUNC_task_pt_regs___later = 175,         /* 5.15: dd6e10fbd9fb "bpf: Add bpf_task_pt_regs() helper" */
};
#define have_helper(name) bpf_core_enum_value_exists(enum bpf_func_id___later, BPF_FUNC_##name##___later)

/* What TCP keeps in skb->cb. The flags had 8 bits until 6.15 (2c2f08d31d2f), of which the lowest stayed where they are.
 */
struct tcp_skb_cb___narrow {
    __u32 seq;
    __u32 end_seq;
    __u8 tcp_flags;
} __attribute__((preserve_access_index));
