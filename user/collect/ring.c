// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "the kernel's positions are of its word size");
_Static_assert(sizeof(struct sj_log_entry) == 8, "a log's records have a head of the same size as a ring buffer's");

/*
 * The ring buffer (linux/bpf.h) is a consumer page, a producer page and the data; it is mapped once, not twice as the
 * kernel offers, which halves the resident size. In both kinds a record has a head of eight bytes, the first four of
 * them its length, and is aligned to eight.
 */
#define HEAD 8U
#define MAX_RECORD 16384U

int sj_ring_open(struct sj_ring *r, int fd, uint32_t size, struct sj_err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    memset(r, 0, sizeof(*r));
    void *consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (consumer == MAP_FAILED)
        return sj_fail(err, EX_OSERR, "cannot map a ring buffer: %s", strerror(errno));
    void *producer = mmap(NULL, page + size, PROT_READ, MAP_SHARED, fd, (off_t)page);
    if (producer == MAP_FAILED) {
        munmap(consumer, page);
        return sj_fail(err, EX_OSERR, "cannot map a ring buffer: %s", strerror(errno));
    }
    r->straddling = malloc(MAX_RECORD);
    if (!r->straddling) {
        munmap(consumer, page);
        munmap(producer, page + size);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    r->consumer = consumer;
    r->producer = producer;
    r->data = (const uint8_t *)producer + page;
    r->size = size;
    r->map_len = page + size;
    r->at = *r->consumer;
    r->seen = r->at;
    return 0;
}

void sj_ring_open_log(struct sj_ring *r, struct sj_log *log, uint32_t size)
{
    memset(r, 0, sizeof(*r));
    r->log = true;
    r->consumer = (volatile uint64_t *)&log->consumed;
    r->producer = (const volatile uint64_t *)&log->produced;
    r->data = (const uint8_t *)log + SJ_LOG_HEAD;
    r->size = size;
    r->at = log->consumed;
    r->seen = r->at;
}

void sj_ring_close(struct sj_ring *r)
{
    if (!r->map_len) {
        memset(r, 0, sizeof(*r));
        return;
    }
    munmap((void *)(uintptr_t)r->consumer, (size_t)sysconf(_SC_PAGESIZE));
    munmap((void *)(uintptr_t)r->producer, r->map_len);
    free(r->straddling);
    memset(r, 0, sizeof(*r));
}

const void *sj_ring_peek(struct sj_ring *r, uint32_t *len, int *busy)
{
    for (;;) {
        if (r->at == r->seen)
            r->seen = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
        if (r->at == r->seen)
            return NULL;
        uint32_t at = (uint32_t)r->at & (r->size - 1);
        const uint32_t *head = (const uint32_t *)(const void *)(r->data + at);
        uint32_t word = __atomic_load_n(head, __ATOMIC_ACQUIRE);
        if (word & BPF_RINGBUF_BUSY_BIT) {
            *busy = 1;
            return NULL;
        }
        uint32_t n = word & ~(uint32_t)BPF_RINGBUF_DISCARD_BIT;
        if (word & BPF_RINGBUF_DISCARD_BIT) {
            sj_ring_next(r, n);
            continue;
        }
        *len = n;
        if (r->log)
            return n <= SJ_LOG_SLACK - HEAD ? r->data + at + HEAD : NULL;
        if (at + HEAD + n <= r->size)
            return r->data + at + HEAD;
        if (n > MAX_RECORD)
            n = MAX_RECORD;
        uint32_t first = r->size - at - HEAD;
        memcpy(r->straddling, r->data + at + HEAD, first);
        memcpy(r->straddling + first, r->data, n - first);
        return r->straddling;
    }
}

void sj_ring_next(struct sj_ring *r, uint32_t len)
{
    r->at += (len + HEAD + 7) & ~(uint64_t)7;
}

void sj_ring_release(struct sj_ring *r)
{
    __atomic_store_n(r->consumer, r->at, __ATOMIC_RELEASE);
}

double sj_ring_fill(const struct sj_ring *r)
{
    return (double)(__atomic_load_n(r->producer, __ATOMIC_ACQUIRE) - r->at) / r->size;
}
