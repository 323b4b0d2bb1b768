// SPDX-License-Identifier: GPL-3.0-or-later
#include "serve/fits.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "probe/rights.h"

#define LOOK_NS (3 * SJ_SECOND_NS)
#define AGAIN_NS (60 * SJ_SECOND_NS)
/* Sooner when a service has got so much larger: a part of what it was. */
#define GROWTH 4

/* A service and what was fitted to it, or is to be. */
struct fitted {
    char *service, *container; /* owned */
    uint8_t role;
    uint8_t protocol;
    uint16_t port;
    uint64_t requests; /* when it was fitted, and when that was */
    uint64_t mono_ns;
    struct sj_hist total; /* what is to be fitted; empty otherwise */
    bool known;
    struct sj_fit_result result; /* when known */
};

struct set {
    struct fitted v[SJ_REPORT_FITS];
    size_t n;
};

struct sj_fits {
    pthread_t thread;
    sem_t begun, wake;
    struct sj_err failure; /* of the start */
    atomic_bool busy;      /* `job` is the thread's */
    atomic_bool stop;
    uint64_t due_ns;
    struct set now, job;
};

/* ---- the thread ---- */

static void *work(void *arg)
{
    struct sj_fits *f = arg;
    struct sched_param none = {0};
    /* where that is refused it competes as anybody does */
    sched_setscheduler(0, SCHED_IDLE, &none);
    int failed = sj_rights_drop_thread(&f->failure);
    sem_post(&f->begun);
    while (!failed) {
        while (sem_wait(&f->wake) < 0)
            ;
        for (size_t i = 0; i < f->job.n && !atomic_load(&f->stop); i++) {
            struct sj_err why;
            f->job.v[i].known = sj_report_fit_make(&f->job.v[i].total, &f->job.v[i].result, &why) > 0;
        }
        if (atomic_load(&f->stop))
            break;
        atomic_store(&f->busy, false);
    }
    return NULL;
}

/* Signals are for the one that measures. */
static int start(struct sj_fits *f, struct sj_err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&f->thread, NULL, work, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return sj_fail(err, EX_OSERR, "cannot start a thread: %s", strerror(rc));
    while (sem_wait(&f->begun) < 0)
        ;
    if (!f->failure.status)
        return 0;
    pthread_join(f->thread, NULL);
    *err = f->failure;
    return -1;
}

struct sj_fits *sj_fits_new(struct sj_err *err)
{
    struct sj_fits *f = calloc(1, sizeof(*f));
    if (!f) {
        sj_fail(err, EX_OSERR, "out of memory");
        return NULL;
    }
    sem_init(&f->begun, 0, 0);
    sem_init(&f->wake, 0, 0);
    if (!start(f, err))
        return f;
    free(f);
    return NULL;
}

/* ---- who is fitted ---- */

static void clear(struct fitted *x)
{
    free(x->service);
    free(x->container);
    sj_hist_free(&x->total);
    *x = (struct fitted){0};
}

static void clear_all(struct set *set)
{
    for (size_t i = 0; i < set->n; i++)
        clear(&set->v[i]);
    set->n = 0;
}

static bool is(const struct fitted *x, const struct sj_service_view *s)
{
    return x->role == s->role && x->protocol == s->protocol && x->port == s->port && !s->rest &&
           strcmp(x->service, s->service) == 0 && strcmp(x->container, s->container) == 0;
}

static size_t first_services(const struct sj_snapshot *snap)
{
    return snap->n_services < SJ_REPORT_FITS ? snap->n_services : SJ_REPORT_FITS;
}

static struct fitted *find(struct set *set, const struct sj_service_view *s)
{
    for (size_t i = 0; i < set->n; i++)
        if (is(&set->v[i], s))
            return &set->v[i];
    return NULL;
}

/* Forgets those that are not among the first services any more. */
static void forget(struct set *set, const struct sj_snapshot *snap)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->n; i++) {
        bool wanted = false;
        for (size_t k = 0; k < first_services(snap) && !wanted; k++)
            wanted = is(&set->v[i], &snap->services[k]);
        if (!wanted)
            clear(&set->v[i]);
        else if (kept++ != i)
            set->v[kept - 1] = set->v[i];
    }
    set->n = kept;
}

static bool due(const struct fitted *x, const struct sj_service_view *s, uint64_t mono_ns)
{
    if (!x)
        return true;
    uint64_t more = s->requests - x->requests;
    return more && (more >= x->requests / GROWTH || mono_ns - x->mono_ns >= AGAIN_NS);
}

static int add(struct set *set, const struct sj_service_view *s, uint64_t mono_ns)
{
    struct fitted *x = &set->v[set->n];
    *x = (struct fitted){.service = strdup(s->service),
                         .container = strdup(s->container),
                         .role = s->role,
                         .protocol = s->protocol,
                         .port = s->port,
                         .requests = s->requests,
                         .mono_ns = mono_ns};
    sj_hist_init(&x->total);
    if (!x->service || !x->container || sj_hist_copy(&x->total, s->total) < 0) {
        clear(x);
        return -ENOMEM;
    }
    set->n++;
    return 0;
}

/* What is done replaces what there was. All of it is of the first services, so there is room. */
static void take(struct sj_fits *f)
{
    for (size_t i = 0; i < f->job.n; i++) {
        struct fitted *x = &f->job.v[i];
        const struct sj_service_view s = {.service = x->service,
                                          .container = x->container,
                                          .role = x->role,
                                          .protocol = x->protocol,
                                          .port = x->port};
        struct fitted *old = find(&f->now, &s);
        if (old)
            clear(old);
        else
            old = &f->now.v[f->now.n++];
        sj_hist_free(&x->total);
        *old = *x;
        *x = (struct fitted){0};
    }
    f->job.n = 0;
}

static int prepare(struct sj_fits *f, struct sj_series *series, uint64_t mono_ns)
{
    struct sj_snapshot snap;
    int rc = sj_series_snapshot(series, &snap);
    if (rc < 0)
        return rc;
    forget(&f->now, &snap);
    for (size_t i = 0; i < first_services(&snap) && rc == 0; i++) {
        const struct sj_service_view *s = &snap.services[i];
        if (sj_report_fits_service(s) && due(find(&f->now, s), s, mono_ns))
            rc = add(&f->job, s, mono_ns);
    }
    sj_snapshot_free(&snap);
    if (rc < 0)
        clear_all(&f->job);
    return rc;
}

int sj_fits_tick(struct sj_fits *f, struct sj_series *s, uint64_t mono_ns)
{
    if (atomic_load(&f->busy))
        return 0;
    take(f);
    if (mono_ns < f->due_ns)
        return 0;
    f->due_ns = mono_ns + LOOK_NS;
    int rc = prepare(f, s, mono_ns);
    if (rc == 0 && f->job.n) {
        atomic_store(&f->busy, true);
        sem_post(&f->wake);
    }
    return rc;
}

void sj_fits_of(struct sj_fits *f, const struct sj_snapshot *snap, struct sj_report_fits *out)
{
    *out = (struct sj_report_fits){0};
    for (size_t i = 0; i < first_services(snap); i++)
        for (size_t k = 0; k < f->now.n; k++)
            if (f->now.v[k].known && is(&f->now.v[k], &snap->services[i]))
                out->of[i] = &f->now.v[k].result;
}

void sj_fits_free(struct sj_fits *f)
{
    struct timespec end;
    if (!f)
        return;
    atomic_store(&f->stop, true);
    sem_post(&f->wake);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec++;
    if (pthread_clockjoin_np(f->thread, NULL, CLOCK_MONOTONIC, &end))
        return;
    clear_all(&f->now);
    clear_all(&f->job);
    sem_destroy(&f->begun);
    sem_destroy(&f->wake);
    free(f);
}
