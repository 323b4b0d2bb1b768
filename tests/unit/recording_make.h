// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "collect/input.h"
#include "collect/recording.h"
#include "collect/recording_format.h"

#include "captured.h"

/* A folder of its own for the files of a test, which removes both. */
static inline void temporary_folder(char out[64])
{
    snprintf(out, 64, "/tmp/sojourn-test-XXXXXX");
    if (!mkdtemp(out))
        abort();
}

/* Makes the path of a file in it. */
static inline const char *temporary_path(char out[128], const char *folder, const char *name)
{
    snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

struct bytes {
    uint8_t *p;
    size_t n;
};

static inline struct bytes bytes_of_file(const char *path)
{
    struct bytes b = {0};
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0)
        abort();
    b.p = malloc((size_t)st.st_size + 1);
    b.n = (size_t)st.st_size;
    if (!b.p || read(fd, b.p, b.n) != (ssize_t)b.n)
        abort();
    close(fd);
    return b;
}

static inline void file_of_bytes(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n || close(fd) < 0)
        abort();
}

/* Appends a block with right checksums to *to, plain or deflated, whatever its body. raw: what the head says. */
static inline void bytes_add_block(struct bytes *to, uint32_t kind, const void *body, size_t n, uint32_t raw)
{
    to->p = realloc(to->p, to->n + SJ_RECORDING_HEAD_LEN + n);
    if (!to->p)
        abort();
    uint8_t *head = to->p + to->n;
    sj_put_le32(head, kind);
    sj_put_le32(head + 4, raw);
    sj_put_le32(head + 8, (uint32_t)n);
    sj_put_le32(head + 12, (uint32_t)crc32_z(0, body, n));
    sj_put_le32(head + 16, (uint32_t)crc32_z(0, head, 16));
    memcpy(head + SJ_RECORDING_HEAD_LEN, body, n);
    to->n += SJ_RECORDING_HEAD_LEN + n;
}

/* Magic, version, and a header block: empty strings, no stages, times 0. */
static inline struct bytes bytes_with_header(void)
{
    struct bytes b = {.p = malloc(SJ_RECORDING_MAGIC_LEN + 4), .n = SJ_RECORDING_MAGIC_LEN + 4};
    if (!b.p)
        abort();
    memcpy(b.p, SJ_RECORDING_MAGIC, SJ_RECORDING_MAGIC_LEN);
    sj_put_le32(b.p + SJ_RECORDING_MAGIC_LEN, SJ_RECORDING_VERSION);
    bytes_add_block(&b, SJ_RECORDING_HEADER, "\0\0\0\0\0\0", 6, 6);
    return b;
}

static inline int read_bytes(const void *p, size_t n, struct captured *c, struct sj_err *err)
{
    struct sj_input *in;
    struct sj_sink sink = captured_sink(c);
    if (sj_input_open_memory(p, n, &in, err) < 0)
        abort();
    int rc = sj_recording_read(in, &sink, err);
    sj_input_close(in);
    return rc;
}
