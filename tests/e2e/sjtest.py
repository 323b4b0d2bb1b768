# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end-to-end tests share: TAP, the monitor as a context, and the servers that it measures.

A test file is a function of a Test, run by main():

    #!/usr/bin/env python3
    import sjtest

    def counts(t):
        with sjtest.Server("--model", "thread") as server, sjtest.Measure("--port", server.port) as m:
            sent = sjtest.client(server, "--requests", 1009)
        t.equal(m.requests(role="server"), sent["answered"], "every request is counted")

    sjtest.main(counts)

Everything that is started belongs to a process group of its own that dies with its context; files lie in one
temporary folder that is removed at the end, however the test ends.
"""

import contextlib
import json
import os
import signal
import time

from sjbase import (BUILD, LOAD, SOJOURN, STARTUP, Failed, Process, Service, Test, Threads, accepts, await_true,
                    clean_up, free_port, have, main, median, need_root, ns, one_line, quantile, read_ndjson, run, scratch,
                    skip_all, stop, talk, temp)
from sjservers import Nginx, Postgres, Redis

__all__ = ["BPF_KINDS", "BUILD", "LOAD", "PROBE_SET", "ROOM", "SOJOURN", "STARTUP", "Client", "Failed", "Measure",
           "Nginx", "Postgres", "Process", "Redis", "Server", "Service", "Test", "Threads", "accepts", "await_true",
           "clean_up", "client", "free_port", "have", "held_objects", "main", "median", "need_root", "ns", "one_line",
           "quantile", "read_ndjson", "run", "scratch", "skip_all", "stop", "talk", "temp"]


# Which probe set measures; empty: the one that sojourn chooses.
PROBE_SET = os.environ.get("SOJOURN_PROBE_SET", "")
# A ring with room for ten thousand requests, however long sojourn has to wait for a CPU.
ROOM = ("--ring", "32MiB")


# ---- the monitor ----------------------------------------------------------------------------------------------------


class Measure:
    """`sojourn report --json` (or `trace --json`) around a block:

        with Measure("--port", 8080) as m:            # a report
            ...
        m.report, m.completeness, m.requests(role="server")

        with Measure("--port", 8080, command="trace") as m:
            ...
        m.lines                                       # all of them; while it runs m.read() gives those so far

    Enters when everything is attached, ends with SIGINT after `settle` seconds; Failed when the program fails. Without
    any, a server that lost its CPU on the way out of its last call would still be in it when the measurement ends.
    """

    def __init__(self, *arguments, command="report", settle=0.05, json_output=True, prefix=()):
        self.command = [*prefix, SOJOURN, command, *(["--json"] if json_output else []), *arguments]
        if PROBE_SET:
            self.command[len(prefix) + 2:len(prefix) + 2] = ["--probe-set", PROBE_SET]
        self.kind = command
        self.json_output = json_output
        self.settle = settle
        self.process = self.report = None
        self.lines = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.finish()
        else:
            Test.diag(f"sojourn said: {self.process.err().strip()}")
            stop(self.process, signal.SIGKILL)

    def start(self):
        self.process = Process(self.command)
        await_true(lambda: any(line == "measuring" for line in self.process.err().splitlines()),
                   "the line 'measuring'", process=self.process)

    def finish(self):
        time.sleep(self.settle)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        text = self.process.finish()
        if not self.json_output:
            return
        if self.kind == "trace":
            self.lines = [json.loads(line) for line in text.splitlines()]
        else:
            self.report = json.loads(text)

    def read(self):
        """trace: the whole lines that have come so far."""
        text = self.process.out()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    @property
    def text(self):
        return self.process.out()

    @property
    def completeness(self):
        return self.report["completeness"]

    def services(self, **wanted):
        """The entries of the report's `services` whose members have these values."""
        return [s for s in self.report["services"] if all(s.get(k) == v for k, v in wanted.items())]

    def requests(self, **wanted):
        return sum(s["requests"] for s in self.services(**wanted))

    def operations(self, **wanted):
        """operation -> its requests, over the services whose members have these values."""
        counts = {}
        for service in self.services(**wanted):
            for operation in service.get("operations", []):
                name = operation["operation"]
                counts[name] = counts.get(name, 0) + operation["requests"]
        return counts

    def without_detail(self, **wanted):
        """Requests that were only counted: on a host that is busy enough the reader comes too late for their detail."""
        return sum(s["counted_only"] for s in self.services(**wanted))

    def select(self, **wanted):
        """trace: the lines whose members have these values."""
        return [line for line in self.lines if all(line.get(k) == v for k, v in wanted.items())]


BPF_KINDS = ("prog", "map", "link")


def held_objects(pid):
    """(kind, id) of the BPF objects that a process holds descriptors of."""
    held = set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue
        for kind in BPF_KINDS:
            for line in text.splitlines():
                if line.startswith(f"{kind}_id:"):
                    held.add((kind, int(line.split()[1])))
    return held


# ---- the load generator ---------------------------------------------------------------------------------------------


class Server(Service):
    """`load server`: .address as the client takes it, .port (0 on unix), .pid; after stop() .result and .log()."""

    def __init__(self, *arguments, listen="127.0.0.1:0", log=False, prefix=()):
        self.ready_path = temp("ready")
        self.log_path = temp("serverlog") if log else None
        self.arguments = [*prefix, LOAD, "server", "--listen", listen, "--ready-file", self.ready_path, *arguments]
        if log:
            self.arguments += ["--log", self.log_path]
        self.address = self.result = None

    def start(self):
        self.process = Process(self.arguments)

        def address():
            with contextlib.suppress(FileNotFoundError), open(self.ready_path, encoding="utf-8") as file:
                return file.read().strip()
            return ""

        self.address = await_true(address, "the address of load server", process=self.process)
        self.unix = self.address.startswith("unix:")
        self.port = 0 if self.unix else int(self.address.rpartition(":")[2])
        self.pid = self.process.pid

    def target(self):
        """The address for Python's socket.connect."""
        if self.unix:
            return self.address[len("unix:"):]
        return (self.address.rpartition(":")[0].strip("[]"), self.port)

    def stop(self):
        if self.process is None or self.result is not None:
            return
        stop(self.process)
        with contextlib.suppress(ValueError):
            self.result = json.loads(self.process.out())

    def log(self):
        return read_ndjson(self.log_path)


class Client:
    """`load client` in the background: finish() returns what it counted; .log() its lines."""

    def __init__(self, server, *arguments, log=False, prefix=()):
        address = server if isinstance(server, str) else server.address
        self.log_path = temp("clientlog") if log else None
        command = [*prefix, LOAD, "client", "--connect", address, *arguments]
        self.process = Process(command + (["--log", self.log_path] if log else []))

    def finish(self, timeout=120.0, fail=True):
        """With fail=False also a client whose requests failed gives its counts."""
        try:
            return json.loads(self.process.finish(timeout))
        except Failed:
            if fail or self.process.returncode != 1:
                raise
            return json.loads(self.process.out())

    def log(self):
        return read_ndjson(self.log_path)


def client(server, *arguments, timeout=120.0, fail=True):
    return Client(server, *arguments).finish(timeout, fail)
