#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel does behind a monitor's back: early and late arrivals, peeks, splices, pieces, namespaces."""

import os
import signal
import socket
import subprocess
import sys
import time

import sjtest
from sjtest import median, ns, quantile

# By the low ones times are compared: a thread that loses its CPU right behind a call reads its clock late, and that may
# be most of them.
LOW = 0.25
MS = 1_000_000
TRANSPORTS = ("tcp", "127.0.0.1:0"), ("unix", "unix:{}")


def listen_on(listen):
    return listen.format(sjtest.temp("u"))


def filter_of(server):
    return ("--pid", server.pid) if server.unix else ("--port", server.port)


def check_sums(t, name, lines):
    t.all([line for line in lines if sum(map(ns, line["stages"].values())) != ns(line["total"])],
          f"{name}: the stages sum to the total")


# ---- arrival stamps -------------------------------------------------------------------------------------------------


def arrivals(t):
    """Over one connection: whatever a request is charged with lies between the moments that its two ends saw."""
    for transport, listen in TRANSPORTS:
        within_the_ends(t, f"{transport}, one after the other", listen, 10007)
        within_the_ends(t, f"{transport}, with pauses", listen, 1009, "--gap", "1ms")


def within_the_ends(t, name, listen, n, *pattern):
    mine = f"trp{os.getpid()}"
    with sjtest.Server("--model", "thread", "--name", mine, listen=listen_on(listen), log=True) as server:
        where = ("--comm", mine) if server.unix else ("--port", server.port)
        with sjtest.Measure(*where, *sjtest.ROOM, command="trace") as m:
            load = sjtest.Client(server, "--requests", n, "--name", mine, *pattern, log=True)
            load.finish()
    served, asked = m.select(role="server"), m.select(role="client")
    if not t.equal((len(served), len(asked)), (n, n), f"{name}: every request is traced, on both sides"):
        return
    answers, asks = server.log(), load.log()
    # A unix socket may tell of its data only when they have been read: nothing waited then.
    t.at_most(len([line for line in served if "queue" not in line["stages"]]), n // 100 if server.unix else 0,
              f"{name}: the arrivals are seen")
    # The one end has read its clock before it sent, the other one after it received: not a nanosecond can be missing.
    t.all([(line, a, b) for line, a, b in zip(served, answers, asks)
           if ns(line["stages"].get("queue", 0)) > a["recv_ns"] - b["start_ns"]], f"{name}: idle time is never queue")
    t.all([(line, a, b) for line, a, b in zip(served, answers, asks)
           if ns(line["total"]) > a["done_ns"] - b["start_ns"]], f"{name}: the server's total is within what it took")
    t.all([(line, b) for line, b in zip(asked, asks) if ns(line["total"]) > b["end_ns"] - b["start_ns"]],
          f"{name}: the client's total is within what it took")
    check_sums(t, name, served + asked)


def waiting_to_be_accepted(t):
    """Data that came before accept has been waiting since then."""
    for transport, listen in TRANSPORTS:
        name = f"{transport}, accept queue"
        with sjtest.Server("--model", "single", listen=listen_on(listen), log=True) as server:
            with sjtest.Measure(*filter_of(server), "--role", "server", command="trace") as m:
                first = sjtest.Threads(lambda: ask_and_close(server, "/first?sleep=2s"))
                time.sleep(0.1)
                sent = time.monotonic_ns()
                ask_and_close(server, "/second")
                first.finish()
        lines = {line["operation"]: line for line in m.lines}
        if not t.equal(sorted(lines), ["GET /first", "GET /second"], f"{name}: both are traced"):
            continue
        taken = next(entry["recv_ns"] for entry in server.log() if entry["path"] == "/second")
        t.between(ns(lines["GET /second"]["stages"]["queue"]), 200 * MS, taken - sent,
                  f"{name}: the time before accept is queue")
        t.at_most(ns(lines["GET /first"]["stages"]["queue"]), 200 * MS, f"{name}: of the first one it is not")
        check_sums(t, name, m.lines)


def ask_and_close(server, path):
    request = f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    return sjtest.talk(server.target(), request, timeout=30)


OWN_ENDS = """
import socket, sys, threading, time
option, count = sys.argv[1], int(sys.argv[2])
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 16)
listener.listen(64)
address = listener.getsockname()
print(address[1], flush=True)
sys.stdin.readline()

def serve():
    for _ in range(count):
        time.sleep(0.3)
        with listener.accept()[0] as s:
            s.recv(65536)
            s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
            s.recv(1)

server = threading.Thread(target=serve)
server.start()
with_syn = 0
for i in range(count):
    with socket.socket() as s:
        ask = b"GET /early/%d HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n" % i
        if option == "TCP_FASTOPEN":
            s.sendto(ask, socket.MSG_FASTOPEN, address)
        else:
            s.connect(address)
            s.sendall(ask)
        while not s.recv(65536).endswith(b"hello"):
            pass
        with_syn += s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] >> 5 & 1
server.join()
print(with_syn, flush=True)
"""


def before_accept(t):
    """Data that came with the handshake, or before the kernel calls the connection accepted."""
    n = 7
    for option, name in (("TCP_DEFER_ACCEPT", "deferred accept"), ("TCP_FASTOPEN", "fast open")):
        with Namespaces() as spaces:
            sjtest.run([*spaces.server, "sh", "-c", "echo 3 >/proc/sys/net/ipv4/tcp_fastopen"])
            ends = sjtest.Process([*spaces.server, sys.executable, "-c", OWN_ENDS, option, n], stdin=subprocess.PIPE)
            port = int(sjtest.await_true(ends.out, "the port", process=ends))
            with sjtest.Measure("--port", port, command="trace") as m:
                ends.stdin.write(b"\n")
                ends.stdin.close()
                with_syn = int(ends.finish().split()[1])
        if option == "TCP_FASTOPEN":
            t.at_least(with_syn, n - 1, f"{name}: the load is as asked for")  # the first one fetches the cookie
        for role in "server", "client":
            lines = m.select(role=role)
            t.equal((len(lines), {line["operation"] for line in lines}), (n, {"GET /early/:id"}),
                    f"{name}: {n} as {role}")
            t.all([line for line in lines if ns(line["total"]) < 50 * MS], f"{name}: with their full latency as {role}")
            check_sums(t, f"{name}, {role}", lines)
        t.all([line for line in m.select(role="server") if ns(line["stages"].get("queue", 0)) < 50 * MS],
              f"{name}: the time before accept is queue")


def unix_names(t):
    """Unix sockets without a name, and with one that is not in the file system."""
    n = 101
    with sjtest.Measure("--pid", os.getpid(), command="trace") as m:
        first, second = socket.socketpair()
        exchange(first, second, n)
    for role in "server", "client":
        lines = m.select(role=role)
        t.equal((len(lines), {line["protocol"] for line in lines}), (n, {"http"}), f"socket pair: {n} as {role}")
        t.equal({(line["bytes_in"], line["bytes_out"]) for line in lines},
                {(len(ASK), len(ANSWER)) if role == "server" else (len(ANSWER), len(ASK))},
                f"socket pair: who speaks first is the client, as {role}")
        check_sums(t, f"socket pair, {role}", lines)

    name = f"sjt{os.getpid()}"
    with sjtest.Measure("--pid", os.getpid(), command="trace") as m, socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        first = socket.socket(socket.AF_UNIX)
        first.connect("\0" + name)
        exchange(first, listener.accept()[0], n)
    t.equal({(line["role"], line.get("local"), line.get("peer")) for line in m.lines},
            {("server", f"unix:@{name}", None), ("client", None, f"unix:@{name}")}, "abstract name: who is who")
    t.equal(len(m.lines), 2 * n, "abstract name: all of them")


ASK, ANSWER = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"


def exchange(first, second, n):
    with first, second:
        for _ in range(n):
            first.sendall(ASK)
            second.recv(4096)
            second.sendall(ANSWER)
            first.recv(4096)


# ---- system calls ---------------------------------------------------------------------------------------------------

BOTH_SIDES = ["recvsend", "readwrite", "msg", "vec", "peek", "mmsg", "splice"]
SERVER_ONLY = ["sendfile", "zerocopy", "uring"]
NOT_ON_UNIX = ["zerocopy"]
UNREADABLE = {("server", "mmsg"), ("client", "mmsg"), ("server", "uring"), ("client", "splice")}


def system_calls(t):
    """Every way to read and write a socket is counted, and never taken for what it is not."""
    n = 503
    for transport, listen in TRANSPORTS:
        runs = [("server", mode) for mode in BOTH_SIDES + SERVER_ONLY if transport == "tcp" or mode not in NOT_ON_UNIX]
        runs += [("client", mode) for mode in BOTH_SIDES]
        names = {run: f"{run[0][0]}.{run[1]}.{os.getpid()}"[:15] for run in runs}
        with sjtest.Measure() as m:
            for side, mode in runs:
                one_mode(names[side, mode], listen_on(listen), n, side, mode)
        for side, mode in runs:
            name = f"{transport}, {mode} by the {side}"
            for role in "server", "client":
                mine = dict(service=names[side, mode], role=role)
                t.equal(m.requests(**mine), n, f"{name}: {n} as {role}")
                readable = side != role or (side, mode) not in UNREADABLE
                expected = {"GET /x/:id": n} if readable else {}
                t.equal(m.operations(**mine), expected, f"{name}: what was asked, as {role}")
                t.equal({s["protocol"] for s in m.services(**mine)}, {"http" if readable else "unknown"},
                        f"{name}: the protocol, as {role}")
                t.equal(sum(s["errors"] for s in m.services(**mine)), 0, f"{name}: no error as {role}")
        t.equal(m.completeness["lost"], 0, f"{transport}: nothing is lost")


def one_mode(name, listen, n, side, mode):
    how = {"server": [], "client": []}
    how[side] = ["--io", mode]
    with sjtest.Server("--model", "thread", "--name", name, *how["server"], listen=listen) as server:
        sjtest.client(server, "--requests", n, "--connections", 4, "--name", name, *how["client"])


def splice_from_a_socket(t):
    """The reading end of such a splice leaves no trace where the others do: it is seen in full or not at all."""
    n = 503
    for side in "server", "client":
        name = f"splice from the socket by the {side}"
        how = {"server": [], "client": [], side: ["--io", "splice-in"]}
        with sjtest.Server("--model", "thread", *how["server"]) as server:
            with sjtest.Measure("--port", server.port) as m:
                sjtest.client(server, "--requests", n, "--connections", 4, *how["client"])
        other = "client" if side == "server" else "server"
        t.equal(m.operations(role=other), {"GET /x/:id": n}, f"{name}: the {other} is measured as ever")
        t.ok(m.requests(role=side) in (0, n), f"{name}: all or none as {side}", got=m.requests(role=side))
        t.equal(m.completeness["lost"], 0, f"{name}: nothing is lost")


# ---- idle connections -----------------------------------------------------------------------------------------------


def idle_connections(t):
    """A request that is over appears within a second, though its connection stays open and says nothing."""
    for transport, listen in TRANSPORTS:
        for kind, options in (("one piece", ()), ("three pieces", ("--pieces", 3, "--piece-gap", "20ms")),
                              ("a turn of unknown bytes", ("--protocol", "raw"))):
            name = f"{transport}, idle after {kind}"
            with sjtest.Server("--model", "epoll", *options, listen=listen_on(listen)) as server:
                with sjtest.Measure(*filter_of(server), "--role", "server", command="trace") as m, connect(server) as s:
                    delays = [appears_after(m, server, s, i, b"" if "raw" in options else f"/idle/{i}")
                              for i in range(2)]
            t.at_most(max(delays), 2.0, f"{name}: appears within 2 s (of 1 s that is promised)")
            t.equal(len(m.lines), 2, f"{name}: each of them once")
            if kind == "three pieces":
                t.all([line for line in m.lines if ns(line["total"]) < 40 * MS], f"{name}: with its last piece")
            check_sums(t, name, m.lines)


def connect(server):
    s = socket.socket(socket.AF_UNIX if server.unix else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(30)
    s.connect(server.target())
    return s


def appears_after(m, server, s, before, path):
    """Asks over a connection that stays open; the seconds from the end of the answer to the line of trace."""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode() if path else b"x" * 64)
    answer = s.recv(65536)
    while path and b"\r\n\r\n" not in answer or path and len(answer.split(b"\r\n\r\n", 1)[1]) < 64:
        answer += s.recv(65536)
    done = time.monotonic()
    sjtest.await_true(lambda: len(m.read()) > before, "the line of trace", timeout=10)
    return time.monotonic() - done


# ---- requests in pieces ---------------------------------------------------------------------------------------------


def asked_in_pieces(t):
    """A request that comes bit by bit is one request, from its first bit on."""
    n = 61
    for transport, listen in TRANSPORTS:
        for name, client, sending in (
                ("body in five pieces", ("--body", 10000, "--body-pieces", 5, "--body-gap", "3ms"), 12),
                ("body in one piece", ("--body", 10000), 0),
                ("large body", ("--body", 300000), 0),
                ("head in two halves", ("--head-gap", "5ms"), 5),
                ("head and body in pieces", ("--head-gap", "5ms", "--body", 100, "--body-gap", "3ms"), 8),
                ("chunked body", ("--body", 10000, "--chunked-body", "--body-pieces", 4, "--body-gap", "3ms"), 9),
                ("100-continue", ("--body", 10000, "--expect-continue"), 0),
                ("100-continue, then chunks", ("--body", 9000, "--expect-continue", "--chunked-body"), 0)):
            in_pieces(t, f"{transport}, {name}", listen, n, client, sending)


def in_pieces(t, name, listen, n, client, sending):
    mine = f"trp{os.getpid()}"
    with sjtest.Server("--sleep", "4ms", "--name", mine, listen=listen_on(listen), log=True) as server:
        where = ("--comm", mine) if server.unix else ("--port", server.port)
        with sjtest.Measure(*where, command="trace") as m:
            load = sjtest.Client(server, "--requests", n, "--connections", 3, "--name", mine, *client, log=True)
            load.finish()
    method = "POST" if "--body" in client else "GET"
    for role in "server", "client":
        lines = m.select(role=role)
        kinds = {(line["protocol"], line.get("operation"), line.get("status"), line["error"]) for line in lines}
        t.equal((len(lines), kinds), (n, {("http", f"{method} /x/:id", "200", False)}), f"{name}: {n} as {role}")
        check_sums(t, f"{name}, {role}", lines)
        late = n // 20 if role == "client" and server.unix else 0  # who loses the CPU within send begins late
        t.at_most(len([line for line in lines if ns(line["total"]) < (sending + 4) * MS]), late,
                  f"{name}: at least {sending + 4} ms from end to end as {role}")
        body = client[client.index("--body") + 1] if "--body" in client else 0
        t.all([line for line in lines if line["bytes_in" if role == "server" else "bytes_out"] < body],
              f"{name}: all of its bytes as {role}")
    asked = quantile([entry["end_ns"] - entry["start_ns"] for entry in load.log()], LOW)
    t.near(quantile([ns(line["total"]) for line in m.select(role="client")], LOW), asked, 0.02, 500_000,
           f"{name}: the total as the client knows it")
    served = quantile([entry["done_ns"] - entry["recv_ns"] for entry in server.log()], LOW)
    t.near(quantile([ns(line["total"]) - ns(line["stages"]["queue"]) for line in m.select(role="server")], LOW),
           served, 0.02, 200_000, f"{name}: from the first recv on as the server knows it")
    if sending and lines:
        if "--expect-continue" not in client:
            t.at_least(min(ns(line["stages"]["send"]) for line in lines), sending * MS,
                       f"{name}: it is in the client's send")
        waited = [ns(line.get("blocked_by", {}).get("net", 0)) for line in m.select(role="server")]
        t.at_least(median(waited), (sending - 1) * MS, f"{name}: the server was waiting for the rest")


# ---- network namespaces ---------------------------------------------------------------------------------------------


class Namespaces:
    """Two network namespaces and a cable between them: .server and .client are prefixes of commands."""

    def __init__(self):
        self.names = [f"sjt{os.getpid()}{end}" for end in "ab"]
        self.server, self.client = (["ip", "netns", "exec", name] for name in self.names)
        self.addresses = "10.231.77.1", "10.231.77.2"

    def __enter__(self):
        for name in self.names:
            ip("netns", "add", name)
        first, second = self.names
        ip("-n", first, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", second)
        for name, address in zip(self.names, self.addresses):
            ip("-n", name, "address", "add", address + "/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def ip(*words):
    sjtest.run([sjtest.have("ip") or "ip", *words])


def other_namespaces(t):
    """Client and server live in two other network namespaces, and the connections are older than the measurement."""
    n = 1009
    with Namespaces() as spaces, \
         sjtest.Server("--model", "epoll", "--sleep", "1ms", listen=spaces.addresses[0] + ":0", prefix=spaces.server,
                       log=True) as server:
        old = sjtest.Client(server, "--duration", "120s", "--connections", 4, "--gap", "2ms", prefix=spaces.client)
        sjtest.await_true(lambda: os.path.getsize(server.log_path) > 0, "the first requests", process=server.process)
        before_start = time.monotonic_ns()
        with sjtest.Measure("--port", server.port, command="trace") as m:
            attached = time.monotonic_ns()
            time.sleep(0.5)
            sjtest.stop(old.process, signal.SIGKILL)
            sjtest.Client(server, "--requests", n, "--connections", 4, prefix=spaces.client).finish()
    served = [entry for entry in server.log() if entry["recv_ns"] > attached]
    at_most = len([entry for entry in server.log() if entry["done_ns"] > before_start])
    for role in "server", "client":
        lines = m.select(role=role)
        # One per older connection may have been under way at the start, and one at the end.
        t.between(len(lines), len(served) - 8, at_most, f"namespaces: all of them as {role}")
        t.equal({(line["protocol"], line["operation"]) for line in lines}, {("http", "GET /x/:id")},
                f"namespaces: known for what they are as {role}")
        t.at_most(len([line for line in lines if line["error"]]), 4, f"namespaces: good but where killed as {role}")
        t.all([line for line in lines if ns(line["total"]) < MS],
              f"namespaces: none is faster than it can be as {role}")
        ends = ("local", "peer") if role == "server" else ("peer", "local")
        t.equal({(line[ends[0]], line[ends[1]].rpartition(":")[0]) for line in lines},
                {(f"{spaces.addresses[0]}:{server.port}", spaces.addresses[1])}, f"namespaces: the addresses as {role}")
        check_sums(t, f"namespaces, {role}", lines)


sjtest.main(arrivals, waiting_to_be_accepted, before_accept, unix_names, system_calls, splice_from_a_socket,
            idle_connections, asked_in_pieces, other_namespaces)
