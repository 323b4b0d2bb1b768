#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to the daemon's receivers: TLS and certificates, names, commands, the system's log."""

import contextlib
import json
import os
import re
import ssl
import subprocess
import time

import sjdaemon
import sjtest
import sjworld
from sjworld import BOTH, HOST, SUMMARY, Breach, ok


def certificates():
    """An authority's certificate, and one of hook.test and 127.0.0.1 with its key that it has signed."""
    folder = sjtest.temp("tls")
    os.mkdir(folder)
    with open(folder + "/san", "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:hook.test,IP:127.0.0.1\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
    sjtest.run([*new, "-x509", "-days", "2", "-subj", "/CN=an authority", "-keyout", folder + "/ca.key",
                "-out", folder + "/ca.pem"])
    sjtest.run([*new, "-subj", "/CN=a server", "-keyout", folder + "/server.key", "-out", folder + "/server.csr"])
    sjtest.run(["openssl", "x509", "-req", "-in", folder + "/server.csr", "-CA", folder + "/ca.pem",
                "-CAkey", folder + "/ca.key", "-days", "2", "-extfile", folder + "/san", "-out", folder + "/server.pem"])
    return folder


# A namespace in which the file that names the name servers is one of the test's.
OWN_NAMES = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
NAMES = ("127.0.53.1", "127.0.53.2")


def name_server(path, address):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"nameserver {address}\n")


def by_tls_and_name(t):
    folder = certificates()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder + "/server.pem", folder + "/server.key")
    receivers = """
  - webhook: {{name: address, url: "{tls}/address", ca_file: {ca}}}
  - webhook: {{name: named, url: "{tls}/named", ca_file: {ca}, server_name: hook.test}}
  - webhook: {{name: stranger, url: "{tls}/stranger"}}
  - webhook: {{name: other, url: "{tls}/other", ca_file: {ca}, server_name: other.test}}
  - webhook: {{name: plain, url: "https://127.0.0.1:{port}/plain", ca_file: {ca}}}
  - webhook: {{name: hosts, url: "http://localhost:{port}/hosts", timeout: 2s}}
  - webhook: {{name: known, url: "http://hook.test:{port}/known", timeout: 2s}}
  - webhook: {{name: late, url: "http://late.test:{port}/late", timeout: 2s}}
"""
    good, named = {"/address": [ok], "/named": [ok]}, {"/hosts": [ok], "/known": [ok], "/late": [ok]}
    resolver = sjtest.temp("resolv.conf")
    name_server(resolver, NAMES[0])
    prefix = ["unshare", "-m", "sh", "-c", OWN_NAMES, "sh", resolver]
    with Breach() as breach, sjworld.World(good, tls=tls) as world, sjworld.World(named) as plain, \
            sjworld.Names(NAMES[0], "hook.test"), sjworld.Names(NAMES[1], "hook.test", "late.test"):
        text = receivers.format(tls=world.url, ca=folder + "/ca.pem", port=plain.port)
        with sjdaemon.Daemon(breach.rule + text.lstrip("\n"), prefix=prefix) as d:
            sjtest.await_true(lambda: d.said("late ("), "that a name is not known")
            name_server(resolver, NAMES[1])
            for state in BOTH:
                world.await_told(state)
                plain.await_told(state)
                breach.over()
            reasons = {"stranger": "its certificate was not accepted: ",
                       "other": "its certificate was not accepted: hostname mismatch",
                       "plain": "it does not speak TLS as it should", "late": "no address is known for its name"}
            for name, why in reasons.items():
                sjtest.await_true(lambda: d.said(f"{name} (", why), f"what {name} is said to be wrong with", timeout=8)
            t.equal((world.states("/address"), world.states("/named")), (BOTH, BOTH),
                    "a certificate of the right authority is accepted")
            t.equal(dict(world.paths()), {"/address": 2, "/named": 2}, "nothing is sent to others")
            t.equal([len(d.said(f"{name} (", why, "it is tried again")) for name, why in reasons.items()], [1, 1, 1, 1],
                    "each is told why, once", said=d.process.err())
            t.equal(dict(plain.paths()), {"/hosts": 2, "/known": 2, "/late": 2},
                    "names are looked up, also by a name server that is another now, and nothing goes without TLS")


COMMAND = """#!/usr/bin/env python3
import json, os, subprocess, sys, time
name, log = sys.argv[1:3]
fds = sorted(os.listdir("/proc/self/fd"))
doc = json.loads(sys.stdin.read())
before = [run for run in map(json.loads, open(log)) if run["doc"]["status"] == doc["status"]] if os.path.exists(log) else []
with open(log, "a") as file:
    file.write(json.dumps({"argv": sys.argv[3:], "doc": doc, "env": dict(os.environ), "group": os.getpgid(0) == os.getpid(),
                           "fds": fds}) + "\\n")
if name == "fails" and len(before) < 2:
    sys.exit(3)
if name == "killed" and not before:
    os.kill(os.getpid(), 15)
if name == "hangs" and not before:
    subprocess.Popen(["sleep", "%d"])
    time.sleep(600)
if name == "forks":
    subprocess.Popen(["sleep", "%d"])
sys.stdout.write("x" * 1000000)
"""


def commands(t):
    folder = sjtest.temp("commands")
    os.mkdir(folder)
    lasting = 100000 + os.getpid()  # seconds of sleep, by which they are found
    with open(folder + "/command", "w", encoding="utf-8") as file:
        file.write(COMMAND % (lasting, lasting))
    os.chmod(folder + "/command", 0o755)
    words = ["a b", f"$(touch {folder}/shell); `touch {folder}/shell`", "", "*", "\"'\\"]
    attempts = {"works": 1, "fails": 3, "killed": 2, "hangs": 2, "forks": 1}
    receivers = "".join(f"  - exec: {{name: {name}, timeout: 2s, command: "
                        + json.dumps([folder + "/command", name, f"{folder}/{name}", *words]) + "}\n" for name in attempts)
    receivers += "  - exec: {name: deaf, command: [/bin/true]}\n  - exec: {name: missing, command: [/nowhere/command]}\n"

    def runs(name):
        with contextlib.suppress(FileNotFoundError), open(f"{folder}/{name}", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]  # the last one may be being written
        return []

    def asleep():
        found = subprocess.run(["pgrep", "-f", f"sleep {lasting}"], check=False, stdout=subprocess.PIPE, text=True)
        return found.stdout.split()

    with Breach() as breach, sjdaemon.Daemon(breach.rule + receivers) as d:
        for number in (1, 2):
            sjtest.await_true(lambda: all(len(runs(name)) == number * n for name, n in attempts.items()), "the commands")
            breach.over()
        sjtest.await_true(lambda: not asleep(), "the end of what they have started")
        time.sleep(1.5)
        told = {name: [run["doc"]["status"] for run in runs(name)] for name in attempts}
        t.equal(told, {name: ["firing"] * n + ["resolved"] * n for name, n in attempts.items()},
                "a command that fails, is killed or hangs is run again, and none once more than it takes")
        t.equal(asleep(), [], "what they leave behind is ended")
        run = runs("works")[0]
        t.equal((run["argv"], os.path.exists(folder + "/shell")), (words, False),
                "its words are as they were written; no shell reads them")
        doc = run["doc"]
        t.equal([doc[key] for key in ("schema", "host", "name", "severity", "no_data")],
                ["sojourn.alert/1", HOST, "busy", "critical", False], "the alert is on its standard input")
        t.equal((doc["annotations"]["summary"], "ends_at" in doc, runs("works")[1]["doc"]["ends_at"] > doc["starts_at"]),
                (SUMMARY, False, True), "in full")
        t.equal({key: value for key, value in run["env"].items() if key.startswith("SOJOURN")},
                {"SOJOURN_ALERT": "busy", "SOJOURN_ALERT_ID": doc["id"], "SOJOURN_STATUS": "firing"},
                "and the gist in its environment")
        t.equal((run["group"], run["fds"]), (True, ["0", "1", "2", "3"]),
                "it leads a group of its own and has no file but three (and the folder it looks at)")
        for name, why in {"fails": "it ended with status 3", "killed": "it was killed by signal 15",
                          "hangs": "it did not end in time and was killed",
                          "missing": "it cannot be started: No such file"}.items():
            t.at_least(len(d.said(f"{name} (", why, "it is tried again")), 1, f"{name}: that is told", said=d.process.err())
        results = [d.metric("sojourn_notifications_total", notifier="exec", result=r) for r in ("delivered", "dropped")]
        t.equal(results, [2 * len(attempts) + 2, 0], "none is given up")


# A namespace in which /dev is a folder of its own, where the log's socket is a link to one of the test's.
OWN_DEV = """
mount -t tmpfs dev "$1" && for name in null zero full random urandom tty; do
    : >"$1/$name" && mount --bind "/dev/$name" "$1/$name" || exit 1
done
ln -s "$2" "$1/log" && mount --move "$1" /dev && shift 2 && exec "$@"
"""


def the_log(t):
    dev, path = sjtest.temp("dev"), sjtest.temp("log")
    os.mkdir(dev)
    prefix = ["unshare", "-m", "sh", "-c", OWN_DEV, "sh", dev, path]
    receivers = ("  - syslog: {}\n  - syslog: {name: local, facility: local3}\n"
                 "  - syslog: {name: picky, only: {severity: page}}\n")
    with Breach() as breach, sjdaemon.Daemon(breach.rule + receivers, prefix=prefix) as d:
        sjtest.await_true(lambda: d.said("syslog: /dev/log: No such file", "it is tried again"), "that there is no log yet")
        log = sjworld.Log(path)
        for number in (2, 4):
            sjtest.await_true(lambda: len(log.lines) >= number, "the lines")
            breach.over()
        time.sleep(1.2)
        log.close()
        day = r"[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d"
        for priorities, state in (((26, 154), "firing"), ((29, 157), "resolved")):
            for priority in priorities:
                lines = [line for line in log.lines if line.startswith(f"<{priority}>")]
                wanted = rf"<{priority}>{day} sojourn\[{d.courier}\]: alert busy {state}: {SUMMARY} \(id [0-9a-f]{{32}}\)"
                t.ok(len(lines) == 1 and re.fullmatch(wanted, lines[0]),
                     f"one line with priority {priority} tells that it is {state}", got=log.lines)
        t.equal(len(log.lines), 4, "and no other, not to those who want only others")


sjtest.main(by_tls_and_name, commands, the_log)
