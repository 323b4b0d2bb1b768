// SPDX-License-Identifier: GPL-3.0-or-later
#include "uring.h"

#include "clk.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An operation and its linked timeout make two entries each way. */
#define ENTRIES 4
#define TAG_OPERATION 1
#define TAG_TIMEOUT 2

struct sj_uring {
    int fd;
    size_t ring_size;
    char *ring; /* both queues' indices: IORING_FEAT_SINGLE_MMAP */
    size_t sqes_size;
    struct io_uring_sqe *sqes;
    struct io_uring_params params;
};

static uint32_t *ring_field(struct sj_uring *ring, uint32_t offset)
{
    return (uint32_t *)(void *)(ring->ring + offset);
}

static int map(struct sj_uring *ring)
{
    const struct io_uring_params *p = &ring->params;
    size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    ring->ring_size = sq > cq ? sq : cq;
    void *at = mmap(NULL, ring->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
    if (at == MAP_FAILED)
        return -1;
    ring->ring = at;
    ring->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
    at = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
    if (at == MAP_FAILED)
        return -1;
    ring->sqes = at;
    return 0;
}

struct sj_uring *sj_uring_open(struct sj_err *err)
{
    struct sj_uring *ring = calloc(1, sizeof(*ring));
    if (!ring) {
        sj_fail(err, EX_OSERR, "out of memory");
        return NULL;
    }
    ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring->params);
    if (ring->fd < 0) {
        sj_fail(err, EX_UNAVAILABLE, "io_uring is not available here: %s", strerror(errno));
        sj_uring_close(ring);
        return NULL;
    }
    if (!(ring->params.features & IORING_FEAT_SINGLE_MMAP) || map(ring)) {
        sj_fail(err, EX_UNAVAILABLE, "io_uring's queues cannot be mapped: %s", strerror(errno));
        sj_uring_close(ring);
        return NULL;
    }
    return ring;
}

void sj_uring_close(struct sj_uring *ring)
{
    if (!ring)
        return;
    if (ring->sqes)
        munmap(ring->sqes, ring->sqes_size);
    if (ring->ring)
        munmap(ring->ring, ring->ring_size);
    if (ring->fd >= 0)
        close(ring->fd);
    free(ring);
}

static void submit(struct sj_uring *ring, const struct io_uring_sqe *sqe)
{
    uint32_t *tail = ring_field(ring, ring->params.sq_off.tail);
    uint32_t mask = *ring_field(ring, ring->params.sq_off.ring_mask);
    uint32_t at = *tail & mask;
    ring->sqes[at] = *sqe;
    ring_field(ring, ring->params.sq_off.array)[at] = at;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

/* Takes one completion if there is one; remembers the result when it is the operation's. */
static int reap(struct sj_uring *ring, int *result)
{
    uint32_t *head = ring_field(ring, ring->params.cq_off.head);
    uint32_t tail = __atomic_load_n(ring_field(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);
    uint32_t mask = *ring_field(ring, ring->params.cq_off.ring_mask);
    if (*head == tail)
        return 0;
    const struct io_uring_cqe *cqes = (const void *)(ring->ring + ring->params.cq_off.cqes);
    const struct io_uring_cqe *cqe = &cqes[*head & mask];
    if (cqe->user_data == TAG_OPERATION)
        *result = cqe->res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return 1;
}

static ssize_t run(struct sj_uring *ring, struct io_uring_sqe *sqe, uint64_t timeout_ns)
{
    struct __kernel_timespec limit = {.tv_sec = (long long)(timeout_ns / SJ_NSEC_PER_SEC),
                                      .tv_nsec = (long long)(timeout_ns % SJ_NSEC_PER_SEC)};
    struct io_uring_sqe timeout = {.opcode = IORING_OP_LINK_TIMEOUT, .fd = -1, .len = 1, .user_data = TAG_TIMEOUT};
    timeout.addr = (uint64_t)(uintptr_t)&limit;
    sqe->flags = IOSQE_IO_LINK;
    sqe->user_data = TAG_OPERATION;
    submit(ring, sqe);
    submit(ring, &timeout);
    int result = -EIO;
    unsigned int to_submit = 2;
    for (int done = 0; done < 2;) {
        long n = syscall(SYS_io_uring_enter, ring->fd, to_submit, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            to_submit -= (unsigned int)n;
        while (done < 2 && reap(ring, &result))
            done++;
    }
    return result == -ECANCELED ? -ETIMEDOUT : result;
}

ssize_t sj_uring_recv(struct sj_uring *ring, int fd, void *buf, size_t len, uint64_t timeout_ns)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_RECV, .fd = fd, .addr = (uint64_t)(uintptr_t)buf};
    sqe.len = len > INT32_MAX ? INT32_MAX : (uint32_t)len;
    return run(ring, &sqe, timeout_ns);
}

ssize_t sj_uring_send(struct sj_uring *ring, int fd, const void *buf, size_t len, uint64_t timeout_ns)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_SEND, .fd = fd, .addr = (uint64_t)(uintptr_t)buf};
    sqe.len = len > INT32_MAX ? INT32_MAX : (uint32_t)len;
    sqe.msg_flags = MSG_NOSIGNAL;
    return run(ring, &sqe, timeout_ns);
}
