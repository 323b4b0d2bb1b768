// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/lockdown.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"

#define SOCKET_SET "comes with Linux 6.3; without it "
#define SYSCALL_SET "without it the syscall set is not possible"
#define NO_CLOCK "without it only --stages queue or none can be measured"

static const struct {
    const char *tracepoint;
    bool required; /* by every set */
    const char *consequence;
} tracepoints[] = {
    {"sk_data_ready", false, SOCKET_SET "arrival is seen by the syscall set only"},
    {"sock_recv_length", false, SOCKET_SET "receiving is seen by the syscall set only"},
    {"sock_send_length", false, SOCKET_SET "sending is seen by the syscall set only"},
    {"sys_exit", false, SYSCALL_SET},
    {"tcp_probe", false, SYSCALL_SET},
    {"sched_process_exit", false, SYSCALL_SET},
    {"inet_sock_set_state", true, "connections and their roles cannot be seen"},
    {"tcp_destroy_sock", true, "the end of connections cannot be seen"},
    {"sched_switch", false, NO_CLOCK},
    {"sched_wakeup", false, NO_CLOCK},
    {"signal_generate", false, NO_CLOCK},
};

#define TRACEPOINTS (sizeof(tracepoints) / sizeof(tracepoints[0]))

static bool have_tracepoint(const struct btf *btf, const char *name)
{
    char type[64];
    snprintf(type, sizeof(type), "btf_trace_%s", name);
    return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) >= 0;
}

/* Effective capabilities, as a mask; older kernels have CAP_SYS_ADMIN stand for CAP_BPF and CAP_PERFMON. */
static bool have_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    if (syscall(SYS_capget, &head, data))
        return false;
    uint64_t caps = data[0].effective | (uint64_t)data[1].effective << 32;
    bool admin = caps & 1ULL << CAP_SYS_ADMIN;
    return admin || ((caps & 1ULL << CAP_BPF) && (caps & 1ULL << CAP_PERFMON));
}

/* The kernel's types, to be freed; NULL when it tells none. Reading them takes tens of milliseconds. */
static struct btf *load_types(void)
{
    return access(BTF_PATH, R_OK) == 0 ? btf__load_vmlinux_btf() : NULL;
}

static unsigned features_of(const struct btf *btf, struct sj_kernel_feature features[SJ_KERNEL_FEATURES])
{
    unsigned n = 0;
    features[n++] = (struct sj_kernel_feature){.name = "btf",
                                               .have = btf != NULL,
                                               .required = true,
                                               .consequence = "needs a kernel with CONFIG_DEBUG_INFO_BTF"};
    for (size_t i = 0; btf && i < TRACEPOINTS; i++)
        features[n++] = (struct sj_kernel_feature){.name = tracepoints[i].tracepoint,
                                                   .have = have_tracepoint(btf, tracepoints[i].tracepoint),
                                                   .required = tracepoints[i].required,
                                                   .consequence = tracepoints[i].consequence};
    bool rights = have_rights();
    features[n++] = (struct sj_kernel_feature){.name = "rights",
                                               .have = rights,
                                               .required = true,
                                               .consequence = "run as root, or with CAP_BPF and CAP_PERFMON"};
    return n;
}

unsigned sj_kernel_features(struct sj_kernel_feature features[SJ_KERNEL_FEATURES])
{
    struct btf *btf = load_types();
    unsigned n = features_of(btf, features);
    btf__free(btf);
    return n;
}

static const struct sj_kernel_feature *find_feature(const struct sj_kernel_feature *features, unsigned n,
                                                    const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(features[i].name, name) == 0)
            return &features[i];
    return NULL;
}

/* What does this kernel lack for a set? NULL: nothing. */
static const struct sj_kernel_feature *lacking(const struct sj_probe_set *set, bool clock,
                                               const struct sj_kernel_feature *features, unsigned n)
{
    for (const struct sj_probe_program *program = set->programs; program->name; program++) {
        const struct sj_kernel_feature *f = find_feature(features, n, program->tracepoint);
        if (f && !f->have && (clock || !program->clock))
            return f;
    }
    return NULL;
}

static bool may_walk(const struct btf *types, const char *what)
{
    const struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    char function[64];
    snprintf(function, sizeof(function), "bpf_iter_%s", what);
    int target = btf__find_by_name_kind(types, function, BTF_KIND_FUNC);
    if (target <= 0)
        return false;
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER, .attach_btf_id = (__u32)target);
    sj_autoclose int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nothing", "GPL", nothing, 2, &opts);
    return fd >= 0;
}

static int choose(const struct btf *types, const char *name, bool clock, const struct sj_probe_set **set,
                  struct sj_err *err)
{
    struct sj_kernel_feature features[SJ_KERNEL_FEATURES];
    unsigned n = features_of(types, features);
    const struct sj_kernel_feature *btf = find_feature(features, n, "btf"), *lack = NULL;
    if (!btf->have)
        return sj_fail(err, EX_UNAVAILABLE, "%s is missing or unreadable: %s", BTF_PATH, btf->consequence);
    bool possible = false;
    for (const struct sj_probe_set *const *s = sj_probe_sets; *s && !possible; s++) {
        if (name && strcmp(name, (*s)->name) != 0)
            continue;
        *set = *s;
        lack = lacking(*s, clock, features, n);
        possible = !lack && !((*s)->reads_kernel && sj_lockdown_hides_kernel());
    }
    if (lack)
        return sj_fail(err, EX_UNAVAILABLE, "this kernel has no tracepoint %s: %s", lack->name, lack->consequence);
    const struct sj_kernel_feature *rights = find_feature(features, n, "rights");
    if (!rights->have)
        return sj_fail(err, EX_NOPERM, "no permission to load BPF programs: %s", rights->consequence);
    if (!possible)
        return sj_fail(err, EX_UNAVAILABLE,
                       "lockdown=confidentiality keeps the kernel's memory from the %s probe set: boot with "
                       "lockdown=integrity, or a kernel from Linux 6.3 on",
                       (*set)->name);
    return 0;
}

int sj_kernel_choose(const char *name, bool clock, const struct sj_probe_set **set, bool *walks, struct sj_err *err)
{
    struct btf *types = load_types();
    int status = choose(types, name, clock, set, err);
    if (!status && walks)
        *walks = may_walk(types, (*set)->walk);
    btf__free(types);
    return status;
}

int sj_kernel_explain_load(int error, unsigned cpus, unsigned log_bytes, struct sj_err *err)
{
    if (log_bytes >= 64U << 20)
        return sj_fail(err, EX_OSERR, "the kernel refuses buffers of %u MiB for each of %u CPUs: try a smaller --ring",
                       log_bytes >> 20, cpus);
    struct rlimit locked;
    if (error == EPERM && have_rights() && !getrlimit(RLIMIT_MEMLOCK, &locked) && locked.rlim_cur != RLIM_INFINITY)
        return sj_fail(
            err, EX_NOPERM,
            "the kernel refused the BPF programs although the rights are there: before Linux 5.11 their "
            "memory counts as locked, of which %llu KiB are allowed (ulimit -l, LimitMEMLOCK=); from then on "
            "a security policy forbids it; lockdown is %s",
            (unsigned long long)locked.rlim_cur / 1024, sj_kernel_lockdown());
    if ((error == EPERM || error == EACCES) && have_rights())
        return sj_fail(err, EX_NOPERM,
                       "the kernel refused the BPF programs (%s) although the rights are there: a security policy "
                       "forbids it; lockdown is %s",
                       strerror(error), sj_kernel_lockdown());
    if (error == EPERM || error == EACCES)
        return sj_fail(err, EX_NOPERM,
                       "the kernel refused the BPF programs (%s): run as root, or with CAP_BPF and CAP_PERFMON; "
                       "lockdown is %s",
                       strerror(error), sj_kernel_lockdown());
    if (error == EMFILE || error == ENFILE)
        return sj_fail(err, EX_OSERR, "too many open files: raise the limit (ulimit -n) to 64 or more");
    if (error == ENOMEM || error == E2BIG)
        return sj_fail(err, EX_OSERR,
                       "no memory for the BPF maps, with %u KiB for each of %u CPUs: try a smaller --ring",
                       log_bytes / 1024, cpus);
    return sj_fail(err, EX_UNAVAILABLE,
                   "the kernel refused the BPF programs: %s; `sojourn check` tells what is missing", strerror(error));
}

const char *sj_kernel_lockdown(void)
{
    sj_autofclose FILE *f = fopen("/sys/kernel/security/lockdown", "re");
    char line[128];
    if (!f || !fgets(line, sizeof(line), f)) /* often not mounted, or not for everybody */
        return sj_lockdown_hides_kernel() ? "confidentiality" : "unknown";
    if (strstr(line, "[confidentiality]"))
        return "confidentiality";
    if (strstr(line, "[integrity]"))
        return "integrity";
    return strstr(line, "[none]") ? "none" : "unknown";
}
