# SPDX-License-Identifier: GPL-3.0-or-later
"""TAP, temporary files, processes and the like: what sjtest is built on. Tests import sjtest."""

import contextlib
import itertools
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
BUILD = os.environ.get("B", "build")
LOAD = os.environ.get("SOJOURN_LOAD") or os.path.join(BUILD, "tools/load")
STARTUP = 30.0  # seconds that a program may take to be ready; the machine may be busy

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

    def all(self, failures, name, limit=2):
        """`failures` lists what contradicts the claim; it must be empty."""
        failures = list(failures)
        details = {f"example {i + 1}": str(failure)[:800] for i, failure in enumerate(failures[:limit])}
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


_ports = itertools.cycle(range(20000, 32768))
for _ in range(os.getpid() % 12768):
    next(_ports)


def free_port(host="127.0.0.1"):
    """One that was not handed out before, and that the kernel gives to nobody who does not ask for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _ports:
        with socket.socket(family, socket.SOCK_STREAM) as s, contextlib.suppress(OSError):
            s.bind((host, port))
            return port


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


# ---- small helpers --------------------------------------------------------------------------------------------------


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


def read_ndjson(path):
    """The whole lines: the last one may still be being written."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


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
