// SPDX-License-Identifier: GPL-3.0-or-later
#include "clk.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FSYNC_BLOCK 4096

/*
 * The futex stage: a serving thread waits on `word`, and its helper thread sets and wakes it when `until` has come.
 * `order` is how the helper learns that there is something to do; UINT32_MAX tells it to end.
 */
struct sj_gate {
    pthread_t helper;
    _Atomic uint32_t order;
    _Atomic uint32_t word;
    uint64_t until;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *wake_on_time(void *arg)
{
    struct sj_gate *gate = arg;
    uint32_t seen = 0;
    for (;;) {
        while (atomic_load(&gate->order) == seen)
            futex_wait(&gate->order, seen);
        seen = atomic_load(&gate->order);
        if (seen == UINT32_MAX)
            return NULL;
        sj_clk_sleep_until(gate->until);
        atomic_store(&gate->word, 1);
        futex_wake(&gate->word);
    }
}

static struct sj_gate *gate_new(void)
{
    struct sj_gate *gate = calloc(1, sizeof(*gate));
    if (gate && pthread_create(&gate->helper, NULL, wake_on_time, gate)) {
        free(gate);
        return NULL;
    }
    return gate;
}

void sj_gate_free(struct sj_gate *gate)
{
    if (!gate)
        return;
    atomic_store(&gate->order, UINT32_MAX);
    futex_wake(&gate->order);
    pthread_join(gate->helper, NULL);
    free(gate);
}

uint64_t sj_cost_futex(struct sj_worker *worker, uint64_t ns)
{
    if (!worker->gate)
        worker->gate = gate_new();
    struct sj_gate *gate = worker->gate;
    if (!gate)
        return 0;
    uint64_t start = sj_clk_now();
    gate->until = start + ns;
    atomic_store(&gate->word, 0);
    atomic_fetch_add(&gate->order, 1);
    futex_wake(&gate->order);
    while (!atomic_load(&gate->word))
        futex_wait(&gate->word, 0);
    return sj_clk_now() - start;
}

static int open_fsync_file(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/sojourn-load-XXXXXX", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

uint64_t sj_cost_fsync(struct sj_worker *worker, uint64_t times)
{
    static const char block[FSYNC_BLOCK] = "sojourn";
    if (worker->fsync_fd < 0)
        worker->fsync_fd = open_fsync_file(worker->srv->opts.dir);
    if (worker->fsync_fd < 0)
        return 0;
    uint64_t start = sj_clk_now();
    for (uint64_t i = 0; i < times; i++)
        if (pwrite(worker->fsync_fd, block, sizeof(block), 0) < 0 || fsync(worker->fsync_fd))
            break;
    return sj_clk_now() - start;
}

/* Sends one request and reads to the end of its answer; false if the connection is of no use any more. */
static bool ask_downstream(struct sj_worker *worker, uint64_t n)
{
    char ask[256], answer[SJ_MSG_HEAD_LIMIT];
    int len = snprintf(ask, sizeof(ask), "GET /downstream/%llu?sleep=%lluns HTTP/1.1\r\nHost: downstream\r\n\r\n",
                       (unsigned long long)n, (unsigned long long)worker->srv->opts.downstream_delay);
    if (send(worker->downstream_fd, ask, (size_t)len, MSG_NOSIGNAL) != len)
        return false;
    size_t got = 0;
    struct sj_msg_head head;
    struct sj_msg_body body = {0};
    for (bool in_body = false; !body.done;) {
        ssize_t more = recv(worker->downstream_fd, answer + got, sizeof(answer) - got, 0);
        if (more <= 0)
            return false;
        got += (size_t)more;
        if (!in_body) {
            enum sj_msg_result result = sj_msg_response(answer, got, &head);
            if (result == SJ_MSG_BAD || (result == SJ_MSG_MORE && got == sizeof(answer)))
                return false;
            if (result == SJ_MSG_MORE)
                continue;
            in_body = true;
            sj_msg_body_start(&body, sj_msg_response_framing(&head, "GET"), head.length);
            sj_msg_body_feed(&body, answer + head.size, got - head.size);
        } else {
            sj_msg_body_feed(&body, answer, got);
        }
        if (body.bad)
            return false;
        got = 0;
    }
    return !head.close;
}

uint64_t sj_cost_downstream(struct sj_worker *worker, uint64_t n)
{
    uint64_t start = sj_clk_now();
    if (worker->downstream_fd < 0) {
        worker->downstream_fd = sj_addr_connect(&worker->srv->downstream, 0);
        if (worker->downstream_fd < 0) {
            worker->downstream_fd = -1;
            return sj_clk_now() - start;
        }
        sj_addr_bound(worker->downstream_fd, worker->srv->opts.timeout);
    }
    if (!ask_downstream(worker, n)) {
        close(worker->downstream_fd);
        worker->downstream_fd = -1;
    }
    return sj_clk_now() - start;
}

uint64_t sj_cost_runq(struct sj_worker *worker)
{
    char text[128];
    if (!worker->srv->opts.schedstat)
        return 0;
    if (worker->schedstat_fd < 0)
        worker->schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = worker->schedstat_fd < 0 ? -1 : pread(worker->schedstat_fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* "time on CPU, time waiting for one, slices" */
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) : 0;
}

int sj_worker_open(struct sj_worker *worker, const struct sj_server *srv, struct sj_err *err)
{
    struct sj_worker w = {.srv = srv, .fsync_fd = -1, .downstream_fd = -1, .schedstat_fd = -1};
    if (sj_io_open(&w.io, (enum sj_io_mode)srv->opts.io, srv->opts.timeout, err))
        return -1;
    *worker = w;
    return 0;
}

void sj_worker_close(struct sj_worker *worker)
{
    const int fds[] = {worker->fsync_fd, worker->downstream_fd, worker->schedstat_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    sj_gate_free(worker->gate);
    sj_io_close(&worker->io);
    if (worker->log.buf)
        sj_out_fini(&worker->log);
}
