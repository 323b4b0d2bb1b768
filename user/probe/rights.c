// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/rights.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- capabilities ---- */

/* The one capability that bpf() asks for; where it is not held, the one that stands for it. */
static unsigned bpf_capability(void)
{
    return capng_have_capability(CAPNG_PERMITTED, CAP_BPF) ? CAP_BPF : CAP_SYS_ADMIN;
}

/* Only `capability` stays: at hand (effective), or just within reach; < 0: none at all. */
static int keep_capability(int capability, bool effective, struct sj_err *err)
{
    capng_clear(CAPNG_SELECT_CAPS);
    if (capability >= 0)
        capng_update(CAPNG_ADD, CAPNG_PERMITTED | (effective ? CAPNG_EFFECTIVE : 0), (unsigned)capability);
    if (capng_apply(CAPNG_SELECT_CAPS))
        return sj_fail(err, EX_OSERR, "cannot give up capabilities: %s", strerror(errno));
    return 0;
}

static int drop_capabilities(bool (*works)(void *ctx), void *ctx, bool *kept, struct sj_err *err)
{
    *kept = false;
    if (capng_get_caps_process())
        return sj_fail(err, EX_OSERR, "cannot read the process's capabilities: %s", strerror(errno));
    unsigned spare = bpf_capability();
    bool have_spare = capng_have_capability(CAPNG_PERMITTED, spare);
    /* what may be gained by exec: to limit that is itself a right, and without it no_new_privs does the same */
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
        capng_clear(CAPNG_SELECT_BOUNDS);
        if (capng_apply(CAPNG_SELECT_BOUNDS))
            return sj_fail(err, EX_OSERR, "cannot give up the bounding set: %s", strerror(errno));
    }
    capng_clear(CAPNG_SELECT_AMBIENT);
    if (capng_apply(CAPNG_SELECT_AMBIENT))
        return sj_fail(err, EX_OSERR, "cannot give up ambient capabilities: %s", strerror(errno));
    if (!works)
        return keep_capability(-1, false, err);
    if (keep_capability(have_spare ? (int)spare : -1, false, err))
        return -1;
    if (works(ctx))
        return keep_capability(-1, false, err);
    if (have_spare && keep_capability((int)spare, true, err))
        return -1;
    if (!have_spare || !works(ctx))
        return sj_fail(err, EX_NOPERM, "this kernel does not let a process without rights read its own BPF maps");
    *kept = true;
    return 0;
}

/* ---- system calls ---- */

/* What every program of the C library needs to go on, and to end. */
#define BASE_CALLS                                                                                                     \
    SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),        \
        __SNR_exit, SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(futex), SCMP_SYS(getcpu),         \
        SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getppid),                   \
        SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid),          \
        SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(membarrier), SCMP_SYS(mmap), SCMP_SYS(mprotect),                  \
        SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(poll),                 \
        SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(prlimit64), SCMP_SYS(read), SCMP_SYS(readv),                      \
        SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),                   \
        SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack),             \
        SCMP_SYS(statx), SCMP_SYS(sysinfo), SCMP_SYS(tgkill), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(uname),        \
        SCMP_SYS(write), SCMP_SYS(writev)

static const int measure_calls[] = {
    BASE_CALLS,
    /* the command of `report -- COMMAND` runs already: it may have to be ended */
    SCMP_SYS(kill),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    /* recordings */
    SCMP_SYS(fdatasync),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(pwrite64),
#if defined(__SANITIZE_ADDRESS__)
    /* the leak checker looks at the process from a helper of its own */
    SCMP_SYS(clone),
    SCMP_SYS(getdents64),
    SCMP_SYS(pipe2),
    SCMP_SYS(prctl),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(ptrace),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
#endif
};

static const int collector_calls[] = {
    SCMP_SYS(epoll_create1),   SCMP_SYS(epoll_ctl),  SCMP_SYS(epoll_pwait),    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),        SCMP_SYS(getsockopt), SCMP_SYS(recvfrom),       SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),         SCMP_SYS(sendto),     SCMP_SYS(shutdown),       SCMP_SYS(signalfd4),
    SCMP_SYS(pipe2),           SCMP_SYS(prctl),      SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
};

/* Of bpf() what reads the maps that are there and walks; nothing that makes or attaches anything. */
static const int bpf_commands[] = {
    BPF_MAP_LOOKUP_ELEM,
    BPF_MAP_UPDATE_ELEM,
    BPF_MAP_DELETE_ELEM,
    BPF_MAP_GET_NEXT_KEY,
    BPF_MAP_LOOKUP_AND_DELETE_ELEM,
    BPF_MAP_LOOKUP_BATCH,
    BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    BPF_OBJ_GET_INFO_BY_FD,
    BPF_ITER_CREATE,
};

/* What a process that speaks to the world and runs commands has no business with. */
static const int courier_never[] = {
    SCMP_SYS(add_key),
    SCMP_SYS(bpf),
    SCMP_SYS(delete_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(init_module),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(kcmp),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(mount),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(pivot_root),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(ptrace),
    SCMP_SYS(reboot),
    SCMP_SYS(request_key),
    SCMP_SYS(setns),
    SCMP_SYS(swapoff),
    SCMP_SYS(swapon),
    SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    SCMP_SYS(userfaultfd),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Calls that this architecture does not have are no trouble: nobody can make them. */
static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(filter, action, calls[i], 0);
        if (rc && rc != -EDOM && rc != -EEXIST)
            return rc;
    }
    return 0;
}

/* Files may be opened to be read. What is written to is open already. */
static int allow_reading(scmp_filter_ctx filter)
{
    const unsigned writing = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
    int rc =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    return rc ? rc
              : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
}

static int allow_measuring(scmp_filter_ctx filter, bool collector)
{
    int rc = add_calls(filter, SCMP_ACT_ALLOW, measure_calls, COUNT(measure_calls));
    if (!rc && collector)
        rc = add_calls(filter, SCMP_ACT_ALLOW, collector_calls, COUNT(collector_calls));
    if (!rc)
        rc = allow_reading(filter);
    /* is it a terminal, and how wide is it? */
    if (!rc)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, TCGETS, 0));
    if (!rc)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ, 0));
    for (size_t i = 0; !rc && i < COUNT(bpf_commands); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)bpf_commands[i], 0));
    return rc;
}

/*
 * A call that is not allowed fails with EPERM rather than ending the process: what is to be kept from happening does
 * not happen, and a C library that tries something new costs nobody a measurement.
 */
static int filter_calls(enum sj_rights_profile profile, struct sj_err *err)
{
    bool courier = profile == SJ_RIGHTS_COURIER;
    scmp_filter_ctx filter = seccomp_init(courier ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return sj_fail(err, EX_OSERR, "out of memory");
    int rc = courier ? add_calls(filter, SCMP_ACT_ERRNO(EPERM), courier_never, COUNT(courier_never))
                     : allow_measuring(filter, profile == SJ_RIGHTS_COLLECTOR);
    if (!rc)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!rc)
        rc = seccomp_load(filter); /* sets no_new_privs too */
    seccomp_release(filter);
    return rc ? sj_fail(err, EX_OSERR, "cannot limit the system calls: %s", strerror(-rc)) : 0;
}

int sj_rights_drop(enum sj_rights_profile profile, bool (*works)(void *ctx), void *ctx, bool *kept, struct sj_err *err)
{
    bool stays;
    if (drop_capabilities(works, ctx, &stays, err) || filter_calls(profile, err))
        return -1;
    if (kept)
        *kept = stays;
    return 0;
}

int sj_rights_drop_thread(struct sj_err *err)
{
    bool kept;
    return drop_capabilities(NULL, NULL, &kept, err);
}
