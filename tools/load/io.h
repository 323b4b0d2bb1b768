// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"
#include "uring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Which system calls carry the bytes. A monitor must see all of them alike, so both ends can be told which to use.
 * readv and writev cut the message into three, the first part five bytes long: a reader of the first part alone
 * misses the path.
 */
enum sj_io_mode {
    SJ_IO_RECVSEND,  /* recv, send */
    SJ_IO_READWRITE, /* read, write */
    SJ_IO_MSG,       /* recvmsg, sendmsg with three iovecs */
    SJ_IO_VEC,       /* readv, writev with three iovecs */
    SJ_IO_PEEK,      /* recv(MSG_PEEK), then recv; send */
    SJ_IO_MMSG,      /* recvmmsg, sendmmsg of two messages */
    SJ_IO_SENDFILE,  /* recv; send(MSG_MORE) for the head, sendfile for the body */
    SJ_IO_SPLICE,    /* recv; splice from a pipe */
    SJ_IO_SPLICE_IN, /* splice to a pipe; send */
    SJ_IO_ZEROCOPY,  /* recv; send(MSG_ZEROCOPY) and its completion */
    SJ_IO_URING,     /* io_uring RECV and SEND */
    SJ_IO_MAX_,
};

/* Their names on the command line, in the order of the enum, ending with NULL. */
extern const char *const sj_io_names[SJ_IO_MAX_ + 1];

/* Whether a mode also works on a socket that does not block. */
bool sj_io_nonblocking(enum sj_io_mode mode);

/* What one thread needs for its mode. Not shared between threads. */
struct sj_io {
    enum sj_io_mode mode;
    uint64_t timeout_ns;
    int pipe[2];
    struct sj_uring *ring;
};

/* On failure nothing is held. */
int sj_io_open(struct sj_io *io, enum sj_io_mode mode, uint64_t timeout_ns, struct sj_err *err);
void sj_io_close(struct sj_io *io);

/* Prepares a fresh socket for the mode; 0 or -errno (zero-copy is unknown to unix sockets). */
int sj_io_prepare(const struct sj_io *io, int fd);

/* One receive: bytes, 0 at the end, or -errno (-EAGAIN for a timeout too). */
ssize_t sj_io_recv(struct sj_io *io, int fd, void *buf, size_t cap);

/* Part of a message to be sent; `file` is a descriptor that holds the same bytes at `offset`, or -1. */
struct sj_io_part {
    const char *at;
    size_t len;
    int file;
    off_t offset;
    bool more; /* another part follows at once */
};

/* One send of at least one byte of the part: bytes taken, or -errno. */
ssize_t sj_io_send(struct sj_io *io, int fd, const struct sj_io_part *part);
