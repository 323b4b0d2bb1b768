#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon when what it rests on goes: a full disk, damaged or missing state, files that cannot be read, a clock that
is set, processes that are stopped or killed. One line tells each; measuring, /metrics and alerts go on."""

import contextlib
import datetime
import os
import shutil
import signal
import stat
import struct
import subprocess
import time
import zlib

import sjdaemon
import sjtest

NGINX = f"nginx-{os.getpid()}"
LOST = "alerts do not survive a restart until that is mended"
SAVED = "the state is saved again"


def rule(port, *receivers, annotations="{summary: s}"):
    """Fires with more than 20 requests a second to the port."""
    return ("alerts:\n  - name: busy\n    match: {role: server, port: %d}\n    when: rate > 20/s\n    for: 1s\n"
            "    keep_firing_for: 0s\n    annotations: %s\nnotify:\n%s"
            % (port, annotations, "".join(f"  - {receiver}\n" for receiver in receivers)))


def hook(receiver):
    return 'webhook: {url: "%s"}' % receiver.url


@contextlib.contextmanager
def load(server):
    busy = sjtest.Client(server, "--open", 200, "--duration", "120s", "--requests", 100000)
    try:
        yield
    finally:
        sjtest.stop(busy.process, signal.SIGKILL)


def counts(t, d, nginx, when):
    """It measures, and tells it: requests to nginx that are made now are in /metrics, each of them."""
    sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 101)
    own = nginx.stub_status()["requests"]
    labels = {"service_name": NGINX, "role": "server"}  # without detail, the status is not known
    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(lambda: d.metric("sojourn_requests_total", **labels) == own, "the requests")
    t.equal(d.metric("sojourn_requests_total", **labels), own, f"{when}: measuring and /metrics go on")


def told(t, d, wanted, name, *words):
    """So many lines with these words, and no others than the words of the tests before have explained."""
    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(lambda: len(d.said(*words)) >= wanted, "the line", process=d.process)
    t.equal(len(d.said(*words)), wanted, name, said=d.process.told()[-600:])


def ends(t, d, held, name):
    status = sjtest.stop(d.process)
    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(lambda: not held & sjdaemon.links() and sjdaemon.gone(d.courier), "the end")
    t.equal((status, held & sjdaemon.links(), sjdaemon.gone(d.courier)), (0, set(), True), f"{name}: it ends whole")


def statuses(receiver):
    return [doc["status"] for doc in receiver.told]


def a_disk_that_is_full(t):
    state = sjtest.temp("small")
    os.mkdir(state)
    private = ["unshare", "-m", "--propagation", "private", "sh", "-c",
               f'mount -t tmpfs -o size=64k tmpfs {state} && exec "$@"', "sh"]
    with sjdaemon.named_nginx(NGINX) as nginx, sjtest.Server() as server, sjdaemon.Receiver() as receiver:
        long = "{%s}" % ", ".join(f"a{i}: {'x' * 2000}" for i in range(2))
        with sjdaemon.Daemon(rule(server.port, hook(receiver), annotations=long), state=state, prefix=private) as d:
            held = sjdaemon.held_by(d.process.pid)
            inside = f"/proc/{d.process.pid}/root{state}"
            filler = inside + "/filler"

            def there():
                return [name for name in KINDS if os.path.exists(f"{inside}/{name}")]

            with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            with load(server):
                sjtest.await_true(lambda: receiver.told, "the alert", timeout=45)
                told(t, d, 1, "a full disk: a line", f"state_dir {state}", "No space left", LOST)
                counts(t, d, nginx, "a full disk")
                errors = d.metric("sojourn_state_write_errors_total")
                t.ok(errors >= 1, "and counted", got=errors)
                os.truncate(filler, os.path.getsize(filler) - 4096)  # room for one of the files, a page each
                sjtest.await_true(there, "one of the files")
                sjtest.await_true(lambda: d.metric("sojourn_state_write_errors_total") >= errors + 3, "other attempts",
                                  timeout=45)
                t.equal((len(d.said(LOST)), len(d.said(SAVED)), len(there())), (1, 0, 1),
                        "a disk that takes one file and not the other: nothing more is said")
                os.unlink(filler)
                told(t, d, 1, "with room again it says that it saves", SAVED)
                t.equal(there(), list(KINDS), "and does")
                t.equal([name for name in os.listdir(inside) if name.endswith(".new")], [], "no half file is left")
            sjtest.await_true(lambda: len(receiver.told) > 1, "the resolve", timeout=45)
            t.equal(statuses(receiver), ["firing", "resolved"], "alerts arrived all the same, once each")
            ends(t, d, held, "a full disk")
    with open("/proc/mounts", encoding="utf-8") as file:
        t.ok(state not in file.read(), "nothing stays mounted")


KINDS = {"watch.state": 0, "deliveries.state": 1}


def packed(name, content, version=1):
    return b"sojourn\n" + struct.pack("=HHIQ", version, KINDS[name], zlib.crc32(content), len(content)) + content


def damages(good):
    """What may become of the files: a name, what is done to each, and what is said of it."""
    def flipped(data):
        return data[:-1] + bytes([data[-1] ^ 1])

    return [
        ("cut short by a byte", lambda name: good[name][:-1], "cut short"),
        ("cut within the head", lambda name: good[name][:10], "too short"),
        ("empty", lambda name: b"", "too short"),
        ("one bit flipped", lambda name: flipped(good[name]), "checksum"),
        ("longer by a byte", lambda name: good[name] + b"x", "cut short"),
        ("from a version to come", lambda name: packed(name, good[name][24:], 2), "another version"),
        ("another's", lambda name: good["watch.state" if name[0] == "d" else "deliveries.state"], "no such file"),
        ("garbage", lambda name: os.urandom(5000), "no such file"),
    ]


def saved_files(t, receiver, server):
    """The folder of a daemon that was ended while its alert fired, and its files."""
    with sjdaemon.Daemon(rule(server.port, hook(receiver))) as d:
        with load(server):
            sjtest.await_true(lambda: receiver.told, "the alert", timeout=45)
            sjtest.await_true(lambda: all(os.path.exists(f"{d.state}/{name}") for name in KINDS), "the files")
            ends(t, d, sjdaemon.held_by(d.process.pid), "while an alert fires")
    good = {}
    for name in KINDS:
        with open(f"{d.state}/{name}", "rb") as file:
            good[name] = file.read()
        t.equal(packed(name, good[name][24:]), good[name], f"{name}: as it should be")
        t.equal(stat.S_IMODE(os.stat(f"{d.state}/{name}").st_mode), 0o600, f"{name}: nobody else reads it")
    return d.state, good


def state_that_is_damaged(t):
    with sjtest.Server() as server, sjdaemon.Receiver() as receiver, sjdaemon.named_nginx(NGINX) as nginx:
        state, good = saved_files(t, receiver, server)
        text = rule(server.port, hook(receiver))
        for what, damage, said in damages(good):
            for name in KINDS:
                with open(f"{state}/{name}", "wb") as file:
                    file.write(damage(name))
            with sjdaemon.Daemon(text, state=state) as d:
                lines = [d.said(f"state_dir {state}: {name}", said, ".corrupt", "going on without it")
                         for name in KINDS]
                t.equal([len(found) for found in lines], [1, 1], f"{what}: a line for each file", said=d.process.err())
                kept = []
                for name in KINDS:
                    with open(f"{state}/{name}.corrupt", "rb") as file:
                        kept.append(file.read() == damage(name) or what == "garbage")
                t.equal(kept, [True, True], f"{what}: it is kept")
                if what == "garbage":
                    counts(t, d, nginx, what)
        for name in KINDS:  # right outside, nonsense inside
            with open(f"{state}/{name}", "wb") as file:
                file.write(packed(name, b"\xff" * 300))
        with sjdaemon.Daemon(text, state=state) as d:
            t.equal(len(d.process.err().splitlines()), 3, "nonsense in a right file: a line each", said=d.process.err())
        os.unlink(f"{state}/watch.state")
        os.mkfifo(f"{state}/watch.state")
        os.unlink(f"{state}/deliveries.state")
        os.symlink("/etc/passwd", f"{state}/deliveries.state")
        with sjdaemon.Daemon(text, state=state) as d:
            t.equal(len(d.process.err().splitlines()), 3, "a pipe, a link elsewhere: a line each", said=d.process.err())
            d.reload()
            sjtest.await_true(lambda: os.path.isfile(f"{state}/watch.state"), "the state")
        with sjdaemon.Daemon(text, state=state) as d:
            t.equal(d.process.err(), "measuring\n", "and the next start finds nothing wrong")


def a_folder_that_goes(t):
    above = sjtest.temp("above")
    state = above + "/state"
    path = state + "/watch.state"
    with sjdaemon.named_nginx(NGINX) as nginx, sjdaemon.Daemon(state=state) as d:
        held = sjdaemon.held_by(d.process.pid)
        saved = 0

        def mended(name):
            nonlocal saved
            saved += 1
            told(t, d, saved, f"{name}, then mended: it saves again", SAVED)
            t.ok(os.path.isfile(path), f"{name}: the file is there")

        told(t, d, 1, "the folder above is missing at the start: a line", f"state_dir {state}", "No such file", LOST)
        counts(t, d, nginx, "without a folder")
        os.mkdir(above)
        mended("no folder")
        shutil.rmtree(state)
        d.reload()  # after which the state is saved
        sjtest.await_true(lambda: os.path.isfile(path), "the state")
        t.equal(len(d.said(LOST)), 1, "removed while it runs: made again, without a word", said=d.process.err())
        shutil.rmtree(state)
        with open(state, "wb"):
            pass
        d.reload()
        told(t, d, 1, "a file in its place: a line", f"state_dir {state}", "Not a directory", LOST)
        os.unlink(state)
        mended("a file in its place")
        os.chmod(state, 0o500)
        os.unlink(path)
        d.reload()
        told(t, d, 1, "not writable: a line", f"state_dir {state}", "Permission denied", LOST)
        counts(t, d, nginx, "not writable")
        os.chmod(state, 0o700)
        mended("not writable")
        os.rename(state, state + ".moved")
        with sjdaemon.Daemon(state=state) as other:
            d.reload()
            told(t, d, 1, "another daemon has taken the place: a line", f"state_dir {state}", "in use by another", LOST)
            t.equal(other.get("/-/ready")[0], 200, "which is not disturbed")
        mended("another daemon")
        ends(t, d, held, "after all that")


def unreadable_at_the_start(t):
    d = sjdaemon.Daemon()
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    names = {"nothing.yaml": 66, "a folder": 66, "large": 78, "binary": 78, "mode 0": 77}
    for name, wanted in names.items():
        path = sjtest.temp(name)
        if name == "a folder":
            os.mkdir(path)
        elif name != "nothing.yaml":
            with open(path, "wb") as file:
                file.write({"large": b"# x\n" * 300000, "binary": bytes(range(256))}.get(name, d.head.encode()))
            os.chmod(path, 0 if name == "mode 0" else 0o600)
        done = subprocess.run([*without, sjtest.SOJOURN, "serve", "-c", path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        t.ok(done.returncode == wanted and path in done.stderr and done.stderr.count("\n") == 1,
             f"{name}: status {wanted}, a line that names it", status=done.returncode, said=done.stderr[:300])
    named = {"none.yml": "web_config_file: none.yml\n",
             "none.tmpl": 'notify:\n  - webhook: {url: "http://127.0.0.1:1/", template_file: none.tmpl}\n',
             "none.pem": 'notify:\n  - webhook: {url: "https://127.0.0.1:1/", ca_file: none.pem}\n'}
    for name, text in named.items():
        d.write(d.head + text)
        status, _, err = sjdaemon.status_of(["serve", "-c", d.path])
        t.ok(status in (66, 78) and name in err and err.count("\n") == 1, f"{name} is missing: a line", status=status,
             err=err)


WEB = {
    "no YAML": "{",
    "an unknown key": "tls_server_configs: {}\n",
    "no bcrypt": "basic_auth_users: {a: b}\n",
    "gone": None,
    "no certificate": "tls_server_config: {cert_file: c.pem, key_file: c.key}\n",
    "another's key": "tls_server_config: {cert_file: ca.pem, key_file: other.key}\n",
}


class Guarded(sjdaemon.Daemon):
    """With a password."""

    def __init__(self, more=""):
        self.folder = sjtest.temp("guarded")
        os.mkdir(self.folder)
        self.web = self.folder + "/web.yml"
        self.hash = sjdaemon.bcrypt("secret")
        self.good()
        super().__init__(f"web_config_file: {self.web}\n{more}")

    def good(self):
        with open(self.web, "w", encoding="utf-8") as file:
            file.write(f"basic_auth_users: {{alice: '{self.hash}'}}\n")

    def get(self, path, password="secret"):
        done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "-u", "alice:" + password,
                               f"http://127.0.0.1:{self.port}{path}"], stdout=subprocess.PIPE, text=True, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


def files_that_go(t):
    token = sjtest.temp("token")
    with open(token, "w", encoding="utf-8") as file:
        file.write("hush\n")
    with sjdaemon.named_nginx(NGINX) as nginx, sjtest.Server() as server, sjdaemon.Receiver() as receiver:
        notify = rule(server.port, 'webhook: {url: "%s", bearer_token_file: %s}' % (receiver.url, token))
        with Guarded(notify) as d:
            for name in ("ca", "other"):
                sjdaemon.certificates(d.folder, name)
            failures = 0

            def refused(name, *words):
                nonlocal failures
                failures += 1
                lines = len(d.process.err().splitlines())
                d.reload(wanted=False)
                got = d.process.err().splitlines()[lines:]
                t.ok(len(got) == 1 and all(word in got[0] for word in words), f"{name}: one line", got=got)
                with contextlib.suppress(sjtest.Failed):  # the courier tells its figures once a second
                    sjtest.await_true(lambda: d.metric("sojourn_config_reload_failures_total") == failures, "the count")
                t.equal((d.metric("sojourn_config_reload_failures_total"),
                         d.metric("sojourn_config_last_reload_successful"), d.get("/-/ready", "wrong")[0]),
                        (failures, 0, 401), f"{name}: what was there goes on, and it is counted")

            for name, text in WEB.items():
                if text is None:
                    os.unlink(d.web)
                else:
                    with open(d.web, "w", encoding="utf-8") as file:
                        file.write(text)
                refused(f"web configuration: {name}", d.folder)
            d.good()
            for name in ("gone", "a folder", "unreadable"):
                os.rename(d.path, d.path + ".good")
                if name == "a folder":
                    os.mkdir(d.path)
                elif name == "unreadable":
                    shutil.copy(d.path + ".good", d.path)
                    os.chmod(d.path, 0)
                refused(f"configuration: {name}", d.path)
                if name == "a folder":
                    os.rmdir(d.path)
                os.rename(d.path + ".good", d.path)
            os.unlink(token)
            refused("a secret that is gone", d.path + ":", token)
            status, _, err = sjdaemon.status_of(["serve", "--check-config", d.path])
            t.ok(status == 66 and token in err and err.count("\n") == 1, "--check-config says the same", status=status,
                 err=err)
            counts(t, d, nginx, "files that are gone")
            with load(server):
                told(t, d, 1, "an alert that needs it: told of, and tried again", token, "it is tried again")
                with open(token, "w", encoding="utf-8") as file:
                    file.write("hush\n")
                sjtest.await_true(lambda: receiver.told, "the alert", timeout=60)
                t.equal(statuses(receiver), ["firing"], "it arrives when the secret is back")
            d.reload()
            sjtest.await_true(lambda: d.metric("sojourn_config_last_reload_successful"), "a good reload")
            t.equal(d.metric("sojourn_config_reload_failures_total"), failures, "with everything back, SIGHUP is right")
            t.ok("hush" not in d.process.told() and d.hash not in d.process.told(), "no secret is told")
        os.unlink(token)
        with Guarded(notify) as d:
            t.equal(len(d.said(token)), 1, "a secret that is missing at the start: a line, and it measures",
                    said=d.process.err())


def processes_that_stop(t):
    with sjdaemon.named_nginx(NGINX) as nginx, sjtest.Server() as server, sjdaemon.Receiver() as receiver:
        with sjdaemon.Daemon(rule(server.port, hook(receiver))) as d:
            held = sjdaemon.held_by(d.process.pid)
            os.kill(d.courier, signal.SIGSTOP)
            with load(server):
                sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 2000)
                time.sleep(4)
                os.kill(d.courier, signal.SIGCONT)
                sjtest.await_true(lambda: receiver.told, "the alert", timeout=45)
            counts(t, d, nginx, "a courier that stood still")
            sjtest.await_true(lambda: len(receiver.told) > 1, "the resolve", timeout=45)
            t.equal(statuses(receiver), ["firing", "resolved"], "alerts of that time arrive")
            os.kill(d.process.pid, signal.SIGSTOP)
            t.equal((d.get("/metrics")[0], d.get("/-/healthy")[0]), (503, 200), "a collector that stands still: 503")
            sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 2000)
            os.kill(d.process.pid, signal.SIGCONT)
            counts(t, d, nginx, "a collector that stood still")
            t.equal(d.report()["completeness"]["lost"], 0, "nothing was lost")
            t.equal(d.process.err(), "measuring\n", "nothing was said")
            ends(t, d, held, "after that")


def processes_that_are_killed(t):
    with sjdaemon.named_nginx(NGINX) as nginx:
        d = sjdaemon.Daemon()
        for whom, words, wanted in (("courier", "the courier", 70), ("collector", "the collector is gone", -9)):
            with d:
                held = sjdaemon.held_by(d.process.pid)
                os.kill(d.courier if whom == "courier" else d.process.pid, signal.SIGKILL)
                status = d.process.wait(30)
                sjtest.await_true(lambda: sjdaemon.gone(d.courier) and not held & sjdaemon.links(), "the end")
                lines = d.process.err().splitlines()
                t.ok(len(lines) == 2 and words in lines[1], f"kill -9 of the {whom}: the other says one line",
                     said=lines)
                t.equal((status, sjtest.accepts(("127.0.0.1", d.port))), (wanted, False), f"{whom}: nothing is left")
        with d:  # the same address, the same folder
            t.equal(d.process.err(), "measuring\n", "it starts again as if nothing had been")


class Clock:
    """The time of day of a program, in front of the C library's: that of the system cannot be set for one process."""

    def __init__(self):
        self.library, self.path = sjtest.temp("clock"), sjtest.temp("offset")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sjclock.c")
        sjtest.run(["gcc", "-shared", "-fPIC", "-o", self.library, source, "-ldl"])
        self.set(0)
        self.env = {"LD_PRELOAD": self.library, "CLOCK_OFFSET": self.path}

    def set(self, days):
        self.offset = days * 86400
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("=q", self.offset))

    def now(self):
        return time.time() + self.offset


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def a_clock_that_is_set(t):
    clock = Clock()
    with sjdaemon.named_nginx(NGINX) as nginx, sjtest.Server() as server, sjdaemon.Receiver() as receiver, \
            sjdaemon.Receiver() as manager:
        managed = 'alertmanager: {url: "%s"}' % manager.url.replace("/hook", "")
        text = rule(server.port, hook(receiver), managed) + "resend: 2s\n"

        def last(name, firing):
            """What Alertmanager was told last is something that it accepts, and that means this now."""
            alert = manager.told[-1][0]
            starts, ends_at, now = seconds(alert["startsAt"]), seconds(alert["endsAt"]), clock.now()
            t.ok(starts <= ends_at and starts <= now + 2 and (ends_at > now) == firing,
                 f"{name}: what Alertmanager is told", starts=starts - now, ends=ends_at - now)

        def again():
            before = len(manager.told)
            sjtest.await_true(lambda: len(manager.told) > before + 1, "it is told again", timeout=45)

        with sjdaemon.Daemon(text, env=clock.env) as d:
            with load(server):
                sjtest.await_true(lambda: receiver.told and manager.told, "the alert", timeout=45)
                last("before", True)
                for name, days in (("three days on", 3), ("three days back", -3)):
                    clock.set(days)
                    again()
                    last(name, True)
                    counts(t, d, nginx, name)
                    t.equal(statuses(receiver), ["firing"], f"{name}: nobody is told twice")
            sjtest.await_true(lambda: len(receiver.told) > 1, "the resolve", timeout=45)
            again()
            last("the resolve", False)
            alert = receiver.told[1]["alerts"][0]
            t.equal(statuses(receiver), ["firing", "resolved"], "it is resolved")
            t.ok(seconds(alert["startsAt"]) <= seconds(alert["endsAt"]), "and does not end before it began",
                 alert=alert)
            with load(server):
                sjtest.await_true(lambda: len(receiver.told) > 2, "the next alert", timeout=45)
            starts = seconds(receiver.told[2]["alerts"][0]["startsAt"])
            t.ok(abs(starts - clock.now()) < 3600, "the next one begins by the new clock", starts=starts)
            t.equal(d.process.err(), "measuring\n", "nothing is said of all that")
            clock.set(-6)
        with sjdaemon.Daemon(text, state=d.state, env=clock.env) as d:
            sjtest.await_true(lambda: len(receiver.told) > 3, "the resolve after a restart", timeout=45)
            t.equal(statuses(receiver), ["firing", "resolved"] * 2, "a restart with an earlier clock loses no resolve")


sjtest.main(a_disk_that_is_full, state_that_is_damaged, a_folder_that_goes, unreadable_at_the_start, files_that_go,
            processes_that_stop, processes_that_are_killed, a_clock_that_is_set)
