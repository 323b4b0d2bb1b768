#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are older than the measurement, in every state in which it can find them, and network namespaces.

Roles must be right. The first turn of such a connection may be cut off; it may also be right; it must never be a
request that looks faster than it was.
"""

import contextlib
import os
import socket
import sys
import time

import sjtest

DELAY = 0.03  # every answer takes at least that long
ASK = b"GET /thing HTTP/1.1\r\nHost: here\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
KINDS = ("IPv4", "IPv6", "unix")


class Pair:
    """Both ends of a connection, in this process; the listener stays open."""

    def __init__(self, stack, kind, name):
        self.name = f"{name} ({kind})"
        if kind == "unix":
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(sjtest.temp("pair"))
        else:
            six = kind == "IPv6"
            self.listener = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
            self.listener.bind(("::1" if six else "127.0.0.1", 0))
        stack.enter_context(self.listener)
        self.listener.listen()
        self.client = stack.enter_context(socket.socket(self.listener.family, socket.SOCK_STREAM))
        self.client.connect(self.listener.getsockname())
        self.server = stack.enter_context(self.listener.accept()[0])
        for s in (self.client, self.server):
            s.settimeout(10)
        address = self.listener.getsockname()
        port = address[1]
        self.where = {"unix": f"unix:{address}", "IPv4": f"127.0.0.1:{port}", "IPv6": f"[::1]:{port}"}[kind]

        self.asked = None
        self.least = {"server": [], "client": []}  # what the total of each turn must be at least, by this clock

    def ask(self, what=ASK):
        self.client.sendall(what)
        if self.asked is None:
            self.asked = time.monotonic()

    def take(self, what=ASK):
        receive(self.server, len(what))

    def answer(self, what=ANSWER, last=True):
        time.sleep(DELAY)
        if last:
            self.least["server"].append(time.monotonic() - self.asked)
        self.server.sendall(what)

    def get(self, what=ANSWER, last=True):
        if last:
            self.least["client"].append(time.monotonic() - self.asked)
            self.asked = None
        receive(self.client, len(what))

    def turn(self, ask=ASK, answer=ANSWER):
        self.ask(ask)
        self.take(ask)
        self.answer(answer)
        self.get(answer)


def receive(s, size):
    while size:
        chunk = s.recv(size)
        if not chunk:
            raise sjtest.Failed("the other end is gone")
        size -= len(chunk)


# What happens before the measurement begins and what after; turns that end after its begin, as server and as client.
# A second turn follows everywhere but on the idle ones.


def nothing(_):
    pass


def ask(pair):
    pair.ask()


def ask_and_take(pair):
    pair.ask()
    pair.take()


def answer_and_get(pair):
    pair.answer()
    pair.get()


def take_answer_get(pair):
    pair.take()
    answer_and_get(pair)


def half_an_ask(pair):
    pair.ask(ASK[:20])
    pair.take(ASK[:20])


def other_half_of_it(pair):
    pair.ask(ASK[20:])
    pair.take(ASK[20:])
    answer_and_get(pair)


def half_an_answer(pair):
    ask_and_take(pair)
    pair.answer(ANSWER[:20], last=False)
    pair.get(ANSWER[:20], last=False)


def other_half_of_that(pair):
    pair.answer(ANSWER[20:])
    pair.get(ANSWER[20:])


def answered(pair):
    ask_and_take(pair)
    pair.answer()


def get(pair):
    pair.get()


def turn(pair):
    pair.turn()


def unknown_turn(pair):
    pair.turn(b"what is this?\n", b"nobody knows\n")


CASES = [
    ("nothing was asked yet", nothing, turn, turn, 2, 2),
    ("a protocol that nobody knows", nothing, unknown_turn, unknown_turn, 2, 2),
    ("after other turns", turn, turn, turn, 2, 2),
    ("asked and not yet read", ask, take_answer_get, turn, 2, 2),
    ("read and not yet answered", ask_and_take, answer_and_get, turn, 2, 2),
    ("half an ask", half_an_ask, other_half_of_it, turn, 2, 2),
    ("half an answer", half_an_answer, other_half_of_that, turn, 2, 2),
    ("answered and not yet read", answered, get, turn, 1, 2),
]


def of_pair(pair, lines, role):
    key = "local" if role == "server" else "peer"
    return [line for line in lines if line["role"] == role and line.get(key) == pair.where]


def states(t):
    with contextlib.ExitStack() as stack:
        pairs = [(Pair(stack, kind, case[0]), case) for case in CASES for kind in KINDS]
        idle = [Pair(stack, kind, "idle") for kind in KINDS]
        for pair in idle:
            pair.turn()
        for pair, (_, before, *_) in pairs:
            before(pair)
        only = ("--pid", os.getpid())
        with sjtest.Measure(*only) as report, sjtest.Measure(*only, command="trace") as m:
            for pair, (_, _, after, *_) in pairs:
                after(pair)
            for pair, (_, _, _, second, *_) in pairs:
                second(pair)
    fast = []
    for pair, _ in pairs:
        for role in ("server", "client"):
            lines = of_pair(pair, m.lines, role)
            least = pair.least[role][-len(lines):]  # what is missing is cut off, and that can only be the first one
            fast += [(pair.name, low, line) for low, line in zip(least, lines) if line["total"] < low]
    t.all(fast, "no request looks faster than it was")
    t.all([(pair.name, role) for pair in idle for role in ("server", "client") if of_pair(pair, m.lines, role)],
          "idle connections have no requests")
    missing, turns = [], 0
    for pair, (_, _, _, _, server_turns, client_turns) in pairs:
        for role, expected in (("server", server_turns), ("client", client_turns)):
            lines = of_pair(pair, m.lines, role)
            turns += expected
            # the second turn is seen for certain
            if not 1 <= len(lines) <= expected:
                missing.append((pair.name, role, len(lines), expected))
    t.all(missing, "roles are right, and second turns are requests")
    done = report.completeness
    t.equal((done["requests"] + done["cut_off"], done["lost"]), (turns, 0), "what is not a request is cut off, once",
            completeness=done)
    t.equal(done["requests"], len(m.lines), "report and trace agree")
    right = [(pair.name, role) for pair, case in pairs for role in ("server", "client")
             if case[0] == "nothing was asked yet" and len(of_pair(pair, m.lines, role)) != 2]
    t.all(right, "where nothing was asked before, even the first turn of a known protocol is right")


# ---- network namespaces ---------------------------------------------------------------------------------------------

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])
"""

# A client whose own port is one that elsewhere is a server's; asks until it is ended.
ODD_CLIENT = """
import socket, sys, time
with open("/proc/self/comm", "w") as name:
    name.write("odd-client")
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.connect(("127.0.0.1", int(sys.argv[2])))
print("connected", flush=True)
while True:
    s.sendall(b"GET /odd HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n")
    if not s.recv(65536):
        break
    time.sleep(0.02)
"""


class Namespace:
    """A network namespace of its own: `make` starts the first program in it, `enter` the others."""

    def __init__(self):
        self.make = ["unshare", "--net", sys.executable, "-c", LOOPBACK_UP]
        self.enter = None

    def belongs_to(self, pid):
        self.enter = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]


def namespaces(t):
    """The same port means a server here and a client there."""
    here, there = Namespace(), Namespace()
    with contextlib.ExitStack() as stack:
        a = stack.enter_context(sjtest.Server("--name", "server-a", prefix=here.make))
        here.belongs_to(a.pid)
        b = stack.enter_context(sjtest.Server("--name", "server-b", prefix=there.make))
        there.belongs_to(b.pid)
        steady = ["--requests", 100000, "--duration", "20s", "--gap", "20ms"]
        old = [sjtest.Client(a, *steady, "--name", "client-a", prefix=here.enter),
               sjtest.Client(b, *steady, "--name", "client-b", prefix=there.enter)]
        odd = sjtest.Process([*there.enter, sys.executable, "-c", ODD_CLIENT, a.port, b.port])
        sjtest.await_true(lambda: "connected" in odd.out(), "a client from the port of the other server", process=odd)
        with sjtest.Measure() as m:
            time.sleep(1)
            new = [sjtest.Client(a, "--requests", 503, "--one-shot", "--name", "new-a", prefix=here.enter),
                   sjtest.Client(b, "--requests", 509, "--one-shot", "--name", "new-b", prefix=there.enter)]
            new = [client.finish() for client in new]
        for client in old:
            sjtest.stop(client.process)
        sjtest.stop(odd)
    names = ("server-a", "server-b", "client-a", "client-b", "new-a", "new-b", "odd-client")
    found = {(s["service"], s["role"], s["port"]): s["requests"]
             for s in m.report["services"] if s.get("service") in names}
    t.equal(set(found), {("server-a", "server", a.port), ("client-a", "client", a.port), ("new-a", "client", a.port),
                         ("server-b", "server", b.port), ("client-b", "client", b.port), ("new-b", "client", b.port),
                         ("odd-client", "client", b.port)}, "two namespaces: roles and ports", found=found)
    t.equal([result["answered"] for result in new], [503, 509], "two namespaces: new connections were served")
    count = {name: sum(n for (service, _, _), n in found.items() if service == name) for name in names}
    t.equal((count["new-a"], count["new-b"]), (503, 509), "two namespaces: new connections count")
    t.at_least(min(count["client-a"], count["client-b"], count["odd-client"]), 10, "two namespaces: so do the old ones",
               found=found)
    # the first turn of an old connection may be cut off on one side, and one may be under way at the end
    t.near(count["server-a"], count["client-a"] + 503, 0, 2, "two namespaces: both sides agree", found=found)
    t.near(count["server-b"], count["client-b"] + 509 + count["odd-client"], 0, 4,
           "two namespaces: both sides agree in the other, too", found=found)


def unix_server(t):
    """A unix socket's path tells the server from the client, however old the connection is."""
    path = "unix:" + sjtest.temp("socket")
    with sjtest.Server("--name", "unix-server", listen=path) as server:
        client = sjtest.Client(server, "--requests", 100000, "--duration", "20s", "--gap", "20ms", "--name",
                               "unix-client")
        time.sleep(0.3)
        with sjtest.Measure(command="trace") as m:
            time.sleep(1)
        sjtest.stop(client.process)
    sides = {"unix-server": ("server", "local"), "unix-client": ("client", "peer")}
    counts = {}
    for name, (role, end) in sides.items():
        lines = m.select(service=name)
        counts[name] = len(lines)
        t.equal({(line["role"], line.get(end)) for line in lines}, {(role, path)}, f"old unix connection: {name}")
    t.at_least(min(counts.values()), 10, "old unix connection: its requests are seen", counts=counts)
    t.near(counts["unix-server"], counts["unix-client"], 0, 2, "old unix connection: on both sides", counts=counts)


sjtest.main(states, namespaces, unix_server)
