// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/*
 * A command is a row of the table in main.c. run gets its own arguments (argv[0] is the command's name) and returns the
 * process's exit status: 0 done, 1 the verdict is bad, 2 inconclusive, or one of sysexits.h.
 */
struct sj_command {
    const char *name;
    const char *summary; /* one line, no full stop */
    const char *usage;   /* "report [-d TIME] [FILTER...]" */
    const char *options; /* the option list of --help, lines */
    int (*run)(int argc, char **argv);
};

extern const struct sj_command sj_cmd_check;
extern const struct sj_command sj_cmd_report;
extern const struct sj_command sj_cmd_trace;
extern const struct sj_command sj_cmd_record;
extern const struct sj_command sj_cmd_fit;
extern const struct sj_command sj_cmd_serve;

/* Prints "sojourn: TEXT" on standard error and returns status. */
int sj_complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The usage error of a command: the line, then how to get help. Returns EX_USAGE. */
int sj_usage_error(const struct sj_command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --help of a command, on standard output. Returns 0, or EX_IOERR when it cannot be written. */
int sj_print_help(const struct sj_command *cmd);
