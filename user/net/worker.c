// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK ((size_t)256 * 1024)

struct queue {
    struct sj_job *first;
    struct sj_job **last;
};

struct sj_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    struct queue todo, ended;
    bool busy, stop;
    int signal_fd;
    struct event *event;
};

static void put(struct queue *q, struct sj_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

static struct sj_job *take_all(struct queue *q)
{
    struct sj_job *first = q->first;
    *q = (struct queue){.last = &q->first};
    return first;
}

static void *work(void *arg)
{
    struct sj_worker *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct sj_job *job = w->todo.first;
        if (!job) {
            w->busy = false;
            pthread_cond_broadcast(&w->idle);
            if (w->stop)
                break;
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->busy = true;
        w->todo.first = job->next;
        if (!job->next)
            w->todo.last = &w->todo.first;
        pthread_mutex_unlock(&w->lock);
        job->run(job);
        pthread_mutex_lock(&w->lock);
        put(&w->ended, job);
        eventfd_write(w->signal_fd, 1);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void collect(struct sj_worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct sj_job *job = take_all(&w->ended);
    pthread_mutex_unlock(&w->lock);
    while (job) {
        struct sj_job *next = job->next;
        job->done(job);
        job = next;
    }
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    eventfd_t count;
    (void)what;
    eventfd_read((int)fd, &count);
    collect(arg);
}

/* Signals are the event loop's. */
static int start(struct sj_worker *w)
{
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, &attr, work, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

struct sj_worker *sj_worker_new(struct event_base *base, struct sj_err *err)
{
    struct sj_worker *w = calloc(1, sizeof(*w));
    if (!w) {
        sj_err_set(err, EX_OSERR, "out of memory");
        return NULL;
    }
    take_all(&w->todo);
    take_all(&w->ended);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->idle, NULL);
    w->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->event = w->signal_fd < 0 ? NULL : event_new(base, w->signal_fd, EV_READ | EV_PERSIST, on_signal, w);
    int rc = !w->event || event_add(w->event, NULL) < 0 ? ENOMEM : start(w);
    if (rc == 0)
        return w;
    sj_err_set(err, EX_OSERR, "cannot start a thread: %s", strerror(rc));
    if (w->event)
        event_free(w->event);
    if (w->signal_fd >= 0)
        close(w->signal_fd);
    free(w);
    return NULL;
}

void sj_worker_add(struct sj_worker *w, struct sj_job *job)
{
    pthread_mutex_lock(&w->lock);
    put(&w->todo, job);
    w->busy = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void sj_worker_finish(struct sj_worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->busy)
        pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
    collect(w);
}

void sj_worker_free(struct sj_worker *w)
{
    if (!w)
        return;
    sj_worker_finish(w);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    collect(w);
    event_free(w->event);
    close(w->signal_fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->idle);
    free(w);
}
