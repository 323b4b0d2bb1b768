// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* io_uring by its system calls alone: one operation at a time, each with a time limit. */
struct sj_uring;

/* Returns NULL with the reason when the kernel or its policy refuses. */
struct sj_uring *sj_uring_open(struct sj_err *err);
void sj_uring_close(struct sj_uring *ring);

/* Like recv() and send(), but return -errno; -ETIMEDOUT after timeout_ns. */
ssize_t sj_uring_recv(struct sj_uring *ring, int fd, void *buf, size_t len, uint64_t timeout_ns);
ssize_t sj_uring_send(struct sj_uring *ring, int fd, const void *buf, size_t len, uint64_t timeout_ns);
