// SPDX-License-Identifier: GPL-3.0-or-later
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

int sj_child_start(struct sj_child *child, char **argv, struct sj_err *err)
{
    child->status = -1;
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        return sj_fail(err, EX_OSERR, "cannot start %s: %s", argv[0], strerror(errno));
    }
    if (child->pid)
        return 0;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    execvp(argv[0], argv);
    int status = errno == ENOENT ? 127 : 126; /* as shells have it */
    sj_complain(status, "cannot run %s: %s", argv[0], strerror(errno));
    _exit(status);
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

void sj_child_stop(struct sj_child *child)
{
    struct timespec pause = {.tv_nsec = 100000000};
    if (child->pid == 0)
        return;
    kill(child->pid, SIGTERM);
    for (int tries = 0; tries < 20; tries++) {
        if (sj_child_ended(child))
            return;
        nanosleep(&pause, NULL);
    }
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
    child->status = 128 + SIGKILL;
}
