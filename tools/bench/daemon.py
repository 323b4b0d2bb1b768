# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon takes, both of its processes, while it is scraped each second."""

import contextlib
import http.client
import json
import os
import socket
import time

import rig

CONFIG = """\
listen: 127.0.0.1:{port}
state_dir: {folder}/state
alerts:
  - {{name: slow, match: {{role: server}}, when: p99 > 1s, for: 60s}}
  - {{name: errors, match: {{role: server}}, when: error_ratio > 1%, for: 60s}}
slos:
  - {{name: fast, match: {{service: nginx, role: server}}, objective: 99.9%, latency: 250ms}}
"""
NATIVE = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


class Daemon:
    """`sojourn serve` with two rules and an objective, as a context; entered when it measures."""

    def __init__(self, scratch):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.makedirs(f"{scratch}/state", exist_ok=True)
        self.config = f"{scratch}/sojourn.yaml"
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port, folder=scratch))

    def __enter__(self):
        self.process = rig.Process([rig.SOJOURN, "serve", "-c", self.config])
        try:
            self.process.await_true(lambda: "measuring" in self.process.err().split(), "the line 'measuring'")
            self.pids = [self.process.pid, rig.child_of(self.process.pid)]
        except BaseException:
            self.process.end()
            raise
        return self

    def __exit__(self, *_):
        self.process.end()

    def get(self, path, accept="*/*"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise rig.Failed(f"GET {path} is answered with {answer.status}")
            return body

    def scrape(self):
        return len(self.get("/metrics", NATIVE))

    def report(self):
        return json.loads(self.get("/api/v1/report"))

    def cpu_ns(self):
        return sum(map(rig.cpu_ns, self.pids))

    def rss_mib(self):
        return sum(rig.memory_mib(pid)["VmRSS"] for pid in self.pids)


def watch(scratch, nginx, seconds):
    """A run of that length; what it took, as a dictionary."""
    with Daemon(scratch) as daemon:
        before, cpu = nginx.requests(), daemon.cpu_ns()
        wrk = rig.Process(["wrk", "-t1", "-c32", f"-d{seconds}s", nginx.url], cpus={rig.CPUS[1 % len(rig.CPUS)]})
        begin = time.monotonic()
        rss, scraped = [], 0
        try:
            while wrk.poll() is None:
                scraped = daemon.scrape()
                rss.append(daemon.rss_mib())
                time.sleep(max(0.0, begin + len(rss) - time.monotonic()))
        finally:
            wrk.end()
        took = time.monotonic() - begin
        requests, cpu = nginx.requests() - before - 1, daemon.cpu_ns() - cpu
        time.sleep(1.5)  # what is told late is told too
        report = daemon.report()
    counted = sum(s["requests"] for s in report["services"] if (s["role"], s.get("port")) == ("server", nginx.port))
    return {"seconds": took, "requests": requests, "rate": requests / took, "cpu_ns": cpu, "rss": rss,
            "scrapes": len(rss), "scraped": scraped, "more": counted - requests - 2,
            "completeness": report["completeness"]}
