// SPDX-License-Identifier: GPL-3.0-or-later
#include "addr.h"

#include "clk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY_FILES 65536

static int parse_unix(const char *path, struct sj_addr *addr, struct sj_err *err)
{
    size_t len = strlen(path);
    if (len < 2 || len >= sizeof(addr->local.sun_path))
        return sj_fail(err, EX_USAGE, "a unix socket's path has 2 to %zu bytes", sizeof(addr->local.sun_path) - 1);
    addr->local.sun_family = AF_UNIX;
    memcpy(addr->local.sun_path, path, len + 1);
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (path[0] == '@') {
        addr->local.sun_path[0] = '\0';
        addr->len--;
    }
    return 0;
}

int sj_addr_parse(const char *text, struct sj_addr *addr, struct sj_err *err)
{
    struct sj_addr a = {0};
    if (strncmp(text, "unix:", 5) == 0) {
        if (parse_unix(text + 5, &a, err))
            return -1;
        *addr = a;
        return 0;
    }
    const char *colon = strrchr(text, ':');
    char host[64];
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return sj_fail(err, EX_USAGE, "'%s' is no address: write 127.0.0.1:80, [::1]:80 or unix:/path", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *end = NULL;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 0 || port > 65535)
        return sj_fail(err, EX_USAGE, "'%s' has no port from 0 to 65535", text);
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons((uint16_t)port);
        a.len = sizeof(a.v6);
        if (inet_pton(AF_INET6, host + 1, &a.v6.sin6_addr) != 1)
            return sj_fail(err, EX_USAGE, "'%s' is no IPv6 address", host + 1);
    } else {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons((uint16_t)port);
        a.len = sizeof(a.v4);
        if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1)
            return sj_fail(err, EX_USAGE, "'%s' is no IPv4 address", host);
    }
    *addr = a;
    return 0;
}

void sj_addr_text(const struct sj_addr *addr, char text[static SJ_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (addr->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &addr->v4.sin_addr, host, sizeof(host));
        snprintf(text, SJ_ADDR_TEXT, "%s:%u", host, ntohs(addr->v4.sin_port));
    } else if (addr->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &addr->v6.sin6_addr, host, sizeof(host));
        snprintf(text, SJ_ADDR_TEXT, "[%s]:%u", host, ntohs(addr->v6.sin6_port));
    } else {
        int len = (int)addr->len - (int)offsetof(struct sockaddr_un, sun_path);
        if (len <= 0)
            snprintf(text, SJ_ADDR_TEXT, "unix:");
        else if (addr->local.sun_path[0] == '\0')
            snprintf(text, SJ_ADDR_TEXT, "unix:@%.*s", len - 1, addr->local.sun_path + 1);
        else
            snprintf(text, SJ_ADDR_TEXT, "unix:%.*s", len, addr->local.sun_path);
    }
}

bool sj_addr_is_unix(const struct sj_addr *addr)
{
    return addr->any.sa_family == AF_UNIX;
}

/* A server that was killed leaves its file behind; one that still answers must keep it. */
static void remove_stale(const struct sj_addr *addr)
{
    struct stat st;
    if (addr->local.sun_path[0] == '\0' || stat(addr->local.sun_path, &st) || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, &addr->any, addr->len) && errno == ECONNREFUSED)
        unlink(addr->local.sun_path);
    close(fd);
}

int sj_addr_listen(struct sj_addr *addr, int backlog, struct sj_err *err)
{
    char text[SJ_ADDR_TEXT];
    sj_addr_text(addr, text);
    if (sj_addr_is_unix(addr))
        remove_stale(addr);
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sj_fail(err, EX_OSERR, "cannot make a socket for %s: %s", text, strerror(errno));
    int one = 1;
    if (!sj_addr_is_unix(addr))
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct sj_addr bound = {.len = sizeof(bound) - offsetof(struct sj_addr, any)};
    if (bind(fd, &addr->any, addr->len) || listen(fd, backlog) || getsockname(fd, &bound.any, &bound.len)) {
        int e = errno;
        close(fd);
        return sj_fail(err, EX_UNAVAILABLE, "cannot listen on %s: %s", text, strerror(e));
    }
    *addr = bound;
    return fd;
}

void sj_addr_unlink(const struct sj_addr *addr)
{
    if (sj_addr_is_unix(addr) && addr->local.sun_path[0])
        unlink(addr->local.sun_path);
}

int sj_addr_connect(const struct sj_addr *addr, int flags)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    sj_addr_no_delay(fd, addr);
    if (connect(fd, &addr->any, addr->len) && errno != EINPROGRESS) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

void sj_addr_local_text(int fd, char text[static SJ_ADDR_TEXT])
{
    struct sj_addr a = {.len = sizeof(a) - offsetof(struct sj_addr, any)};
    if (getsockname(fd, &a.any, &a.len))
        snprintf(text, SJ_ADDR_TEXT, "unknown");
    else
        sj_addr_text(&a, text);
}

void sj_addr_no_delay(int fd, const struct sj_addr *addr)
{
    int one = 1;
    if (!sj_addr_is_unix(addr))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void sj_addr_bound(int fd, uint64_t timeout_ns)
{
    struct timeval tv = {.tv_sec = (time_t)(timeout_ns / SJ_NSEC_PER_SEC),
                         .tv_usec = (suseconds_t)(timeout_ns % SJ_NSEC_PER_SEC / 1000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

void sj_addr_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

void sj_addr_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    struct rlimit more = {.rlim_cur = MANY_FILES, .rlim_max = MANY_FILES};
    if (limit.rlim_max < MANY_FILES && setrlimit(RLIMIT_NOFILE, &more) == 0)
        return;
    limit.rlim_cur = limit.rlim_max < MANY_FILES ? limit.rlim_max : MANY_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}
