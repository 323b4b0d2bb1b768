// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/json.h"
#include "base/out.h"
#include "command.h"
#include "options.h"
#include "probe/kernel.h"
#include "probe/probe.h"
#include "probe/rights.h"

#define SETS 4

enum after { AFTER_UNKNOWN = 0, AFTER_NONE, AFTER_BPF };

/* All that was found out. */
struct findings {
    struct sj_kernel_feature features[SJ_KERNEL_FEATURES];
    unsigned n_features;
    struct {
        char name[32]; /* "probe_set_socket" */
        const struct sj_probe_set *set;
        bool possible;
        struct sj_err why_not;
    } sets[SETS];
    unsigned n_sets;
    const struct sj_probe_set *set; /* the one that would be used; NULL: none can be */
    struct sj_err reason;           /* then, why */
    enum after after;               /* which rights stay when everything is attached */
};

static const char *const after_names[] = {"unknown", "none", "CAP_BPF"};

static void print_row(struct sj_out *out, const char *name, bool have, const char *consequence)
{
    if (have)
        sj_out_printf(out, "%-22s yes\n", name);
    else
        sj_out_printf(out, "%-22s %-6s %s\n", name, "NO", consequence);
}

static void print_table(struct sj_out *out, const struct findings *f)
{
    static const char *const after_words[] = {"", "no right stays",
                                              "CAP_BPF stays: this kernel wants it for every look at what was counted"};
    sj_out_printf(out, "%-22s %-6s %s\n", "capability", "state", "consequence");
    for (unsigned i = 0; i < f->n_features; i++) {
        const struct sj_kernel_feature *feature = &f->features[i];
        print_row(out, feature->name, feature->have, feature->consequence);
    }
    for (unsigned i = 0; i < f->n_sets; i++)
        print_row(out, f->sets[i].name, f->sets[i].possible, f->sets[i].why_not.text);
    sj_out_printf(out, "%-22s %s\n", "lockdown", sj_kernel_lockdown());
    if (f->after)
        sj_out_printf(out, "%-22s %s\n", "after attaching", after_words[f->after]);
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

static void print_json(struct sj_out *out, const struct findings *f)
{
    struct sj_json j;
    sj_json_init(&j, out, 0);
    sj_json_object(&j);
    key_string(&j, "schema", "sojourn.check/1");
    key_bool(&j, "possible", f->set != NULL);
    if (f->set)
        key_string(&j, "probe_set", f->set->name);
    else
        key_string(&j, "reason", f->reason.text);
    key_string(&j, "lockdown", sj_kernel_lockdown());
    if (f->after)
        key_string(&j, "rights_after", after_names[f->after]);
    sj_json_key(&j, "probe_sets");
    sj_json_array(&j);
    for (unsigned i = 0; i < f->n_sets; i++) {
        sj_json_object(&j);
        key_string(&j, "name", f->sets[i].set->name);
        key_bool(&j, "possible", f->sets[i].possible);
        if (!f->sets[i].possible)
            key_string(&j, "reason", f->sets[i].why_not.text);
        sj_json_object_end(&j);
    }
    sj_json_array_end(&j);
    sj_json_key(&j, "capabilities");
    sj_json_array(&j);
    for (unsigned i = 0; i < f->n_features; i++) {
        sj_json_object(&j);
        key_string(&j, "name", f->features[i].name);
        key_bool(&j, "have", f->features[i].have);
        if (!f->features[i].have)
            key_string(&j, "consequence", f->features[i].consequence);
        sj_json_object_end(&j);
    }
    sj_json_array_end(&j);
    sj_json_object_end(&j);
    sj_out_text(out, "\n");
}

/* What can be told from outside may still be refused, by a policy or a patched kernel: so it is tried. */
static int try_to_load(struct findings *f, struct sj_measure_options *opts, bool *walks)
{
    struct sj_err no_clock;
    const struct sj_probe_set *set, *clocked;
    if (sj_kernel_choose(NULL, false, &set, walks, &f->reason))
        return -1;
    if (sj_kernel_choose(NULL, true, &clocked, NULL, &no_clock))
        opts->stages = SJ_STAGES_QUEUE;
    if (sj_probe_try(opts, &f->reason))
        return -1;
    f->set = set;
    return 0;
}

static bool goes_on(void *probe)
{
    return sj_probe_readable(probe);
}

/* Which rights would stay? A child gives its own up, with everything attached, and tells. */
static enum after try_rights(const struct sj_measure_options *opts)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sj_probe *probe;
        bool kept = false;
        if (sj_probe_open(opts, &probe, NULL) || sj_rights_drop(SJ_RIGHTS_MEASURE, goes_on, probe, &kept, NULL))
            _exit(AFTER_UNKNOWN);
        _exit(kept ? AFTER_BPF : AFTER_NONE);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) > AFTER_BPF)
        return AFTER_UNKNOWN;
    return (enum after)WEXITSTATUS(status);
}

static void add_feature(struct findings *f, const char *name, bool have, const char *consequence)
{
    if (f->n_features < SJ_KERNEL_FEATURES)
        f->features[f->n_features++] =
            (struct sj_kernel_feature){.name = name, .have = have, .consequence = consequence};
}

static void find_out(struct findings *f)
{
    struct sj_measure_options opts = {.payload = true, .ring_bytes = SJ_RING_BYTES_DEFAULT};
    f->n_features = sj_kernel_features(f->features);
    for (const struct sj_probe_set *const *s = sj_probe_sets; *s && f->n_sets < SETS; s++, f->n_sets++) {
        const struct sj_probe_set *same;
        f->sets[f->n_sets].set = *s;
        snprintf(f->sets[f->n_sets].name, sizeof(f->sets[f->n_sets].name), "probe_set_%s", (*s)->name);
        f->sets[f->n_sets].possible =
            sj_kernel_choose((*s)->name, false, &same, NULL, &f->sets[f->n_sets].why_not) == 0;
    }
    add_feature(f, "process_names", access("/proc/1/cmdline", R_OK) == 0,
                "processes of others go by the 15 bytes that the kernel keeps: /proc hides them (hidepid)");
    bool walks;
    if (try_to_load(f, &opts, &walks))
        return;
    add_feature(f, "payload", true, "");
    add_feature(f, "walk_over_sockets", walks,
                "the ends of long answers are looked for among all open files: dearer, and no less exact");
    if (strcmp(f->set->name, "syscall") == 0)
        add_feature(f, "io_uring", false, "the syscall probe set does not see what it moves");
    f->after = try_rights(&opts);
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
    struct findings f = {.reason = {.status = EX_OK}};
    struct sj_err err = {.status = EX_OK};
    struct sj_out out;
    find_out(&f);
    if (sj_out_init(&out, STDOUT_FILENO, "standard output", &err))
        return sj_complain(err.status, "%s", err.text);
    if (json)
        print_json(&out, &f);
    else
        print_table(&out, &f);
    if (f.set && !json)
        sj_out_printf(&out, "requests can be measured here, with the %s probe set\n", f.set->name);
    int written = sj_out_flush(&out, &err);
    sj_out_fini(&out);
    if (written)
        return err.text[0] ? sj_complain(err.status, "%s", err.text) : EX_OK;
    if (!f.set && !json)
        return sj_complain(f.reason.status, "%s", f.reason.text);
    return f.set ? EX_OK : f.reason.status;
}

const struct sj_command sj_cmd_check = {
    .name = "check",
    .summary = "Tell what this kernel and these rights allow",
    .usage = "check [--json]",
    .options = "      --json               one JSON object\n",
    .run = run,
};
