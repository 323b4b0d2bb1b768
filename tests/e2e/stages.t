#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every nanosecond of a request is in exactly one stage, and in the right one: held against the servers' own clocks."""

import functools
import os
import shutil
import socket
import subprocess
import time

import sjtest
from sjtest import median, ns, quantile

MS = 1_000_000
NAME = f"stg{os.getpid()}"  # AF_UNIX has no port to filter by
SERVER_STAGES = ["queue", "oncpu", "busy", "runq", "blocked", "handoff", "send"]
CLIENT_STAGES = ["send", "wait", "pickup", "receive"]
CAUSES = ["lock", "disk", "net", "sleep", "other"]
PEACE = "/var/tmp"  # on a disk, where fsync takes time


@functools.cache
def may_go_first():
    trial = ["chrt", "--fifo", "1", "true"]
    return shutil.which("chrt") is not None and subprocess.run(trial, check=False).returncode == 0


def first_in_line(priority=10):
    """Runs a server ahead of everything ordinary, so that other work on the machine does not blur its truth."""
    return ["chrt", "--fifo", str(priority)] if may_go_first() else []


def times(line):
    """The stages of a line of trace, and the causes of its sleep, in whole ns."""
    stages = {name: ns(value) for name, value in line["stages"].items()}
    causes = {name: ns(value) for name, value in line.get("blocked_by", {}).items()}
    return stages, causes


def check_sums(t, name, lines):
    """For every request, not for most of them."""
    residual, causes_off, negative, wrong_names = [], [], [], []
    for line in lines:
        stages, causes = times(line)
        if sum(stages.values()) != ns(line["total"]):
            residual.append(line)
        if sum(causes.values()) != stages.get("blocked", 0):
            causes_off.append(line)
        if min(stages.values()) < 0 or ns(line["total"]) <= 0:
            negative.append(line)
        expected = SERVER_STAGES if line["role"] == "server" else CLIENT_STAGES
        if list(stages) != expected or not set(causes) <= set(CAUSES):
            wrong_names.append(line)
    t.all(residual, f"{name}: the stages sum to the total, to the nanosecond, for all of {len(lines)}")
    t.all(causes_off, f"{name}: the causes sum to blocked, to the nanosecond")
    t.all(negative, f"{name}: no stage is negative, no total is zero")
    t.all(wrong_names, f"{name}: each has the stages of its role")


def connection(peer):
    """Unix sockets have no name of their own: tests use one of them at a time."""
    return peer if peer.rpartition(":")[2].isdigit() else ""


def joined(t, name, lines, log):
    """Pairs (line of trace, line of the server's log): each connection's requests in their order."""
    by_peer, pairs = {}, []
    for line in sorted(lines, key=lambda line: line["time"]):
        by_peer.setdefault(connection(line.get("peer", "")), []).append(line)
    truths = {}
    for entry in sorted(log, key=lambda entry: entry["recv_ns"]):
        truths.setdefault(connection(entry["peer"]), []).append(entry)
    counts = {peer: len(entries) for peer, entries in truths.items()}
    if t.equal({peer: len(found) for peer, found in by_peer.items()}, counts, f"{name}: every request is traced"):
        for peer, found in by_peer.items():
            pairs += zip(found, truths[peer])
    return pairs


def traced(t, name, server, client, requests, log=False, listen="127.0.0.1:0", prefix=None, client_prefix=()):
    """Runs a load; returns the server-side pairs and the client-side lines, whose sums are checked."""
    with sjtest.Server(*server, "--name", NAME, log=True, listen=listen,
                       prefix=first_in_line() if prefix is None else prefix) as srv:
        where = ("--comm", NAME) if srv.unix else ("--port", srv.port)
        with sjtest.Measure(*where, command="trace") as m:
            load = sjtest.Client(srv, "--requests", requests, "--name", NAME, *client, log=log, prefix=client_prefix)
            sent = load.finish()
    t.equal(sent["answered"], requests, f"{name}: the load is as asked for")
    asked = m.select(role="client")
    t.equal(len(asked), requests, f"{name}: every request is traced as client")
    check_sums(t, f"{name}, server", m.select(role="server"))
    check_sums(t, f"{name}, client", asked)
    pairs = joined(t, name, m.select(role="server"), srv.log())
    return (pairs, asked, load.log()) if log else (pairs, asked)


def near_truth(t, name, pairs, what, measured, truth, relative=0.02, absolute=100_000):
    """
    Each request against its own truth: the middle half of the differences is not all beyond 2 % of the median truth or
    100 us. A wrong account is wrong in all of them; what a busy machine puts between two clocks it puts in many.
    """
    if not pairs:
        return
    got = [measured(*times(line)) for line, _ in pairs]
    true = [truth(entry) for _, entry in pairs]
    margin = max(relative * median(true), absolute)
    off = [g - e for g, e in zip(got, true)]
    low, high = quantile(off, 0.25), quantile(off, 0.75)
    t.ok(low <= margin and high >= -margin, f"{name}: {what} as the server knows it, {median(true) / MS:.3f} ms",
         differences=f"{low} to {high} ns, of {margin} ns", measured=f"median {median(got)} ns")


def absent(t, name, pairs, stages=("busy", "handoff"), causes=()):
    for stage in stages:
        t.all([line for line, _ in pairs if times(line)[0][stage]], f"{name}: {stage} is 0 throughout")
    for cause in causes:
        t.all([line for line, _ in pairs if times(line)[1].get(cause)], f"{name}: never blocked by {cause}")


def cost(name):
    return lambda entry: ns(entry[name])


def by(cause):
    return lambda stages, causes: causes.get(cause, 0)


def stage(name):
    return lambda stages, causes: stages[name]


def service(stages, causes):
    return sum(stages[name] for name in ("oncpu", "busy", "runq", "blocked", "handoff"))


def one_at_a_time(t):
    """One request per thread: exact."""
    for model in "single", "thread", "fork":
        one_per_thread(t, model)
    name = "unix, cpu and sleep and an answer in pieces"
    pairs, _ = traced(t, name, ("--cpu", "3ms", "--sleep", "20ms", "--pieces", 3, "--piece-gap", "5ms"), (), 29,
                      listen="unix:" + sjtest.temp("u"))
    the_usual(t, name, pairs)


def the_usual(t, name, pairs):
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    near_truth(t, name, pairs, "blocked by sleep", by("sleep"), cost("sleep"))
    near_truth(t, name, pairs, "send", stage("send"), cost("send"))
    near_truth(t, name, pairs, "service", service, cost("service"))
    absent(t, name, pairs, causes=("lock", "disk", "net"))


def one_per_thread(t, model):
    client = ("--connections", 1 if model == "single" else 2)
    common = ("--model", model, "--cpu", "3ms")

    name = f"{model}, cpu and sleep and an answer in pieces"
    pairs, _ = traced(t, name, (*common, "--sleep", "20ms", "--pieces", 3, "--piece-gap", "5ms"), client, 29)
    the_usual(t, name, pairs)

    name = f"{model}, futex"
    pairs, _ = traced(t, name, (*common, "--futex", "10ms"), client, 29)
    near_truth(t, name, pairs, "blocked by lock", by("lock"), cost("futex"))
    near_truth(t, name, pairs, "service", service, cost("service"))
    absent(t, name, pairs, causes=("disk", "net", "sleep"))

    name = f"{model}, downstream call"
    with sjtest.Server("--model", "thread") as downstream:
        calls = "--downstream", downstream.address, "--downstream-delay", "10ms"
        pairs, _ = traced(t, name, (*common, *calls), client, 29)
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    near_truth(t, name, pairs, "blocked by net, and calling", lambda s, c: c.get("net", 0) + s["oncpu"] - 3 * MS,
               cost("downstream"))
    near_truth(t, name, pairs, "service", service, cost("service"))
    absent(t, name, pairs, causes=("disk", "sleep"))

    name = f"{model}, fsync"
    pairs, _ = traced(t, name, (*common, "--fsync", 3, "--dir", PEACE), client, 29)
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    near_truth(t, name, pairs, "blocked by disk, and writing", lambda s, c: c.get("disk", 0) + s["oncpu"] - 3 * MS,
               cost("fsync"))
    near_truth(t, name, pairs, "service", service, cost("service"))
    absent(t, name, pairs, causes=("net", "sleep"))

    name = f"{model}, nothing but cpu"
    pairs, _ = traced(t, name, common, client, 29)
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    near_truth(t, name, pairs, "service", service, cost("service"))
    absent(t, name, pairs, ("busy", "handoff", "blocked", "send"), CAUSES)
    t.all([line for line, _ in pairs if line["interleaved"]], f"{name}: never interleaved")


def fewer_stages(t):
    """What is not wanted is absent, and the rest is as before."""
    waits = ["queue", "send"]
    for mode, server_stages, client_stages in (("none", [], []), ("queue", waits, CLIENT_STAGES),
                                               ("all", SERVER_STAGES, CLIENT_STAGES)):
        name = f"--stages {mode}"
        with sjtest.Server("--sleep", "5ms", "--pieces", 2, "--piece-gap", "5ms", log=True) as server:
            with sjtest.Measure("--port", server.port, "--stages", mode, command="trace") as m:
                sjtest.client(server, "--requests", 11)
        for role, stages in (("server", server_stages), ("client", client_stages)):
            lines = m.select(role=role)
            t.equal((len(lines), {tuple(line["stages"]) for line in lines}), (11, {tuple(stages)}),
                    f"{name}: as {role}")
        pairs = joined(t, name, m.select(role="server"), server.log())
        near_truth(t, name, [({**line, "stages": {"total": line["total"], "queue": 0, **line["stages"]}}, entry)
                             for line, entry in pairs if mode != "none"], "total without queue",
                   lambda s, c: s["total"] - s["queue"], lambda e: e["done_ns"] - e["recv_ns"])
        t.all([line for line in m.lines if ns(line["total"]) < 10 * MS], f"{name}: the total is all of it")


def waiting_for_a_cpu(t):
    """Two threads that compute on one CPU wait for each other."""
    name = "two on one cpu"
    pairs, _ = traced(t, name, ("--model", "thread", "--cpu", "20ms", "--schedstat"), ("--connections", 2), 20,
                      prefix=["taskset", "--cpu-list", "0"])
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    near_truth(t, name, pairs, "runq", stage("runq"), cost("runq"))
    t.at_least(median([times(line)[0]["runq"] for line, _ in pairs]), 5 * MS, f"{name}: there is runq")
    absent(t, name, pairs, ("busy", "handoff"), ("lock", "disk", "net", "sleep"))


def event_loop(t):
    """An epoll server with eight requests in flight: its CPU time is shared out among them."""
    for name, costs in (("event loop, cpu before the sleep", ("--cpu", "2ms", "--sleep", "20ms")),
                        ("event loop, cpu after the sleep", ("--cpu-after", "3ms", "--sleep", "20ms")),
                        ("event loop, cpu before and after",
                         ("--cpu", "2ms", "--cpu-after", "1ms", "--sleep", "20ms"))):
        pairs, _ = traced(t, name, ("--model", "epoll", *costs), ("--connections", 8), 203)
        near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"), 0.10, 0)
        near_truth(t, name, pairs, "oncpu and busy", lambda s, c: s["oncpu"] + s["busy"],
                   lambda e: ns(e["cpu"]) + ns(e["busy"]), 0.10, 0)
        near_truth(t, name, pairs, "busy", stage("busy"), cost("busy"), 0.10, 200_000)
        near_truth(t, name, pairs, "service", service, cost("service"))
        t.at_least(median([ns(entry["busy"]) for _, entry in pairs]), 3 * MS, f"{name}: the requests do overlap")
        t.all([line for line, entry in pairs if ns(entry["busy"]) > MS and not line["interleaved"]],
              f"{name}: who shared the thread is flagged")
        absent(t, name, pairs, ("handoff",), ("lock", "disk"))

    name = "event loop, one at a time"
    pairs, _ = traced(t, name, ("--model", "epoll", "--cpu", "2ms", "--sleep", "5ms"), ("--connections", 1), 29)
    near_truth(t, name, pairs, "oncpu", stage("oncpu"), cost("cpu"))
    absent(t, name, pairs, ("busy", "handoff"), ("lock", "disk"))
    t.all([line for line, _ in pairs if line["interleaved"]], f"{name}: never interleaved")


def handed_over(t):
    """One thread receives, another one answers: no clock can be subtracted."""
    name = "handoff"
    pieces = "--pieces", 2, "--piece-gap", "3ms"
    pairs, _ = traced(t, name, ("--model", "handoff", "--cpu", "2ms", "--sleep", "5ms", *pieces),
                      ("--connections", 8), 203)
    near_truth(t, name, pairs, "the service, as handoff", stage("handoff"), cost("service"))
    near_truth(t, name, pairs, "send", stage("send"), cost("send"))
    t.all([line for line, _ in pairs if not times(line)[0]["handoff"]], f"{name}: all of them have it")
    absent(t, name, pairs, ("oncpu", "busy", "runq", "blocked"), CAUSES)


def staircase(t):
    """Five clients connect to a single-threaded server, then send at one instant."""
    name = "staircase"
    pairs, _, asked = traced(t, name, ("--model", "single", "--cpu", "5ms", "--sleep", "20ms"),
                             ("--connections", 5, "--connect-first", "--one-shot"), 5, log=True,
                             client_prefix=first_in_line(20))  # all five are sent before the first is served
    if len(pairs) != 5:
        return
    pairs.sort(key=lambda pair: pair[0]["total"])
    sent = {entry["n"]: entry["start_ns"] for entry in asked}
    for i, (line, entry) in enumerate(pairs):
        stages, _ = times(line)
        step = f"{name}, client {i + 1}"
        number = int(entry["path"].rpartition("/")[2])
        waited = entry["recv_ns"] - sent[number]
        # Nobody can be served faster; how much slower the machine lets it be, the server's own clock tells.
        t.at_least(line["total"], 0.0249 * (i + 1), f"{step}: total is at least {25 * (i + 1)} ms")
        t.between(stages["queue"] - waited, -2 * MS, MS, f"{step}: queue is all that the server knows nothing of")
        t.near(service(stages, {}), ns(entry["service"]), 0.02, 500_000, f"{step}: the rest is what it does know")
        if i:
            t.at_least(stages["queue"], 24.9 * MS * i, f"{step}: queue is all but its own 25 ms")
    t.diag("totals " + ", ".join(f"{line['total'] * 1e3:.1f}" for line, _ in pairs) + " ms; queue "
           + ", ".join(f"{line['stages']['queue'] * 1e3:.1f}" for line, _ in pairs) + " ms")
    near_truth(t, name, pairs, "service", service, cost("service"))


def queue(t):
    """Four connections to one thread that computes: how long a request lay there, both ends together know."""
    name = "queue before one thread"
    pairs, _, asked = traced(t, name, ("--model", "epoll", "--cpu", "5ms"), ("--connections", 4), 101, log=True,
                             client_prefix=first_in_line(20))
    sent = {entry["n"]: entry["start_ns"] for entry in asked}

    def waited(entry):
        return entry["recv_ns"] - sent[int(entry["path"].rpartition("/")[2])]

    near_truth(t, name, pairs, "queue", stage("queue"), waited)
    t.at_least(median([waited(entry) for _, entry in pairs]), 10 * MS, f"{name}: there is a queue")
    t.all([(line, entry) for line, entry in pairs if times(line)[0]["queue"] > waited(entry)],
          f"{name}: it is never longer than from send to recv")


def pipelined(t):
    """Seven requests in one write: each has its own latency."""
    for transport, listen in (("tcp", "127.0.0.1:0"), ("unix", "unix:" + sjtest.temp("u"))):
        name = f"pipelined by 7, {transport}"
        with sjtest.Server("--model", "thread", "--sleep", "10ms", log=True, listen=listen,
                           prefix=first_in_line()) as server:
            where = ("--pid", server.pid) if server.unix else ("--port", server.port)
            with sjtest.Measure(*where, command="trace") as m:
                sjtest.client(server, "--requests", 28, "--pipeline", 7)
        lines = m.select(role="server")
        check_sums(t, f"{name}, server", lines)
        check_sums(t, f"{name}, client", m.select(role="client"))
        if not t.equal(len(lines), 28, f"{name}: every request is traced"):
            continue
        pairs = list(zip(lines, sorted(server.log(), key=lambda entry: entry["send_ns"])))
        near_truth(t, name, pairs, "service", service, cost("service"))
        near_truth(t, name, pairs, "blocked by sleep", by("sleep"), cost("sleep"))
        for k in range(7):
            mine = [times(line)[0]["queue"] for line in lines[k::7]]
            if k:
                t.at_least(min(mine), 9.9 * k * MS, f"{name}: request {k + 1} waits for the {k} before it")
            else:
                t.at_most(min(mine), 2 * MS, f"{name}: the first one need not wait")
        if not server.unix:
            waits = [ns(line["total"]) for line in m.select(role="client")]
            for k in range(7):
                t.at_least(min(waits[k::7]), 9.9 * (k + 1) * MS, f"{name}: so does the client for answer {k + 1}")


def clients(t):
    """The client's stages, with a client that dawdles at each of them."""
    name = "client's stages"
    with sjtest.Server("--model", "thread", "--sleep", "30ms", "--pieces", 3, "--piece-gap", "20ms", log=True) as server:
        with sjtest.Measure("--port", server.port, "--role", "client", command="trace") as m:
            stamps = [dawdle(server, pickup) for pickup in (0.0, 0.2) for _ in range(5)]
    truth = [stages_of(entry, *stamps[i], i >= 5) for i, entry in enumerate(server.log())]
    lines = m.select(role="client")
    check_sums(t, name, lines)
    if not t.equal(len(lines), 10, f"{name}: every request is traced"):
        return
    for i, kind in enumerate(("prompt", "late")):
        mine, true = lines[5 * i:5 * i + 5], truth[5 * i:5 * i + 5]
        for what in (("send",), ("wait", "pickup"), ("receive",)) if kind == "prompt" else [[s] for s in CLIENT_STAGES]:
            off = [sum(ns(line["stages"][s]) - entry[s] for s in what) for line, entry in zip(mine, true)]
            t.between(median(off), -3 * MS, 3 * MS, f"{name}, {kind} reader: {' and '.join(what)} as it knows it")
        t.at_least(median([ns(line["stages"]["wait"]) for line in mine]), 30 * MS, f"{name}, {kind} reader: it waits")
        if kind == "late":
            t.at_least(median([ns(line["stages"]["pickup"]) for line in mine]), 100 * MS, f"{name}: so does the answer")
        off = [ns(line["total"]) - entry["total"] for line, entry in zip(mine, true)]
        t.between(median(off), -MS, MS, f"{name}, {kind} reader: total as it knows it")


def dawdle(server, pickup):
    """One request whose second half is sent 50 ms after the first, the answer read `pickup` s after it is there."""
    with socket.create_connection(server.target(), timeout=30) as s:
        start = time.monotonic_ns()
        s.sendall(b"GET /slowly HTTP/1.1\r\nHost: h\r\n")
        time.sleep(0.05)
        sent = time.monotonic_ns()
        s.sendall(b"Connection: close\r\n\r\n")
        if pickup:
            time.sleep(0.03 + pickup)
        s.recv(1)
        first = time.monotonic_ns()
        while s.recv(65536):
            last = time.monotonic_ns()
    return start, sent, first, last


def stages_of(entry, start, sent, first, last, late):
    """What both ends know of a client's stages. A reader that is there takes the answer up as it comes."""
    there = entry["send_ns"] if late else first
    return {"send": sent - start, "wait": there - sent, "pickup": first - there, "receive": last - first,
            "total": last - start}


sjtest.main(one_at_a_time, fewer_stages, waiting_for_a_cpu, event_loop, handed_over, staircase, queue, pipelined, clients)
