#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon under a heavy load: as much as nginx answers in a minute, scraped each second, none of it lost."""

import contextlib
import re
import time

import sjdaemon
import sjtest

SECONDS = 60
RATE_WANTED = 50000
RSS_MOST = 40 << 20
RULES = ("alerts:\n  - name: slow\n    match: {role: server}\n    when: p99 > 1s\n    for: 60s\n"
         "slos:\n  - name: fast\n    match: {service: nginx, role: server}\n    objective: 99.9%\n    latency: 250ms\n")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def keeps_up(t):
    with sjtest.Nginx() as nginx, sjdaemon.Daemon(RULES) as d:
        pids = (d.process.pid, d.courier)
        labels = {"service_name": "nginx", "role": "server"}

        def counted():
            return sum(s["requests"] for s in d.report()["services"]
                       if (s["role"], s.get("port")) == ("server", nginx.port))

        before, cpu = nginx.stub_status()["requests"], sum(map(cpu_ns, pids))
        load = sjtest.Process(["wrk", "-t1", "-c32", f"-d{SECONDS}s", nginx.url])
        begin = time.monotonic()
        rss, counts = [], []
        while load.poll() is None:
            counts.append(d.metric("sojourn_requests_total", **labels) or 0)
            rss.append(sum(map(resident, pids)))
            time.sleep(max(0.0, begin + len(rss) - time.monotonic()))
        took = time.monotonic() - begin
        cpu = sum(map(cpu_ns, pids)) - cpu
        after = nginx.stub_status()["requests"]
        asked = after - before - 1  # nginx's answers to those that ask for its count are on another port
        with contextlib.suppress(sjtest.Failed):
            sjtest.await_true(lambda: counted() >= asked, "all requests", timeout=3)
        own = counted()
        done = d.report()["completeness"]
    t.diag(f"{asked} requests in {took:.1f} s, {asked / took:.0f} a second; {RATE_WANTED} are wanted")
    t.diag(f"CPU of both processes: {cpu / 1e7 / took:.1f} % of a core, {cpu / asked / 1e3:.2f} us a request; "
           f"at {RATE_WANTED} a second that is {cpu / asked * RATE_WANTED / 1e7:.1f} %, the aim is 10 %")
    t.diag("resident, both processes, MiB: " + " ".join(f"{n / 2**20:.1f}" for n in rss[::6]))
    t.diag(f"completeness: {done}")
    # at its end wrk leaves up to 32 requests in the air: nginx counts what it has read, sojourn what was answered
    t.between(own, asked - 32, asked, "all that nginx has answered is counted")
    t.equal(done["lost"], 0, "nothing is lost")
    t.at_least(len(rss), SECONDS // 2, "it was scraped all the time")
    t.all([pair for pair in zip(counts, counts[1:]) if pair[1] < pair[0]], "and the count never went back")
    t.at_most(max(rss), RSS_MOST, "both processes stay within 40 MiB")
    t.at_most(rss[-1] - rss[len(rss) // 3], 2 << 20, "and do not grow")


sjtest.main(keeps_up)
