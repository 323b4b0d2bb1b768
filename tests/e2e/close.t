#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is lost when connections end: 1,009 are 1,009, with their full latency, whoever closes and however."""

import os
import socket
import struct

import sjtest
from sjtest import ns, quantile

N = 1009
NAME = f"cls{os.getpid()}"  # AF_UNIX has no port to filter by
MS = 1_000_000
TRANSPORTS = ("tcp", "127.0.0.1:0"), ("unix", "unix:{}")


def listen_on(listen):
    return listen.format(sjtest.temp("u"))


def filter_of(server):
    return ("--comm", NAME) if server.unix else ("--port", server.port)


def full_latency(t, name, role, lines, log, least):
    """
    None was faster than it can be, and the lower quartile is the server's own: a thread that loses its CPU right behind
    a call reads its clock late, and that may be most of them.
    """
    # A unix socket does not say when it took the request: a client that loses its CPU within send begins late.
    late = len(lines) // 50 if role == "client" and name.startswith("unix") else 0
    t.at_most(len([line for line in lines if ns(line["total"]) < least]), late,
              f"{name}, {role}: none is faster than {least / MS:g} ms")
    t.all([line for line in lines if sum(map(ns, line["stages"].values())) != ns(line["total"])],
          f"{name}, {role}: the stages sum to the total")
    served = quantile([entry["done_ns"] - entry["recv_ns"] for entry in log], 0.25)
    took = quantile([ns(line["total"]) - ns(line["stages"].get("queue", 0)) for line in lines], 0.25)
    if role == "server":
        t.near(took, served, 0.02, 100_000, f"{name}, {role}: a quarter is as short as the server knows")
    else:
        t.at_least(took, served - 100_000, f"{name}, {role}: a quarter is no shorter than the server knows")


def answered(t, name, listen, server, client, least, model="thread", errors=0):
    """All of them are answered, so all are requests, on both sides, and none an error."""
    with sjtest.Server("--model", model, "--name", NAME, *server, listen=listen_on(listen), log=True) as srv:
        with sjtest.Measure(*filter_of(srv)) as report, sjtest.Measure(*filter_of(srv), command="trace") as trace:
            sent = sjtest.client(srv, "--requests", N, "--connections", 8, "--name", NAME, *client)
    t.equal((sent["answered"], srv.result["served"]), (N, N), f"{name}: the load is as asked for")
    for role in "server", "client":
        t.equal(report.requests(role=role), N, f"{name}: {N} reported as {role}")
        t.equal(report.operations(role=role), {"GET /x/:id": N}, f"{name}: all of one operation as {role}")
        lines = trace.select(role=role)
        t.equal(len(lines), N, f"{name}: {N} traced as {role}")
        t.all([line for line in lines if line["error"] or line.get("status") != "200"],
              f"{name}: all of them good as {role}")
        full_latency(t, name, role, lines, srv.log(), least)
    t.equal(report.completeness["cut_off"], 0, f"{name}: none is cut off")
    t.equal(report.completeness["lost"], 0, f"{name}: nothing is lost")


def server_closes(t):
    """At once after the last byte of its answer, in one piece or in three."""
    for transport, listen in TRANSPORTS:
        answered(t, f"{transport}, server closes", listen, ("--close", "--sleep", "1ms"), (), MS)
        answered(t, f"{transport}, server closes after three pieces", listen,
                 ("--close", "--pieces", 3, "--piece-gap", "1ms"), (), 2 * MS)
        answered(t, f"{transport}, event loop closes", listen, ("--close", "--sleep", "1ms", "--chunked"), (), MS,
                 model="epoll")


def client_closes(t):
    """When it has its answer; the server learns of it while it waits for more."""
    for transport, listen in TRANSPORTS:
        answered(t, f"{transport}, client closes when answered", listen, ("--pieces", 2, "--piece-gap", "1ms"),
                 ("--one-shot",), MS)


def half_closed(t):
    """The client says that it has nothing more to ask, and gets its answer."""
    for transport, listen in TRANSPORTS:
        answered(t, f"{transport}, half-closed", listen, ("--sleep", "1ms", "--pieces", 2, "--piece-gap", "1ms"),
                 ("--half-close",), 2 * MS)
        answered(t, f"{transport}, half-closed, event loop", listen, ("--sleep", "1ms"), ("--half-close",), MS,
                 model="epoll")


def asked_and_gone(t):
    """The client closes without waiting: for it the request is cut off; the server has served, and says how long."""
    for transport, listen in TRANSPORTS:
        name = f"{transport}, client is gone"
        with sjtest.Server("--name", NAME, "--sleep", "1ms", listen=listen_on(listen), log=True) as srv:
            with sjtest.Measure(*filter_of(srv), "--role", "server") as served, \
                 sjtest.Measure(*filter_of(srv), "--role", "server", command="trace") as trace, \
                 sjtest.Measure(*filter_of(srv), "--role", "client") as asked:
                sent = sjtest.client(srv, "--requests", N, "--connections", 8, "--name", NAME, "--close-after-ask")
                sjtest.await_true(lambda: len(srv.log()) >= N, f"the server has seen all {N}")
        t.equal(sent["abandoned"], N, f"{name}: the load is as asked for")
        t.equal(asked.completeness["requests"], 0, f"{name}: the client has had no answer")
        t.equal(asked.completeness["cut_off"], N, f"{name}: {N} are cut off on its side")
        t.equal(served.completeness["requests"], N, f"{name}: {N} on the server's side", seen=served.completeness)
        t.equal(served.completeness["lost"] + asked.completeness["lost"], 0, f"{name}: nothing is lost")
        t.equal(len(trace.lines), N, f"{name}: each is traced")
        t.all([line for line in trace.lines if ns(line["total"]) < MS], f"{name}: with its full latency")
        # A client that was slow to leave has acknowledged what it did not read.
        t.at_least(len([line for line in trace.lines if line["error"]]), N * 9 // 10,
                   f"{name}: and as an error, for nobody heard the answer")


def reused_at_once(t):
    """The same descriptors, and the same pair of ports, for one connection after the other."""
    with sjtest.Server("--model", "epoll", "--sleep", "200us", log=True) as srv:
        with sjtest.Measure("--port", srv.port) as report:
            source = same_ports(srv, N)
    t.equal(srv.result["served"], N, f"one pair of ports: the load is as asked for, from port {source}")
    for role in "server", "client":
        t.equal(report.operations(role=role), {"GET /same/:id": N}, f"one pair of ports: {N} reported as {role}")
        service, = report.services(role=role)
        t.at_least(service["total"]["p50"], 0.0002, f"one pair of ports: in full as {role}")
        t.equal(sum(s["requests"] for s in report.services(role=role)), N, f"one pair of ports: one service as {role}")
    t.equal((report.completeness["cut_off"], report.completeness["lost"]), (0, 0),
            "one pair of ports: none is cut off or lost")

    for transport, listen in TRANSPORTS:
        answered(t, f"{transport}, one descriptor after the other", listen, ("--model", "single", "--close"),
                 ("--connections", 1, "--one-shot"), 1)


def same_ports(server, count):
    """Ends each connection with a reset, which leaves no TIME_WAIT behind, and opens the next from the same port."""
    source = 0
    for i in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.settimeout(30)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", source))
            source = s.getsockname()[1]
            s.connect(server.target())
            s.sendall(f"GET /same/{i} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer or not complete(answer):
                answer += s.recv(65536)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return source


def complete(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


sjtest.main(server_closes, client_closes, half_closed, asked_and_gone, reused_at_once)
