#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both probe sets side by side, on the same requests: the same counts, and nearly the same latencies."""

import os

import sjtest

N = 2003
NAME = f"both{os.getpid()}"


def same(t, name, listen="127.0.0.1:0", client=()):
    with sjtest.Server("--model", "thread", "--name", NAME, "--sleep", "2ms", listen=listen) as srv:
        where = ("--comm", NAME) if srv.unix else ("--port", srv.port)
        with sjtest.Measure(*where, "--probe-set", "socket") as one, \
                sjtest.Measure(*where, "--probe-set", "syscall") as other:
            sjtest.client(srv, "--requests", N, "--name", NAME, *client)
    t.equal((one.report["probe"]["set"], other.report["probe"]["set"]), ("socket", "syscall"),
            f"{name}: each says which set it is")
    for role in "server", "client":
        t.equal((one.requests(role=role), other.requests(role=role)), (N, N), f"{name}: {N} as {role} by both")
        a, b = (m.services(role=role)[0]["total"]["p50"] for m in (one, other))
        t.diag(f"{name}, {role}: medians {a * 1e6:.1f} and {b * 1e6:.1f} us")
        t.near(b, a, 0.10, 50e-6, f"{name}: the medians as {role} agree")
    for m in one, other:
        t.equal((m.completeness["lost"], m.completeness["cut_off"]), (0, 0), f"{name}: nothing is lost or cut off")


def both(t):
    four = ("--connections", 4)
    same(t, "TCP, keep-alive", client=four)
    same(t, "TCP, one connection each", client=("--one-shot", *four))
    same(t, "unix, keep-alive", listen="unix:" + sjtest.temp("u"), client=four)
    same(t, "unix, one connection each", listen="unix:" + sjtest.temp("u"), client=("--one-shot", *four))


sjtest.main(both)
