#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that mean nothing, names and paths that mean harm: counted, called nothing that they are not, and printed so
that neither a terminal nor a reader of JSON takes offence."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

import sjtest

SECONDS = 10


def protocols(m):
    counts = {}
    for service in m.report["services"]:
        counts[service["protocol"]] = counts.get(service["protocol"], 0) + service["requests"]
    return counts


# ---- random bytes ---------------------------------------------------------------------------------------------------


def random_turns(t):
    port = sjtest.free_port()
    with sjtest.Measure("--port", port) as m:
        told = json.loads(both_ends(port))
    turns = told["turns"]
    t.equal(told["broken"], 0, "the generator's conversations are whole")
    t.at_least(turns, 1000, "there are many turns")
    t.equal((m.requests(role="server"), m.requests(role="client")), (turns, turns), "random turns are counted exactly",
            completeness=m.completeness)
    t.equal(set(protocols(m)), {"unknown"}, "and are no protocol", protocols=protocols(m))
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), "nothing is cut off or lost",
            completeness=m.completeness)
    t.equal(m.completeness["unparsed"], m.completeness["detailed"], "all are told as not understood")


def both_ends(port):
    """The answering and the asking end in processes of their own; returns what the asking one counted."""
    answering = sjtest.Process([sjtest.LOAD, "garbage", "--listen", f"127.0.0.1:{port}", "--seconds", SECONDS + 2])
    sjtest.await_true(lambda: "listening" in answering.err(), "the garbage server", process=answering)
    told = sjtest.run([sjtest.LOAD, "garbage", "--connect", f"127.0.0.1:{port}", "--seconds", SECONDS, "--connections",
                       4])
    answering.finish()
    return told


def shout(sock, rng, until, make):
    """Send without listening; another thread throws away what comes."""
    sock.settimeout(0.5)
    while time.monotonic() < until:
        try:
            sock.sendall(make(rng))
        except OSError:
            return


def swallow(sock, until):
    while time.monotonic() < until:
        try:
            if not sock.recv(65536):
                return
        except TimeoutError:
            pass
        except OSError:
            return


def anything(rng):
    return rng.randbytes(rng.randrange(1, 3000))


def nearly_http(rng):
    first = rng.choice([b"GET ", b"POST /", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"PUT / HTTP/1.1\r\n", b"CONNECT x",
                        b"GET / HTTP/1.1\r\nContent-Length: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                        b"HTTP/1.1 100 Continue\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n",
                        b"HTTP/1.1 101 S\r\n\r\n", b"GET /" + b"a" * 9000])
    rest = rng.choice([b"", b"\r\n\r\n", b"99999999999999999999\r\n\r\n", rng.randbytes(rng.randrange(2000)),
                       b"ffffffffffffffff\r\n", b"-1\r\n\r\n", b"\r\n" * 500])
    return (first + rest) * rng.randrange(1, 5)


def nearly_tls(rng):
    head = bytes([rng.randrange(20, 25), 3, rng.randrange(0, 5)]) + rng.randbytes(2)
    return (head + rng.randbytes(rng.randrange(600))) * rng.randrange(1, 4)


def duplex(port, make, seed, seconds, connections=3):
    """Both ends send at once for a while. On some connections the end comes as a reset."""
    until = time.monotonic() + seconds
    threads = []

    def start(function, *arguments):
        threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        threads[-1].start()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        pairs = []
        for i in range(connections):
            asking = socket.create_connection(("127.0.0.1", port))
            answering, _ = listener.accept()
            pairs += [asking, answering]
            for number, sock in enumerate((asking, answering)):
                start(shout, sock, random.Random(seed + 2 * i + number), until, make)
                start(swallow, sock, until)
        for thread in threads:
            thread.join(seconds + 10)
        for sock in pairs:
            sock.close()


def shouting(t):
    for number, (name, make, wrong) in enumerate([("random bytes", anything, {"http", "tls"}),
                                                  ("what begins like HTTP", nearly_http, {"tls"}),
                                                  ("what begins like TLS", nearly_tls, {"http"})]):
        port = sjtest.free_port()
        with sjtest.Measure("--port", port) as m, sjtest.Measure("--port", port, command="trace", json_output=False) as tr:
            duplex(port, make, 100 * number, 3)
        t.at_least(m.completeness["requests"], 1, f"{name} from both ends at once is survived and counted")
        t.equal(wrong & set(protocols(m)), set(), f"{name} is not taken for something else", protocols=protocols(m))
        t.equal(m.completeness["lost"], 0, f"{name}: nothing is lost", completeness=m.completeness)
        check_printable(t, tr.text, f"{name}: the text is printable")
        t.all([s for s in m.report["services"] if s["requests"] < 0 or s["total"].get("max", 0) > 60],
              f"{name}: no time without sense")


# ---- names and paths ------------------------------------------------------------------------------------------------

NAME = b"ev\x1b[2Jil\n\xff\xc3\xa9x"
PATHS = [b"/a\x1b[31mred", b"/b\x07bell", b"/c\xff\xfe\xc0", "/d\u00e9\u202e\u2028".encode(), b'/e"\\quote', b"/f\tg",
         b"/h\x7f\x80\x9b2J", b"/i<script>", b"/%1b%5b2J"]

EVIL = r"""
import ctypes, os, socket, sys
name, listen, ready = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), sys.argv[3]
ctypes.CDLL(None).prctl(15, name)
if listen.isdigit():
    s = socket.socket(); s.bind(("127.0.0.1", int(listen)))
else:
    s = socket.socket(socket.AF_UNIX); s.bind(listen.replace(b"@", b"\0", 1) if listen[:1] == b"@" else listen)
s.listen(64)
open(ready, "w").close()
while True:
    c, _ = s.accept()
    while c.recv(65536):
        c.sendall(b"HTTP/1.1 200 O\x1bK\r\nContent-Length: 0\r\n\r\n")
    c.close()
"""


def check_printable(t, text, name):
    """Lines of printable characters: nothing that a terminal obeys, nothing that reorders or breaks lines."""
    bad = {c for c in text if c != "\n" and not c.isprintable() and c not in "\u00a0\u2007\u202f\u2009"}
    return t.equal(bad, set(), name)


def evil_server(where):
    ready = sjtest.temp("ready")
    process = sjtest.Process([sys.executable, "-c", EVIL, os.fsdecode(NAME), where, ready])
    sjtest.await_true(lambda: os.path.exists(ready), "the server", process=process)
    return process


def ask_evil(target):
    for path in PATHS:
        with socket.socket(socket.AF_INET if isinstance(target, tuple) else socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(target)
            s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            s.recv(4096)


def strict_json(t, data, name):
    """Valid UTF-8 without control characters, valid JSON, and no key told twice."""
    def no_twice(pairs):
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key is told twice: {keys}")
        return dict(pairs)

    def no_constant(word):
        raise ValueError(f"{word} is no JSON")

    try:
        text = data.decode("utf-8", errors="strict")
        if any(ord(c) < 32 and c != "\n" for c in text):
            raise ValueError("a control character stands as itself")
        value = json.loads(text, object_pairs_hook=no_twice, parse_constant=no_constant)
    except ValueError as trouble:
        t.ok(False, name, trouble=trouble, data=data[:300])
        return None
    t.ok(True, name)
    return value


def names_and_paths(t):
    port = sjtest.free_port()
    server = evil_server(str(port))
    with sjtest.Measure("--port", port, command="trace", json_output=False) as text, \
            sjtest.Measure("--port", port, command="trace") as lines, \
            sjtest.Measure("--port", port) as m, sjtest.Measure("--port", port, json_output=False) as table:
        ask_evil(("127.0.0.1", port))
    recording = sjtest.temp("recording")
    recorder = sjtest.Process([sjtest.SOJOURN, "record", "-o", recording, "--port", port])
    sjtest.await_true(lambda: "measuring" in recorder.err(), "measuring", process=recorder)
    ask_evil(("127.0.0.1", port))
    sjtest.stop(recorder, 2)
    sjtest.stop(server)

    report = strict_json(t, read(m.process.out_path), "report --json of evil names is strict JSON")
    for line in read(lines.process.out_path).splitlines():
        if strict_json(t, line, "trace --json: a line is strict JSON") is None:
            break
    name = NAME[:15].decode("utf-8", errors="replace")
    names = {s["service"] for s in report["services"] if s["role"] == "server"}
    t.equal(len(names), 1, "the server has one name", names=names)
    t.ok(all(n.startswith("ev\x1b[2Jil\n") for n in names), "JSON holds the name as it is", names=names, like=name)
    t.equal((m.requests(role="server"), m.requests(role="client")), (len(PATHS), len(PATHS)),
            "every request is counted whatever its path", operations=m.operations(role="server"))
    t.equal(len(text.text.splitlines()) - len([x for x in text.text.splitlines() if not x.strip()]),
            len(read(text.process.out_path).split(b"\n")) - 1, "no name breaks a line")
    check_printable(t, text.text, "trace: the text is printable")
    check_printable(t, table.text, "report: the table is printable")
    for arguments, environment in [(["report"], "C"), (["trace"], "C"), (["report"], "C.UTF-8"), (["trace"], "C.UTF-8")]:
        done = subprocess.run([sjtest.SOJOURN, *arguments, "--from", recording], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, env={**os.environ, "LC_ALL": environment})
        out = done.stdout.decode("utf-8" if environment != "C" else "ascii", errors="replace")
        t.equal((done.returncode, done.stderr, "\ufffd" in out), (0, b"", False),
                f"{arguments[0]} --from in the locale {environment} prints its characters only")
        check_printable(t, out, f"{arguments[0]} --from in the locale {environment}: printable")
    again = subprocess.run([sjtest.SOJOURN, "report", "--json", "--from", recording], stdout=subprocess.PIPE, check=True)
    replayed = strict_json(t, again.stdout, "report --json --from is strict JSON")
    t.equal({s["service"] for s in replayed["services"] if s["role"] == "server"}, names, "a recording keeps the name")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def socket_paths(t):
    folder = sjtest.temp("folder")
    os.mkdir(folder)
    for name, path in [("a path", os.fsencode(folder) + b"/so\x1b[31m\nck\xff"),
                       ("an abstract name", b"@" + os.path.basename(folder).encode() + b"\x1b[31m\n\xff")]:
        server = evil_server(os.fsdecode(path))
        target = path.replace(b"@", b"\0", 1) if path[:1] == b"@" else path
        with sjtest.Measure("--pid", server.pid, command="trace", json_output=False) as text, \
                sjtest.Measure("--pid", server.pid, command="trace") as lines:
            ask_evil(target)
        sjtest.stop(server)
        t.equal(len(lines.lines), len(PATHS), f"{name} with control characters: all are told")
        shown = {line.get("local") for line in lines.lines}
        t.equal(len(shown), 1, f"{name}: one address", shown=shown)
        t.ok(all("so\x1b[31m\nck" in s or "\x1b[31m\n" in s for s in shown), f"{name}: JSON holds it as it is", got=shown)
        for line in read(lines.process.out_path).splitlines()[:1]:
            strict_json(t, line, f"{name}: strict JSON")
        check_printable(t, text.text, f"{name}: the text is printable")
        t.equal(len(text.text.splitlines()), len(text.text.split("\n")) - 1, f"{name}: and breaks no line")


sjtest.main(random_turns, shouting, names_and_paths, socket_paths)
