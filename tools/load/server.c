// SPDX-License-Identifier: GPL-3.0-or-later
#include "server.h"

#include "clk.h"
#include "cmds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096
#define MINDER_PERIOD_NS 200000000L
#define QUIET_NS UINT64_C(100000000)
#define LONGEST_SETTLING_NS SJ_NSEC_PER_SEC
#define LONGEST_GOODBYE_NS (5 * SJ_NSEC_PER_SEC)

static void remove_socket(const struct sj_server *srv)
{
    if (srv->listen_fd >= 0)
        sj_addr_unlink(&srv->addr);
}

/* For a server that does not come to serve, or cannot go on. */
static void release(struct sj_server *srv)
{
    const int fds[] = {srv->listen_fd, srv->log_fd, srv->body_fd};
    remove_socket(srv);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* The file that sendfile sends: the same letters as every body. */
static int make_body_file(struct sj_server *srv, struct sj_err *err)
{
    char path[PATH_MAX];
    if (srv->opts.io != SJ_IO_SENDFILE)
        return 0;
    snprintf(path, sizeof(path), "%s/sojourn-load-XXXXXX", srv->opts.dir);
    srv->body_fd = mkostemp(path, O_CLOEXEC);
    FILE *f = srv->body_fd < 0 ? NULL : fdopen(dup(srv->body_fd), "w");
    if (!f)
        return sj_fail(err, EX_CANTCREAT, "cannot make a file in %s: %s", srv->opts.dir, strerror(errno));
    unlink(path);
    for (uint64_t i = 0; i < srv->opts.response_size; i++)
        putc((int)('a' + i % 26), f);
    if (fclose(f))
        return sj_fail(err, EX_CANTCREAT, "cannot write a file in %s: %s", srv->opts.dir, strerror(errno));
    return 0;
}

/* Under its final name the file is complete, so a script may read it as soon as it is there. */
static int write_ready_file(const char *path, const char *addr, struct sj_err *err)
{
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return sj_fail(err, EX_USAGE, "--ready-file: the path is too long");
    FILE *f = fopen(fresh, "we");
    if (!f)
        return sj_fail(err, EX_CANTCREAT, "cannot write %s: %s", fresh, strerror(errno));
    fprintf(f, "%s\n", addr);
    if (fclose(f) || rename(fresh, path)) {
        int e = errno;
        unlink(fresh);
        return sj_fail(err, EX_CANTCREAT, "cannot write %s: %s", path, strerror(e));
    }
    return 0;
}

static int prepare(struct sj_server *srv, struct sj_err *err)
{
    const struct sj_server_opts *o = &srv->opts;
    srv->pid = getpid();
    srv->ledger = sj_ledger_open(err);
    if (!srv->ledger)
        return -1;
    atomic_store(&srv->ledger->last_activity, sj_clk_now());
    struct sj_io probe;
    if (sj_io_open(&probe, (enum sj_io_mode)o->io, o->timeout, err))
        return sj_fail_prefix(err, "--io %s", sj_io_names[o->io]);
    sj_io_close(&probe);
    if (make_body_file(srv, err))
        return -1;
    if (o->log) {
        srv->log_fd = open(o->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
        if (srv->log_fd < 0)
            return sj_fail(err, EX_CANTCREAT, "cannot write %s: %s", o->log, strerror(errno));
    }
    sj_addr_many_files();
    srv->listen_fd = sj_addr_listen(&srv->addr, BACKLOG, err);
    if (srv->listen_fd < 0)
        return -1;
    if (o->model == SJ_MODEL_EPOLL || o->model == SJ_MODEL_HANDOFF)
        fcntl(srv->listen_fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static int announce(const struct sj_server *srv, struct sj_err *err)
{
    char text[SJ_ADDR_TEXT];
    sj_addr_text(&srv->addr, text);
    if (srv->opts.ready_file && write_ready_file(srv->opts.ready_file, text, err))
        return -1;
    fprintf(stderr, "listening %s\n", text);
    return 0;
}

/*
 * Requests that have been sent but not yet looked at count too: waits for a quiet moment. Under load that does not end
 * there is none, and the wait is short.
 */
static void let_settle(const struct sj_ledger *ledger)
{
    uint64_t start = sj_clk_now();
    for (uint64_t now = start; now < start + LONGEST_SETTLING_NS; now = sj_clk_now()) {
        uint64_t last = atomic_load(&ledger->last_activity);
        if (!atomic_load(&ledger->in_service) && now > last && now - last > QUIET_NS)
            return;
        usleep(5000);
    }
}

/* Lets the requests in service end, prints the books and ends the process, whose threads keep their descriptors. */
static void finish(struct sj_server *srv)
{
    struct sj_ledger *ledger = srv->ledger;
    bool all_done = srv->opts.requests && atomic_load(&ledger->numbers) >= srv->opts.requests;
    if (!all_done)
        let_settle(ledger);
    atomic_store(&ledger->stopping, 1);
    uint64_t end = sj_clk_now() + LONGEST_GOODBYE_NS;
    while (atomic_load(&ledger->in_service) && sj_clk_now() < end)
        usleep(1000);
    remove_socket(srv);
    struct sj_out out;
    struct sj_err err = {0};
    int rc = sj_out_init(&out, STDOUT_FILENO, "standard output", &err);
    if (!rc) {
        sj_ledger_json(ledger, &out);
        rc = sj_out_flush(&out, &err);
    }
    if (rc && err.status)
        fprintf(stderr, "load server: %s\n", err.text);
    /* The other threads are still at work: no destructors under their feet. */
    _exit(rc ? err.status : 0);
}

static bool is_idle(const struct sj_server *srv)
{
    uint64_t last = atomic_load(&srv->ledger->last_activity);
    uint64_t now = sj_clk_now();
    return srv->opts.idle_exit && !atomic_load(&srv->ledger->in_service) && now > last &&
           now - last > srv->opts.idle_exit;
}

/* Signals are for this thread alone, so that no serving thread is ever disturbed in a system call. */
static void *mind(void *arg)
{
    struct sj_server *srv = arg;
    const struct timespec period = {.tv_nsec = MINDER_PERIOD_NS};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    while (sigtimedwait(&set, NULL, &period) < 0 && !is_idle(srv))
        ;
    finish(srv);
    return NULL;
}

static int start_minder(struct sj_server *srv, struct sj_err *err)
{
    sigset_t set;
    pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, mind, srv))
        return sj_fail(err, EX_OSERR, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}

int sj_cmd_server(int argc, char *const *argv, struct sj_err *err)
{
    static int (*const models[])(struct sj_server *, struct sj_err *) = {
        [SJ_MODEL_SINGLE] = sj_model_single,   [SJ_MODEL_THREAD] = sj_model_thread, [SJ_MODEL_EPOLL] = sj_model_epoll,
        [SJ_MODEL_HANDOFF] = sj_model_handoff, [SJ_MODEL_FORK] = sj_model_fork,
    };
    struct sj_server srv;
    if (sj_server_options(&srv, argc, argv, err))
        return -1;
    if (srv.opts.help)
        return 0;
    if (srv.opts.name)
        prctl(PR_SET_NAME, srv.opts.name);
    /* The default slack of 50 us would lengthen every sleep. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (prepare(&srv, err) || start_minder(&srv, err) || announce(&srv, err)) {
        release(&srv);
        return -1;
    }
    int rc = models[srv.opts.model](&srv, err);
    release(&srv);
    return rc;
}
