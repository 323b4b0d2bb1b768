// SPDX-License-Identifier: GPL-3.0-or-later
#include "courier/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <zlib.h>

#include "base/cleanup.h"

static const char magic[8] = {'s', 'o', 'j', 'o', 'u', 'r', 'n', '\n'};
static const char *const names[] = {[SJ_STATE_WATCH] = "watch.state", [SJ_STATE_DELIVERIES] = "deliveries.state"};

struct sj_state_dir {
    char *path;
    int lock; /* -1: not held */
    dev_t dev;
    ino_t ino; /* of the folder whose lock that is */
};

static int trouble(struct sj_state_dir *d, const char *what, struct sj_err *err)
{
    int status = errno == EACCES || errno == EPERM || errno == EROFS ? EX_NOPERM : EX_CANTCREAT;
    return sj_fail(err, status, "state_dir %s: cannot %s: %s", d->path, what, strerror(errno));
}

static int take_lock(int fd)
{
    int rc;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* The lock belongs to the folder: when somebody has moved it away and made another, that one is locked anew. */
static int lock(struct sj_state_dir *d, int dir, struct sj_err *err)
{
    struct stat st;
    if (fstat(dir, &st) < 0)
        return trouble(d, "look at it", err);
    if (d->lock >= 0 && st.st_dev == d->dev && st.st_ino == d->ino)
        return 0;
    int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return trouble(d, "write", err);
    if (take_lock(fd) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        if (error != EWOULDBLOCK)
            return trouble(d, "lock it", err);
        return sj_fail(err, EX_UNAVAILABLE, "state_dir %s is in use by another sojourn; give each its own", d->path);
    }
    if (d->lock >= 0)
        close(d->lock);
    d->lock = fd;
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    return 0;
}

/* A descriptor of the folder, locked, or -1. */
static int enter(struct sj_state_dir *d, struct sj_err *err)
{
    int dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT && mkdir(d->path, 0700) == 0)
        dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return trouble(d, "open it", err);
    if (lock(d, dir, err) == 0)
        return dir;
    close(dir);
    return -1;
}

int sj_state_open(const char *path, struct sj_state_dir **out, struct sj_err *err)
{
    struct sj_state_dir *d = calloc(1, sizeof(*d));
    if (!d || !(d->path = strdup(path))) {
        free(d);
        return sj_fail(err, EX_OSERR, "out of memory");
    }
    d->lock = -1;
    int dir = enter(d, err);
    if (dir < 0 && err->status == EX_UNAVAILABLE) {
        sj_state_close(d);
        return -1;
    }
    if (dir >= 0)
        close(dir);
    *out = d;
    return dir < 0;
}

void sj_state_close(struct sj_state_dir *d)
{
    if (!d)
        return;
    if (d->lock >= 0)
        close(d->lock);
    free(d->path);
    free(d);
}

const char *sj_state_unpack(const char *file, size_t n, enum sj_state_kind kind, size_t *length, struct sj_err *err)
{
    struct sj_state_head h;
    const char *what = NULL;
    if (n < sizeof(h)) {
        sj_err_set(err, EX_DATAERR, "it is too short");
        return NULL;
    }
    memcpy(&h, file, sizeof(h));
    if (memcmp(h.magic, magic, sizeof(magic)) != 0 || h.kind != kind)
        what = "it is no such file";
    else if (h.version != SJ_STATE_VERSION)
        what = "another version wrote it";
    else if (h.length != n - sizeof(h))
        what = "it is cut short";
    else if (crc32(crc32(0, NULL, 0), (const unsigned char *)file + sizeof(h), (unsigned)h.length) != h.crc)
        what = "its checksum is wrong";
    if (what) {
        sj_err_set(err, EX_DATAERR, "%s", what);
        return NULL;
    }
    *length = h.length;
    return file + sizeof(h);
}

static int read_all(int fd, char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got == 0) /* it has become shorter meanwhile */
            errno = EIO;
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int set_aside(struct sj_state_dir *d, int dir, const char *name, struct sj_err *err)
{
    char aside[64], why[64];
    snprintf(aside, sizeof(aside), "%s.corrupt", name);
    snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, err->text);
    bool renamed = renameat(dir, name, dir, aside) == 0;
    return sj_fail(err, EX_DATAERR, "state_dir %s: %s is of no use: %s; %s, going on without it", d->path, name, why,
                   renamed ? "it is kept with .corrupt added to its name" : "it cannot be renamed either");
}

int sj_state_load(struct sj_state_dir *d, enum sj_state_kind kind, char **data, size_t *n, struct sj_err *err)
{
    struct stat st;
    sj_autoclose int dir = enter(d, err);
    if (dir < 0)
        return -1;
    sj_autoclose int fd = openat(dir, names[kind], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 1;
    if (fd < 0 || fstat(fd, &st) < 0)
        return trouble(d, "read", err);
    size_t size = st.st_size > 0 ? (size_t)st.st_size : 0;
    if (!S_ISREG(st.st_mode) || size > SJ_STATE_MAX_BYTES) {
        sj_err_set(err, EX_DATAERR, "it is no file, or too large");
        return set_aside(d, dir, names[kind], err);
    }
    sj_autofree char *file = malloc(size + 1);
    if (!file)
        return sj_fail(err, EX_OSERR, "out of memory");
    if (read_all(fd, file, size) < 0)
        return trouble(d, "read", err);
    size_t length;
    const char *content = sj_state_unpack(file, size, kind, &length, err);
    if (!content)
        return set_aside(d, dir, names[kind], err);
    memmove(file, content, length);
    *n = length;
    *data = SJ_TAKE(file);
    return 0;
}

static int write_all(int fd, struct iovec *v, int n)
{
    while (n > 0) {
        ssize_t w = writev(fd, v, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        for (size_t left = (size_t)w; n > 0; v++, n--) {
            size_t step = left < v->iov_len ? left : v->iov_len;
            v->iov_base = (char *)v->iov_base + step;
            v->iov_len -= step;
            left -= step;
            if (v->iov_len > 0)
                break;
        }
    }
    return 0;
}

int sj_state_save(struct sj_state_dir *d, enum sj_state_kind kind, const void *data, size_t n, struct sj_err *err)
{
    char temporary[64];
    struct sj_state_head h = {.version = SJ_STATE_VERSION,
                              .kind = (uint16_t)kind,
                              .crc = (uint32_t)crc32(crc32(0, NULL, 0), data, (unsigned)n),
                              .length = n};
    struct iovec v[2] = {{.iov_base = &h, .iov_len = sizeof(h)}, {.iov_base = (void *)(uintptr_t)data, .iov_len = n}};
    memcpy(h.magic, magic, sizeof(magic));
    snprintf(temporary, sizeof(temporary), "%s.new", names[kind]);
    sj_autoclose int dir = enter(d, err);
    if (dir < 0)
        return -1;
    sj_autoclose int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return trouble(d, "write", err);
    if (write_all(fd, v, 2) < 0 || fsync(fd) < 0 || renameat(dir, temporary, dir, names[kind]) < 0) {
        int error = errno;
        unlinkat(dir, temporary, 0);
        errno = error;
        return trouble(d, "write", err);
    }
    return fsync(dir) < 0 ? trouble(d, "write", err) : 0;
}
