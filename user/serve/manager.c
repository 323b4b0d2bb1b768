// SPDX-License-Identifier: GPL-3.0-or-later
#include "serve/manager.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int sj_manager_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n == 0 || n >= sizeof(to.sun_path))
        return -1;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n))) {
        close(fd);
        return -1;
    }
    return fd;
}

void sj_manager_tell(int fd, const char *state)
{
    if (fd >= 0)
        send(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void sj_manager_reloading(int fd, uint64_t mono_ns)
{
    char text[80];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(mono_ns / 1000));
    sj_manager_tell(fd, text);
}

void sj_manager_alive(int fd)
{
    if (getenv("WATCHDOG_USEC"))
        sj_manager_tell(fd, "WATCHDOG=1");
}
