#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rarer ways through the kernel: handshakes without state, packets steered to another CPU, MPTCP. And what is attached:
tracepoints of sockets and of the scheduler, no system call."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time

import sjtest

N = 10007
IPPROTO_MPTCP = 262


# ---- what is attached -----------------------------------------------------------------------------------------------


def attached_to(pid):
    """The links that a process holds: names of tracepoints, names of walks, and those of any other kind."""
    links = set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
            links |= set(map(int, re.findall(r"^link_id:\s*(\d+)", file.read(), re.M)))
    listed = subprocess.run([sjtest.have("bpftool"), "-j", "link", "show"], stdout=subprocess.PIPE, check=True)
    found = [link for link in json.loads(listed.stdout) if link["id"] in links]
    kinds = {"raw_tracepoint": set(), "iter": set()}
    others = []
    for link in found:
        if link["type"] in kinds:
            kinds[link["type"]].add(link.get("tp_name") or link.get("target_name"))
        else:
            others.append(link)
    return *kinds.values(), others


SOCKETS = {"inet_sock_set_state", "tcp_destroy_sock", "sk_data_ready", "sock_recv_length", "sock_send_length"}
SCHEDULER = {"sched_switch", "sched_wakeup", "signal_generate"}


def nothing_else_attached(t):
    """No system call's tracepoint, which would slow every call on the host down; no probe; no hook."""
    for stages, expected in (("all", SOCKETS | SCHEDULER), ("queue", SOCKETS), ("none", SOCKETS)):
        with sjtest.Measure("--stages", stages, "--probe-set", "socket") as m:
            tracepoints, walks, others = attached_to(m.process.pid)
        t.equal(tracepoints, expected, f"--stages {stages}: attached to these tracepoints and to no others")
        t.ok(walks and walks <= {"task_file", "bpf_sk_storage_map"},
             f"--stages {stages}: and to walks that run only when asked for", got=walks)
        t.equal(others, [], f"--stages {stages}: by no other kind of link")


# ---- ways through the network stack ---------------------------------------------------------------------------------


class Island:
    """A network namespace of its own with a loopback device; .prefix starts a program in it."""

    def __init__(self):
        self.name = f"sjw{os.getpid()}"
        self.prefix = ["ip", "netns", "exec", self.name]

    def __enter__(self):
        sjtest.run(["ip", "netns", "add", self.name])
        sjtest.run(["ip", "-n", self.name, "link", "set", "lo", "up"])
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "delete", self.name], check=False, stderr=subprocess.DEVNULL)

    def sh(self, script):
        return sjtest.run([*self.prefix, "sh", "-c", script])

    def tcp_counter(self, name):
        lines = [line.split() for line in self.sh("cat /proc/net/netstat").splitlines() if line.startswith("TcpExt:")]
        return int(dict(zip(*lines))[name])


def counted(t, name, island, n, client, model="epoll"):
    with sjtest.Server("--model", model, prefix=island.prefix) as server:
        with sjtest.Measure("--port", server.port) as m:
            load = sjtest.Client(server, "--requests", n, *client, prefix=island.prefix)
            sent = load.finish()
    t.equal(sent["answered"], n, f"{name}: the load is as asked for")
    for role in "server", "client":
        t.equal(m.requests(role=role, protocol="http"), n, f"{name}: {n} as {role}", services=m.report["services"])
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), f"{name}: none is cut off or lost")
    t.all([(s["role"], s["total"]["max"]) for s in m.report["services"] if s["total"]["max"] > 30],
          f"{name}: no time without sense")


def syn_cookies(t):
    """The server keeps nothing of a handshake: the connection begins with the third packet."""
    with Island() as island:
        island.sh("echo 2 >/proc/sys/net/ipv4/tcp_syncookies")
        before = island.tcp_counter("SyncookiesRecv")
        counted(t, "SYN cookies", island, N, ("--one-shot", "--connections", 8))
        t.at_least(island.tcp_counter("SyncookiesRecv") - before, N, "SYN cookies: every connection came by one")


def steered(t):
    """Packets are handed to the other CPU, whose softirq interrupts whatever is measured there."""
    last = max(os.sched_getaffinity(0))
    with Island() as island:
        for mask, name in ((1, "the first CPU"), (1 << last, "the last CPU")):
            island.sh(f"echo {mask:x} >/sys/class/net/lo/queues/rx-0/rps_cpus")
            counted(t, f"steered to {name}", island, N, ("--connections", 16))
            counted(t, f"steered to {name}, one connection each", island, N, ("--one-shot", "--connections", 8))
            counted(t, f"steered to {name}, threads", island, N, ("--connections", 7), model="thread")


def mptcp_socket():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)


MPTCP_SERVER = """
import socket, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(listener.getsockname()[1], flush=True)
while True:
    with listener.accept()[0] as s:
        while s.recv(65536):
            s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
"""


def mptcp(t):
    """Bytes travel on sockets that the application never sees; what it sees is counted once."""
    n, kept = 1009, 11
    process = sjtest.Process([sys.executable, "-c", MPTCP_SERVER])
    try:
        port = int(sjtest.await_true(process.out, "the MPTCP server's port", process=process))
        with sjtest.Measure("--port", port) as m, sjtest.Measure("--port", port, command="trace") as trace:
            for first in range(0, n, kept):
                with mptcp_socket() as s:
                    s.settimeout(30)
                    s.connect(("127.0.0.1", port))
                    for i in range(first, min(first + kept, n)):
                        s.sendall(b"GET /multi/%d HTTP/1.1\r\nHost: h\r\n\r\n" % i)
                        while not s.recv(4096).endswith(b"hello"):
                            pass
            time.sleep(0.2)
    finally:
        sjtest.stop(process)
    for role in "server", "client":
        t.equal(m.operations(role=role), {"GET /multi/:id": n}, f"MPTCP: {n} as {role}")
        t.equal({line["port"] for line in trace.select(role=role)}, {port}, f"MPTCP: the port as {role}")
        t.all([line for line in trace.select(role=role)
               if sum(map(sjtest.ns, line["stages"].values())) != sjtest.ns(line["total"])],
              f"MPTCP: the stages sum to the total as {role}")
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), "MPTCP: none is cut off or lost")


sjtest.main(nothing_else_attached, syn_cookies, steered, mptcp)
