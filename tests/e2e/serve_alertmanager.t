#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts of the daemon in a real Alertmanager: they arrive, they last, they end, and no failure loses or doubles one."""

import contextlib
import datetime
import json
import os
import signal
import time
import urllib.error
import urllib.request

import sjdaemon
import sjtest

PROGRAM = "prometheus-alertmanager"
CONFIG = """
route:
  receiver: hook
  group_by: ['...']
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 4h
receivers:
  - name: hook
    webhook_configs:
      - {{url: '{url}', send_resolved: true}}
"""
BUSY = """
resend: {resend}
labels: {{cluster: lab}}
alerts:
  - name: busy
    match: {{service: nginx, role: server}}
    when: rate > 20/s
    over: 2s
    for: 1s
    labels: {{severity: critical}}
notify:
  - alertmanager: {{url: "{url}", timeout: 2s}}
"""
SLOW = """
alerts:
  - name: slow
    match: {{service: nginx, role: server}}
    when: max > 300ms
    over: 2s
    no_data: resolve
notify:
  - alertmanager: {{url: "{url}"}}
"""


class Alertmanager(sjtest.Service):
    """Debian's Alertmanager, which tells a receiver at once; it may be stopped and started again."""

    def __init__(self, receiver):
        self.folder = sjtest.temp("alertmanager")
        os.mkdir(self.folder)
        self.port = sjtest.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with open(self.folder + "/alertmanager.yml", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(url=receiver.url))

    def start(self):
        program = sjtest.have(PROGRAM)
        if not program:
            raise sjtest.Failed(f"{PROGRAM} is not installed")
        self.process = sjtest.Process([program, f"--config.file={self.folder}/alertmanager.yml",
                                       f"--storage.path={self.folder}", f"--web.listen-address=127.0.0.1:{self.port}",
                                       "--cluster.listen-address="])
        sjtest.await_true(self.is_ready, "Alertmanager is ready", process=self.process)

    def is_ready(self):
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(self.url + "/-/ready", timeout=5) as answer:
            return answer.status == 200
        return False

    def alerts(self):
        """All that it holds, as its interface tells them."""
        with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=10) as answer:
            return json.load(answer)

    def amtool(self):
        """What it shows to a person: those that fire."""
        return json.loads(sjtest.run(["amtool", "--alertmanager.url", self.url, "alert", "query", "-o", "json"]))


class Farm(sjtest.Nginx):
    """One nginx with several ports, each of which is an alert of its own."""

    def __init__(self):
        self.ports = {name: sjtest.free_port() for name in ("leaves", "comes", "stays")}
        super().__init__(listen="".join(f"listen 127.0.0.1:{port}; " for port in self.ports.values()))

    def load(self, name):
        return sjtest.Client(f"127.0.0.1:{self.ports[name]}", "--open", 200, "--duration", "600s", "--requests", 1000000)


def stamp(text):
    """Seconds since 1970 of a time of day of RFC 3339."""
    return datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00" if text.endswith("Z") else text).timestamp()


def told(receiver):
    """What people were told of which port, in order."""
    return [(alert["status"], int(alert["labels"]["port"])) for doc in receiver.told for alert in doc["alerts"]]


def stop(load):
    sjtest.stop(load.process, signal.SIGKILL)


def it_lasts(t, alertmanager, receiver, port):
    """An alert of which Alertmanager is not told again ends by itself after 4 s; for 8 s it has not."""
    states = set()
    first = next(a for a in alertmanager.alerts() if a["labels"]["port"] == str(port))
    end = time.monotonic() + 8
    while time.monotonic() < end:
        states |= {(a["status"]["state"], a["startsAt"]) for a in alertmanager.alerts() if a["labels"]["port"] == str(port)}
        time.sleep(0.2)
    horizon = stamp(first["endsAt"]) - stamp(first["updatedAt"])
    t.between(horizon, 3.5, 4.5, "Alertmanager may take an alert for over after four times the resend")
    t.equal(states, {("active", first["startsAt"])}, "for twice as long it stays firing, since the same moment")
    t.equal([what for what in told(receiver) if what[1] == port], [("firing", port)], "and nobody is told of it again")


def its_words(t, nginx, alertmanager, receiver):
    port = nginx.ports["stays"]
    host = os.uname().nodename
    alert = next(a for doc in receiver.told for a in doc["alerts"] if a["labels"]["port"] == str(port))
    t.equal(alert["labels"], {"alertname": "busy", "service": "nginx", "role": "server", "protocol": "http",
                              "port": str(port), "severity": "critical", "cluster": "lab", "instance": host},
            "people are told the labels: what it is about, the rule's own, every alert's, and the host")
    summary = alert["annotations"].get("summary", "")
    t.ok(summary.startswith("nginx: rate > 20/s, it is ") and summary.endswith("/s"),
         "and a summary, though nobody has written one", got=summary)
    shown = {a["labels"]["port"]: a for a in alertmanager.amtool()}
    t.equal(sorted(shown), sorted(str(nginx.ports[name]) for name in ("leaves", "stays")), "amtool shows both alerts")
    t.equal((shown[str(port)]["labels"], shown[str(port)]["startsAt"][:23]), (alert["labels"], alert["startsAt"][:23]),
            "with the same labels, since the same moment")


def nothing_is_lost_or_doubled(t):
    with Farm() as nginx, sjdaemon.Receiver() as receiver, Alertmanager(receiver) as alertmanager:
        leaves, comes, stays = (nginx.ports[name] for name in ("leaves", "comes", "stays"))
        with sjdaemon.Daemon(BUSY.format(url=alertmanager.url, resend="1s")) as d:
            loads = {name: nginx.load(name) for name in ("leaves", "stays")}
            sjtest.await_true(lambda: len(told(receiver)) >= 2, "two alerts")
            t.equal(sorted(told(receiver)), sorted([("firing", leaves), ("firing", stays)]), "two alerts arrive")
            its_words(t, nginx, alertmanager, receiver)
            it_lasts(t, alertmanager, receiver, stays)

            alertmanager.stop()
            began = time.monotonic()
            stop(loads["leaves"])
            loads["comes"] = nginx.load("comes")
            time.sleep(max(0.0, 15 - (time.monotonic() - began)))
            alertmanager.start()
            sjtest.await_true(lambda: {("resolved", leaves), ("firing", comes)} <= set(told(receiver)),
                              "what has happened meanwhile")
            for name in ("comes", "stays"):
                stop(loads[name])
            sjtest.await_true(lambda: {("resolved", stays), ("resolved", comes)} <= set(told(receiver)), "the resolves")
            time.sleep(2)  # in which what is told twice would come
            by_port = {port: [status for status, p in told(receiver) if p == port] for port in (leaves, comes, stays)}
            t.equal(by_port[leaves], ["firing", "resolved"],
                    "an alert that ended while Alertmanager was away for 15 s is resolved")
            t.equal(by_port[comes], ["firing", "resolved"], "one that began meanwhile arrives, once")
            t.equal(by_port[stays], ["firing", "resolved"], "one that lasted is not told of twice")
            t.equal(alertmanager.amtool(), [], "in the end amtool shows none")
            t.equal(len(d.said("alertmanager", "it is tried again")), 1, "the daemon has complained once",
                    said=d.process.err())
            t.equal(len(d.said("accepts messages again")), 1, "and told when that was over")


def the_resolve_survives_a_kill(t):
    with Farm() as nginx, sjdaemon.Receiver() as receiver, Alertmanager(receiver) as alertmanager:
        port = nginx.ports["stays"]
        load = nginx.load("stays")
        with sjdaemon.Daemon(BUSY.format(url=alertmanager.url, resend="60s")) as d:
            sjtest.await_true(lambda: told(receiver), "the alert")
            time.sleep(4)  # the rules' state is saved a second later at the latest, where the disk does not stall
            os.kill(d.courier, signal.SIGKILL)
            sjtest.stop(d.process, signal.SIGKILL)
            stop(load)
            sjtest.await_true(lambda: sjdaemon.gone(d.courier), "the end of both processes")
            t.equal(told(receiver), [("firing", port)], "the daemon is killed while an alert fires")
            (before,) = alertmanager.alerts()
            d.start()
            sjtest.await_true(lambda: len(told(receiver)) > 1, "the resolve")
            t.equal(told(receiver), [("firing", port), ("resolved", port)],
                    "it has ended by the time it runs again, and people are told that it has")
            after = receiver.told[-1]["alerts"][0]
            t.equal((after["startsAt"][:23], after["labels"]), (before["startsAt"][:23], before["labels"]),
                    "it is the same alert")
            t.equal(alertmanager.amtool(), [], "amtool shows none")


def a_breach_is_told_at_once(t):
    # The second request within a second waits for its turn, which is a slow one.
    zone = "limit_req_zone $server_port zone=one:1m rate=1r/s;"
    where = "location /slow { limit_req zone=one burst=5; stub_status; }"
    with sjtest.Nginx(http=zone, locations=where) as nginx, sjdaemon.Receiver() as receiver, \
            Alertmanager(receiver) as alertmanager, sjdaemon.Daemon(SLOW.format(url=alertmanager.url)):
        delays = []
        for number in range(1, 4):
            for _ in range(2):
                urllib.request.urlopen(nginx.url + "/slow", timeout=10).read()
            breach = time.time()
            sjtest.await_true(lambda: len(told(receiver)) == 2 * number - 1, "the alert")
            (alert,) = alertmanager.alerts()
            delays.append((stamp(alert["startsAt"]) - breach, stamp(alert["updatedAt"]) - stamp(alert["startsAt"]),
                           stamp(alert["updatedAt"]) - breach))
            sjtest.await_true(lambda: len(told(receiver)) == 2 * number, "its resolve")
            time.sleep(1.1)
        for found, sent, both in delays:
            t.diag(f"from the slow answer to firing {found:.3f} s, to Alertmanager {sent:.3f} s, together {both:.3f} s "
                   "(promised: 2 s, an interval of 1 s and 1 s)")
        t.equal([what for what, _ in told(receiver)], 3 * ["firing", "resolved"], "each slow answer is an alert that ends")
        t.between(max(both for _, _, both in delays), 0, 10, "Alertmanager hears of a breach soon")


sjtest.main(nothing_is_lost_or_doubled, the_resolve_survives_a_kill, a_breach_is_told_at_once)
