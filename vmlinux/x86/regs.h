/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SJ_VMLINUX_X86_REGS_H
#define SJ_VMLINUX_X86_REGS_H

/* The names are those of struct pt_regs inside the kernel, not of its uapi header. */
struct pt_regs {
    unsigned long r15;
    unsigned long r14;
    unsigned long r13;
    unsigned long r12;
    unsigned long bp;
    unsigned long bx;
    unsigned long r11;
    unsigned long r10;
    unsigned long r9;
    unsigned long r8;
    unsigned long ax;
    unsigned long cx;
    unsigned long dx;
    unsigned long si;
    unsigned long di;
    unsigned long orig_ax;
    unsigned long ip;
    unsigned short cs;
    unsigned long flags;
    unsigned long sp;
    unsigned short ss;
} __attribute__((preserve_access_index));

#endif
