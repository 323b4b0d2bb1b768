// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/*
 * The least that can be had at the three socket tracepoints of the socket probe set: what is paid for being called.
 * tools/bench attaches them beside the real ones. The names are those of the real ones too.
 */

SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_data_ready, struct sock *sk)
{
    return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv, struct sock *sk, int ret, int flags)
{
    return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
