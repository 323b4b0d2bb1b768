# SPDX-License-Identifier: GPL-3.0-or-later
"""`sojourn serve` as a context, and what tests of it share. Tests import sjtest beside it."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import sjtest

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Daemon(sjtest.Service):
    """`sojourn serve` with a configuration file of its own."""

    def __init__(self, more="", state=None, prefix=(), env=None):
        self.prefix = prefix
        self.env = env
        self.port = sjtest.free_port()
        self.state = state or sjtest.temp("state")
        self.path = sjtest.temp("sojourn.yaml")
        self.prefix = prefix
        self.head = f"listen: 127.0.0.1:{self.port}\nstate_dir: {self.state}\n"
        self.write(self.head + more)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        self.process = sjtest.Process([*self.prefix, sjtest.SOJOURN, "serve", "-c", self.path],
                                      env={**os.environ, **(self.env or {})})
        sjtest.await_true(lambda: "measuring" in self.process.err(), "measuring", process=self.process)
        sjtest.await_true(lambda: self.get("/-/ready")[0] == 200, "ready", process=self.process)
        self.courier = int(sjtest.run(["pgrep", "-P", self.process.pid]))

    def get(self, path):
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name, **wanted):
        """The sum of the samples of that name with those labels; None without any."""
        values = []
        for line in self.get("/metrics")[1].splitlines():
            match = line.startswith(name) and SAMPLE.match(line)
            if match and match[1] == name and wanted.items() <= dict(LABEL.findall(match[2] or "")).items():
                values.append(float(match[3]))
        return sum(values) if values else None

    def report(self):
        return json.loads(self.get("/api/v1/report")[1])

    def said(self, *words):
        """The lines on standard error that hold all of these."""
        return [line for line in self.process.err().splitlines() if all(word in line for word in words)]

    def reload(self, wanted=True):
        """SIGHUP, and the line that it was taken (or not)."""
        what = "the configuration was read again" if wanted else "the configuration is as before"
        before = len(self.said(what))
        self.process.send_signal(signal.SIGHUP)
        sjtest.await_true(lambda: len(self.said(what)) > before, what, process=self.process)


class Http:
    """An HTTP server on a port of its own, that answers as `handler` does."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # the other side has ended
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Receiver(Http):
    """A webhook's other end: .told has the documents in their order."""

    def __init__(self):
        receiver = self
        self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(Handler)
        self.url = f"http://127.0.0.1:{self.port}/hook"


def called(program, name):
    """The path of a program under another name: the service is called so, and nobody else's is."""
    path = os.path.join(sjtest.temp("bin"), name)
    os.mkdir(os.path.dirname(path))
    os.symlink(shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or program, path)
    return path


def gone(pid):
    """It has ended, though perhaps nobody has asked for its status yet."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] in "ZX"
    return True


def status_of(words):
    done = subprocess.run([sjtest.SOJOURN, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def held_by(pid):
    """The BPF links that a process holds."""
    folder = f"/proc/{pid}/fdinfo"
    found = set()
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(f"{folder}/{name}", encoding="utf-8") as file:
            found |= {int(line.split()[1]) for line in file if line.startswith("link_id:")}
    return found


def links():
    """Those of the whole system."""
    return {link["id"] for link in json.loads(sjtest.run(["bpftool", "-j", "link"]))}


def named_nginx(name):
    """An nginx of another name, which is its service's: no other requests on this host are taken for its own."""
    folder = sjtest.temp("named")
    os.mkdir(folder)
    return sjtest.Nginx(program=shutil.copy(sjtest.have("nginx"), f"{folder}/{name}"))


def certificates(folder, name, authority=None, san="IP:127.0.0.1,DNS:localhost"):
    """Makes NAME.pem and NAME.key there, signed by the authority of that name or by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
    if authority:
        command += ["-CA", f"{folder}/{authority}.pem", "-CAkey", f"{folder}/{authority}.key", "-addext",
                    f"subjectAltName={san}", "-addext", "basicConstraints=critical,CA:FALSE"]
    sjtest.run(command)


def bcrypt(password):
    return sjtest.run(["perl", "-e", 'print crypt($ARGV[0], q($2b$05$) . "abcdefghijklmnopqrstuu")', password])
