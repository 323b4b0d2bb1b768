#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon: what it exports is what was sent, alerts arrive, and it begins, reloads and ends as it should."""

import collections
import os
import re
import signal

import sjdaemon
import sjtest


def what_is_sent_is_exported(t):
    service = f"shop{os.getpid() % 1000000}"
    with sjtest.Nginx(program=sjdaemon.called("nginx", service)) as nginx, sjdaemon.Daemon() as d:
        before = nginx.stub_status()["requests"]
        sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 1009, "--connections", 5)
        own = nginx.stub_status()["requests"] - before - 1
        t.equal(own, 1009, "nginx has counted 1,009 requests")
        labels = {"service_name": service, "role": "server", "protocol": "http", "status_class": "2xx"}
        wanted = own + 2  # those for nginx's own count
        sjtest.await_true(lambda: d.metric("sojourn_requests_total", **labels) == wanted, "the requests in /metrics")
        t.equal(d.metric("sojourn_requests_total", **labels), wanted, "/metrics has as many")
        del labels["status_class"]
        t.equal(d.metric("sojourn_request_duration_seconds_count", **labels), wanted, "so has the histogram")
        report = d.report()
        t.equal(sum(s["requests"] for s in report["services"] if (s["service"], s["role"]) == (service, "server")),
                wanted, "and /api/v1/report")
        t.equal((report["schema"], report["completeness"]["lost"]), ("sojourn.report/1", 0), "which lost none")
        t.equal([s for s in report["services"] if (s.get("port"), s["role"]) == (d.port, "server")], [],
                "the daemon itself is not measured")
        for path, status in {"/-/healthy": 200, "/-/ready": 200, "/": 200, "/nothing": 404, "/../etc/passwd": 404}.items():
            got = d.get(path)[0]
            t.equal(got, status, f"GET {path} is answered with {status}")
        last = collections.Counter()
        for _ in range(20):
            sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 50, "--connections", 2)
            now = d.metric("sojourn_requests_total", service_name=service, role="server")
            last["back"] += now < last["value"]
            last["value"] = now
        t.equal(last["back"], 0, "no counter goes back between scrapes")
        for name, pid in {"collector": d.process.pid, "courier": d.courier}.items():
            threads = {(int(fields["CapPrm"], 16), int(fields["CapEff"], 16), fields["NoNewPrivs"], fields["Seccomp"])
                       for fields in status_files(pid)}
            t.equal(threads, {(0, 0, "1", "2")}, f"no thread of the {name} has rights left")


def status_files(pid):
    """What /proc says of each thread of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
            yield dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)


def configurations_are_checked(t):
    d = sjdaemon.Daemon("alerts:\n  - name: slow\n    when: p99 > 1s\n    for: 60s\nnotify:\n  - syslog: {}\n")
    status, out, err = sjdaemon.status_of(["serve", "--check-config", d.path])
    t.equal((status, out, err), (0, f"{d.path}: ok\n", ""), "a good configuration is ok")
    d.write(d.head + "interval: 5\n")
    status, out, err = sjdaemon.status_of(["serve", "--check-config", d.path])
    t.ok(status == 78 and not out and f"{d.path}:3: " in err and err.count("\n") == 1,
         "a bad one is refused in a line with its number", status=status, out=out, err=err)
    t.equal(sjdaemon.status_of(["serve", "-c", d.path])[0], 78, "and not run")
    t.equal(sjdaemon.status_of(["serve", "--check-config", d.path + ".none"])[0], 66,
            "a file that is not there is another matter")
    t.equal(sjdaemon.status_of(["serve"])[0], 64, "one has to be named")


def alerts_arrive(t):
    out = sjtest.temp("command")
    rule = ("alerts:\n  - name: busy\n    match: {{role: server, port: {port}}}\n    when: rate > 20/s\n    for: 2s\n"
            "    keep_firing_for: 0s\nnotify:\n  - webhook: {{url: \"{url}\"}}\n"
            "  - exec: {{command: [/bin/sh, -c, \"cat >> {out}\"]}}\n")
    with sjtest.Server("--model", "thread") as server, sjdaemon.Receiver() as receiver:
        with sjdaemon.Daemon(rule.format(port=server.port, url=receiver.url, out=out)):
            load = sjtest.Client(server, "--open", 200, "--duration", "60s", "--requests", 100000)
            sjtest.await_true(lambda: receiver.told, "the alert", timeout=45)
            sjtest.stop(load.process, signal.SIGKILL)
            sjtest.await_true(lambda: len(receiver.told) > 1, "its resolve", timeout=45)
            sjtest.await_true(lambda: os.path.exists(out) and open(out, encoding="utf-8").read().count('"schema"') == 2,
                              "the command", timeout=45)
        told = [(doc["status"], doc["commonLabels"]["alertname"]) for doc in receiver.told]
        t.equal(told, [("firing", "busy"), ("resolved", "busy")], "a webhook is told of both changes, once each")
        with open(out, encoding="utf-8") as file:
            said = re.findall(r'"status": ?"(\w+)"', file.read())
        t.equal(said, ["firing", "resolved"], "and so is a command")


def a_bad_reload_changes_nothing(t):
    with sjdaemon.Daemon() as d:
        d.write("nonsense: 1\n")
        d.process.send_signal(signal.SIGHUP)
        sjtest.await_true(lambda: d.metric("sojourn_config_reload_failures_total") == 1, "the failure is counted")
        said = [line for line in d.process.err().splitlines() if "nonsense" in line]
        t.equal((len(said), d.metric("sojourn_config_last_reload_successful")), (1, 0), "a bad file is told of", said=said)
        t.equal(d.get("/-/ready")[0], 200, "and what was there goes on")
        good = d.head + "alerts:\n  - name: any\n    when: rate > 1/s\nnotify:\n  - syslog: {}\n"

        def settled(number, text):
            d.write(good + text)
            d.process.send_signal(signal.SIGHUP)
            sjtest.await_true(lambda: len(d.said("was read again")) == number, f"reload {number}")
            return [line.split()[1] for line in d.said("changes only with a restart")]

        told = settled(1, "max_series: 500\nforget_after: 30m\nstages: queue\n")
        sjtest.await_true(lambda: d.metric("sojourn_config_last_reload_successful") == 1, "the good file is taken over")
        t.equal(d.metric("sojourn_config_reload_failures_total"), 1, "a good one is taken over")
        t.equal(told, ["max_series", "forget_after", "stages"], "and what waits for a restart is told")
        told = settled(2, "max_series: 500\n")
        t.equal(told[3:], ["max_series"], "at each reload for which it still does")
        t.equal(settled(3, "")[4:], [], "and not when it is as it was at the start")


def it_ends_whole(t):
    def after(name, d, wanted, held):
        status = d.process.wait(30)
        sjtest.await_true(lambda: sjdaemon.gone(d.courier), f"the end of the courier after {name}")
        left = sjtest.await_true(lambda: not held & sjdaemon.links(), f"the end of BPF after {name}")
        t.equal((status, left), (wanted, True), f"{name}: status {wanted}, nothing is left", said=d.process.told()[-300:])
        t.ok(not sjtest.accepts(("127.0.0.1", d.port)), f"{name}: nobody listens")

    for name, number, whom, wanted in (
            ("SIGTERM", signal.SIGTERM, "collector", 0), ("SIGINT", signal.SIGINT, "collector", 0),
            ("kill -9 of the collector", signal.SIGKILL, "collector", -9),
            ("kill -9 of the courier", signal.SIGKILL, "courier", 70)):
        with sjdaemon.Daemon() as d:
            held = sjdaemon.held_by(d.process.pid)
            t.ok(held and held <= sjdaemon.links(), f"{name}: programs were attached", got=held)
            t.equal(sjdaemon.held_by(d.courier), set(), f"{name}: of which the courier holds none")
            os.kill(d.process.pid if whom == "collector" else d.courier, number)
            after(name, d, wanted, held)


def one_at_a_time(t):
    with sjdaemon.Daemon() as d:
        status, _, err = sjdaemon.status_of(["serve", "-c", d.path])
        t.ok(status == 69 and f"127.0.0.1:{d.port}" in err and err.count("\n") == 1,
             "an address that is taken is told of", status=status, err=err)
        other = sjdaemon.Daemon(state=d.state)
        status, _, err = sjdaemon.status_of(["serve", "-c", other.path])
        t.ok(status == 69 and d.state in err, "so is a state that another one uses", status=status, err=err)
        t.equal(d.get("/-/ready")[0], 200, "the first one goes on")


sjtest.main(what_is_sent_is_exported, configurations_are_checked, alerts_arrive, a_bad_reload_changes_nothing,
            it_ends_whole, one_at_a_time)
