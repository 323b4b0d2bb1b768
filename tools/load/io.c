// SPDX-License-Identifier: GPL-3.0-or-later
#include "io.h"

#include "clk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOVECS 3
#define FIRST_IOVEC 5
#define PIPE_BYTES 65536

const char *const sj_io_names[SJ_IO_MAX_ + 1] = {
    [SJ_IO_RECVSEND] = "recvsend", [SJ_IO_READWRITE] = "readwrite", [SJ_IO_MSG] = "msg",
    [SJ_IO_VEC] = "vec",           [SJ_IO_PEEK] = "peek",           [SJ_IO_MMSG] = "mmsg",
    [SJ_IO_SENDFILE] = "sendfile", [SJ_IO_SPLICE] = "splice",       [SJ_IO_SPLICE_IN] = "splice-in",
    [SJ_IO_ZEROCOPY] = "zerocopy", [SJ_IO_URING] = "uring",
};

bool sj_io_nonblocking(enum sj_io_mode mode)
{
    return mode != SJ_IO_ZEROCOPY && mode != SJ_IO_URING;
}

int sj_io_open(struct sj_io *io, enum sj_io_mode mode, uint64_t timeout_ns, struct sj_err *err)
{
    struct sj_io fresh = {.mode = mode, .timeout_ns = timeout_ns, .pipe = {-1, -1}};
    if ((mode == SJ_IO_SPLICE || mode == SJ_IO_SPLICE_IN) && pipe2(fresh.pipe, O_CLOEXEC))
        return sj_fail(err, EX_OSERR, "cannot make a pipe: %s", strerror(errno));
    if (mode == SJ_IO_URING) {
        fresh.ring = sj_uring_open(err);
        if (!fresh.ring)
            return -1;
    }
    *io = fresh;
    return 0;
}

void sj_io_close(struct sj_io *io)
{
    for (int i = 0; i < 2; i++)
        if (io->pipe[i] >= 0)
            close(io->pipe[i]);
    sj_uring_close(io->ring);
    *io = (struct sj_io){.pipe = {-1, -1}};
}

int sj_io_prepare(const struct sj_io *io, int fd)
{
    int one = 1;
    if (io->mode == SJ_IO_ZEROCOPY && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
        return -errno;
    return 0;
}

static ssize_t result(ssize_t n)
{
    return n < 0 ? -errno : n;
}

static int cut(void *buf, size_t len, struct iovec vec[static IOVECS])
{
    char *at = buf;
    size_t sizes[IOVECS] = {FIRST_IOVEC, (len - FIRST_IOVEC) / 2, 0};
    if (len < 2 * FIRST_IOVEC) {
        vec[0] = (struct iovec){at, len};
        return 1;
    }
    sizes[2] = len - sizes[0] - sizes[1];
    for (int i = 0; i < IOVECS; at += sizes[i++])
        vec[i] = (struct iovec){at, sizes[i]};
    return IOVECS;
}

static ssize_t recv_mmsg(int fd, char *buf, size_t cap)
{
    size_t half = cap / 2;
    struct iovec vec[2] = {{buf, half}, {buf + half, cap - half}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &vec[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &vec[1], .msg_iovlen = 1}}};
    if (!half)
        return result(recv(fd, buf, cap, 0));
    int n = recvmmsg(fd, messages, 2, MSG_WAITFORONE, NULL);
    if (n < 0)
        return -errno;
    size_t first = messages[0].msg_len;
    size_t second = n > 1 ? messages[1].msg_len : 0;
    if (second && first < half)
        memmove(buf + first, buf + half, second);
    return (ssize_t)(first + second);
}

static ssize_t recv_splice(struct sj_io *io, int fd, void *buf, size_t cap)
{
    ssize_t n = splice(fd, NULL, io->pipe[1], NULL, cap < PIPE_BYTES ? cap : PIPE_BYTES, SPLICE_F_MOVE);
    if (n <= 0)
        return result(n);
    return result(read(io->pipe[0], buf, (size_t)n));
}

ssize_t sj_io_recv(struct sj_io *io, int fd, void *buf, size_t cap)
{
    struct iovec vec[IOVECS];
    struct msghdr message = {.msg_iov = vec};
    ssize_t n;
    switch (io->mode) {
    case SJ_IO_READWRITE:
        return result(read(fd, buf, cap));
    case SJ_IO_MSG:
        message.msg_iovlen = (size_t)cut(buf, cap, vec);
        return result(recvmsg(fd, &message, 0));
    case SJ_IO_VEC:
        return result(readv(fd, vec, cut(buf, cap, vec)));
    case SJ_IO_PEEK:
        n = recv(fd, buf, cap, MSG_PEEK);
        return n <= 0 ? result(n) : result(recv(fd, buf, cap, 0));
    case SJ_IO_MMSG:
        return recv_mmsg(fd, buf, cap);
    case SJ_IO_SPLICE_IN:
        return recv_splice(io, fd, buf, cap);
    case SJ_IO_URING:
        return sj_uring_recv(io->ring, fd, buf, cap, io->timeout_ns);
    default:
        return result(recv(fd, buf, cap, 0));
    }
}

static ssize_t send_mmsg(int fd, char *buf, size_t len)
{
    size_t half = len / 2;
    struct iovec vec[2] = {{buf, half}, {buf + half, len - half}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &vec[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &vec[1], .msg_iovlen = 1}}};
    if (!half)
        return result(send(fd, buf, len, MSG_NOSIGNAL));
    int n = sendmmsg(fd, messages, 2, MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    return (ssize_t)messages[0].msg_len + (n > 1 ? (ssize_t)messages[1].msg_len : 0);
}

/* What the socket does not take must not stay in the pipe for the next message. */
static void drain(int fd, size_t len)
{
    char waste[4096];
    while (len) {
        ssize_t n = read(fd, waste, len < sizeof(waste) ? len : sizeof(waste));
        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}

static ssize_t send_splice(struct sj_io *io, int fd, const struct sj_io_part *part)
{
    ssize_t held = write(io->pipe[1], part->at, part->len < PIPE_BYTES ? part->len : PIPE_BYTES);
    if (held <= 0)
        return result(held);
    bool more = part->more || (size_t)held < part->len;
    ssize_t n = result(splice(io->pipe[0], NULL, fd, NULL, (size_t)held, more ? SPLICE_F_MORE : 0));
    if (n < held)
        drain(io->pipe[0], (size_t)(n > 0 ? held - n : held));
    return n;
}

/* The kernel may look at the buffer until it says on the error queue that it is done. */
static int await_completion(int fd, uint64_t timeout_ns)
{
    uint64_t end = sj_clk_now() + timeout_ns;
    for (uint64_t now = sj_clk_now(); now < end; now = sj_clk_now()) {
        char control[128];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        struct pollfd p = {.fd = fd, .events = 0};
        poll(&p, 1, (int)((end - now) / 1000000) + 1);
    }
    return -ETIMEDOUT;
}

static ssize_t send_zerocopy(struct sj_io *io, int fd, const struct sj_io_part *part)
{
    ssize_t n = send(fd, part->at, part->len, MSG_NOSIGNAL | MSG_ZEROCOPY);
    if (n < 0)
        return -errno;
    int rc = await_completion(fd, io->timeout_ns);
    return rc ? rc : n;
}

ssize_t sj_io_send(struct sj_io *io, int fd, const struct sj_io_part *part)
{
    struct iovec vec[IOVECS];
    struct msghdr message = {.msg_iov = vec};
    union {
        const char *in;
        char *out; /* iovecs are not const, though a send only reads */
    } at = {.in = part->at};
    off_t offset = part->offset;
    switch (io->mode) {
    case SJ_IO_READWRITE:
        return result(write(fd, part->at, part->len));
    case SJ_IO_MSG:
        message.msg_iovlen = (size_t)cut(at.out, part->len, vec);
        return result(sendmsg(fd, &message, MSG_NOSIGNAL));
    case SJ_IO_VEC:
        return result(writev(fd, vec, cut(at.out, part->len, vec)));
    case SJ_IO_MMSG:
        return send_mmsg(fd, at.out, part->len);
    case SJ_IO_SENDFILE:
        if (part->file >= 0)
            return result(sendfile(fd, part->file, &offset, part->len));
        return result(send(fd, part->at, part->len, MSG_NOSIGNAL | (part->more ? MSG_MORE : 0)));
    case SJ_IO_SPLICE:
        return send_splice(io, fd, part);
    case SJ_IO_ZEROCOPY:
        return send_zerocopy(io, fd, part);
    case SJ_IO_URING:
        return sj_uring_send(io->ring, fd, part->at, part->len, io->timeout_ns);
    default:
        return result(send(fd, part->at, part->len, MSG_NOSIGNAL));
    }
}
