# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end-to-end tests share: TAP, the monitor as a context, and the servers that it measures.

A test file is a function of a Test, run by main():

    #!/usr/bin/env python3
    import sjtest

    def counts(t):
        with sjtest.Server("--model", "thread") as server, sjtest.Measure("--port", server.port) as m:
            sent = sjtest.client(server, "--requests", 1009)
        t.equal(m.requests(role="server"), sent["answered"], "every request is counted")

    sjtest.main(counts)

Everything that is started belongs to a process group of its own that dies with its context; files lie in one
temporary folder that is removed at the end, however the test ends.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SOJOURN = os.environ.get("SOJOURN", "build/sojourn")
LOAD = os.environ.get("SOJOURN_LOAD") or os.path.join(os.environ.get("B", "build"), "tools/load")
STARTUP = 30.0  # seconds that a program may take to be ready; the machine may be busy
POSTGRES_FOLDERS = [f"/usr/lib/postgresql/{version}/bin" for version in range(20, 12, -1)]

_scratch = None
_running = []


class Failed(Exception):
    """Something that the test needs did not work: no check of the product, but the end of this test function."""


# ---- TAP ------------------------------------------------------------------------------------------------------------


class Test:
    """The checks of one file. Each prints one line of TAP, and when it fails what was expected and what came."""

    def __init__(self):
        self.number = 0
        self.failed = 0

    def ok(self, good, name, **details):
        self.number += 1
        print(f"{'ok' if good else 'not ok'} {self.number} - {one_line(name)}")
        if not good:
            self.failed += 1
            for key, value in details.items():
                self.diag(f"{key}: {value}")
        sys.stdout.flush()
        return bool(good)

    def equal(self, got, expected, name, **details):
        return self.ok(got == expected, name, expected=repr(expected), got=repr(got), **details)

    def between(self, got, low, high, name, **details):
        good = got is not None and low <= got <= high
        return self.ok(good, name, expected=f"{low!r} .. {high!r}", got=repr(got), **details)

    def at_most(self, got, high, name, **details):
        return self.ok(got is not None and got <= high, name, expected=f"at most {high!r}", got=repr(got), **details)

    def at_least(self, got, low, name, **details):
        return self.ok(got is not None and got >= low, name, expected=f"at least {low!r}", got=repr(got), **details)

    def near(self, got, expected, relative, absolute, name, **details):
        """Within the larger of a part of what is expected and an absolute distance."""
        margin = max(abs(expected) * relative, absolute)
        good = got is not None and abs(got - expected) <= margin
        return self.ok(good, name, expected=f"{expected!r} +- {margin!r}", got=repr(got), **details)

    def all(self, failures, name, limit=5):
        """`failures` lists what contradicts the claim; it must be empty."""
        failures = list(failures)
        details = {f"example {i + 1}": failure for i, failure in enumerate(failures[:limit])}
        return self.ok(not failures, name, exceptions=len(failures), **details)

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {one_line(name)} # SKIP {one_line(why)}", flush=True)

    @staticmethod
    def diag(text):
        for line in str(text).splitlines() or [""]:
            print("# " + line)
        sys.stdout.flush()


def one_line(text):
    return str(text).replace("#", "no. ").replace("\n", " ")


def skip_all(why):
    print(f"1..0 # SKIP {one_line(why)}", flush=True)
    sys.exit(0)


def need_root():
    if os.geteuid() != 0:
        skip_all("needs root")


def main(*functions, root=True):
    """Run the functions of a test file, print the plan, end with 0 only if every check held."""
    if root:
        need_root()
    for program in (SOJOURN, LOAD):
        if not os.access(program, os.X_OK):
            print(f"Bail out! {program} is missing: make && make tools", flush=True)
            sys.exit(1)
    chosen = set(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    t = Test()
    try:
        for function in functions:
            if chosen and function.__name__ not in chosen:
                continue
            begin = time.monotonic()
            try:
                function(t)
            except Exception as trouble:
                t.ok(False, f"{function.__name__} runs to its end", trouble=f"{type(trouble).__name__}: {trouble}",
                     where=traceback.format_exc(limit=-4))
            Test.diag(f"{function.__name__}: {time.monotonic() - begin:.1f} s")
    finally:
        clean_up()
    print(f"1..{t.number}", flush=True)
    sys.exit(1 if t.failed or not t.number else 0)


# ---- files, ports, processes ----------------------------------------------------------------------------------------


def scratch():
    """The test's temporary folder; others may enter it, for servers that give up root."""
    global _scratch
    if _scratch is None:
        _scratch = tempfile.mkdtemp(prefix="sjtest-")
        os.chmod(_scratch, 0o755)
    return _scratch


def temp(name):
    """A path in the temporary folder that was not handed out before."""
    fd, path = tempfile.mkstemp(prefix=name + "-", dir=scratch())
    os.close(fd)
    os.unlink(path)
    return path


def clean_up():
    global _scratch
    for process in list(_running):
        stop(process, signal.SIGKILL)
    if _scratch is not None:
        shutil.rmtree(_scratch, ignore_errors=True)
        _scratch = None


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def await_true(condition, what, timeout=STARTUP, process=None):
    """Wait until condition() is true; Failed when it does not come true, or when `process` ends before."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise Failed(f"{what}: {process.args[0]} ended with {process.returncode}: {process.told()}")
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {timeout:g} s")
        time.sleep(0.01)


def accepts(address):
    """Whether someone listens at (host, port) or at a unix path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        try:
            s.connect(address)
        except OSError:
            return False
    return True


class Process(subprocess.Popen):
    """A program in a process group of its own, its output in files. Ended at the latest with the test."""

    def __init__(self, command, **options):
        command = [str(word) for word in command]
        self.out_path, self.err_path = temp("out"), temp("err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "start_new_session": True, **options}
            super().__init__(command, **options)
        _running.append(self)

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def told(self):
        return (self.err() + self.out()).strip()[-2000:]

    def finish(self, timeout=60.0):
        """Wait for its end and return its standard output; Failed unless it ended with 0."""
        try:
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            stop(self, signal.SIGKILL)
            raise Failed(f"{self.args} did not end within {timeout:g} s: {self.told()}") from None
        stop(self, signal.SIGKILL)
        if status:
            raise Failed(f"{self.args} ended with {status}: {self.told()}")
        return self.out()


def stop(process, number=signal.SIGTERM, timeout=15.0):
    """End a process and its group; returns its exit status."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process in _running:
        _running.remove(process)
    return process.wait()


def run(command, timeout=60.0, **options):
    """Run to the end; returns standard output, Failed unless it ended with 0."""
    return Process(command, **options).finish(timeout)


def have(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


# ---- the monitor ----------------------------------------------------------------------------------------------------


class Measure:
    """`sojourn report --json` (or `trace --json`) around a block:

        with Measure("--port", 8080) as m:            # a report
            ...
        m.report, m.completeness, m.requests(role="server")

        with Measure("--port", 8080, command="trace") as m:
            ...
        m.lines                                       # all of them; while it runs m.read() gives those so far

    Enters when everything is attached, ends with SIGINT after `settle` seconds; Failed when the program fails.
    """

    def __init__(self, *arguments, command="report", settle=0.0, json_output=True, prefix=()):
        self.command = [*prefix, SOJOURN, command, *(["--json"] if json_output else []), *arguments]
        self.kind = command
        self.json_output = json_output
        self.settle = settle
        self.process = self.report = None
        self.lines = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.finish()
        else:
            Test.diag(f"sojourn said: {self.process.err().strip()}")
            stop(self.process, signal.SIGKILL)

    def start(self):
        self.process = Process(self.command)
        await_true(lambda: any(line == "measuring" for line in self.process.err().splitlines()),
                   "the line 'measuring'", process=self.process)

    def finish(self):
        time.sleep(self.settle)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        text = self.process.finish()
        if not self.json_output:
            return
        if self.kind == "trace":
            self.lines = [json.loads(line) for line in text.splitlines()]
        else:
            self.report = json.loads(text)

    def read(self):
        """trace: the whole lines that have come so far."""
        text = self.process.out()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    @property
    def text(self):
        return self.process.out()

    @property
    def completeness(self):
        return self.report["completeness"]

    def services(self, **wanted):
        """The entries of the report's `services` whose members have these values."""
        return [s for s in self.report["services"] if all(s.get(k) == v for k, v in wanted.items())]

    def requests(self, **wanted):
        return sum(s["requests"] for s in self.services(**wanted))

    def operations(self, **wanted):
        """operation -> its requests, over the services whose members have these values."""
        counts = {}
        for service in self.services(**wanted):
            for operation in service.get("operations", []):
                name = operation["operation"]
                counts[name] = counts.get(name, 0) + operation["requests"]
        return counts

    def select(self, **wanted):
        """trace: the lines whose members have these values."""
        return [line for line in self.lines if all(line.get(k) == v for k, v in wanted.items())]


def ns(seconds):
    """The outputs' seconds as whole nanoseconds; exact below 2^53 ns."""
    return round(seconds * 1e9)


def median(values):
    values = sorted(values)
    if not values:
        return None
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None


# ---- the load generator ---------------------------------------------------------------------------------------------


class Service:
    """A server as a context; subclasses start self.process and say when it is ready."""

    process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is not None:
            stop(self.process)


class Server(Service):
    """`load server`: .address as the client takes it, .port (0 on unix), .pid; after stop() .result and .log()."""

    def __init__(self, *arguments, listen="127.0.0.1:0", log=False, prefix=()):
        self.ready_path = temp("ready")
        self.log_path = temp("serverlog") if log else None
        self.arguments = [*prefix, LOAD, "server", "--listen", listen, "--ready-file", self.ready_path, *arguments]
        if log:
            self.arguments += ["--log", self.log_path]
        self.address = self.result = None

    def start(self):
        self.process = Process(self.arguments)

        def address():
            with contextlib.suppress(FileNotFoundError), open(self.ready_path, encoding="utf-8") as file:
                return file.read().strip()
            return ""

        self.address = await_true(address, "the address of load server", process=self.process)
        self.unix = self.address.startswith("unix:")
        self.port = 0 if self.unix else int(self.address.rpartition(":")[2])
        self.pid = self.process.pid

    def target(self):
        """The address for Python's socket.connect."""
        if self.unix:
            return self.address[len("unix:"):]
        return (self.address.rpartition(":")[0].strip("[]"), self.port)

    def stop(self):
        if self.process is None or self.result is not None:
            return
        stop(self.process)
        with contextlib.suppress(ValueError):
            self.result = json.loads(self.process.out())

    def log(self):
        return read_ndjson(self.log_path)


class Client:
    """`load client` in the background: finish() returns what it counted; .log() its lines."""

    def __init__(self, server, *arguments, log=False, prefix=()):
        address = server if isinstance(server, str) else server.address
        self.log_path = temp("clientlog") if log else None
        command = [*prefix, LOAD, "client", "--connect", address, *arguments]
        self.process = Process(command + (["--log", self.log_path] if log else []))

    def finish(self, timeout=120.0, fail=True):
        """With fail=False also a client whose requests failed gives its counts."""
        try:
            return json.loads(self.process.finish(timeout))
        except Failed:
            if fail or self.process.returncode != 1:
                raise
            return json.loads(self.process.out())

    def log(self):
        return read_ndjson(self.log_path)


def client(server, *arguments, timeout=120.0, fail=True):
    return Client(server, *arguments).finish(timeout, fail)


def read_ndjson(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def talk(address, *pieces, gap=0.0, close_writing=False, timeout=10.0):
    """Connect, send the pieces with a gap between them, return all that comes until the other side closes."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(address)
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(gap)
            s.sendall(piece)
        if close_writing:
            s.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return answer


# ---- well-known servers ---------------------------------------------------------------------------------------------

NGINX_CONF = """
daemon off;
master_process {master};
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 16384; }}
worker_rlimit_nofile 32768;
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        {listen}
        location = /status {{ stub_status; }}
        {locations}
    }}
}}
"""


class Nginx(Service):
    """nginx with its own configuration and port. `/status` is stub_status; `/` answers 200 with `body`."""

    def __init__(self, locations="", http="", listen="", body="hello", workers=1):
        self.port = free_port()
        self.status_port = free_port()
        self.folder = temp("nginx")
        os.mkdir(self.folder)
        if "location / " not in locations:
            locations += f'location / {{ default_type text/plain; return 200 "{body}"; }}'
        # Its own requests for the status go to another port, so that a filter by port leaves them out.
        http += f"\n    server {{ listen 127.0.0.1:{self.status_port}; location = /status {{ stub_status; }} }}"
        listen = f"listen 127.0.0.1:{self.port} backlog=8192 default_server; {listen}"
        with open(self.folder + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(NGINX_CONF.format(folder=self.folder, workers=workers, listen=listen, locations=locations,
                                         http=http, master="on" if workers > 1 else "off",
                                         user="user root;" if os.geteuid() == 0 else ""))
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        program = have("nginx")
        if not program:
            raise Failed("nginx is not installed")
        self.process = Process([program, "-p", self.folder, "-c", self.folder + "/nginx.conf",
                                "-e", self.folder + "/error.log"])
        await_true(lambda: accepts(("127.0.0.1", self.port)), "nginx listens", process=self.process)
        self.pid = self.process.pid

    def stub_status(self):
        """accepts, handled, requests since nginx started; asking is itself a request, included in the numbers."""
        answer = talk(("127.0.0.1", self.status_port), b"GET /status HTTP/1.0\r\n\r\n").decode()
        numbers = answer.split("requests\n")[1].split("\n")[0].split()
        return {"accepts": int(numbers[0]), "handled": int(numbers[1]), "requests": int(numbers[2])}


class Redis(Service):
    """redis on a port of its own, or on a unix socket."""

    def __init__(self, *arguments, unix=False):
        self.folder = temp("redis")
        os.mkdir(self.folder)
        self.path = self.folder + "/redis.sock" if unix else None
        self.port = 0 if unix else free_port()
        self.arguments = arguments

    def start(self):
        program = have("redis-server")
        if not program:
            raise Failed("redis-server is not installed")
        where = ["--port", "0", "--unixsocket", self.path] if self.path else ["--port", self.port]
        self.process = Process([program, "--bind", "127.0.0.1", *where, "--dir", self.folder, "--save", "",
                                "--appendonly", "no", "--daemonize", "no", *self.arguments])
        await_true(lambda: accepts(self.target()), "redis listens", process=self.process)
        self.pid = self.process.pid

    def target(self):
        return self.path or ("127.0.0.1", self.port)

    def cli(self, *words):
        where = ["-s", self.path] if self.path else ["-p", self.port]
        return run(["redis-cli", *where, *words])


class Postgres(Service):
    """PostgreSQL with its own data folder, as the user postgres; a port of its own and a unix socket."""

    def __init__(self, *settings):
        self.settings = settings
        self.port = free_port()
        self.folder = temp("postgres")
        os.mkdir(self.folder)
        self.bin = next((folder for folder in POSTGRES_FOLDERS if os.path.exists(folder + "/postgres")), None)
        self.as_user = []
        if os.geteuid() == 0:
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]

    def start(self):
        if not self.bin:
            raise Failed("PostgreSQL is not installed")
        if self.as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder + "/data"
        run([*self.as_user, self.bin + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
             "--locale=C"], cwd="/")
        settings = ["fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1",
                    *self.settings]
        options = [word for setting in settings for word in ("-c", setting)]
        self.process = Process([*self.as_user, self.bin + "/postgres", "-D", data, "-p", self.port, *options], cwd="/")
        await_true(self.ready, "PostgreSQL answers", process=self.process)
        self.pid = self.process.pid

    def ready(self):
        check = [self.bin + "/pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]
        return subprocess.run(check, check=False).returncode == 0

    def psql_command(self, *arguments, host=None):
        return [self.bin + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres",
                "-h", host or self.folder, "-p", self.port, *arguments, "postgres"]

    def psql(self, sql, host=None):
        """Over the unix socket, or over TCP with host="127.0.0.1"."""
        return run(self.psql_command("-c", sql, host=host))

    def stop(self):
        if self.process is not None:
            stop(self.process, signal.SIGINT)  # a fast shutdown, which takes the sessions down


class Threads:
    """Functions side by side; finish() waits and raises what one of them raised."""

    def __init__(self, *functions):
        self.troubles = []
        self.threads = [threading.Thread(target=self._guarded, args=(f,), daemon=True) for f in functions]
        for thread in self.threads:
            thread.start()

    def _guarded(self, function):
        try:
            function()
        except Exception as trouble:
            self.troubles.append(trouble)

    def finish(self, timeout=120.0):
        end = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                raise Failed(f"not done within {timeout:g} s")
        if self.troubles:
            raise self.troubles[0]
