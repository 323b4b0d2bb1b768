/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a task is doing in the kernel, from the registers it entered with: no syscall tracepoint is needed for it.
 * Numbers are per architecture; a 32-bit task has other ones, and nothing is concluded from it.
 */
#include "state.bpf.h"

#if defined(__TARGET_ARCH_x86)
enum nr {
    NR_read = 0,
    NR_write = 1,
    NR_poll = 7,
    NR_pread64 = 17,
    NR_pwrite64 = 18,
    NR_readv = 19,
    NR_writev = 20,
    NR_select = 23,
    NR_nanosleep = 35,
    NR_sendfile = 40,
    NR_connect = 42,
    NR_accept = 43,
    NR_sendto = 44,
    NR_recvfrom = 45,
    NR_sendmsg = 46,
    NR_recvmsg = 47,
    NR_kill = 62,
    NR_fsync = 74,
    NR_fdatasync = 75,
    NR_tkill = 200,
    NR_futex = 202,
    NR_clock_nanosleep = 230,
    NR_epoll_wait = 232,
    NR_tgkill = 234,
    NR_pselect6 = 270,
    NR_ppoll = 271,
    NR_sync_file_range = 277,
    NR_splice = 275,
    NR_epoll_pwait = 281,
    NR_accept4 = 288,
    NR_rt_tgsigqueueinfo = 297,
    NR_recvmmsg = 299,
    NR_sendmmsg = 307,
    NR_syncfs = 306,
    NR_preadv2 = 327,
    NR_pwritev2 = 328,
    NR_io_uring_enter = 426,
    NR_epoll_pwait2 = 441,
    NR_futex_waitv = 449,
    NR_futex_wait = 455,
};
#define REG_NR orig_ax
#define REG_ARG1 di
#define REG_ARG2 si
#define REG_ARG3 dx
#define REG_ARG4 r10
#define TASK_COMPAT 2 /* TS_COMPAT: a 32-bit system call */
static __always_inline bool task_compat(struct task_struct *task)
{
    return READ(task, thread_info.status) & TASK_COMPAT;
}
#elif defined(__TARGET_ARCH_arm64)
enum nr {
    NR_read = 63,
    NR_write = 64,
    NR_poll = -2,
    NR_pread64 = 67,
    NR_pwrite64 = 68,
    NR_readv = 65,
    NR_writev = 66,
    NR_select = -3,
    NR_nanosleep = 101,
    NR_sendfile = 71,
    NR_connect = 203,
    NR_accept = 202,
    NR_sendto = 206,
    NR_recvfrom = 207,
    NR_sendmsg = 211,
    NR_recvmsg = 212,
    NR_kill = 129,
    NR_fsync = 82,
    NR_fdatasync = 83,
    NR_tkill = 130,
    NR_futex = 98,
    NR_clock_nanosleep = 115,
    NR_epoll_wait = -4,
    NR_tgkill = 131,
    NR_pselect6 = 72,
    NR_ppoll = 73,
    NR_sync_file_range = 84,
    NR_splice = 76,
    NR_epoll_pwait = 22,
    NR_accept4 = 242,
    NR_rt_tgsigqueueinfo = 240,
    NR_recvmmsg = 243,
    NR_sendmmsg = 269,
    NR_syncfs = 267,
    NR_preadv2 = 286,
    NR_pwritev2 = 287,
    NR_io_uring_enter = 426,
    NR_epoll_pwait2 = 441,
    NR_futex_waitv = 449,
    NR_futex_wait = 455,
};
#define REG_NR syscallno
#define REG_ARG1 orig_x0
#define REG_ARG2 regs[1]
#define REG_ARG3 regs[2]
#define REG_ARG4 regs[3]
static __always_inline bool task_compat(struct task_struct *task)
{
    return READ(task, thread_info.flags) & (1UL << 22); /* TIF_32BIT */
}
#else
#error "no system call table for this architecture"
#endif

#define REGS_NR(regs) ((long)READ(regs, REG_NR))
#define REGS_ARG(regs, n) ((__u64)READ(regs, REG_ARG##n))

/* Of a task that is being switched away from. */
static __always_inline bool task_running(struct task_struct *task)
{
    if (bpf_core_field_exists(task->__state))
        return task->__state == 0;
    return task->state == 0;
}

struct sleep {
    __u32 cause;    /* enum sj_cause */
    bool any_event; /* it waits for whatever comes next */
};

/* Why does this task go to sleep? By the system call that it sleeps in; the disk says so itself. */
static __always_inline struct sleep sleep_of(struct task_struct *task)
{
    struct sleep s = {.cause = SJ_CAUSE_OTHER};
    if (BPF_CORE_READ_BITFIELD(task, in_iowait)) {
        s.cause = SJ_CAUSE_DISK;
        return s;
    }
    if (task_compat(task))
        return s;
    struct pt_regs *regs = task_regs(task);
    switch (REGS_NR(regs)) {
    case NR_futex:
    case NR_futex_waitv:
    case NR_futex_wait:
        s.cause = SJ_CAUSE_LOCK;
        break;
    case NR_nanosleep:
    case NR_clock_nanosleep:
        s.cause = SJ_CAUSE_SLEEP;
        break;
    case NR_fsync:
    case NR_fdatasync:
    case NR_syncfs:
    case NR_sync_file_range:
    case NR_pread64:
    case NR_pwrite64:
        s.cause = SJ_CAUSE_DISK;
        break;
    case NR_select:
    case NR_pselect6:
        /* without descriptors it is a sleep with a finer clock */
        s.any_event = REGS_ARG(regs, 1) != 0;
        s.cause = s.any_event ? SJ_CAUSE_NET : SJ_CAUSE_SLEEP;
        break;
    case NR_poll:
    case NR_ppoll:
        s.any_event = REGS_ARG(regs, 2) != 0;
        s.cause = s.any_event ? SJ_CAUSE_NET : SJ_CAUSE_SLEEP;
        break;
    case NR_epoll_wait:
    case NR_epoll_pwait:
    case NR_epoll_pwait2:
    case NR_io_uring_enter:
        s.any_event = true;
        s.cause = SJ_CAUSE_NET;
        break;
    case NR_read:
    case NR_readv:
    case NR_recvfrom:
    case NR_recvmsg:
    case NR_recvmmsg:
    case NR_write:
    case NR_writev:
    case NR_sendto:
    case NR_sendmsg:
    case NR_sendmmsg:
    case NR_sendfile:
    case NR_connect:
    case NR_accept:
    case NR_accept4:
        s.cause = SJ_CAUSE_NET;
        break;
    default:
        break;
    }
    return s;
}
