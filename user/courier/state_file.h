// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The folder that outlives the process. Files in it are replaced as a whole, so that after a crash at any moment there
 * is the old one or the new one; a checksum tells when it is neither. One daemon at a time uses a folder.
 */
enum sj_state_kind { SJ_STATE_WATCH = 0, SJ_STATE_DELIVERIES, SJ_STATE_MAX_ };

#define SJ_STATE_MAX_BYTES (64u << 20)

/* The layout of a file: this, then length bytes. Numbers as the machine has them. */
struct sj_state_head {
    char magic[8]; /* "sojourn\n" */
    uint16_t version;
    uint16_t kind;
    uint32_t crc; /* of what follows the head; as zlib's */
    uint64_t length;
};
_Static_assert(sizeof(struct sj_state_head) == 24, "state head");
#define SJ_STATE_VERSION 1

struct sj_state_dir;

/*
 * Opens the folder, makes it when only it is missing, and locks it. 0; 1 when it cannot be used or locked now, *err
 * says why (it is tried again at each write); -1 when another daemon uses it (EX_UNAVAILABLE) or there is no memory.
 * path is copied.
 */
int sj_state_open(const char *path, struct sj_state_dir **out, struct sj_err *err);
void sj_state_close(struct sj_state_dir *d);

/*
 * Reads a file. 0, *data is to be freed; 1 when there is none; -1 with *err: it cannot be read, or it is damaged and
 * was renamed to NAME.corrupt.
 */
int sj_state_load(struct sj_state_dir *d, enum sj_state_kind kind, char **data, size_t *n, struct sj_err *err);

/* Replaces a file. 0, or -1 with *err. By one thread at a time. */
int sj_state_save(struct sj_state_dir *d, enum sj_state_kind kind, const void *data, size_t n, struct sj_err *err);

/* Checks the n bytes of a file. Returns where its content begins and sets *length, or NULL with *err (EX_DATAERR). */
const char *sj_state_unpack(const char *file, size_t n, enum sj_state_kind kind, size_t *length, struct sj_err *err);
