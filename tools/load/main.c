// SPDX-License-Identifier: GPL-3.0-or-later
#include "cmds.h"

#include <stdio.h>
#include <string.h>

/*
 * load: requests whose every cost is known, and both ends that count them. It is what a latency monitor is held
 * against: each side prints its own truth as one JSON object.
 */
static const struct {
    const char *name;
    int (*run)(int argc, char *const *argv, struct sj_err *err);
    const char *summary;
} commands[] = {
    {"server", sj_cmd_server, "answer requests at a known cost"},
    {"client", sj_cmd_client, "ask in a known pattern"},
    {"garbage", sj_cmd_garbage, "random bytes both ways, counting the turns"},
};

static void usage(FILE *out)
{
    fputs("usage: load COMMAND [OPTION...]\n\n", out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-8s %s (--help lists its options)\n", commands[i].name, commands[i].summary);
}

int main(int argc, char **argv)
{
    struct sj_err err = {0};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        int rc = commands[i].run(argc - 2, argv + 2, &err);
        if (rc >= 0)
            return rc;
        fprintf(stderr, "load %s: %s\n", argv[1], err.text);
        return err.status;
    }
    usage(stderr);
    return EX_USAGE;
}
