// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "notify/notify_attempt.h"

/*
 * A command gets the alert on its standard input, which is a file in memory, so that nobody waits for it to be read. It
 * leads a process group of its own; when it has ended or its time is over, what is left of the group is killed.
 */

static void clear(struct sj_attempt *a)
{
    if (a->exited)
        event_free(a->exited);
    if (a->timeout)
        event_free(a->timeout);
    if (a->pidfd >= 0)
        close(a->pidfd);
    a->exited = a->timeout = NULL;
    a->pidfd = -1;
    a->pid = 0;
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
    struct sj_attempt *a = arg;
    siginfo_t info = {0};
    int status = 0;
    (void)fd;
    (void)what;
    if (waitid(P_PID, (id_t)a->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
        return;
    kill(-a->pid, SIGKILL); /* before it is waited for, while the number is its own */
    pid_t got = waitpid(a->pid, &status, WNOHANG);
    bool killed = a->killed;
    clear(a);
    if (killed)
        sj_attempt_settle(a, SJ_SEND_FAILED, "it did not end in time and was killed");
    else if (got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        sj_attempt_settle(a, SJ_SEND_ACCEPTED, "done");
    else if (got > 0 && WIFEXITED(status))
        sj_attempt_settle(a, SJ_SEND_FAILED, "it ended with status %d", WEXITSTATUS(status));
    else
        sj_attempt_settle(a, SJ_SEND_FAILED, "it was killed by signal %d", got > 0 ? WTERMSIG(status) : 0);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct sj_attempt *a = arg;
    (void)fd;
    (void)what;
    a->killed = true;
    kill(-a->pid, SIGKILL);
}

void sj_notify_exec_cancel(struct sj_attempt *a)
{
    if (a->pid > 0) {
        kill(-a->pid, SIGKILL);
        waitpid(a->pid, NULL, 0);
    }
    clear(a);
}

/* The alert as a file without a name. */
static int make_input(const struct sj_notice *notice)
{
    struct sj_err err;
    struct sj_out out;
    int fd = memfd_create("alert", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (sj_out_init(&out, fd, "the command's input", &err) < 0) {
        close(fd);
        return -1;
    }
    sj_notice_own(notice, &out);
    int rc = sj_out_flush(&out, &err);
    sj_out_fini(&out);
    if (rc < 0 || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int spawn(const struct sj_notify *n, const struct sj_notice *notice, int input, pid_t *pid)
{
    char id[64], name[256], status[32];
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {path, id, name, status, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    snprintf(id, sizeof(id), "SOJOURN_ALERT_ID=%s", notice->alert->id);
    snprintf(name, sizeof(name), "SOJOURN_ALERT=%s", notice->alert->name);
    snprintf(status, sizeof(status), "SOJOURN_STATUS=%s", sj_notice_status(notice));
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int rc = posix_spawnp(pid, n->command[0], &files, &attr, n->command, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static bool watch_child(struct sj_attempt *a)
{
    struct event_base *base = a->notify->env->base;
    struct timeval limit = {.tv_sec = (time_t)(a->notify->timeout_ns / SJ_SECOND_NS),
                            .tv_usec = (suseconds_t)(a->notify->timeout_ns % SJ_SECOND_NS / 1000)};
    a->pidfd = (int)syscall(SYS_pidfd_open, a->pid, 0);
    if (a->pidfd < 0)
        return false;
    a->exited = event_new(base, a->pidfd, EV_READ | EV_PERSIST, on_exited, a);
    a->timeout = evtimer_new(base, on_timeout, a);
    return a->exited && a->timeout && event_add(a->exited, NULL) == 0 && evtimer_add(a->timeout, &limit) == 0;
}

void sj_notify_exec_send(struct sj_attempt *a, const struct sj_notice *notice)
{
    sj_autoclose int input = make_input(notice);
    if (input < 0) {
        sj_attempt_settle(a, SJ_SEND_DOWN, "its input cannot be written: %s", strerror(errno));
        return;
    }
    int rc = spawn(a->notify, notice, input, &a->pid);
    if (rc != 0) {
        a->pid = 0;
        sj_attempt_settle(a, SJ_SEND_DOWN, "it cannot be started: %s", strerror(rc));
    } else if (!watch_child(a)) {
        sj_notify_exec_cancel(a);
        sj_attempt_settle(a, SJ_SEND_DOWN, "it cannot be waited for: %s", strerror(errno));
    }
}
