// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

char *sj_file_beside(const char *base, const char *name)
{
    const char *slash = base && name[0] != '/' ? strrchr(base, '/') : NULL;
    char *path;
    if (!slash)
        return strdup(name);
    return asprintf(&path, "%.*s/%s", (int)(slash - base), base, name) < 0 ? NULL : path;
}

#define PART_MIN 4 /* of a secret: shorter ones are found in any text */

static int trouble(const char *path, struct sj_err *err)
{
    sj_err_read(err, path, errno);
    return -1;
}

/* A descriptor of a file that is no folder, or -1. */
static int open_file(const char *path, struct sj_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        return fd;
    int error = fd < 0 ? errno : EISDIR;
    if (fd >= 0)
        close(fd);
    sj_err_read(err, path, error);
    return -1;
}

int sj_file_check(const char *path, struct sj_err *err)
{
    sj_autoclose int fd = open_file(path, err);
    return fd < 0 ? -1 : 0;
}

int sj_file_read(const char *path, size_t max, char **text, size_t *n, struct sj_err *err)
{
    sj_autoclose int fd = open_file(path, err);
    if (fd < 0)
        return -1;
    sj_autofree char *buf = malloc(max + 2);
    if (!buf)
        return sj_fail(err, EX_OSERR, "out of memory");
    size_t used = 0;
    while (used <= max) {
        ssize_t got = read(fd, buf + used, max + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return trouble(path, err);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    if (used > max)
        return sj_fail(err, EX_DATAERR, "%s is larger than %zu bytes", path, max);
    buf[used] = '\0';
    char *fitting = realloc(buf, used + 1);
    if (fitting)
        buf = fitting;
    *n = used;
    *text = SJ_TAKE(buf);
    return 0;
}

char *sj_secret_read(const char *path, struct sj_err *err)
{
    char *text;
    size_t n;
    if (sj_file_read(path, SJ_SECRET_MAX, &text, &n, err) < 0)
        return NULL;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ' || text[n - 1] == '\t'))
        text[--n] = '\0';
    bool fits = n > 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            fits = false;
    if (fits)
        return text;
    sj_secret_free(text);
    sj_err_set(err, EX_DATAERR, "%s should hold one line, the secret", path);
    return NULL;
}

int sj_secret_check(const char *path, struct sj_err *err)
{
    char *secret = path ? sj_secret_read(path, err) : NULL;
    sj_secret_free(secret);
    return path && !secret ? -1 : 0;
}

/* How many bytes at the end of text, all of them at most, begin the secret. */
static size_t begun(const char *text, size_t length, const char *secret, size_t n)
{
    size_t most = length < n ? length : n - 1;
    while (most >= PART_MIN && memcmp(text + length - most, secret, most) != 0)
        most--;
    return most >= PART_MIN ? most : 0;
}

void sj_secret_hide(char *text, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;
    char *to = text;
    if (n == 0)
        return;
    for (const char *from = text; *from;) {
        bool found = strncmp(from, secret, n) == 0;
        *to++ = found ? '*' : *from;
        from += found ? n : 1;
    }
    *to = '\0';
    size_t part = begun(text, (size_t)(to - text), secret, n);
    if (part) {
        to -= part;
        *to++ = '*';
        *to = '\0';
    }
}

void sj_secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}
