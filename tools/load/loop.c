// SPDX-License-Identifier: GPL-3.0-or-later
#include "loop.h"

#include "buf.h"
#include "clk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS 256

int sj_loop_open(struct sj_loop *loop, struct sj_err *err)
{
    struct sj_loop l = {.ep = epoll_create1(EPOLL_CLOEXEC)};
    l.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (l.ep < 0 || l.timer_fd < 0 || epoll_ctl(l.ep, EPOLL_CTL_ADD, l.timer_fd, &event)) {
        int e = errno;
        sj_loop_close(&l);
        return sj_fail(err, EX_OSERR, "cannot make an event loop: %s", strerror(e));
    }
    *loop = l;
    return 0;
}

void sj_loop_close(struct sj_loop *loop)
{
    if (loop->ep >= 0)
        close(loop->ep);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    free(loop->heap);
    *loop = (struct sj_loop){.ep = -1, .timer_fd = -1};
}

static int control(struct sj_loop *loop, int op, int fd, uint32_t events, struct sj_watch *watch)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->ep, op, fd, &event) ? -errno : 0;
}

int sj_loop_add(struct sj_loop *loop, int fd, uint32_t events, struct sj_watch *watch)
{
    return control(loop, EPOLL_CTL_ADD, fd, events, watch);
}

int sj_loop_change(struct sj_loop *loop, int fd, uint32_t events, struct sj_watch *watch)
{
    return control(loop, EPOLL_CTL_MOD, fd, events, watch);
}

static void place(struct sj_loop *loop, struct sj_timer *timer, size_t i)
{
    loop->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift_up(struct sj_loop *loop, struct sj_timer *timer, size_t i)
{
    for (; i && loop->heap[(i - 1) / 2]->at > timer->at; i = (i - 1) / 2)
        place(loop, loop->heap[(i - 1) / 2], i);
    place(loop, timer, i);
}

static void sift_down(struct sj_loop *loop, struct sj_timer *timer, size_t i)
{
    for (size_t child = 2 * i + 1; child < loop->n; child = 2 * i + 1) {
        if (child + 1 < loop->n && loop->heap[child + 1]->at < loop->heap[child]->at)
            child++;
        if (loop->heap[child]->at >= timer->at)
            break;
        place(loop, loop->heap[child], i);
        i = child;
    }
    place(loop, timer, i);
}

void sj_loop_disarm(struct sj_loop *loop, struct sj_timer *timer)
{
    if (!timer->slot)
        return;
    size_t i = timer->slot - 1;
    timer->slot = 0;
    struct sj_timer *last = loop->heap[--loop->n];
    if (last == timer)
        return;
    if (i && loop->heap[(i - 1) / 2]->at > last->at)
        sift_up(loop, last, i);
    else
        sift_down(loop, last, i);
}

void sj_loop_arm(struct sj_loop *loop, struct sj_timer *timer, uint64_t at)
{
    sj_loop_disarm(loop, timer);
    timer->at = at;
    if (loop->n == loop->cap) {
        size_t cap = loop->cap ? loop->cap * 2 : 64;
        loop->heap = sj_grown(loop->heap, cap * sizeof(struct sj_timer *));
        loop->cap = cap;
    }
    loop->n++;
    sift_up(loop, timer, loop->n - 1);
}

static void set_timer_fd(struct sj_loop *loop)
{
    if (!loop->n || (loop->armed_for && loop->armed_for <= loop->heap[0]->at))
        return;
    uint64_t at = loop->heap[0]->at ? loop->heap[0]->at : 1;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / SJ_NSEC_PER_SEC), .tv_nsec = (long)(at % SJ_NSEC_PER_SEC)}};
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->armed_for = at;
}

/* One look at the clock: what becomes due meanwhile waits for a round, so that sockets are served in between. */
static void fire_due(struct sj_loop *loop)
{
    uint64_t now = sj_clk_now();
    while (loop->n && loop->heap[0]->at <= now && !loop->stop) {
        struct sj_timer *timer = loop->heap[0];
        sj_loop_disarm(loop, timer);
        timer->fire(timer->arg);
    }
}

void sj_loop_run(struct sj_loop *loop)
{
    struct epoll_event events[EVENTS];
    while (!loop->stop) {
        set_timer_fd(loop);
        int n = epoll_wait(loop->ep, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct sj_watch *watch = events[i].data.ptr;
            uint64_t ticks;
            if (watch)
                watch->ready(watch->arg, events[i].events);
            else if (read(loop->timer_fd, &ticks, sizeof(ticks)) > 0)
                loop->armed_for = 0;
        }
        fire_due(loop);
    }
}
