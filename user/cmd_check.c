// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/json.h"
#include "base/out.h"
#include "command.h"
#include "options.h"
#include "probe/kernel.h"
#include "probe/probe.h"

static void print_table(struct sj_out *out, const struct sj_kernel_feature *f, unsigned n)
{
    sj_out_printf(out, "%-22s %-6s %s\n", "capability", "state", "consequence");
    for (unsigned i = 0; i < n; i++)
        sj_out_printf(out, "%-22s %-6s %s\n", f[i].name, f[i].have ? "yes" : "NO", f[i].have ? "" : f[i].consequence);
    sj_out_printf(out, "%-22s %s\n", "lockdown", sj_kernel_lockdown());
}

static void key_string(struct sj_json *j, const char *key, const char *text)
{
    sj_json_key(j, key);
    sj_json_string(j, text);
}

static void key_bool(struct sj_json *j, const char *key, bool value)
{
    sj_json_key(j, key);
    sj_json_bool(j, value);
}

static void print_json(struct sj_out *out, const struct sj_kernel_feature *f, unsigned n, const char *set,
                       const char *reason)
{
    struct sj_json j;
    sj_json_init(&j, out, 0);
    sj_json_object(&j);
    key_string(&j, "schema", "sojourn.check/1");
    key_bool(&j, "possible", set != NULL);
    if (set)
        key_string(&j, "probe_set", set);
    else
        key_string(&j, "reason", reason);
    key_string(&j, "lockdown", sj_kernel_lockdown());
    sj_json_key(&j, "capabilities");
    sj_json_array(&j);
    for (unsigned i = 0; i < n; i++) {
        sj_json_object(&j);
        key_string(&j, "name", f[i].name);
        key_bool(&j, "have", f[i].have);
        if (!f[i].have)
            key_string(&j, "consequence", f[i].consequence);
        sj_json_object_end(&j);
    }
    sj_json_array_end(&j);
    sj_json_object_end(&j);
    sj_out_text(out, "\n");
}

/* What can be told from outside may still be refused, by a policy or a patched kernel: so it is tried. */
static int possible(const struct sj_probe_set **set, struct sj_err *err)
{
    struct sj_err no_clock;
    const struct sj_probe_set *clocked;
    struct sj_measure_options opts = {.payload = true, .ring_bytes = SJ_RING_BYTES_DEFAULT};
    if (sj_kernel_choose(NULL, false, set, err))
        return -1;
    if (sj_kernel_choose(NULL, true, &clocked, &no_clock))
        opts.stages = SJ_STAGES_QUEUE;
    return sj_probe_try(&opts, err);
}

static int run(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return sj_print_help(&sj_cmd_check);
        if (strcmp(argv[i], "--json") != 0)
            return sj_usage_error(&sj_cmd_check, "'%s' is not an option of check", argv[i]);
        json = true;
    }
    struct sj_kernel_feature features[SJ_KERNEL_FEATURES];
    struct sj_err err = {.status = EX_OK}, out_err = {.status = EX_OK};
    struct sj_out out;
    unsigned n = sj_kernel_features(features);
    const struct sj_probe_set *set = NULL;
    int status = possible(&set, &err) ? err.status : EX_OK;
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &out_err))
        return sj_complain(out_err.status, "%s", out_err.text);
    if (json)
        print_json(&out, features, n, status ? NULL : set->name, err.text);
    else
        print_table(&out, features, n);
    int written = sj_out_flush(&out, &out_err);
    sj_out_fini(&out);
    if (written)
        return out_err.text[0] ? sj_complain(out_err.status, "%s", out_err.text) : EX_OK;
    if (status && !json)
        return sj_complain(status, "%s", err.text);
    if (!json)
        printf("requests can be measured here, with the %s probe set\n", set->name);
    return status;
}

const struct sj_command sj_cmd_check = {
    .name = "check",
    .summary = "Tell what this kernel and these rights allow",
    .usage = "check [--json]",
    .options = "      --json               one JSON object\n",
    .run = run,
};
