/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SJ_VMLINUX_ARM64_REGS_H
#define SJ_VMLINUX_ARM64_REGS_H

/* What user space sees of the registers; bpf_tracing.h reads arguments through it. */
struct user_pt_regs {
    unsigned long long regs[31];
    unsigned long long sp;
    unsigned long long pc;
    unsigned long long pstate;
} __attribute__((preserve_access_index));

/* orig_x0 keeps the first argument of a system call after x0 has taken its result. */
struct pt_regs {
    unsigned long long regs[31];
    unsigned long long sp;
    unsigned long long pc;
    unsigned long long pstate;
    unsigned long long orig_x0;
    int syscallno;
} __attribute__((preserve_access_index));

#endif
