// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/sets.h"

#include <bpf/libbpf.h>

#include "socket.skel.h"
#include "syscall.skel.h"

/*
 * New listeners tell of themselves from the first attachment on, the others are noted before any request is seen, since
 * who has a listener is the server. The clock comes before what reads it.
 */
static const struct sj_probe_program socket_programs[] = {
    {"on_destroy", "tcp_destroy_sock", .listeners = true},
    {"on_state", "inet_sock_set_state", .listeners = true},
    {"on_wakeup", "sched_wakeup", .clock = true},
    {"on_signal", "signal_generate", .clock = true},
    {"on_switch", "sched_switch", .clock = true},
    {"on_send", "sock_send_length", .counts = true},
    {"on_recv", "sock_recv_length", .counts = true},
    {"on_data_ready", "sk_data_ready", .counts = false},
    {.name = NULL},
};

static const struct sj_probe_program syscall_programs[] = {
    {"on_destroy", "tcp_destroy_sock", .listeners = true},
    {"on_state", "inet_sock_set_state", .listeners = true},
    {"on_exit", "sched_process_exit", .clock = true},
    {"on_wakeup", "sched_wakeup", .clock = true},
    {"on_signal", "signal_generate", .clock = true},
    {"on_switch", "sched_switch", .clock = true},
    {"on_call", "sys_exit", .counts = true},
    {"on_segment", "tcp_probe", .counts = false},
    {.name = NULL},
};

static const struct sj_probe_set socket_set = {
    .name = "socket",
    .elf = socket_bpf__elf_bytes,
    .programs = socket_programs,
    .walk = "bpf_sk_storage_map",
};

static const struct sj_probe_set syscall_set = {
    .name = "syscall",
    .elf = syscall_bpf__elf_bytes,
    .programs = syscall_programs,
    .walk = "bpf_map_elem",
    .reads_kernel = true,
};

const struct sj_probe_set *const sj_probe_sets[] = {&socket_set, &syscall_set, NULL};
