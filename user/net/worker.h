// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <event2/event.h>

#include "base/err.h"

/* A thread for work that would hold up the event loop (password hashes, writes that wait for a disk), in order. */
struct sj_worker;

struct sj_job {
    void (*run)(struct sj_job *job);  /* in the thread; touches nothing but the job */
    void (*done)(struct sj_job *job); /* in the event loop, afterwards; owns the job */
    struct sj_job *next;
};

/* NULL with *err when there is no thread to be had. */
struct sj_worker *sj_worker_new(struct event_base *base, struct sj_err *err);

/* The job belongs to the worker until done is called. */
void sj_worker_add(struct sj_worker *w, struct sj_job *job);

/* Waits until all jobs have run, and calls done for them. */
void sj_worker_finish(struct sj_worker *w);

/* The same, then ends the thread. NULL is allowed. */
void sj_worker_free(struct sj_worker *w);
