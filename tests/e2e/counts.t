#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""10,007 requests sent are 10,007 reported, as server and as client, over every transport and pattern."""

import os
import socket
import threading

import sjtest

N = 10007  # prime, so that no count of batches or connections divides it
NAME = f"cnt{os.getpid()}"  # AF_UNIX has no port to filter by


def check_completeness(t, m, name):
    c = m.completeness
    t.equal(c["requests"], c["detailed"] + c["counted_only"], f"{name}: requests = detailed + counted_only")
    t.equal(c["lost"], 0, f"{name}: nothing is lost")
    t.equal(sum(s["requests"] for s in m.report["services"]), c["requests"], f"{name}: the services sum to it")


def exact(t, name, listen="127.0.0.1:0", server=("--model", "epoll"), client=(), protocol="http", measure=(), n=N):
    where = ("--comm", NAME) if listen.startswith("unix:") else ()
    with sjtest.Server(*server, "--name", NAME, listen=listen) as srv:
        where = where or ("--port", srv.port)
        with sjtest.Measure(*where, *sjtest.ROOM, *measure) as m:
            sent = sjtest.client(srv, "--requests", n, "--name", NAME, *client)
    t.equal((sent["answered"], srv.result["served"]), (n, n), f"{name}: the load is as asked for")
    for role in "server", "client":
        t.equal(m.requests(role=role), n, f"{name}: {n} reported as {role}", report=m.report["services"])
        t.equal(m.requests(role=role, protocol=protocol), n, f"{name}: all of them {protocol} as {role}")
        if protocol == "http":
            plain = m.without_detail(role=role)
            t.at_most(plain, n // 2, f"{name}: most have detail as {role}")
            t.equal(m.operations(role=role), {"GET /x/:id": n - plain}, f"{name}: those of one operation as {role}")
    t.equal(m.completeness["cut_off"], 0, f"{name}: none is cut off")
    if protocol != "unknown":
        t.equal(m.completeness["unparsed"], 0, f"{name}: none is unparsed")
    check_completeness(t, m, name)


def keep_alive(t):
    exact(t, "keep-alive, 64 connections, IPv4", client=("--connections", 64))
    exact(t, "keep-alive, 64 connections, IPv6", listen="[::1]:0", client=("--connections", 64))
    exact(t, "keep-alive, 64 connections, unix", listen="unix:" + sjtest.temp("u"), client=("--connections", 64))
    exact(t, "keep-alive, a thread per connection", server=("--model", "thread"), client=("--connections", 7))


def one_shot(t):
    exact(t, "one connection each, IPv4", client=("--one-shot", "--connections", 8))
    exact(t, "one connection each, IPv6", listen="[::1]:0", client=("--one-shot", "--connections", 8))
    exact(t, "one connection each, unix", listen="unix:" + sjtest.temp("u"), client=("--one-shot", "--connections", 8))


def pipelined(t):
    seven = ("--pipeline", 7, "--connections", 4)
    exact(t, "pipelined by 7, IPv4", client=seven)
    exact(t, "pipelined by 7, IPv6", listen="[::1]:0", client=seven)
    exact(t, "pipelined by 7, unix", listen="unix:" + sjtest.temp("u"), client=seven)
    exact(t, "pipelined by 7, answered in one write, IPv4", server=("--model", "epoll", "--coalesce"), client=seven)
    exact(t, "pipelined by 7, answered in one write, unix", server=("--model", "epoll", "--coalesce"),
          listen="unix:" + sjtest.temp("u"), client=seven)
    exact(t, "pipelined by 7, blocking threads", server=("--model", "thread"), client=seven)


def without_payload(t):
    eight = ("--connections", 8)
    exact(t, "no payload", client=eight, measure=("--payload", "off"), protocol="unknown")
    exact(t, "no stages", client=eight, measure=("--stages", "none"))
    exact(t, "raw turns, IPv4", server=("--model", "epoll", "--protocol", "raw"),
          client=("--protocol", "raw", *eight), protocol="unknown")
    exact(t, "raw turns, unix", server=("--model", "epoll", "--protocol", "raw"), listen="unix:" + sjtest.temp("u"),
          client=("--protocol", "raw", *eight), protocol="unknown")


def ask(s, path):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())


def take_answer(s):
    """One whole answer of `load server`."""
    got = b""
    while b"\r\n\r\n" not in got:
        chunk = s.recv(65536)
        if not chunk:
            raise sjtest.Failed("the server has closed")
        got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += s.recv(65536)


def connected(server, count):
    sockets = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX if server.unix else socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(30)
        s.connect(server.target())
        sockets.append(s)
    return sockets


class Held:
    """A server inside this process that holds back its answers to /held until release()."""

    def __init__(self, transport):
        self.unix = transport == "unix"
        self.listener = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind(sjtest.temp("u") if self.unix else ("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = 0 if self.unix else self.listener.getsockname()[1]
        self.released = threading.Event()
        self.taken = threading.Semaphore(0)
        # Client and server are this process.
        self.filter = ("--pid", os.getpid()) if self.unix else ("--port", self.port)

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.listener.close()

    def accept(self):
        try:
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()
        except OSError:
            pass

    def serve(self, s):
        with s:
            try:
                while asked := s.recv(65536):
                    if b"/held" in asked:
                        self.taken.release()
                        self.released.wait()
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            except OSError:
                pass

    def connected(self, count):
        sockets = []
        for _ in range(count):
            s = socket.socket(self.listener.family, socket.SOCK_STREAM)
            s.settimeout(30)
            s.connect(self.listener.getsockname())
            sockets.append(s)
        return sockets

    def hold(self, sockets):
        """One request on each, taken by the server and not answered."""
        for s in sockets:
            ask(s, "/held")
        for _ in sockets:
            if not self.taken.acquire(timeout=30):
                raise sjtest.Failed("the requests to be held were not taken")


def ask(s, path):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())


def take_answer(s):
    got = b""
    while not got.endswith(b"hello"):
        chunk = s.recv(65536)
        if not chunk:
            raise sjtest.Failed("the server has closed")
        got += chunk


def opened_before(t):
    """Connections that are older than the measurement."""
    for transport in "tcp", "unix":
        idle_ones(t, f"{transport}, idle at the start", transport)
        in_flight_ones(t, f"{transport}, in flight at the start", transport)


def idle_ones(t, name, transport):
    """Ten connections have asked before, ten have not; all are quiet when the measurement starts."""
    connections, rounds = 20, 51
    with Held(transport) as server:
        sockets = server.connected(connections)
        for s in sockets[:10]:
            ask(s, "/before/1")
            take_answer(s)
        with sjtest.Measure(*server.filter) as m:
            for i in range(rounds):
                for s in sockets:
                    ask(s, f"/during/{i}")
                for s in sockets:
                    take_answer(s)
        for s in sockets:
            s.close()
    for role in "server", "client":
        t.equal(m.operations(role=role), {"GET /during/:id": connections * rounds},
                f"{name}: every request is reported as {role}")
    t.equal(m.completeness["cut_off"], 0, f"{name}: none is cut off")
    check_completeness(t, m, name)


def in_flight_ones(t, name, transport):
    """A request is being served when the measurement starts: it is cut off, not a fast one. The next ones count."""
    connections, rounds = 10, 7
    with Held(transport) as server:
        sockets = server.connected(connections)
        server.hold(sockets)
        with sjtest.Measure(*server.filter) as m:
            server.released.set()
            for s in sockets:
                take_answer(s)
            for i in range(rounds):
                for s in sockets:
                    ask(s, f"/during/{i}")
                    take_answer(s)
        for s in sockets:
            s.close()
    for role in "server", "client":
        t.equal(m.operations(role=role), {"GET /during/:id": connections * rounds},
                f"{name}: the requests after it are reported as {role}")
    t.equal(m.completeness["cut_off"], 2 * connections, f"{name}: each is counted as cut off on both sides")
    check_completeness(t, m, name)


def at_the_end(t):
    """Asked, and not answered when the measurement ends."""
    connections = 10
    for transport in "tcp", "unix":
        name = f"{transport}, unanswered at the end"
        with Held(transport) as server:
            sockets = server.connected(connections)
            with sjtest.Measure(*server.filter) as m:
                for s in sockets:
                    ask(s, "/done/1")
                    take_answer(s)
                server.hold(sockets)
            for s in sockets:
                s.close()
        for role in "server", "client":
            t.equal(m.operations(role=role), {"GET /done/:id": connections}, f"{name}: not reported as {role}")
        t.equal(m.completeness["cut_off"], 2 * connections, f"{name}: counted as cut off on both sides")
        check_completeness(t, m, name)


def full_speed(t):
    """wrk against nginx as fast as they can; nginx's own counter is the truth."""
    connections = 32
    with sjtest.Nginx() as nginx:
        before = nginx.stub_status()["requests"]
        with sjtest.Measure("--port", nginx.port, "--role", "server") as m:
            sjtest.run(["wrk", "-t", 1, "-c", connections, "-d", "10s", nginx.url + "/"])
        served = nginx.stub_status()["requests"] - before - 1  # asking for the first status came in between
    reported = m.requests(role="server")
    t.diag(f"nginx counted {served}, reported {reported}, {m.completeness}, {m.report['cost']}")
    t.at_least(served, 10000, "full speed: the load is a load")
    t.between(reported, served - connections, served, "full speed: nginx's own count, less at most one per connection")
    t.at_most(served - reported, m.completeness["cut_off"], "full speed: what is missing is counted as cut off")
    t.equal(m.operations(role="server", protocol="http").get("GET /"), reported - m.without_detail(role="server"),
            "full speed: all that have detail are of one operation")
    check_completeness(t, m, "full speed")


sjtest.main(keep_alive, one_shot, pipelined, without_payload, opened_before, at_the_end, full_speed)
