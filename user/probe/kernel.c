// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"

#define ONLY_QUEUE "without it only --stages queue or none can be measured"

static const struct {
    const char *tracepoint;
    const char *consequence;
} tracepoints[] = {
    {"sk_data_ready", "needs Linux 6.3: arrival of requests cannot be seen"},
    {"sock_recv_length", "needs Linux 6.3: receiving cannot be seen"},
    {"sock_send_length", "needs Linux 6.3: sending cannot be seen"},
    {"inet_sock_set_state", "connections and their roles cannot be seen"},
    {"sched_switch", ONLY_QUEUE},
    {"sched_wakeup", ONLY_QUEUE},
    {"signal_generate", ONLY_QUEUE},
};

#define TRACEPOINTS (sizeof(tracepoints) / sizeof(tracepoints[0]))
#define CLOCKLESS 4 /* the first ones are needed in any case, the others by the thread clock */

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

#define WALK "bpf_sk_storage_map"

/* Some kernels keep such walks from everybody, which only shows when a program is loaded: one that does nothing. */
static bool may_walk(const struct btf *btf)
{
    const struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int target = btf__find_by_name_kind(btf, "bpf_iter_" WALK, BTF_KIND_FUNC);
    if (target <= 0)
        return false;
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER, .attach_btf_id = (__u32)target);
    sj_autoclose int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nothing", "GPL", nothing, 2, &opts);
    return fd >= 0;
}

unsigned sj_kernel_features(struct sj_kernel_feature features[SJ_KERNEL_FEATURES])
{
    unsigned n = 0;
    bool file = access(BTF_PATH, R_OK) == 0;
    struct btf *btf = file ? btf__load_vmlinux_btf() : NULL;
    features[n++] = (struct sj_kernel_feature){.name = "btf",
                                               .have = btf != NULL,
                                               .required = true,
                                               .consequence = "needs a kernel with CONFIG_DEBUG_INFO_BTF"};
    for (size_t i = 0; btf && i < TRACEPOINTS; i++)
        features[n++] = (struct sj_kernel_feature){.name = tracepoints[i].tracepoint,
                                                   .have = have_tracepoint(btf, tracepoints[i].tracepoint),
                                                   .required = i < CLOCKLESS,
                                                   .consequence = tracepoints[i].consequence};
    bool rights = have_rights();
    if (btf && rights)
        features[n++] = (struct sj_kernel_feature){
            .name = WALK, .have = may_walk(btf), .consequence = "idle connections are looked for among open files"};
    features[n++] = (struct sj_kernel_feature){.name = "rights",
                                               .have = rights,
                                               .required = true,
                                               .consequence = "run as root, or with CAP_BPF and CAP_PERFMON"};
    btf__free(btf);
    return n;
}

int sj_kernel_require(const char *probe_set, bool clock, bool *walk, struct sj_err *err)
{
    if (probe_set && strcmp(probe_set, "socket") != 0)
        return sj_fail(err, EX_UNAVAILABLE, "probe set %s is not built into this program; there is: socket", probe_set);
    struct sj_kernel_feature features[SJ_KERNEL_FEATURES];
    unsigned n = sj_kernel_features(features);
    for (unsigned i = 0; i < n; i++) {
        const struct sj_kernel_feature *f = &features[i];
        bool is_walk = strcmp(f->name, WALK) == 0;
        if (is_walk && walk)
            *walk = f->have;
        if (f->have || is_walk || (!f->required && !clock))
            continue;
        if (strcmp(f->name, "rights") == 0)
            return sj_fail(err, EX_NOPERM, "no permission to load BPF programs: %s", f->consequence);
        if (strcmp(f->name, "btf") == 0)
            return sj_fail(err, EX_UNAVAILABLE, "%s is missing or unreadable: %s", BTF_PATH, f->consequence);
        return sj_fail(err, EX_UNAVAILABLE, "this kernel has no tracepoint %s: %s", f->name, f->consequence);
    }
    return 0;
}

int sj_kernel_explain_load(int error, unsigned cpus, unsigned log_bytes, struct sj_err *err)
{
    if (log_bytes >= 64U << 20)
        return sj_fail(err, EX_OSERR, "the kernel refuses buffers of %u MiB for each of %u CPUs: try a smaller --ring",
                       log_bytes >> 20, cpus);
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
    if (!f || !fgets(line, sizeof(line), f))
        return "unknown";
    if (strstr(line, "[confidentiality]"))
        return "confidentiality";
    if (strstr(line, "[integrity]"))
        return "integrity";
    return strstr(line, "[none]") ? "none" : "unknown";
}
