#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon under more operations than it may show: the limit holds, sums are exact, no count falls, memory is
bounded; and under many scrapes at once, of which some never read what they asked for."""

import contextlib
import os
import re
import socket

import sjdaemon
import sjtest

OPERATIONS = 20000
LIMIT = 2000
MEMORY = 40 << 20
UNREAD = 12  # answers of 9 MB, of which the courier holds 32 MiB; beyond that it closes on who has not read longest
MEMORY_UNREAD = 96 << 20
METRICS = {"sojourn_request_duration_seconds_count": "service_name,role,protocol,operation",
           "sojourn_stage_duration_seconds_count": "stage", "sojourn_requests_total": "status_class",
           "sojourn_errors_total": ""}
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def word(number):
    """No digits and not hexadecimal: nothing that is taken for an id."""
    return "w" + "".join("ghjklmnpqr"[int(digit)] for digit in f"{number:05d}")


def ask(port, paths):
    """One after the other, on one connection; returns how many were answered."""
    answered = 0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for path in paths:
            sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\nhello" not in data:
                more = sock.recv(4096)
                if not more:
                    return answered
                data += more
            answered += 1
    return answered


def samples(text, name, **wanted):
    """{labels: value} of the samples of that name that have these labels."""
    found = {}
    for line in text.splitlines():
        match = line.startswith(name) and sjdaemon.SAMPLE.match(line)
        if match and match[1] == name and wanted.items() <= dict(sjdaemon.LABEL.findall(match[2] or "")).items():
            found[match[2]] = float(match[3])
    return found


def resident(*pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            total += int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10
    return total


def fell(before, after):
    return [key for key, value in before.items() if after.get(key, value) < value]


def the_limit_holds(t):
    service = f"shop{os.getpid() % 1000000}"
    ours = {"role": "server", "service_name": service}
    with sjtest.Nginx(program=sjdaemon.called("nginx", service)) as nginx, sjdaemon.Daemon() as d:
        def scrape(wanted):
            def counted():
                return sum(samples(d.get("/metrics")[1], "sojourn_requests_total", **ours).values()) >= wanted
            with contextlib.suppress(sjtest.Failed):
                sjtest.await_true(counted, f"{wanted} requests", timeout=20)
            return d.get("/metrics")[1]

        sent = ask(nginx.port, ["first"] * 100)
        first = scrape(sent)
        for round_ in (1, 2):
            sent += ask(nginx.port, [word(i) for i in range(OPERATIONS)])
            text = scrape(sent)
            for name in METRICS:
                every = samples(text, name)
                t.between(len(every), 4, LIMIT, f"round {round_}: {name}: at most {LIMIT} series")
                t.equal(fell(samples(first, name), every), [], f"round {round_}: {name}: none fell")
            for name in ("sojourn_request_duration_seconds_count", "sojourn_requests_total"):
                t.equal(sum(samples(text, name, **ours).values()), sent,
                        f"round {round_}: {name}: the sum over operations is what was sent")
            queued = samples(text, "sojourn_stage_duration_seconds_count", stage="send", **ours)
            detailed = d.metric("sojourn_completeness_requests_total", kind="counted_only")
            t.between(sum(queued.values()), sent - detailed, sent, f"round {round_}: and so is that of stages")
            first, rss = text, resident(d.process.pid, d.courier)
            t.diag(f"round {round_}: {rss / 2**20:.1f} MiB resident, {len(text)} bytes of text")
            t.between(rss, 1 << 20, MEMORY, f"round {round_}: both processes stay within {MEMORY >> 20} MiB")
        named = samples(text, "sojourn_request_duration_seconds_count", operation="GET /first", **ours)
        t.equal(list(named.values()), [100], "what came first has its name still")
        t.ok(samples(text, "sojourn_request_duration_seconds_count", operation="other", **ours),
             "what came late is the rest's")
        report = sum(s["requests"] for s in d.report()["services"] if (s["service"], s["role"]) == (service, "server"))
        t.equal(report, sent, "the report has them all too")
        many_scrapes(t, d, nginx, ours, sent)


def begin_scrape(port, accept):
    sock = socket.socket()
    sock.settimeout(60)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode())
    return sock


def body_of(sock):
    """Its status, whether all of it came, and the number of bytes."""
    pieces = []
    while more := sock.recv(1 << 16):
        pieces.append(more)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return int(head.split()[1]), len(body) == int(length[1]), len(body)


def begin_and_stop(port):
    """A scrape of which no more is read than shows that it is answered."""
    sock = begin_scrape(port, "*/*")
    sock.recv(1)
    return sock


def many_scrapes(t, d, nginx, ours, sent):
    """Ten that read, in all formats at once, while a dozen do not, each of which has an answer of its own."""
    accepts = ["*/*", OPENMETRICS, PROTOBUF]
    idle = [begin_and_stop(d.port) for _ in range(UNREAD)]
    for round_ in (1, 2, 3):
        busy = [begin_scrape(d.port, accepts[i % 3]) for i in range(10)]
        sent += ask(nginx.port, [word(i) for i in range(500)])
        answers = [body_of(sock) for sock in busy]
        for sock in busy:
            sock.close()
        t.equal([answer[:2] for answer in answers], [(200, True)] * 10, f"ten scrapes at once, {round_}: all whole",
                sizes=answers)
        t.between(resident(d.process.pid, d.courier), 1 << 20, MEMORY_UNREAD, "what nobody reads is bounded")
    sjtest.await_true(lambda: d.metric("sojourn_requests_total", **ours) >= sent, "the requests meanwhile")
    t.equal(d.metric("sojourn_requests_total", **ours), sent, "nothing that happened meanwhile is lost")
    t.equal(d.metric("sojourn_completeness_requests_total", kind="lost"), 0, "nor anything else")
    t.diag(f"{resident(d.process.pid, d.courier) / 2**20:.1f} MiB resident with {UNREAD} unread answers")
    for sock in idle:
        sock.close()
    t.equal((d.get("/-/ready")[0], d.process.poll()), (200, None), "the daemon goes on")


sjtest.main(the_limit_holds)
