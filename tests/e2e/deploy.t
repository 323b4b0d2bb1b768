#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in deploy/ is right: the example, the unit with the daemon under its restrictions, the rules, the dashboard."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import sjprometheus
import sjtest
from sjdaemon import Daemon, Receiver, status_of
from sjprometheus import DEPLOY, ROOT

EXAMPLE = os.path.join(DEPLOY, "sojourn.yaml")
UNIT = os.path.join(DEPLOY, "sojourn.service")
SANDBOX = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sjsandbox.py")
EXPOSURE = 20  # tenths


def run(*command, **options):
    """Status and output of a command."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, check=False, **options)
    return done.returncode, done.stdout


def the_example_is_right(t):
    t.equal(status_of(["serve", "--check-config", EXAMPLE]), (0, f"{EXAMPLE}: ok\n", ""), "the example is right as it is")
    folder = sjtest.temp("example")
    os.mkdir(folder)
    with open(EXAMPLE, encoding="utf-8") as file:
        everything = re.sub(r"^#((?:  )*\S)", r"\1", file.read(), flags=re.M)
    files = {"sojourn.yaml": everything, "web.yml": "basic_auth_users: {}\n", "webhook.json": '{"text": "{{ $name }}"}\n',
             "chat.url": "http://127.0.0.1:9000/chat\n", "alertmanager.token": "a\n", "pagerduty.key": "b\n",
             "webhook.password": "c\n"}
    for name, text in files.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    sjtest.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                "/dev/null", "-subj", "/CN=ca", "-out", folder + "/ca.pem"])
    t.equal(status_of(["serve", "--check-config", f"{folder}/sojourn.yaml"]), (0, f"{folder}/sojourn.yaml: ok\n", ""),
            "and with everything switched on")


def the_rules_are_right(t):
    status, said = run("promtool", "check", "rules", sjprometheus.RULES)
    t.ok(status == 0 and "SUCCESS" in said, "promtool check rules", said=said)
    status, said = run("promtool", "test", "rules", os.path.join(os.path.dirname(SANDBOX), "prometheus-rules.test.yml"))
    t.ok(status == 0 and "SUCCESS" in said, "promtool test rules", said=said)


def overlap(a, b):
    a, b = a["gridPos"], b["gridPos"]
    return (a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and
            b["y"] < a["y"] + a["h"])


def the_dashboard_is_whole(t):
    with open(sjprometheus.DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    panels = list(sjprometheus.panels(dashboard))
    t.equal(len({panel["id"] for panel in panels}), len(panels), "its panels have ids of their own")
    t.all([(a["title"], b["title"]) for i, a in enumerate(panels) for b in panels[:i] if overlap(a, b)],
          "no panel lies on another")
    t.all([panel["title"] for panel in panels if panel["gridPos"]["x"] + panel["gridPos"]["w"] > 24],
          "none lies outside")
    known = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(dashboard)))
    t.equal(used - known - {"__all"}, set(), "every variable that it uses is one of its own")


def the_unit_is_strict(t):
    status, said = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", UNIT)
    level = re.search(r"Overall exposure level for sojourn.service: ([\d.]+)", said)
    t.ok(level and float(level[1]) <= EXPOSURE / 10 and status == 0, f"systemd-analyze security: at most {EXPOSURE / 10}",
         status=status, said=said[-300:])
    t.diag(level[0] if level else said)
    _, said = run("systemd-analyze", "verify", "--man=no", UNIT)
    t.equal([line for line in said.splitlines() if "sojourn is not executable" not in line], [],
            "systemd-analyze verify has nothing to say but that it is not installed here")


def stage():
    """Everything that `make install` puts into a root, and a configuration."""
    root = sjtest.temp("stage")
    for name in ("etc/sojourn", "state", "notify"):
        os.makedirs(f"{root}/{name}")
    os.chmod(root + "/notify", 0o755)
    made = os.path.dirname(sjtest.SOJOURN) or "."
    status, said = run("make", "-C", ROOT, "install", f"DESTDIR={root}", "PREFIX=/usr/local", f"B={os.path.abspath(made)}",
                       "-o", f"{os.path.abspath(made)}/sojourn")
    if status:
        raise sjtest.Failed(f"make install: {said}")
    return root


def it_is_installed(t):
    root = stage()
    found = sorted(os.path.relpath(os.path.join(folder, name), root + "/usr/local")
                   for folder, _, names in os.walk(root + "/usr/local") for name in names)
    t.equal(found, ["bin/sojourn", "lib/systemd/system/sojourn.service", "share/doc/sojourn/grafana-dashboard.json",
                    "share/doc/sojourn/prometheus-rules.yml", "share/doc/sojourn/sojourn.yaml", "share/man/man1/sojourn.1",
                    "share/man/man5/sojourn.yaml.5"], "make install installs")
    shutil.copy(root + "/usr/local/share/doc/sojourn/sojourn.yaml", root + "/etc/sojourn/")
    shutil.move(root + "/usr/local/lib/systemd/system/sojourn.service", root + "/sojourn.service")
    with open(UNIT, encoding="utf-8") as a, open(root + "/sojourn.service", encoding="utf-8") as b:
        t.equal(b.read(), a.read(), "the unit as it is, below /usr/local")


# A command of the courier's: keeps what it is told, and says what it cannot do; its bounding set is the last word.
LOOK_AROUND = ("cd /var/lib/sojourn && cat > alert && { touch /etc/sojourn/x || echo etc; touch /usr/local/x || echo usr; "
               "ls /home || echo home; ls /proc/sys || echo proc; unshare -U true || echo namespace; "
               "sed -n 's/^CapBnd:.//p' /proc/self/status; } > limits 2> /dev/null; mv alert told")


class Sandboxed(Daemon):
    """The daemon as the unit starts it, and what it tells its manager."""

    def __init__(self, more):
        self.stage = stage()
        super().__init__(more, state="/var/lib/sojourn")
        os.unlink(self.path)
        self.path = self.stage + "/etc/sojourn/sojourn.yaml"
        self.write(self.head + more)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(self.stage + "/notify/socket")
        os.chmod(self.stage + "/notify/socket", 0o777)
        self.manager.settimeout(30)

    def start(self):
        self.process = sjtest.Process([sys.executable, SANDBOX, UNIT, self.stage],
                                      env={**os.environ, "NOTIFY_SOCKET": "/run/notify/socket"})
        sjtest.await_true(lambda: "measuring" in self.process.err(), "measuring", process=self.process)
        self.courier = int(sjtest.run(["pgrep", "-P", self.process.pid]))

    def told(self, but="WATCHDOG=1"):
        """What the manager is told next."""
        while True:
            message = self.manager.recv(4096).decode()
            if message != but:
                return message


def fields_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)


def it_works_under_its_restrictions(t):
    name = "a-program-with-a-long-name"  # longer than the kernel keeps: the rest is in /proc/PID/cmdline
    folder = sjtest.temp("bin")
    os.mkdir(folder)
    os.symlink(os.path.abspath(sjtest.LOAD), f"{folder}/{name}")
    with Receiver() as receiver, sjtest.Server("--model", "thread", "--sleep", "1ms") as server, Sandboxed(
            f"alerts:\n  - name: busy\n    match: {{service: {name}}}\n    when: requests > 100\n    over: 300s\n"
            f"notify:\n  - webhook: {{url: \"{receiver.url}\"}}\n"
            f"  - exec: {{command: [/bin/sh, -c, \"{LOOK_AROUND}\"]}}\n") as d:
        t.equal(d.told(), "READY=1", "the manager is told that it is ready")
        t.equal(d.told(but=None), "WATCHDOG=1", "and that it is alive")
        for which, pid in {"collector": d.process.pid, "courier": d.courier}.items():
            fields = fields_of(pid)
            t.equal((fields["Uid"].split()[1] != "0", int(fields["CapEff"], 16), int(fields["CapPrm"], 16),
                     fields["NoNewPrivs"]), (True, 0, 0, "1"), f"the {which} is an ordinary user without rights")
        loader = sjtest.Process([f"{folder}/{name}", "client", "--connect", server.address, "--requests", 1009,
                                 "--connections", 3])
        t.equal(json.loads(loader.finish())["answered"], 1009, "1,009 requests are made")
        sjtest.await_true(lambda: d.metric("sojourn_requests_total", service_name=name) == 1009, "the requests")
        t.equal(d.metric("sojourn_requests_total", service_name=name, role="client"), 1009,
                "they are counted, under the whole name of the program")
        t.equal(d.report()["completeness"]["lost"], 0, "none was lost")
        sjtest.await_true(lambda: receiver.told, "a webhook")
        t.equal([doc["status"] for doc in receiver.told], ["firing"], "a webhook is told")
        told = d.stage + "/state/told"
        sjtest.await_true(lambda: os.path.exists(told) and os.path.getsize(told), "a command")
        with open(told, encoding="utf-8") as file:
            t.equal(json.load(file)["status"], "firing", "and a command runs")
        with open(d.stage + "/state/limits", encoding="utf-8") as file:
            t.equal(file.read().split(), ["etc", "usr", "home", "proc", "namespace", "000000c000000000"],
                    "which meets the unit's limits")
        sjtest.await_true(lambda: len(os.listdir(d.stage + "/state")) > 2, "the state on disk")
        d.process.send_signal(signal.SIGHUP)
        first, then = d.told(), d.told()
        t.ok(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", first) and then == "READY=1",
             "the manager is told when the configuration is read again", first=first, then=then)
        d.write("nonsense: 1\n")
        d.process.send_signal(signal.SIGHUP)
        first, then = d.told(), d.told()
        t.ok(first.startswith("RELOADING=1") and then == "READY=1", "also when it is not taken", first=first, then=then)
        d.process.send_signal(signal.SIGTERM)
        t.equal(d.told(), "STOPPING=1", "and of the end")
        t.equal(d.process.wait(30), 0, "which is an orderly one")
        refused = [line for line in d.process.err().splitlines() if "ot permitted" in line or "denied" in line]
        t.equal(refused, [], "nothing that it wanted was refused")


sjtest.main(the_example_is_right, the_rules_are_right, the_dashboard_is_whole, the_unit_is_strict, it_is_installed,
            it_works_under_its_restrictions)
