#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things that go wrong: the monitor is killed, servers and clients die or reset in the middle, sockets are reused at
once, processes are stopped. What was not finished is an error or a cut-off, never a fast success."""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import time

import sjtest

MIDDLE = ["--pieces", 4, "--piece-gap", "100ms", "--response-size", 4000]


# ---- nothing stays in the kernel ------------------------------------------------------------------------------------


def kernel_objects():
    """(kind, id) of all BPF objects of the host. Numbers are not given twice."""
    found = set()
    for kind in sjtest.BPF_KINDS:
        listed = subprocess.run([sjtest.have("bpftool"), "-j", kind, "list"], stdout=subprocess.PIPE, check=False)
        found |= {(kind, entry["id"]) for entry in json.loads(listed.stdout or b"[]")}
    return found


def remains(objects, timeout=10.0):
    """Those that are still there after a while: the kernel frees them when nobody can be running them any more."""
    end = time.monotonic() + timeout
    while (left := objects & kernel_objects()) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def nothing_is_left(t):
    with sjtest.Server("--model", "thread") as server:
        port = ["--port", server.port]
        for name, arguments, how in [
                ("report", ["report", *port], signal.SIGKILL),
                ("trace", ["trace", *port], signal.SIGKILL),
                ("record", ["record", "-o", sjtest.temp("recording"), *port], signal.SIGKILL),
                ("a command's parent", ["report", *port, "--", "sleep", "60"], signal.SIGKILL),
                ("report", ["report", *port], signal.SIGINT),
                ("record", ["record", "-o", sjtest.temp("recording"), *port], signal.SIGTERM)]:
            process = sjtest.Process([sjtest.SOJOURN, *arguments])
            sjtest.await_true(lambda p=process: "measuring" in p.err(), "measuring", process=process)
            busy = sjtest.Client(server, "--duration", "10s", "--connections", 4)
            time.sleep(0.3)
            held = sjtest.held_objects(process.pid)
            t.ok({kind for kind, _ in held} == set(sjtest.BPF_KINDS) and held <= kernel_objects(),
                 f"{name}: programs, maps and links are there", held=held)
            process.send_signal(how)
            status = process.wait(20)
            t.equal(status, 0 if how != signal.SIGKILL else -9, f"{name}: {how.name} ends it")
            t.equal(remains(held), set(), f"{name}: and after {how.name} none is left")
            sjtest.stop(process, signal.SIGKILL)
            sjtest.stop(busy.process, signal.SIGKILL)


def killed_under_load(t):
    """A monitor that is killed takes nothing of those that it measures down, and the next one counts on."""
    with sjtest.Server("--model", "thread") as server:
        asking = sjtest.Client(server, "--requests", 30011, "--connections", 4)
        for _ in range(3):
            m = sjtest.Measure("--port", server.port)
            m.start()
            time.sleep(0.1)
            sjtest.stop(m.process, signal.SIGKILL)
        told = asking.finish()
        t.equal((told["answered"], told["errors"]), (30011, 0), "requests go on while monitors are killed")
        with sjtest.Measure("--port", server.port) as m:
            sjtest.client(server, "--requests", 1009)
        t.equal((m.requests(role="server"), m.requests(role="client")), (1009, 1009), "the next one counts all")


# ---- servers and clients that die -----------------------------------------------------------------------------------


def counts(m, role):
    """Requests of a side that succeeded, and that did not."""
    errors = sum(s["errors"] for s in m.services(role=role))
    return m.requests(role=role) - errors, errors


def check_sides(t, m, name, good, bad):
    """good: how many requests were answered in full; bad: how many were begun besides."""
    for role in ("server", "client"):
        succeeded, errors = counts(m, role)
        t.equal(succeeded, good, f"{name}: only what was answered in full is a success ({role})", errors=errors,
                completeness=m.completeness)
        t.at_most(errors, bad, f"{name}: no more errors than failures ({role})")
    lost = sum(counts(m, role)[1] for role in ("server", "client")) + m.completeness["cut_off"]
    t.between(lost, bad, 2 * bad, f"{name}: the rest is an error or cut off", report=m.completeness)
    t.equal(m.completeness["lost"], 0, f"{name}: nothing is lost")


def addresses():
    yield "TCP", "127.0.0.1:0"
    yield "unix", "unix:" + sjtest.temp("socket")


def server_dies_in_a_request(t):
    for name, listen in addresses():
        with sjtest.Server("--model", "thread", "--sleep", "2ms", "--abort-after", 48, listen=listen) as server:
            arguments = ["--port", server.port] if server.port else ["--pid", server.pid]
            with sjtest.Measure(*arguments) as m:
                told = sjtest.client(server, "--requests", 101, fail=False)
        t.equal(told["answered"], 47, f"{name}: 47 were answered")
        if server.port:
            check_sides(t, m, f"server killed in a request ({name})", 47, 1)
        else:
            succeeded, errors = counts(m, "server")
            t.equal(succeeded, 47, f"server killed in a request ({name}): the others are successes")
            t.equal(errors + m.completeness["cut_off"], 1, f"server killed in a request ({name}): it is a failure")


def open_to(server):
    s = socket.socket(socket.AF_UNIX if server.unix else socket.AF_INET)
    s.settimeout(20)
    s.connect(server.target())
    return s


def server_dies_in_an_answer(t):
    for name, listen in addresses():
        for how in ([], ["--chunked"]):
            kind = f"server killed in an answer ({name}, {'chunked' if how else 'of known length'})"
            with sjtest.Server("--model", "thread", *MIDDLE, *how, listen=listen) as server:
                arguments = ["--pid", server.pid] if server.unix else ["--port", server.port]
                with sjtest.Measure(*arguments) as m, open_to(server) as s:
                    s.sendall(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
                    s.recv(65536)
                    s.recv(65536)
                    server.process.kill()
                    while s.recv(65536):
                        pass
            t.equal(m.completeness["lost"], 0, f"{kind}: nothing is lost")
            roles = ("server",) if server.unix else ("server", "client")
            for role in roles:
                good, _ = counts(m, role)
                if not how:
                    t.equal(good, 0, f"{kind}: no success ({role})", completeness=m.completeness)
                    continue
                # The end of a chunked body is not always looked at. But a success that it seems to be is no fast one.
                t.all([s for s in m.services(role=role) if good and s["total"]["p50"] < 0.09], f"{kind}: not fast ({role})")
            if not how:
                failed = sum(counts(m, role)[1] for role in roles) + m.completeness["cut_off"]
                t.equal(failed, len(roles), f"{kind}: it is told as a failure", completeness=m.completeness)


def reset_in_an_answer(t):
    with sjtest.Server("--model", "thread", "--reset-after", 48, "--response-size", 4000) as server:
        with sjtest.Measure("--port", server.port) as m:
            told = sjtest.client(server, "--requests", 48, fail=False)
    t.equal(told["answered"], 47, "47 were answered")
    check_sides(t, m, "reset by the server in an answer", 47, 1)

    with sjtest.Server("--model", "thread", *MIDDLE) as server:
        with sjtest.Measure("--port", server.port) as m:
            told = sjtest.client(server, "--requests", 5, "--rst", fail=False)
            time.sleep(0.6)  # the server notices at its next piece
    t.equal(told["answered"], 0, "nothing was answered in full")
    check_sides(t, m, "reset by the client in an answer", 0, told["sent"])


def ask_and_leave(server, rst):
    """Send a request and be gone at once."""
    with socket.socket() as s:
        s.connect(server.target())
        s.sendall(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
        if rst:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def client_leaves_the_queue(t):
    for rst in (False, True):
        name = "client resets while queued" if rst else "client closes while queued"
        with sjtest.Server("--model", "single", "--sleep", "400ms") as server:
            with sjtest.Measure("--port", server.port, command="trace", settle=1.5) as m:
                with open_to(server) as first:
                    first.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
                    ask_and_leave(server, rst)
                    first.recv(65536)
        gone = [line for line in m.lines if line.get("operation") == "GET /gone"]
        t.all([line for line in gone if line["role"] == "client" and not line["error"]],
              f"{name}: no success for the client")
        # The one that closes has been served all the same; the server cannot know better. But not fast.
        t.all([line for line in gone if line["role"] == "server" and not line["error"] and line["total"] < 0.5],
              f"{name}: no fast success for the server")
        if rst:
            t.all([line for line in gone if not line["error"]], f"{name}: no success at all")
        t.equal(len([line for line in m.lines if line.get("operation") == "GET /first" and not line["error"]]), 2,
                f"{name}: the one before is told on both sides", lines=m.lines)


# ---- sockets and descriptors that are used again --------------------------------------------------------------------


def request_from(port, target, path):
    """One request from this port, whose connection leaves nothing behind that would keep the port taken."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.settimeout(10)
        s.bind(("127.0.0.1", port))
        s.connect(target)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer) < answer.index(b"\r\n\r\n") + 4 + 64:
            chunk = s.recv(4096)
            if not chunk:
                raise sjtest.Failed("the answer ended early")
            answer += chunk


def reused_at_once(t):
    mine = sjtest.free_port()
    n = 2003
    with sjtest.Server("--model", "single", "--response-size", 64) as server:
        with sjtest.Measure("--port", server.port) as m:
            for i in range(n):
                request_from(mine, server.target(), f"/{'even' if i % 2 == 0 else 'odd'}")
    for role in ("server", "client"):
        t.equal(m.operations(role=role), {"GET /even": (n + 1) // 2, "GET /odd": n // 2},
                f"{n} connections of one pair of ports and one descriptor ({role})", completeness=m.completeness)
        # A server whose peer resets before it has acknowledged the answer cannot know that it was read. That is rare.
        t.at_most(counts(m, role)[1], n // 50 if role == "server" else 0, f"a reset after the answer is no error ({role})")
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), "none of them is cut off or lost")
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port) as m:
            told = sjtest.client(server, "--requests", 5003, "--connections", 20, "--one-shot")
    t.equal((told["answered"], m.requests(role="server"), m.requests(role="client")), (5003, 5003, 5003),
            "5003 short connections, 20 at once", completeness=m.completeness)


def connected_again(t):
    """One socket, one connection after the other, to two servers in turn."""
    connect = ctypes.CDLL(None, use_errno=True).connect
    nowhere = struct.pack("H14x", socket.AF_UNSPEC)
    with sjtest.Server("--model", "thread") as first, sjtest.Server("--model", "thread") as second:
        with sjtest.Measure("--pid", os.getpid(), command="trace") as m, socket.socket() as s:
            for i in range(10):
                s.connect((first, second)[i % 2].target())
                s.sendall(f"GET /{'first' if i % 2 == 0 else 'second'} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                s.recv(4096)
                if connect(s.fileno(), nowhere, len(nowhere)):
                    raise sjtest.Failed(f"cannot disconnect: {os.strerror(ctypes.get_errno())}")
    told = [(line["operation"], line["port"], line.get("peer", "").rpartition(":")[2]) for line in m.lines]
    ports = {"GET /first": first.port, "GET /second": second.port}
    t.equal(sorted(operation for operation, _, _ in told), 5 * ["GET /first"] + 5 * ["GET /second"],
            "a socket that is connected again and again: each request is told")
    t.all([line for line in told if line[1:] != (ports[line[0]], str(ports[line[0]]))], "each with its own peer")
    t.all([line for line in m.lines if line["error"]], "none as an error")


# ---- processes that are stopped -------------------------------------------------------------------------------------


def stopped_server(t):
    with sjtest.Server("--model", "single", "--sleep", "10ms") as server:
        with sjtest.Measure("--port", server.port, command="trace") as m:
            client = sjtest.Client(server, "--requests", 101, "--gap", "10ms")
            sjtest.await_true(lambda: len(m.read()) >= 6, "the first requests")
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(server.pid, signal.SIGCONT)
            client.finish()
    for role in ("server", "client"):
        lines = m.select(role=role)
        t.equal(len(lines), 101, f"a stopped server: all are told ({role})")
        t.at_least(max((line["total"] for line in lines), default=0), 0.9, f"a stopped server: one waited ({role})")
        t.equal(len([line for line in lines if line["total"] > 0.7]), 1, f"a stopped server: and only one ({role})")
    t.all([line for line in m.lines if abs(sjtest.ns(line["total"]) - sum(map(sjtest.ns, line["stages"].values()))) > 0],
          "a stopped server: the stages sum to the total")


def stopped_client(t):
    """It is stopped while it waits for an answer that takes a second, and for a second longer."""
    with sjtest.Server("--model", "single", "--sleep", "1s") as server:
        with sjtest.Measure("--port", server.port, command="trace") as m:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                with open_to(server) as s:
                    s.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
                    os.write(writer, b"!")
                    s.recv(65536)
                os._exit(0)
            os.read(reader, 1)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(pid, signal.SIGCONT)
            os.waitpid(pid, 0)
            os.close(reader)
            os.close(writer)
    asked = m.select(role="client")
    t.equal((len(asked), len(m.select(role="server"))), (1, 1), "a stopped client: one request on both sides")
    if asked:
        t.between(asked[0]["stages"]["pickup"], 0.5, 1.5, "a stopped client: the answer waits to be picked up",
                  line=asked[0])
        t.between(asked[0]["stages"]["wait"], 0.9, 1.5, "a stopped client: its wait is the server's time")


def stopped_monitor(t):
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port) as m:
            os.kill(m.process.pid, signal.SIGSTOP)
            told = sjtest.client(server, "--requests", 2003, "--connections", 3)
            time.sleep(1)
            os.kill(m.process.pid, signal.SIGCONT)
            sjtest.client(server, "--requests", 101)
    t.equal((m.requests(role="server"), m.requests(role="client")), (2104, 2104), "a stopped monitor loses nothing",
            completeness=m.completeness, told=told["answered"])


sjtest.main(nothing_is_left, killed_under_load, server_dies_in_a_request, server_dies_in_an_answer,
            reset_in_an_answer, client_leaves_the_queue, reused_at_once, connected_again,
            stopped_server, stopped_client, stopped_monitor)
