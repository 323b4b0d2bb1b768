// SPDX-License-Identifier: GPL-3.0-or-later
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"

/* In the child: waits for the word, and is gone without one. */
static void run(int word, char **argv)
{
    char c;
    ssize_t n;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    do
        n = read(word, &c, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0);
    execvp(argv[0], argv);
    int status = errno == ENOENT ? 127 : 126; /* as shells have it */
    sj_complain(status, "cannot run %s: %s", argv[0], strerror(errno));
    _exit(status);
}

int sj_child_prepare(struct sj_child *child, char **argv, struct sj_err *err)
{
    int ends[2];
    *child = SJ_CHILD_NONE;
    if (pipe2(ends, O_CLOEXEC))
        return sj_fail(err, EX_OSERR, "cannot start %s: %s", argv[0], strerror(errno));
    sj_autoclose int word = ends[0];
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[1]);
        return sj_fail(err, EX_OSERR, "cannot start %s: %s", argv[0], strerror(errno));
    }
    if (pid == 0) {
        close(ends[1]);
        run(word, argv);
    }
    child->pid = pid;
    child->go = ends[1];
    return 0;
}

void sj_child_start(struct sj_child *child)
{
    /* if nobody reads it, it has ended: a signal to the whole group, say */
    while (write(child->go, "", 1) < 0 && errno == EINTR)
        ;
    close(child->go);
    child->go = -1;
}

bool sj_child_ended(struct sj_child *child)
{
    int status;
    if (child->pid == 0)
        return false;
    pid_t got = waitpid(child->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    child->pid = 0;
    if (got > 0)
        child->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* It was never started: it ends by itself when it hears that there will be no start. */
static int give_up(struct sj_child *child)
{
    close(child->go);
    child->go = -1;
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    child->status = -1;
    return 0;
}

int sj_child_stop(struct sj_child *child, struct sj_err *err)
{
    struct timespec pause = {.tv_nsec = 100000000};
    if (child->pid == 0)
        return 0;
    if (child->go >= 0)
        return give_up(child);
    if (kill(child->pid, SIGTERM) && errno == EPERM) {
        child->pid = 0;
        return sj_fail(err, EX_NOPERM, "the command runs as another user and was not stopped: it goes on");
    }
    for (int tries = 0; tries < 20; tries++) {
        if (sj_child_ended(child))
            return 0;
        nanosleep(&pause, NULL);
    }
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
    child->status = 128 + SIGKILL;
    return 0;
}
