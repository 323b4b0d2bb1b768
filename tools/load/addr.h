// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Room for every text that sj_addr_text() makes. */
#define SJ_ADDR_TEXT 128

struct sj_addr {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

/* Reads "127.0.0.1:80", "[::1]:80", "unix:/path" or "unix:@abstract". */
int sj_addr_parse(const char *text, struct sj_addr *addr, struct sj_err *err);

/* The inverse of sj_addr_parse(); an unnamed unix socket is "unix:". */
void sj_addr_text(const struct sj_addr *addr, char text[static SJ_ADDR_TEXT]);

bool sj_addr_is_unix(const struct sj_addr *addr);

/*
 * Opens a listening socket (blocking, close-on-exec) and replaces *addr by what it is bound to, so that port 0 becomes
 * the real one. A unix socket that nobody listens on any more is replaced. Returns the descriptor, or -1.
 */
int sj_addr_listen(struct sj_addr *addr, int backlog, struct sj_err *err);

/* Removes the file of a unix socket; nothing for other addresses. */
void sj_addr_unlink(const struct sj_addr *addr);

/* Starts a connection with small-packet delay off; `flags` may hold SOCK_NONBLOCK. Returns the descriptor or -errno. */
int sj_addr_connect(const struct sj_addr *addr, int flags);

/* The local address of a socket as text. */
void sj_addr_local_text(int fd, char text[static SJ_ADDR_TEXT]);

/* Header and body in two writes must not wait for each other's acknowledgement. */
void sj_addr_no_delay(int fd, const struct sj_addr *addr);

/* Bounds every blocking call on the socket; nanoseconds. */
void sj_addr_bound(int fd, uint64_t timeout_ns);

/* Closes so that the peer gets a reset. */
void sj_addr_reset(int fd);

/* Lifts the limit of open files as far as the rights allow. */
void sj_addr_many_files(void);
