// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/lockdown.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SECTION "tp_btf/"

struct sj_lockdown {
    struct btf *kernel;
    int handler;
};

static bool verifies(const struct bpf_insn *insns, size_t bytes)
{
    sj_autoclose int fd =
        bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "reads_kernel", "GPL", insns, bytes / sizeof(insns[0]), NULL);
    return fd >= 0;
}

bool sj_lockdown_hides_kernel(void)
{
    /* reads eight bytes at address 0 onto its stack: the verifier asks whether it may, nothing runs it */
    const struct bpf_insn reads[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10},
        {.code = BPF_ALU64 | BPF_ADD, .dst_reg = BPF_REG_1, .imm = -8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel},
        {.code = BPF_JMP | BPF_EXIT},
    };
    /* who may load nothing at all learns nothing about the kernel's memory */
    const struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    if (verifies(reads, sizeof(reads)))
        return false;
    return verifies(nothing, sizeof(nothing));
}

/* What libbpf's own handler does for these sections, and the calls put right. Returns 0 or a negative errno. */
static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
    const struct sj_lockdown *l = (const struct sj_lockdown *)cookie;
    char type[128];
    snprintf(type, sizeof(type), "btf_trace_%s", bpf_program__section_name(prog) + strlen(SECTION));
    int id = btf__find_by_name_kind(l->kernel, type, BTF_KIND_TYPEDEF);
    if (id < 0)
        return id;
    opts->attach_btf_id = (__u32)id;
    /* libbpf's to look at, and at this moment the very copy that it hands to the kernel */
    struct bpf_insn *insns = (struct bpf_insn *)(uintptr_t)bpf_program__insns(prog);
    for (size_t i = 0; i < bpf_program__insn_cnt(prog); i++)
        if (insns[i].code == (BPF_JMP | BPF_CALL) && insns[i].src_reg == 0 && insns[i].imm == BPF_FUNC_probe_read)
            insns[i].imm = BPF_FUNC_probe_read_user;
    return 0;
}

static int attach(const struct bpf_program *prog, long cookie, struct bpf_link **link)
{
    (void)cookie;
    *link = bpf_program__attach_trace(prog);
    return *link ? 0 : -errno;
}

/*
 * libbpf 1.1 goes on using the memory of its list of handlers after the last one was taken back. So one of sections
 * that nobody has is left in it; another one each time is a few bytes, and a process begins once or twice.
 */
static bool leave_a_handler(void)
{
    return libbpf_register_prog_handler("sojourn.none", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, NULL) > 0;
}

struct sj_lockdown *sj_lockdown_begin(void)
{
    if (!leave_a_handler())
        return NULL;
    struct sj_lockdown *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = (long)l, .prog_prepare_load_fn = prepare,
                .prog_attach_fn = attach);
    l->kernel = btf__load_vmlinux_btf();
    l->handler =
        l->kernel ? libbpf_register_prog_handler("tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, &opts) : -errno;
    if (l->handler < 0) {
        errno = -l->handler;
        btf__free(l->kernel);
        free(l);
        return NULL;
    }
    return l;
}

void sj_lockdown_end(struct sj_lockdown *l)
{
    if (!l)
        return;
    libbpf_unregister_prog_handler(l->handler);
    btf__free(l->kernel);
    free(l);
}
