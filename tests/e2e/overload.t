#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overload: sojourn itself is stopped, its ring is small and full. Nothing may be lost but detail."""

import contextlib
import re
import signal
import time

import sjtest

RING = ("--ring", "64KiB")

# One request in ten is a 500; which ones, a hash of connection and request number decides.
SOME_ERRORS = 'split_clients "$connection,$connection_requests" $bad { 10% 1; * ""; }'
ERROR_OR_HELLO = 'location / { default_type text/plain; if ($bad) { return 500 "bad"; } return 200 "hello"; }'


@contextlib.contextmanager
def stopped(measure):
    """sojourn does not run meanwhile; what it has attached goes on."""
    measure.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        measure.process.send_signal(signal.SIGCONT)


class Wrk:
    """wrk in the background: .requests and .errors as it counts them after finish()."""

    def __init__(self, url, seconds, connections):
        self.process = sjtest.Process(["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", url])

    def finish(self):
        text = self.process.finish()
        self.requests = int(re.search(r"(\d+) requests in", text)[1])
        found = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        self.errors = int(found[1]) if found else 0


def adds_up(t, name, m):
    done = m.completeness
    t.equal((done["requests"], done["lost"]), (done["detailed"] + done["counted_only"], 0),
            f"{name}: requests are detailed or counted only, none is lost", completeness=done)
    t.equal((sum(s["requests"] for s in m.report["services"]), sum(s["counted_only"] for s in m.report["services"])),
            (done["requests"], done["counted_only"]), f"{name}: the services' numbers sum up to that",
            services=[(s.get("service"), s["requests"], s["counted_only"]) for s in m.report["services"]])
    t.at_least(done["counted_only"], 1, f"{name}: some have no detail", completeness=done)


def same_quantiles(t, name, got, wanted):
    """The same requests were measured twice at the same time: what differs is how they were kept."""
    for key in ("p50", "p90", "p99", "mean"):
        t.near(got["total"][key], wanted["total"][key], 0.05, 10e-6, f"{name}: total {key} as without overload")
    low, high = got["total"]["p99_ci"]
    t.between(wanted["total"]["p99"], 0.95 * low - 10e-6, 1.05 * high + 10e-6,
              f"{name}: the interval of p99 contains the one without overload", total=got["total"])
    outside = []
    for stage, values in wanted["stages"].items():
        for key in ("p50", "p99"):
            low, high = got["stages"][stage][key + "_bounds"]
            if not 0.95 * low - 10e-6 <= values[key] <= 1.05 * high + 10e-6:
                outside.append((stage, key, values[key], (low, high)))
    t.all(outside, f"{name}: the bounds of the stages contain those without overload")
    off = [(stage, values["mean"], got["stages"][stage]["mean"]) for stage, values in wanted["stages"].items()
           if abs(values["mean"] - got["stages"][stage]["mean"]) > max(0.05 * values["mean"], 10e-6)]
    t.all(off, f"{name}: the stages' means are as without overload")


def under_wrk(t):
    name = "wrk on nginx"
    with sjtest.Nginx(locations=ERROR_OR_HELLO, http=SOME_ERRORS) as nginx:
        only = ("--port", nginx.port, "--role", "server")
        with sjtest.Measure(*only, *RING) as m, sjtest.Measure(*only, "--ring", "16MiB") as undisturbed:
            before = nginx.stub_status()["requests"]
            connections = 16
            wrk = Wrk(nginx.url + "/", 4, connections)
            time.sleep(1)
            with stopped(m):
                time.sleep(2)
            wrk.finish()
            time.sleep(0.3)
            served = nginx.stub_status()["requests"] - before - 1
    done = m.completeness
    t.diag(f"{name}: {served} requests, {done}, undisturbed {undisturbed.completeness}")
    # A request may have reached nginx whose connection was closed by wrk before the answer: it is cut off.
    t.between(done["requests"], served - connections, served, f"{name}: as many as nginx counts", completeness=done)
    t.between(done["requests"] + done["cut_off"], served, served + connections, f"{name}: the others are cut off",
              completeness=done)
    t.equal(undisturbed.completeness["requests"], done["requests"], f"{name}: as many as without overload")
    adds_up(t, name, m)
    t.equal({(s.get("service"), s.get("pid")) for s in m.report["services"]}, {("nginx", nginx.pid)},
            f"{name}: all are nginx's", services=[(s.get("service"), s["requests"]) for s in m.report["services"]])
    ours, theirs = (x.services(service="nginx")[0] for x in (m, undisturbed))
    same_quantiles(t, name, ours, theirs)
    low, high = ours.get("error_ratio_bounds", (None, None))
    ratio = wrk.errors / wrk.requests
    if t.ok("error_ratio" not in ours and low is not None, f"{name}: under loss the error ratio is an interval",
            service={k: ours.get(k) for k in ("error_ratio", "error_ratio_bounds")}):
        t.ok(low < high and low - 0.001 <= ratio <= high + 0.001, f"{name}: which contains the true one",
             interval=(low, high), true=ratio)
        t.near(low, ours["errors"] / ours["requests"], 1e-6, 0, f"{name}: at least the errors that were seen")
        t.near(high, (ours["errors"] + ours["counted_only"]) / ours["requests"], 1e-6, 0,
               f"{name}: at most all that have no detail, too")


def exact_counts(t):
    """A known number while sojourn stands still, on both sides; afterwards there is detail again."""
    name = "keep-alive"
    with sjtest.Server("--name", "answerer") as server, sjtest.Measure("--port", server.port, *RING) as m:
        with stopped(m):
            sjtest.client(server, "--requests", 20011, "--connections", 5, "--path", "/during/{n}", "--name", "asker")
        time.sleep(1)
        # so few that they nearly fit into the ring: sojourn may lose the CPU for a while again
        sjtest.client(server, "--requests", 31, "--path", "/after/{n}", "--gap", "10ms", "--name", "asker")
    adds_up(t, name, m)
    for role, service in (("server", "answerer"), ("client", "asker")):
        t.equal(m.requests(role=role, service=service, protocol="http"), 20042,
                f"{name}: every {role}'s request counts")
        t.equal(m.operations(role=role, service=service).get("GET /after/:id"), 31,
                f"{name}: afterwards all have detail again ({role})", operations=m.operations(role=role))
    t.equal(m.completeness["requests"], 40084, f"{name}: and nothing else does")
    t.equal(m.completeness["cut_off"], 0, f"{name}: none is cut off")


def connections_come_and_go(t):
    """Every request on a connection of its own; a unix socket dies without a word."""
    for unix in (False, True):
        name = "one-shot unix" if unix else "one-shot TCP"
        listen = "unix:" + sjtest.temp("socket") if unix else "127.0.0.1:0"
        with sjtest.Server("--name", "answerer", "--close", listen=listen) as server:
            only = ("--comm", "answerer") if unix else ("--port", server.port)
            with sjtest.Measure(*only, *RING) as m:
                with stopped(m):
                    sjtest.client(server, "--requests", 3001, "--connections", 3, "--one-shot", "--name", "asker")
        adds_up(t, name, m)
        t.equal(m.requests(role="server", service="answerer", protocol="http"), 3001, f"{name}: every request counts")
        if not unix:
            t.equal(m.requests(role="client", service="asker", protocol="http"), 3001, f"{name}: as client, too")
            t.equal(m.completeness["requests"], 6002, f"{name}: and nothing else does")


def answers_go_on(t):
    """What is counted at its first byte grows with its last one, wherever that becomes known."""
    name = "answers in pieces"
    gap, pieces = 0.02, 3
    with sjtest.Server("--model", "epoll", "--name", "answerer", "--pieces", pieces,
                       "--piece-gap", f"{gap}s") as server:
        with sjtest.Measure("--port", server.port, *RING) as m:
            with stopped(m):
                sjtest.client(server, "--requests", 3001, "--connections", 300, "--name", "asker")
                idle = sjtest.Client(server, "--requests", 300, "--connections", 300, "--connect-first",
                                     "--idle-after", "2s", "--name", "asker")
                time.sleep(0.6)
            idle.finish()
    adds_up(t, name, m)
    t.equal(m.completeness["requests"], 6602, f"{name}: each counts once", completeness=m.completeness)
    for role, service in (("server", "answerer"), ("client", "asker")):
        found = m.services(role=role, service=service)
        t.equal(sum(s["requests"] for s in found), 3301, f"{name}: for whom it was ({role})",
                services=[(s.get("service"), s["role"], s["requests"]) for s in m.report["services"]])
        # every answer takes at least the gaps between its pieces; a bucket is at most 1 % wide
        t.at_least(min((s["total"]["p50"] for s in found), default=0), 0.99 * gap * (pieces - 1),
                   f"{name}: totals go to the last byte ({role})", services=[s["total"] for s in found])


def pipelined(t):
    """Only turns can be counted: of a pipeline that is a lower bound, and is called so."""
    name = "pipelined by 7"
    with sjtest.Server("--name", "answerer") as server, sjtest.Measure("--port", server.port, *RING) as m:
        with stopped(m):
            sjtest.client(server, "--requests", 14007, "--pipeline", 7, "--connections", 3, "--name", "asker")
    adds_up(t, name, m)
    for role in ("server", "client"):
        t.between(m.requests(role=role), 2001, 14007, f"{name}: a lower bound as {role}")
    t.equal(m.completeness.get("lower_bound"), True, f"{name}: it is flagged", completeness=m.completeness)


sjtest.main(under_wrk, exact_counts, connections_come_and_go, answers_go_on, pipelined)
