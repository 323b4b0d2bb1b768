# SPDX-License-Identifier: GPL-3.0-or-later
"""What is attached while nginx works: sojourn, bpftrace scripts, empty programs. And what their programs cost."""

import glob
import json
import os
import re
import time

import rig


class Monitor:
    """A process that attaches BPF programs, as a context; entered when all are attached."""

    def __init__(self, command):
        self.command = command
        self.process = None

    def __enter__(self):
        self.process = rig.Process(self.command)
        try:
            self.await_ready()
        except BaseException:
            self.process.end()
            raise
        return self

    def __exit__(self, *_):
        self.process.end()

    def await_ready(self):
        self.process.await_true(lambda: "measuring" in self.process.err().split(), "the line 'measuring'")

    def programs(self):
        """id -> (runs, nanoseconds) of each program that the process holds."""
        found = {}
        for path in glob.glob(f"/proc/{self.process.pid}/fdinfo/*"):
            try:
                with open(path, encoding="ascii", errors="replace") as file:
                    fields = dict(re.findall(r"^(\w+):\s*(\d+)$", file.read(), re.M))
            except OSError:
                continue
            if "run_cnt" in fields:
                found[int(fields["prog_id"])] = (int(fields["run_cnt"]), int(fields["run_time_ns"]))
        return found

    def cpu_ns(self):
        return rig.cpu_ns(self.process.pid)

    def names(self):
        """id -> name; the kernel keeps 15 bytes of it."""
        mine = self.programs()
        text, _ = rig.run(["bpftool", "-j", "prog", "show"])
        return {p["id"]: p.get("name", "?") for p in json.loads(text) if p["id"] in mine}


class Empty(Monitor):
    """Programs that do nothing, on the three socket tracepoints."""

    def __init__(self):
        super().__init__([os.path.join(rig.HERE, "attach"), os.path.join(rig.BUILD, "tests/bpf/empty.bpf.o")])


class Bpftrace(Monitor):
    """A script. bpftrace wants tracefs, which is mounted for it alone."""

    def __init__(self, script):
        path = os.path.join(rig.HERE, script)
        with open(path, encoding="ascii") as file:
            self.probes = len(re.findall(r"^tracepoint:", file.read(), re.M))
        mounted = 'mount -t tracefs tracefs /sys/kernel/tracing; exec bpftrace "$1"'
        super().__init__(["unshare", "-m", "sh", "-c", mounted, "sh", path])

    def await_ready(self):
        # BEGIN would run before the probes are attached; a program appears right before it is.
        self.process.await_true(lambda: len(self.programs()) >= self.probes, "all probes of bpftrace")
        time.sleep(0.1)


class Sojourn(Monitor):
    """`sojourn report --json`; .report is there after the end."""

    def __init__(self, *options, command="report"):
        super().__init__([rig.SOJOURN, command, "--json", *options])
        self.report = None

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.end()
            return
        self.process.send_signal(rig.signal.SIGINT)
        try:
            status = self.process.wait(60)
            text, told = self.process.out(), self.process.told()
        finally:
            self.process.end()
        if status:
            raise rig.Failed(f"sojourn ended with {status}: {told}")
        self.report = json.loads(text)

    def counted(self, port):
        """Requests on this port as the server, by its own account."""
        return sum(s["requests"] for s in self.report["services"] if s["role"] == "server" and s.get("port") == port)
