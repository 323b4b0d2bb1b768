// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A timer that its owner holds; zero-initialised but for fire and arg. */
struct sj_timer {
    uint64_t at;
    size_t slot; /* place in the heap + 1; 0: not armed */
    void (*fire)(void *arg);
    void *arg;
};

/* A descriptor's interest; must outlive its registration and the current round. */
struct sj_watch {
    void (*ready)(void *arg, uint32_t events);
    void *arg;
};

/* epoll, with timers exact to the microsecond through one timerfd. For one thread. */
struct sj_loop {
    int ep;
    int timer_fd;
    uint64_t armed_for;
    struct sj_timer **heap;
    size_t n, cap;
    bool stop;
};

int sj_loop_open(struct sj_loop *loop, struct sj_err *err);
void sj_loop_close(struct sj_loop *loop);

/* events are epoll's; 0 or -errno. A descriptor leaves by being closed. */
int sj_loop_add(struct sj_loop *loop, int fd, uint32_t events, struct sj_watch *watch);
int sj_loop_change(struct sj_loop *loop, int fd, uint32_t events, struct sj_watch *watch);

/* (Re)arms for a time of sj_clk_now(). */
void sj_loop_arm(struct sj_loop *loop, struct sj_timer *timer, uint64_t at);
void sj_loop_disarm(struct sj_loop *loop, struct sj_timer *timer);

/* Until loop->stop. Descriptors are served before timers, so that a timer may close any descriptor. */
void sj_loop_run(struct sj_loop *loop);
