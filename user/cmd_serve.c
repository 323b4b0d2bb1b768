// SPDX-License-Identifier: GPL-3.0-or-later
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "command.h"
#include "config/config.h"
#include "courier/courier.h"
#include "serve/serve.h"

static int load(const char *path, struct sj_config **config, struct sj_err *err)
{
    sj_autofree char *text = NULL;
    size_t n;
    return sj_config_read(path, &text, &n, err) || sj_config_parse(text, n, path, config, err) ? -1 : 0;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check-config", required_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    bool check = false;
    struct sj_config *config;
    struct sj_err err = {.status = EX_OK};
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, ":c:h", options, NULL)) != -1;) {
        if (c == 'h')
            return sj_print_help(&sj_cmd_serve);
        if (c != 'c' && c != 'k')
            return sj_usage_error(&sj_cmd_serve, c == ':' ? "'%s' needs a file" : "unknown option '%s'",
                                  argv[optind - 1]);
        path = optarg;
        check = check || c == 'k';
    }
    if (optind < argc)
        return sj_usage_error(&sj_cmd_serve, "'%s' is one argument too many", argv[optind]);
    if (!path)
        return sj_usage_error(&sj_cmd_serve, "-c FILE is missing");
    if (load(path, &config, &err) || (check ? sj_courier_check : sj_courier_check_start)(config, path, &err))
        return sj_complain(err.status, "%s", err.text);
    for (size_t i = 0; i < config->n_warnings; i++)
        sj_complain(0, "%s", config->warnings[i]);
    if (check) {
        sj_config_free(config);
        return printf("%s: ok\n", path) < 0 || fflush(stdout) ? EX_IOERR : EX_OK;
    }
    return sj_serve(path, config, &err) ? sj_complain(err.status, "%s", err.text) : EX_OK;
}

const struct sj_command sj_cmd_serve = {
    .name = "serve",
    .summary = "Run as a daemon: Prometheus metrics, rules and SLOs, alerts",
    .usage = "serve -c FILE | --check-config FILE",
    .options = "  -c, --config FILE      what to export, watch and tell: see sojourn.yaml(5)\n"
               "      --check-config FILE  say whether the file is right, and nothing else\n",
    .run = run,
};
