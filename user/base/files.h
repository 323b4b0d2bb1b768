// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stddef.h>

#include "base/err.h"

/* The largest secret that is read from a file, in bytes. */
#define SJ_SECRET_MAX 4096

/*
 * name as it is meant in the file at `base`: relative names begin in that file's folder. To be freed; NULL when there
 * is no memory. base may be NULL.
 */
char *sj_file_beside(const char *base, const char *name);

/* Can a file be opened to be read now? 0, or -1 with EX_NOINPUT or EX_NOPERM, and what to do about it. */
int sj_file_check(const char *path, struct sj_err *err);

/*
 * Reads a regular file or a pipe of at most max bytes into *text, with a NUL behind its *n bytes; to be freed. -1 with
 * EX_NOINPUT, EX_NOPERM, EX_DATAERR (larger than max).
 */
int sj_file_read(const char *path, size_t max, char **text, size_t *n, struct sj_err *err);

/*
 * Reads a secret: the file's text without the line end. One line of visible characters or blanks, and not empty; the
 * message never shows any of it. To be given to sj_secret_free().
 */
char *sj_secret_read(const char *path, struct sj_err *err);

/* Could it be read now? 0, or -1 as above. NULL is no secret, and no trouble. */
int sj_secret_check(const char *path, struct sj_err *err);

/*
 * Puts a star in the place of the secret wherever text has it, also where it is cut off by the end of the text, unless
 * there are fewer than four bytes of it. NULL is allowed: there is nothing to hide.
 */
void sj_secret_hide(char *text, const char *secret);

/* Wipes and frees. NULL is allowed. */
void sj_secret_free(char *secret);
