#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How small it stays and how fast it starts: memory after a million requests over ten thousand connections, the time
from exec to the first request that is measured, the size of the program."""

import calendar
import json
import os
import re
import resource
import subprocess
import time

import sjtest

CONNECTIONS = 10000
REQUESTS = 1_000_000
RSS_MOST = 20 << 20
PROGRAM_MOST = 5 << 20
VERIFIED_MOST = 120_000  # instructions, of all programs of one set together


def memory(pid):
    """VmRSS and VmHWM of a process in bytes, and its anonymous part."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        fields = dict(re.findall(r"(\w+):\s+(\d+) kB", file.read()))
    return {name: int(fields[name]) << 10 for name in ("VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem")}


def mib(n):
    return f"{n / (1 << 20):.1f} MiB"


def raise_limit():
    """Descriptors for so many connections; the children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 2 * CONNECTIONS + 1000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(hard, want)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def stays_small(t):
    limit = raise_limit()
    if limit < CONNECTIONS + 500:
        t.skip("memory", f"no more than {limit} descriptors are allowed")
        return
    with sjtest.Server("--model", "epoll", "--idle-exit", "300s") as server:
        with sjtest.Measure("--port", server.port) as m:
            begin = time.monotonic()
            before = memory(m.process.pid)
            told = sjtest.client(server, "--requests", REQUESTS, "--connections", CONNECTIONS, "--connect-first",
                                 "--path", "/users/{n}/orders/{i}", timeout=240)
            took = time.monotonic() - begin
            after = memory(m.process.pid)
            time.sleep(1.5)
            idle = memory(m.process.pid)
        done = m.completeness
    t.diag(f"{told['answered']} requests over {told['connects']} connections in {took:.1f} s")
    for name, state in (("at the start", before), ("after the load", after), ("1.5 s later", idle)):
        t.diag(f"{name}: " + ", ".join(f"{key} {mib(value)}" for key, value in state.items()))
    t.diag(f"completeness: {done}")
    t.equal((told["answered"], told["connects"]), (REQUESTS, CONNECTIONS), "a million requests over 10,000 connections")
    t.equal((m.requests(role="server"), m.requests(role="client")), (REQUESTS, REQUESTS), "all of them are counted",
            completeness=done)
    t.at_most(after["VmRSS"], RSS_MOST, "VmRSS stays within 20 MiB")
    # loading reads the kernel's types, of some MiB, which are gone before anything is measured
    t.at_most(idle["VmHWM"], max(RSS_MOST, before["VmHWM"]), "and the load does not raise its peak beyond that")


def stays_small_without_an_end(t):
    """Connections that come and go leave nothing behind, nor do names that are new each time."""
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port) as m:
            def round_of(paths):
                sjtest.client(server, "--requests", 10007, "--connections", 8, "--one-shot", "--path", paths)
                time.sleep(1.5)
                return memory(m.process.pid)["VmRSS"]
            first = round_of("/a{n}x{i}q")
            second = round_of("/b{n}x{i}q")
            third = round_of("/c{n}x{i}q")
    t.diag(f"after 10,007 connections {mib(first)}, 20,014 {mib(second)}, 30,021 {mib(third)}")
    t.equal(m.requests(role="server"), 30021, "30,021 connections with a path of their own each")
    t.at_most(third, RSS_MOST, "leave less than 20 MiB")
    t.at_most(third - second, 2 << 20, "and in the end no more than before")
    operations = [len(s["operations"]) for s in m.report["services"]]
    t.at_most(max(operations), 1000, "the number of operations is bounded", operations=operations)


def cpu_of_a_start():
    """The CPU time, in seconds, of a measurement that ends as soon as it has begun."""
    process = subprocess.Popen([sjtest.SOJOURN, "report", "--json", "--port", "1", "-d", "1ms"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return usage.ru_utime + usage.ru_stime


def first_request(server):
    """Seconds from exec to the line 'measuring' and to the end of the first request that is told."""
    begin, begin_of_day = time.monotonic(), time.time()
    process = subprocess.Popen([sjtest.SOJOURN, "trace", "--json", "--port", str(server.port)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stderr.readline()
    ready = time.monotonic() - begin
    line = json.loads(process.stdout.readline())
    process.kill()
    process.communicate()
    stamp, fraction = line["time"].rstrip("Z").split(".")
    second = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))
    return ready, second + float("0." + fraction) + line["total"] - begin_of_day


def starts_fast(t):
    """With a client that asks all the time. How long it takes is told, for `make bench` to judge. What is asserted is how
    much the verifier walks, which no other load changes; what a single step costs it, only the times show."""
    with sjtest.Server("--model", "thread") as server:
        asking = sjtest.Client(server, "--duration", "60s", "--gap", "2ms")
        time.sleep(0.3)
        times = [first_request(server) for _ in range(5)]
        sjtest.stop(asking.process)
    ready, first = ([1000 * s for s in sorted(column)] for column in zip(*times))
    cpu = sorted(1000 * cpu_of_a_start() for _ in range(7))
    t.diag("from exec to the line 'measuring', ms: " + ", ".join(f"{ms:.0f}" for ms in ready))
    t.diag("from exec to the end of the first request that is measured, ms: " + ", ".join(f"{ms:.0f}" for ms in first))
    t.diag("CPU time of a start and an end, ms: " + ", ".join(f"{ms:.0f}" for ms in cpu))
    t.diag(f"median {sjtest.median(first):.0f} ms; the aim is 300 ms on a machine that has nothing else to do")
    for name in ("socket", "syscall"):
        told = sjtest.run([f"{sjtest.BUILD}/tools/verifier", f"{sjtest.BUILD}/bpf/{name}.bpf.o"])
        verified = {program: int(n) for program, n in re.findall(r"^verified \S+ (\S+) (-?\d+)$", told, re.M)}
        t.between(sum(verified.values()), 1, VERIFIED_MOST,
                  f"{name}: the kernel verifies the programs of a start in few instructions", verified=verified)


def is_small(t):
    stripped = sjtest.temp("stripped")
    sjtest.run(["strip", "-o", stripped, sjtest.SOJOURN])
    size = os.path.getsize(stripped)
    t.diag(f"stripped: {mib(size)}; as built: {mib(os.path.getsize(sjtest.SOJOURN))}")
    t.at_most(size, PROGRAM_MOST, "the program is at most 5 MiB")


sjtest.main(stays_small, stays_small_without_an_end, starts_fast, is_small)
