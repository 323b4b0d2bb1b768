// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sysexits.h>

/*
 * Why an operation failed, ready to be shown: library code fills it, the command prints it once.
 * The text is one line, whatever it quotes: blanks are in the place of control characters. It names the cause and,
 * where there is one, the remedy.
 */
struct sj_err {
    int status; /* the exit status this failure deserves: one of sysexits.h */
    char text[512];
};

/*
 * sj_fail(err, status, format, ...) fills *err and yields -1, so that callers can `return sj_fail(...)`. err may be
 * NULL. status: EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_SOFTWARE, EX_CANTCREAT, EX_NOPERM, ...
 *
 * sj_fail_prefix(err, format, ...) puts "prefix: " in front of the text of a failure that came from below, and yields
 * -1.
 *
 * Macros, so that compilers see the constant and know that what follows a failure is not reached.
 */
#define sj_fail(err, ...)                                                                                              \
    ({                                                                                                                 \
        sj_err_set((err), __VA_ARGS__);                                                                                \
        -1;                                                                                                            \
    })
#define sj_fail_prefix(err, ...)                                                                                       \
    ({                                                                                                                 \
        sj_err_prefix((err), __VA_ARGS__);                                                                             \
        -1;                                                                                                            \
    })

/*
 * "cannot read PATH: ..." for a file that the errno value `error` keeps from being opened or read, with the remedy
 * where it is a matter of rights: EX_NOPERM then, otherwise EX_NOINPUT.
 */
void sj_err_read(struct sj_err *err, const char *path, int error);

void sj_err_set(struct sj_err *err, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void sj_err_prefix(struct sj_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
