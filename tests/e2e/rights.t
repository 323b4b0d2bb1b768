#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two capabilities are enough to start, and none is left while it measures: every command works to its end without
rights, with a filter of system calls that refuses nothing that it needs."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import sjtest

TWO = "-all,+bpf,+perfmon"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
LEAST = [*NOBODY, f"--inh-caps={TWO}", f"--ambient-caps={TWO}", f"--bounding-set={TWO}"]
BPF_AND_PERFMON = 1 << 39 | 1 << 38
STATE = ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd", "NoNewPrivs", "Seccomp")


def states(pid):
    """What the status files of a process's threads say, a dictionary each."""
    threads = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as file:
            fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        threads.append({key: int(fields[key], 16) for key in STATE})
    return threads


def ours(text):
    """The same of the text of one status file."""
    return {key: int(re.search(rf"^{key}:\s*(\w+)", text, re.M)[1], 16) for key in STATE}


def nothing_left(t, pid, name, bounding=None):
    threads = states(pid)
    kept = BPF_AND_PERFMON & ~(1 << 38) if unprivileged_reads_are_refused() else 0
    t.ok(threads and not any(s[key] & ~kept for s in threads
                             for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")),
         f"{name}: no thread has a capability", got=threads)
    if bounding is not None:
        t.ok(all(s["CapBnd"] == bounding for s in threads), f"{name}: nor, where that may be settled, can it gain one",
             got=threads)
    t.ok(all((s["NoNewPrivs"], s["Seccomp"]) == (1, 2) for s in threads),
         f"{name}: no new rights, and a filter of system calls", got=threads)


def unprivileged_reads_are_refused():
    """Kernels that want CAP_BPF for every bpf() call; `check` has tried."""
    done = subprocess.run([sjtest.SOJOURN, "check", "--json"], stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout).get("rights_after", "none") != "none"


@contextlib.contextmanager
def readable_program():
    """The program where anybody may run it."""
    path = sjtest.temp("sojourn")
    shutil.copy(sjtest.SOJOURN, path)
    os.chmod(path, 0o755)
    original, sjtest.SOJOURN = sjtest.SOJOURN, path
    try:
        yield path
    finally:
        sjtest.SOJOURN = original


def measured_without(t, name, prefix, bounding=None):
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port, "--role", "server", prefix=prefix) as m:
            nothing_left(t, m.process.pid, name, bounding)
            sjtest.client(server, "--requests", 200, "--connections", 2)
        t.equal((m.requests(role="server"), m.completeness["lost"]), (200, 0),
                f"{name}: 200 requests sent after that are 200 in the report")


def started_by_root(t):
    measured_without(t, "root", [], bounding=0)


def started_with_two(t):
    with readable_program() as program:
        measured_without(t, "the two capabilities", LEAST)
        sjtest.run(["setcap", "cap_bpf,cap_perfmon+ep", program])
        measured_without(t, "the same as those of the file", NOBODY)


def everything_works(t):
    """As nobody: the other commands."""
    folder = sjtest.temp("folder")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    with readable_program(), sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port, command="trace", prefix=LEAST, settle=1.0) as m:
            nothing_left(t, m.process.pid, "trace")
            sjtest.client(server, "--requests", 200)
        t.equal(len(m.select(role="server")), 200, "trace tells them all")
        with sjtest.Measure("--port", server.port, "-o", folder + "/recording", command="record", prefix=LEAST,
                            json_output=False) as m:
            nothing_left(t, m.process.pid, "record")
            sjtest.client(server, "--requests", 200)
        report = json.loads(sjtest.run([sjtest.SOJOURN, "report", "--json", "--from", folder + "/recording"]))
        t.equal(sum(s["requests"] for s in report["services"] if s["role"] == "server"), 200, "record keeps them all")
        with sjtest.Measure("--port", server.port, prefix=LEAST, json_output=False) as m:
            sjtest.client(server, "--requests", 200)
        t.ok("200" in m.text and "GET /x/:id" in m.text, "report writes its text", got=m.text)


def commands_have_the_rights_of_the_user(t):
    def child_of(prefix):
        done = subprocess.run([*prefix, os.path.abspath(sjtest.SOJOURN), "report", "--json", "--port", "1", "--",
                               "sh", "-c", "cat /proc/self/status >&2; exit 7"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        t.equal(done.returncode, 7, "its status is passed on", said=done.stderr[-500:])
        return ours(done.stderr)

    with open("/proc/self/status", encoding="utf-8") as file:
        mine = ours(file.read())
    t.equal(child_of([]), mine, "the command has what this process has")
    with readable_program():
        child = child_of(LEAST)
        t.equal((child["CapEff"], child["NoNewPrivs"], child["Seccomp"]), (BPF_AND_PERFMON, mine["NoNewPrivs"],
                                                                           mine["Seccomp"]),
                "the command of an ordinary user has what the user has")


def a_command_of_another_user(t):
    """It cannot be stopped any more by somebody without rights, and that is said rather than waited for."""
    process = sjtest.Process([sjtest.SOJOURN, "report", "--json", "--port", 1, "--", *NOBODY, "sh", "-c",
                              "echo $$ >&2; exec sleep 60"])
    sjtest.await_true(lambda: re.search(r"^\d+$", process.err(), re.M), "the command runs", process=process)
    pid = int(re.search(r"^\d+$", process.err(), re.M)[0])
    process.send_signal(signal.SIGINT)
    try:
        status = process.wait(10)
    except subprocess.TimeoutExpired:
        status = "it waits"
    t.equal(status, 0, "the measurement ends")
    said = [line for line in process.err().splitlines() if line.startswith("sojourn: ")]
    t.ok(len(said) == 1 and "another user" in said[0], "and says what became of the command", got=said)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def nothing_needed_is_refused(t):
    """strace shows what the filter refuses; of what a command does to its end it must be nothing."""
    folder = sjtest.temp("calls")
    os.mkdir(folder)
    long_name = "a-name-of-more-than-15-letters"
    with sjtest.Server("--model", "thread", "--sleep", "1ms") as server:
        for name, arguments in {
                "report": ["report"],
                "report --json": ["report", "--json"],
                "trace": ["trace"],
                "trace --json": ["trace", "--json"],
                "record": ["record", "-o", folder + "/recording"],
                "report -- COMMAND": ["report", "--", "sleep", "60"]}.items():
            calls = sjtest.temp("strace")
            words = [*arguments[:1], "--port", server.port, *arguments[1:]]
            process = sjtest.Process(["strace", "-o", calls, sjtest.SOJOURN, *words])
            sjtest.await_true(lambda p=process: "measuring" in p.err(), "measuring", process=process)
            sjtest.client(server, "--requests", 300, "--connections", 3, "--name", long_name[:15])
            time.sleep(0.6)
            children = sjtest.run(["pgrep", "-P", process.pid]).split()
            os.kill(int(children[0]), signal.SIGINT)
            status = process.wait(60)
            with open(calls, encoding="utf-8", errors="replace") as file:
                told = file.read()
            before, _, after = told.partition("SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC")
            refused = [line for line in after.splitlines() if "EPERM" in line]
            t.ok(before and after, f"{name}: the filter was put up", got=told[-500:])
            wanted = 128 + signal.SIGTERM if "--" in arguments else 0  # the command's own, which was ended
            t.equal((status, refused), (wanted, []), f"{name}: and refused nothing", said=process.told()[-300:])


sjtest.main(started_by_root, started_with_two, everything_works, commands_have_the_rights_of_the_user,
            a_command_of_another_user, nothing_needed_is_refused)
