// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gsl/gsl_errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/out.h"
#include "command.h"
#include "version.h"

static const struct sj_command *const commands[] = {
    &sj_cmd_check, &sj_cmd_report, &sj_cmd_trace, &sj_cmd_record, &sj_cmd_fit, &sj_cmd_serve,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct sj_command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static void put_help(struct sj_out *out)
{
    sj_out_text(out, "Usage: sojourn COMMAND [OPTION...]\n\n"
                     "Measures, inside the Linux kernel, how long every request on this host takes and where its time "
                     "went.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        sj_out_printf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    sj_out_text(out, "\n'sojourn COMMAND --help' tells the options of one command, 'man sojourn' everything.\n");
}

static void put_version(struct sj_out *out)
{
    sj_out_text(out, "sojourn " SJ_VERSION "\n");
}

static int print(void (*put)(struct sj_out *out))
{
    struct sj_err err = {.status = EX_OK};
    struct sj_out out;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err) < 0)
        return sj_complain(err.status, "%s", err.text);
    put(&out);
    int failed = sj_out_flush(&out, &err);
    sj_out_fini(&out);
    return failed && err.status != EX_OK ? sj_complain(err.status, "%s", err.text) : EX_OK;
}

/*
 * A standard descriptor that is closed would be given to the next file that is opened, and output would go there.
 * /dev/null takes its place, opened for reading only, so that writing to it is an error that is told.
 */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            _exit(EX_OSERR);
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    setlocale(LC_CTYPE, "");
    gsl_set_error_handler_off();

    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name)
        return sj_complain(EX_USAGE, "a command is missing; see 'sojourn --help'");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2))
        return print(put_help);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return print(put_version);

    const struct sj_command *cmd = find(name);
    if (cmd)
        return cmd->run(argc - 1, argv + 1);
    if (strcmp(name, "help") == 0 && (cmd = find(argv[2])) != NULL)
        return cmd->run(2, (char *[]){argv[2], (char[]){"--help"}, NULL});
    if (strcmp(name, "help") == 0)
        name = argv[2];
    return sj_complain(EX_USAGE, "unknown %s '%s'; see 'sojourn --help'", name[0] == '-' ? "option" : "command", name);
}
