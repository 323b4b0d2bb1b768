/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Looking at the bytes of a message: inside the tracepoints of sends, receives and of the exit of calls the task is
 * still in its system call, whose arguments lead to the user's buffer, and that buffer has just been filled or read.
 */
#include "syscalls.bpf.h"

#define IOV_WALK 8 /* pieces of a scattered message that are followed */

struct user_buffer {
    __u64 base;
    __u64 len;
    __u64 iov;  /* user address of the pieces after the first, when the message is scattered */
    __u32 iovs; /* how many of them */
};

static __always_inline bool buffer_of_vector(struct user_buffer *b, __u64 iov, __u64 count)
{
    struct iovec first;
    if (!count || bpf_probe_read_user(&first, sizeof(first), (void *)iov))
        return false;
    b->base = (__u64)first.iov_base;
    b->len = first.iov_len;
    b->iov = iov + sizeof(first);
    b->iovs = (__u32)count - 1;
    return true;
}

/*
 * Where are the bytes that this call has just moved? Not known, and false, when the call is of another direction
 * (io_uring completes within whatever call the task returns from), when it moves several messages, or moves no user
 * memory at all.
 */
static __always_inline bool buffer_of_call(struct task_struct *task, bool receive, struct user_buffer *b)
{
    call_type *call = current_call(task);
    if (!call)
        return false;
    long nr = CALL_NR(call);
    if (nr == (receive ? NR_read : NR_write) || nr == (receive ? NR_recvfrom : NR_sendto)) {
        b->base = CALL_ARG(call, 2);
        b->len = CALL_ARG(call, 3);
        b->iovs = 0;
        return true;
    }
    if (nr == (receive ? NR_readv : NR_writev))
        return buffer_of_vector(b, CALL_ARG(call, 2), CALL_ARG(call, 3));
    if (nr == (receive ? NR_recvmsg : NR_sendmsg)) {
        struct user_msghdr msg;
        if (bpf_probe_read_user(&msg, sizeof(msg), (void *)CALL_ARG(call, 2)))
            return false;
        return buffer_of_vector(b, (__u64)msg.msg_iov, msg.msg_iovlen);
    }
    return false;
}

/*
 * Copies size bytes, at most limit, from the user's memory. The check is for the verifier, which before 5.12 forgets
 * the range of a number that is put aside on the stack: hence one that is used for nothing else, in registers up to the
 * call.
 */
static __always_inline bool piece_read(void *to, __u64 size, __u64 from, __u64 limit)
{
    asm volatile("" : "+r"(size), "+r"(to), "+r"(from));
    return size <= limit && !bpf_probe_read_user(to, (__u32)size, (void *)from);
}

/*
 * Copies all of a message, up to SJ_PAYLOAD_MAX of its `len` bytes, into this CPU's log, `at` bytes from its
 * beginning. Returns how many came, 0 when they cannot be known.
 *
 * A global function, and so verified once for itself: inlined at its callers it makes the verifier walk its loop for
 * each of their many paths, and loading takes seconds.
 */
__noinline int payload_copy(__u32 receive, __u64 len, __u32 at)
{
    struct user_buffer b;
    struct sj_log *log = my_log();
    if (!log || at > SJ_LOG_HEAD + cfg_log_size + 2 * SJ_LOG_SLACK - 2 * SJ_PAYLOAD_MAX)
        return 0;
    void *base = (void *)log + at;
    asm volatile("" : "+r"(base)); /* as a pointer, which the verifier remembers */
    if (!buffer_of_call(current_task(), receive, &b))
        return 0;
    __u64 n = len < SJ_PAYLOAD_MAX ? len : SJ_PAYLOAD_MAX;
    __u64 off = b.len < n ? b.len : n;
    if (!piece_read(base, off, b.base, SJ_PAYLOAD_MAX))
        return 0;
    for (__u32 i = 0; i < IOV_WALK; i++) {
        if (off >= n || i >= b.iovs)
            break;
        struct iovec v = {};
        if (bpf_probe_read_user(&v, sizeof(v), (void *)(b.iov + i * sizeof(v))))
            break;
        __u64 more = n - off, behind = off;
        if (v.iov_len < more)
            more = v.iov_len;
        asm volatile("" : "+r"(behind));
        if (behind > SJ_PAYLOAD_MAX)
            break;
        void *to = base + behind;
        asm volatile("" : "+r"(to));
        if (!piece_read(to, more, (__u64)v.iov_base, SJ_PAYLOAD_MAX))
            break;
        off += more;
    }
    return (int)off;
}

/*
 * The beginning of a message, as far as its first piece goes: n <= limit bytes to dst, which has room for limit.
 * Inlined, since it is what nearly every message needs and a call costs as much as the copy.
 */
static __always_inline __u32 payload_begin(void *dst, __u32 limit, __u64 len, const struct user_buffer *b)
{
    __u64 n = len < b->len ? len : b->len;
    if (n > limit)
        n = limit;
    return piece_read(dst, n, b->base, limit) ? (__u32)n : 0;
}

/* The first bytes as a number, in the order in which they stand in memory on the machines that are supported. */
#define FOUR(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

/*
 * What does an ask look like? eight: its first eight bytes, of which n are there; before: what the connection was taken
 * for so far. Returns an enum sj_hint. Global, so that the verifier walks it once and not for each of its callers'
 * paths.
 */
__noinline int hint_of(__u64 eight, __u32 n, __u32 before)
{
    __u8 type = (__u8)eight, major = (__u8)(eight >> 8), minor = (__u8)(eight >> 16), length = (__u8)(eight >> 24);
    switch ((__u32)eight) {
    case FOUR('G', 'E', 'T', ' '):
    case FOUR('P', 'O', 'S', 'T'):
    case FOUR('P', 'U', 'T', ' '):
    case FOUR('H', 'E', 'A', 'D'):
    case FOUR('D', 'E', 'L', 'E'):
    case FOUR('O', 'P', 'T', 'I'):
    case FOUR('P', 'A', 'T', 'C'):
    case FOUR('C', 'O', 'N', 'N'):
    case FOUR('T', 'R', 'A', 'C'):
    case FOUR('P', 'R', 'O', 'P'):
        return n >= 4 ? SJ_HINT_HTTP : SJ_HINT_NONE;
    default:
        break;
    }
    /* a TLS record: type, version, length; servers often read these five bytes first */
    if (n < 4)
        return SJ_HINT_NONE; /* too little to say, and what follows is of an earlier ask */
    if (n < 5 || type < 0x14 || type > 0x17 || major != 3 || minor > 4 || length > 0x41)
        return SJ_HINT_OTHER;
    if (before == SJ_HINT_TLS)
        return SJ_HINT_TLS;
    if (type == 0x16) /* a connection begins with a client's hello */
        return n == 5 || ((eight >> 40) & 0xff) == 1 ? SJ_HINT_TLS : SJ_HINT_OTHER;
    return type == 0x17 && minor == 3 ? SJ_HINT_TLS : SJ_HINT_OTHER;
}

/* Does this message begin an HTTP answer? */
static __always_inline bool begins_http_answer(const struct user_buffer *b)
{
    __u64 eight;
    if (b->len < sizeof(eight) || bpf_probe_read_user(&eight, sizeof(eight), (void *)b->base))
        return false;
    return (__u32)eight == FOUR('H', 'T', 'T', 'P') && ((eight >> 32) & 0xffffff) == ('/' | '1' << 8 | '.' << 16);
}
