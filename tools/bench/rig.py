# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of the bench uses: processes that end with it, nginx and wrk each on a core, and their counters."""

import contextlib
import ctypes
import glob
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

os.environ["PATH"] += ":/usr/sbin:/sbin"
HERE = os.path.dirname(os.path.abspath(__file__))
SOJOURN = os.path.abspath(os.environ.get("SOJOURN", "build/sojourn"))
BUILD = os.path.dirname(SOJOURN)
STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"
CPUS = sorted(os.sched_getaffinity(0))
STARTUP = 30.0  # seconds that a program may take to be ready

_libc = ctypes.CDLL(None, use_errno=True)
_running = []
_undo = []


class Failed(Exception):
    """Something that was to be measured did not run."""


# ---- processes ------------------------------------------------------------------------------------------------------


class Process(subprocess.Popen):
    """A program in a process group of its own, its output in files; it dies with the bench, however that ends."""

    def __init__(self, command, cpus=None, **options):
        self.name = os.path.basename(command[0])
        self.out_file = tempfile.TemporaryFile(mode="w+", errors="replace")
        self.err_file = tempfile.TemporaryFile(mode="w+", errors="replace")

        def prepare():
            _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
            if cpus:
                os.sched_setaffinity(0, cpus)

        options = {"stdout": self.out_file, **options}
        super().__init__(command, stdin=subprocess.DEVNULL, stderr=self.err_file, start_new_session=True,
                         preexec_fn=prepare, **options)
        _running.append(self)

    def out(self):
        return contents(self.out_file)

    def err(self):
        return contents(self.err_file)

    def await_true(self, condition, what, timeout=STARTUP):
        end = time.monotonic() + timeout
        while not (value := condition()):
            if self.poll() is not None:
                raise Failed(f"{what}: {self.name} ended with {self.returncode}: {self.told()}")
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {timeout:g} s: {self.told()}")
            time.sleep(0.02)
        return value

    def told(self):
        return (self.err() + self.out()).strip()[-1000:]

    def end(self, number=signal.SIGINT, timeout=20.0):
        """Ask it to end, wait until it has, and take down what is left of its group; returns its exit status."""
        if self.poll() is None:
            self.send_signal(number)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = self.wait()
        if self in _running:
            _running.remove(self)
        return status


def contents(file):
    """All that was written to a file that another process may be writing; its offset, which both share, stays."""
    return os.pread(file.fileno(), 1 << 26, 0).decode(errors="replace")


def run(command, **options):
    """Run to the end; returns (standard output, CPU seconds)."""
    before = waited_cpu()
    process = Process(command, **options)
    try:
        if process.wait(120):
            raise Failed(f"{process.name} ended with {process.returncode}: {process.told()}")
        return process.out(), waited_cpu() - before
    finally:
        process.end(signal.SIGKILL)


def waited_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_ns(pid):
    """CPU time of all threads of a process, as the scheduler counts it: exact when they sleep."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def memory_mib(pid):
    """VmRSS (resident), VmHWM (resident at its highest), RssAnon (of it, no file's) and so on."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {key: int(kib) / 1024 for key, kib in re.findall(r"^((?:Vm|Rss)\w+):\s+(\d+) kB", file.read(), re.M)}


def machine_busy():
    """Seconds of CPU time spent by everything on this machine, what the host took away included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


# ---- setting up and taking down -------------------------------------------------------------------------------------


def set_up():
    """A folder, enough descriptors, and an end that leaves nothing behind on a signal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: os._exit(128 + n) if take_down() else None)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    scratch = tempfile.mkdtemp(prefix="sojourn-bench-")
    os.chmod(scratch, 0o755)
    _undo.append(lambda: shutil.rmtree(scratch, ignore_errors=True))
    return scratch


def take_down():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for process in reversed(_running[:]):
        process.end(signal.SIGTERM, 3)
    while _undo:
        _undo.pop()()
    return True


def statistics_on():
    """Let the kernel keep times of BPF programs; returns a descriptor: it stops when that is closed."""
    fd = ctypes.CDLL("libbpf.so.1", use_errno=True).bpf_enable_stats(0)
    if fd < 0:
        raise Failed(f"the kernel's statistics of BPF programs cannot be had: {os.strerror(ctypes.get_errno())}")
    return fd


def statistics_off():
    """Whoever has them switched on for the whole system: off until the bench ends."""
    with open(STATISTICS, encoding="ascii") as file:
        before = file.read()
    if before.strip() != "0":
        _undo.append(lambda: write(STATISTICS, before))
        write(STATISTICS, "0")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


# ---- the load -------------------------------------------------------------------------------------------------------


class Nginx:
    """nginx with one worker, on the first core. It counts its own requests."""

    CONFIG = """
        worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error; worker_rlimit_nofile {files};
        events {{ worker_connections 20000; }}
        http {{
            access_log off; keepalive_requests 1000000000;
            client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            server {{
                listen 127.0.0.1:{port} backlog=16384;
                location /status {{ stub_status; }}
                location / {{ return 200 "hello world\\n"; }}
            }}
        }}"""

    def __init__(self, scratch):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        files = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        config = os.path.join(scratch, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(self.CONFIG.format(dir=scratch, port=self.port, files=files))
        # the name of the error log on the command line is for what comes before the configuration is read
        self.process = Process(["nginx", "-c", config, "-e", f"{scratch}/error"], cpus={CPUS[0]})
        self.process.await_true(self.answers, "nginx")
        self.worker = self.process.await_true(lambda: child_of(self.process.pid), "the worker of nginx")

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def requests(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/status")
            return int(connection.getresponse().read().split(b"\n")[2].split()[2])


def child_of(parent):
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            return int(path.split("/")[2])
    return None


class Load:
    """One run of wrk on the second core, and what it took: requests, nanoseconds of nginx, seconds of others.

    monitors: processes whose CPU time is known to belong to the measurement.
    """

    def __init__(self, nginx, seconds, monitors=()):
        watched = [nginx.worker, os.getpid(), *monitors]
        requests, server = nginx.requests(), cpu_ns(nginx.worker)
        busy, known = machine_busy(), sum(map(cpu_ns, watched))
        begin = time.monotonic()
        _, client = run(["wrk", "-t1", "-c32", f"-d{seconds}s", nginx.url], cpus={CPUS[1 % len(CPUS)]})
        self.seconds = time.monotonic() - begin
        self.server_ns = cpu_ns(nginx.worker) - server
        self.requests = nginx.requests() - requests - 1  # asking is a request too
        known = (sum(map(cpu_ns, watched)) - known) / 1e9 + client
        self.others = max(0.0, machine_busy() - busy - known) / self.seconds
        self.rate = self.requests / self.seconds
        if self.requests < 1000:
            raise Failed(f"wrk got only {self.requests} answers")


class Trickle(threading.Thread):
    """A request every millisecond on one connection, until stopped."""

    def __init__(self, nginx):
        super().__init__(daemon=True)
        self.address = ("127.0.0.1", nginx.port)
        self.stopping = False

    def run(self):
        with socket.create_connection(self.address) as s:
            while not self.stopping:
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not s.recv(4096):
                    return
                time.sleep(0.001)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join()
