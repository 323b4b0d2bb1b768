#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters: each lets through exactly what it names, alone and together, and what it keeps out is in no count."""

import contextlib
import json
import os
import socket

import sjtest

CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")


@contextlib.contextmanager
def many(*contexts):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(context) for context in contexts]


def expect(t, m, name, **counts):
    """counts: server=, client= requests; there must be no others, and the completeness must say the same."""
    got = {role: m.requests(role=role) for role in ("server", "client")}
    wanted = {"server": 0, "client": 0, **counts}
    t.equal(got, wanted, name, services=[(s.get("service"), s["role"], s["protocol"], s.get("port"), s["requests"])
                                         for s in m.report["services"]])
    done = m.completeness
    t.equal((done["requests"], done["detailed"] + done["counted_only"], done["cut_off"], done["lost"]),
            (sum(wanted.values()), sum(wanted.values()), 0, 0), f"{name}: so says the completeness", completeness=done)
    t.all([s for s in m.report["services"] if not s["requests"]], f"{name}: no service without requests")


def by_process_port_and_role(t):
    """Two servers and two clients with names of their own; each client asks both servers."""
    with many(sjtest.Server("--model", "thread", "--name", "first-server"),
              sjtest.Server("--model", "thread", "--name", "second-server")) as (first, second):
        pid, port = ["--pid", first.pid], ["--port", first.port]
        measures = {
            "pid": sjtest.Measure(*pid),
            "-p": sjtest.Measure("-p", second.pid),
            "port": sjtest.Measure(*port),
            "comm": sjtest.Measure("--comm", "second-server"),
            "client comm": sjtest.Measure("--comm", "asker-one"),
            "comm of nobody": sjtest.Measure("--comm", "asker"),
            "port, server": sjtest.Measure(*port, "--role", "server"),
            "port, client": sjtest.Measure(*port, "--role", "client"),
            "port, client comm": sjtest.Measure(*port, "--comm", "asker-two"),
            "pid, client": sjtest.Measure(*pid, "--role", "client"),
            "pid, other port": sjtest.Measure(*pid, "--port", second.port),
        }
        with many(*measures.values()):
            for server, one, two in ((first, 101, 211), (second, 307, 401)):
                sjtest.client(server, "--requests", one, "--name", "asker-one")
                sjtest.client(server, "--requests", two, "--name", "asker-two", "--one-shot")
    for name, counts in {
            "pid": {"server": 312},
            "-p": {"server": 708},
            "port": {"server": 312, "client": 312},
            "comm": {"server": 708},
            "client comm": {"client": 408},
            "comm of nobody": {},
            "port, server": {"server": 312},
            "port, client": {"client": 312},
            "port, client comm": {"client": 211},
            "pid, client": {},
            "pid, other port": {}}.items():
        expect(t, measures[name], name, **counts)


def by_port_of_both_ends(t):
    """The port is that of the answering side: a client's own port does not count as one."""
    with sjtest.Server("--model", "thread") as server:
        mine = sjtest.free_port()
        with sjtest.Measure("--port", mine) as m:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", mine))
                s.connect(server.target())
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(4096)
    t.equal(m.completeness["requests"], 0, "a client's own port is not the port of the service",
            services=m.report["services"])


def by_what_is_asked(t):
    with sjtest.Server("--model", "thread") as server:
        port = ["--port", server.port, "--role", "server"]
        measures = {
            "one operation": sjtest.Measure(*port, "--operation", "GET /users/:id"),
            "a method": sjtest.Measure(*port, "--operation", "POST *"),
            "a prefix": sjtest.Measure(*port, "--operation", "GET /users*"),
            "a letter": sjtest.Measure(*port, "--operation", "GET /orders/?"),
            "none": sjtest.Measure(*port, "--operation", "get /users/:id"),
            "http": sjtest.Measure(*port, "--protocol", "http"),
            "tls": sjtest.Measure(*port, "--protocol", "tls"),
            "unknown": sjtest.Measure(*port, "--protocol", "unknown"),
            "slow": sjtest.Measure(*port, "--slower", "80ms"),
            "slow and a method": sjtest.Measure(*port, "--slower", "80ms", "--operation", "GET*"),
            "slower than all": sjtest.Measure(*port, "--slower", "10s"),
        }
        with many(*measures.values()):
            sjtest.client(server, "--requests", 101, "--path", "/users/{n}")
            sjtest.client(server, "--requests", 53, "--path", "/orders/a")
            sjtest.client(server, "--requests", 31, "--path", "/users/{n}", "--method", "POST", "--body", 10)
            sjtest.client(server, "--requests", 11, "--path", "/orders/b?sleep=100ms")
            sjtest.client(server, "--requests", 7, "--path", "/orders/b?sleep=100ms", "--method", "PUT")
    for name, count in {"one operation": 101, "a method": 31, "a prefix": 101, "a letter": 64, "none": 0, "http": 203,
                        "tls": 0, "unknown": 0, "slower than all": 0}.items():
        expect(t, measures[name], name, server=count)
    # A machine that is busy may make others slow, too.
    for name, slept in ("slow", 18), ("slow and a method", 11):
        slow = measures[name].requests()
        t.between(slow, slept, slept + 12, f"{name}: those that slept, and hardly any other")
        t.equal(measures[name].completeness["requests"], slow, f"{name}: so says the completeness")


def by_protocol(t):
    with many(sjtest.Server("--model", "thread"), sjtest.Server("--model", "thread", "--protocol", "line")) as (http, line):
        for server, mine, other in ((http, "http", "unknown"), (line, "unknown", "http")):
            with many(sjtest.Measure("--port", server.port, "--protocol", mine),
                      sjtest.Measure("--port", server.port, "--protocol", other)) as (yes, no):
                protocol = [] if server is http else ["--protocol", "line"]
                sjtest.client(server, "--requests", 103, *protocol)
            expect(t, yes, f"only {mine}", server=103, client=103)
            expect(t, no, f"only {other} where all is {mine}")


def traced(t):
    """The same in `trace`, and from a recording."""
    with many(sjtest.Server("--model", "thread", "--name", "srv")) as (server,):
        recording = sjtest.temp("recording")
        recorder = sjtest.Process([sjtest.SOJOURN, "record", "-o", recording, "--port", server.port])
        sjtest.await_true(lambda: "measuring" in recorder.err(), "measuring", process=recorder)
        with sjtest.Measure("--port", server.port, "--role", "client", "--operation", "GET /a*", command="trace") as m:
            sjtest.client(server, "--requests", 101, "--path", "/a/{n}", "--name", "asker")
            sjtest.client(server, "--requests", 53, "--path", "/b/{n}", "--name", "asker")
            sjtest.client(server, "--requests", 17, "--path", "/a/{n}?sleep=100ms", "--name", "sleeper")
        recorder.send_signal(2)
        recorder.finish()
    t.equal(len(m.lines), 118, "trace prints what passes and nothing else")
    t.all([line for line in m.lines if line["role"] != "client" or line["operation"] != "GET /a/:id"],
          "every line is one that passes")
    for arguments, expected in [
            ([], 342), (["--role", "server"], 171), (["--comm", "asker"], 154), (["--comm", "srv"], 171),
            (["--operation", "GET /b/*"], 106), (["--slower", "80ms", "--role", "server"], 17),
            (["--port", server.port], 342), (["--port", 1], 0), (["--pid", server.pid], 171),
            (["--protocol", "http"], 342), (["--protocol", "unknown"], 0),
            (["--comm", "sleeper", "--role", "server"], 0), (["--role", "client", "--operation", "GET /a/*"], 118)]:
        report = sjtest.run([sjtest.SOJOURN, "report", "--json", "--from", recording, *arguments])
        lines = sjtest.run([sjtest.SOJOURN, "trace", "--json", "--from", recording, *arguments]).splitlines()
        got = json.loads(report)["completeness"]["requests"]
        slack = 5 if "--slower" in arguments else 0
        t.ok(expected <= got <= expected + slack and len(lines) == got,
             "from a recording: " + (" ".join(map(str, arguments)) or "everything"), expected=expected, report=got,
             trace=len(lines))


@contextlib.contextmanager
def cgroups(t, what, *names):
    """Makes version 2 cgroups, each below the one before; gives their folders, or None where that cannot be."""
    folders = []
    root = next((c for c in CGROUPS if os.path.exists(c + "/cgroup.procs") and os.path.exists(c + "/cgroup.controllers")),
                None)
    try:
        try:
            for name in names if root else ():
                folder = os.path.join(folders[-1] if folders else root, name)
                os.mkdir(folder)
                folders.append(folder)
        except OSError as trouble:
            root = None
            t.skip(what, f"no cgroup can be made: {trouble}")
        else:
            if not root:
                t.skip(what, "no version 2 hierarchy is mounted")
        yield folders if root else None
    finally:
        for folder in reversed(folders):
            sjtest.await_true(lambda f=folder: not read(f + "/cgroup.procs"), "the cgroup is empty")
            os.rmdir(folder)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


INTO = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"']


def by_cgroup(t):
    with cgroups(t, "--cgroup", f"sojourn-test-{os.getpid()}", "inner") as folders:
        if not folders:
            return
        outer, inner = folders
        name = os.path.basename(outer)
        with many(sjtest.Server("--model", "thread", prefix=[*INTO, inner]), sjtest.Server("--model", "thread")) as (a, b):
            with many(sjtest.Measure("--cgroup", outer), sjtest.Measure("--cgroup", inner),
                      sjtest.Measure("--cgroup", name + "/inner"),
                      sjtest.Measure("--cgroup", inner, "--role", "client"),
                      sjtest.Measure("--cgroup", outer, "--port", b.port)) as measures:
                sjtest.client(a, "--requests", 101)
                sjtest.client(b, "--requests", 53)
                sjtest.Client(b, "--requests", 17, prefix=[*INTO, outer]).finish()
                sjtest.Client(b, "--requests", 11, prefix=[*INTO, inner]).finish()
    for m, what, counts in zip(measures, ("a cgroup and those below", "one below", "a path below the root",
                                          "a cgroup and a role", "a cgroup and a port"),
                               ({"server": 101, "client": 28}, {"server": 101, "client": 11},
                                {"server": 101, "client": 11}, {"client": 11}, {"client": 28})):
        expect(t, m, what, **counts)


def by_container(t):
    """A container is told by the long number in its cgroup's name, as the usual engines make it."""
    number = "%064x" % (0xc0ffee << 200 | os.getpid() << 100 | 0xabc)
    with cgroups(t, "--container", f"docker-{number}.scope") as folders:
        if not folders:
            return
        with many(sjtest.Server("--model", "thread", prefix=[*INTO, folders[0]])) as (server,):
            port = ["--port", server.port]
            filters = {"its short id": number[:12], "its id": number, "the beginning of its id": number[:5],
                       "another id": "f" + number[1:12], "another long id": "f" + number[1:]}
            measures = {name: sjtest.Measure(*port, "--container", value) for name, value in filters.items()}
            with many(sjtest.Measure(*port), *measures.values()) as (everything, *_):
                sjtest.client(server, "--requests", 101)
    found = {s.get("container") for s in everything.services(role="server")}
    t.ok(len(found) == 1 and number.startswith(found.pop() or "?"), "the container is told", found=found, number=number)
    for name, m in measures.items():
        expect(t, m, f"--container: {name}", **({} if name.startswith("another") else {"server": 101}))


def of_nothing_but_itself(t):
    """The monitor does not measure itself, and a filter keeps out what happens to be going on elsewhere."""
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--pid", os.getpid()) as m:
            sjtest.client(server, "--requests", 11)
            sjtest.talk(server.target(), b"GET /mine HTTP/1.1\r\nConnection: close\r\n\r\n")
    expect(t, m, "only this process, which asked once", client=1)
    t.equal(m.operations(role="client"), {"GET /mine": 1}, "and what it asked")


sjtest.main(by_process_port_and_role, by_port_of_both_ends, by_what_is_asked, by_protocol, traced, by_cgroup,
            by_container, of_nothing_but_itself)
