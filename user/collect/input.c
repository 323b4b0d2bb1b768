// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define RAW_SIZE (64u * 1024)
#define PLAIN_SIZE (2 * SJ_INPUT_LINE_MAX)
#define PEEK_MAX 512u

/* Bytes come from fd or memory into raw, and from there, inflated or copied, into plain. */
struct sj_input {
    char *name;
    int fd; /* -1: memory */
    const uint8_t *memory;
    size_t memory_len;

    enum { UNKNOWN, PLAIN, GZIP } coding;
    z_stream z;
    bool z_ready;
    bool in_member; /* of a gzip file, which may be several after one another */
    bool raw_ended;
    bool interrupted;
    size_t raw_pos;
    size_t raw_len;
    uint8_t raw[RAW_SIZE];

    bool ended; /* nothing will be added to plain */
    size_t pos;
    size_t len;
    uint64_t consumed;
    uint8_t plain[PLAIN_SIZE];
};

static struct sj_input *input_new(const char *name, struct sj_err *err)
{
    struct sj_input *in = calloc(1, sizeof(*in));
    if (in) {
        in->fd = -1;
        in->name = strdup(name);
    }
    if (!in || !in->name) {
        free(in);
        sj_fail(err, EX_OSERR, "no memory for reading %s", name);
        return NULL;
    }
    return in;
}

int sj_input_open(const char *path, struct sj_input **out, struct sj_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct sj_input *in = input_new(is_stdin ? "standard input" : path, err);
    if (!in)
        return -1;
    in->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
    int error = errno;
    struct stat st;
    if (in->fd >= 0 && fstat(in->fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        *out = in;
        return 0;
    }
    if (in->fd >= 0)
        error = EISDIR;
    if (error == EACCES || error == EPERM)
        sj_fail(err, EX_NOPERM, "cannot read %s: %s; read it as its owner", in->name, strerror(error));
    else
        sj_fail(err, EX_NOINPUT, "cannot read %s: %s; give a recording or the lines of 'sojourn trace --json'",
                in->name, strerror(error));
    sj_input_close(in);
    return -1;
}

int sj_input_open_memory(const void *data, size_t n, struct sj_input **out, struct sj_err *err)
{
    struct sj_input *in = input_new("memory", err);
    if (!in)
        return -1;
    in->memory = data;
    in->memory_len = n;
    *out = in;
    return 0;
}

void sj_input_close(struct sj_input *in)
{
    if (!in)
        return;
    if (in->fd >= 0)
        close(in->fd);
    if (in->z_ready)
        inflateEnd(&in->z);
    free(in->name);
    free(in);
}

const char *sj_input_name(const struct sj_input *in)
{
    return in->name;
}

uint64_t sj_input_offset(const struct sj_input *in)
{
    return in->consumed;
}

bool sj_input_cut_off(const struct sj_input *in)
{
    return in->ended && in->in_member && !in->interrupted;
}

bool sj_input_interrupted(const struct sj_input *in)
{
    return in->interrupted;
}

/* Adds to raw what one read gives. */
static int fill_raw(struct sj_input *in, struct sj_err *err)
{
    memmove(in->raw, in->raw + in->raw_pos, in->raw_len - in->raw_pos);
    in->raw_len -= in->raw_pos;
    in->raw_pos = 0;
    size_t room = RAW_SIZE - in->raw_len;
    ssize_t n;
    if (in->fd < 0) {
        n = (ssize_t)(in->memory_len < room ? in->memory_len : room);
        if (n > 0) {
            memcpy(in->raw + in->raw_len, in->memory, (size_t)n);
            in->memory += n;
            in->memory_len -= (size_t)n;
        }
    } else {
        n = read(in->fd, in->raw + in->raw_len, room);
    }
    if (n < 0 && errno != EINTR)
        return sj_fail(err, EX_IOERR, "cannot read %s: %s", in->name, strerror(errno));
    in->interrupted = n < 0;
    in->raw_ended = n <= 0;
    in->raw_len += n > 0 ? (size_t)n : 0;
    return 0;
}

/* gzip begins with the bytes 1f 8b; two of them decide. */
static int find_coding(struct sj_input *in, struct sj_err *err)
{
    while (in->raw_len < 2 && !in->raw_ended)
        if (fill_raw(in, err) < 0)
            return -1;
    if (in->raw_len < 2 || in->raw[0] != 0x1f || in->raw[1] != 0x8b) {
        in->coding = PLAIN;
        return 0;
    }
    in->coding = GZIP;
    if (inflateInit2(&in->z, MAX_WBITS + 16) != Z_OK)
        return sj_fail(err, EX_OSERR, "no memory for reading %s", in->name);
    in->z_ready = true;
    return 0;
}

static int broken_gzip(const struct sj_input *in, struct sj_err *err)
{
    return sj_fail(err, EX_DATAERR, "%s: the gzip data is broken (%s): copy the file again from where it was made",
                   in->name, in->z.msg ? in->z.msg : "it makes no sense");
}

static int inflate_some(struct sj_input *in, struct sj_err *err)
{
    size_t room = PLAIN_SIZE - in->len;
    in->z.next_in = in->raw + in->raw_pos;
    in->z.avail_in = (uInt)(in->raw_len - in->raw_pos);
    in->z.next_out = in->plain + in->len;
    in->z.avail_out = (uInt)room;
    in->in_member = true;
    int rc = inflate(&in->z, Z_NO_FLUSH);
    in->raw_pos = in->raw_len - in->z.avail_in;
    in->len += room - in->z.avail_out;
    if (rc == Z_STREAM_END) {
        in->in_member = false;
        inflateReset(&in->z);
    } else if (rc == Z_MEM_ERROR) {
        return sj_fail(err, EX_OSERR, "no memory for reading %s", in->name);
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return broken_gzip(in, err);
    }
    return 0;
}

/* Makes at least one more plain byte available behind those that are there, or sets `ended`. There must be room. */
static int fill(struct sj_input *in, struct sj_err *err)
{
    memmove(in->plain, in->plain + in->pos, in->len - in->pos);
    in->len -= in->pos;
    in->pos = 0;
    if (in->coding == UNKNOWN && find_coding(in, err) < 0)
        return -1;
    for (size_t before = in->len; in->len == before && !in->ended;) {
        if (in->raw_pos == in->raw_len && !in->raw_ended && fill_raw(in, err) < 0)
            return -1;
        size_t n = in->raw_len - in->raw_pos;
        if (n == 0) {
            in->ended = in->raw_ended;
        } else if (in->coding == GZIP) {
            if (inflate_some(in, err) < 0)
                return -1;
        } else {
            n = n < PLAIN_SIZE - in->len ? n : PLAIN_SIZE - in->len;
            memcpy(in->plain + in->len, in->raw + in->raw_pos, n);
            in->raw_pos += n;
            in->len += n;
        }
    }
    return 0;
}

static void consume(struct sj_input *in, size_t n)
{
    in->pos += n;
    in->consumed += n;
}

int sj_input_peek(struct sj_input *in, size_t n, const uint8_t **p, size_t *got, struct sj_err *err)
{
    n = n < PEEK_MAX ? n : PEEK_MAX;
    while (in->len - in->pos < n && !in->ended)
        if (fill(in, err) < 0)
            return -1;
    *p = in->plain + in->pos;
    *got = in->len - in->pos < n ? in->len - in->pos : n;
    return 0;
}

int sj_input_read(struct sj_input *in, void *buf, size_t n, size_t *got, struct sj_err *err)
{
    size_t done = 0;
    while (done < n) {
        if (in->pos == in->len && fill(in, err) < 0)
            return -1;
        size_t k = in->len - in->pos < n - done ? in->len - in->pos : n - done;
        if (k == 0 && in->ended)
            break;
        memcpy((uint8_t *)buf + done, in->plain + in->pos, k);
        consume(in, k);
        done += k;
    }
    *got = done;
    return 0;
}

int sj_input_line(struct sj_input *in, struct sj_line *line, struct sj_err *err)
{
    for (size_t searched = 0;;) {
        const uint8_t *start = in->plain + in->pos;
        size_t have = in->len - in->pos;
        const uint8_t *newline = memchr(start + searched, '\n', have - searched);
        size_t len = newline ? (size_t)(newline - start) : have;
        if (len > SJ_INPUT_LINE_MAX)
            return sj_fail(err, EX_DATAERR,
                           "%s: a line is longer than %u bytes: this is not the output of "
                           "'sojourn trace --json'",
                           in->name, SJ_INPUT_LINE_MAX);
        if (newline || in->ended) {
            if (have == 0)
                return 0;
            *line = (struct sj_line){.text = (const char *)start, .len = len, .ended = newline != NULL};
            consume(in, len + (newline ? 1 : 0));
            return 1;
        }
        searched = have;
        if (fill(in, err) < 0)
            return -1;
    }
}
