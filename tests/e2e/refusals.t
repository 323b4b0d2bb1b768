#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be done is refused in one line that names cause and remedy, with the exit status that scripts rely on,
and leaves nothing behind."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import sjtest

USAGE, DATA, NO_INPUT, UNAVAILABLE, CANNOT_CREATE, IO, NO_PERMISSION = 64, 65, 66, 69, 73, 74, 77
HUGE = "99999999999999999999"


def sojourn(*arguments, prefix=(), timeout=30.0, stdout=subprocess.PIPE, **options):
    command = [*prefix, os.path.abspath(sjtest.SOJOURN), *arguments]
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout,
                          stderr=subprocess.PIPE, timeout=timeout, check=False, **options)


def complaint(done):
    """What was said on standard error, without the line that says that measuring has begun."""
    lines = done.stderr.decode(errors="replace").splitlines()
    return [line for line in lines if line != "measuring"]


def refused(t, status, arguments, *words, name=None, out=b"", **options):
    """One line that holds all the words, this exit status, nothing on standard output."""
    done = sojourn(*arguments, **options)
    said = complaint(done)
    good = (done.returncode == status and len(said) == 1 and said[0].startswith("sojourn: ") and
            all(word in said[0] for word in words) and (out is None or (done.stdout or b"") == out))
    return t.ok(good, name or " ".join(map(str, arguments)) or "(nothing)", expected=f"{status}, one line with {words}",
                got=f"{done.returncode}, {said}", out=(done.stdout or b"")[:200])


def in_mount_namespace(script):
    """A prefix: the program runs in a mount namespace of its own, after a script that may mount what it wants."""
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh"]


def usage(t):
    for arguments, words in [
            ([], ["--help"]),
            (["frob"], ["'frob'", "--help"]),
            (["--frob"], ["'--frob'", "--help"]),
            (["help", "frob"], ["'frob'", "--help"]),
            (["check", "--frob"], ["--frob", "check --help"]),
            (["check", "more"], ["more", "check --help"]),
            (["report", "--frob"], ["--frob", "report --help"]),
            (["report", "-x"], ["-x", "report --help"]),
            (["report", "--p", "1"], ["ambiguous", "--p"]),
            (["report", "more"], ["more", "--"]),
            (["report", "--"], ["command"]),
            (["report", "--json=yes"], ["--json", "no value"]),
            (["trace", "--fit", "none"], ["--fit"]),
            (["trace", "-o", "file"], ["-o"]),
            (["record"], ["-o FILE"]),
            (["record", "-o"], ["value"]),
            (["record", "-o", ""], ["file"]),
            (["record", "-o", "x", "--from", "y"], ["--from"]),
            (["report", "-d"], ["value"]),
            (["report", "--from", "x", "-d", "1s"], ["--from", "--duration"]),
            (["report", "--from", "x", "--", "true"], ["--from"]),
            (["report", "-d", "1s", "--", "true"], ["--duration"]),
            (["report", "--operation", "x", "--payload", "off"], ["--operation", "--payload"])]:
        refused(t, USAGE, arguments, *words)


def bad_values(t):
    for option, values in {
            "-d": ["10abc", "-1", "0", "", HUGE, HUGE + "s", "1", "s", "1 s", "1e3s", "0x10s", "nan", "1.s"],
            "--pid": ["10abc", "-1", "0", "", HUGE, "+1", " 1", "1.5", "4194305"],
            "--port": ["10abc", "-1", "0", "", HUGE, "65536", "http", "80,81"],
            "--ring": ["10abc", "-1", "0", "", HUGE, "1", "2GiB", "64kb", "64 KiB"],
            "--slower": ["10abc", "-1s", "", HUGE + "ms"],
            "--comm": ["", "0123456789abcdef"],
            "--cgroup": ["", "/nonexistent", "nonexistent", "/etc/passwd", "/tmp"],
            "--role": ["", "servers", "unknown"],
            "--protocol": ["", "gopher"],
            "--operation": ["", "x" * 1000],
            "--container": ["", "x" * 1000],
            "--stages": ["", "some"],
            "--payload": ["", "on"],
            "--probe-set": ["", "kprobe"],
            "--label": ["", "x" * 64],
            "--from": [""]}.items():
        for value in values:
            shown = value if len(value) < 70 else value[:10] + "..."
            refused(t, USAGE, ["report", option, value], "takes", "report --help", name=f"report {option} '{shown}'")
    refused(t, USAGE, ["report", "--port", "1\n\x1b[31m2"], "takes", name="a bad value is printed on one line")


def recording(t):
    """A short recording with some requests in it."""
    path = sjtest.temp("recording")
    with sjtest.Server("--model", "thread") as server:
        process = sjtest.Process([sjtest.SOJOURN, "record", "-o", path, "--port", server.port])
        sjtest.await_true(lambda: "measuring" in process.err(), "measuring", process=process)
        sjtest.client(server, "--requests", 1009)
        process.send_signal(signal.SIGINT)
        process.finish()
    return path


def broken_input(t):
    whole = open(recording(t), "rb").read()
    folder = sjtest.temp("inputs")
    os.mkdir(folder)

    def file(name, content):
        with open(os.path.join(folder, name), "wb") as to:
            to.write(content)
        return os.path.join(folder, name)

    line = json.dumps({"time": "2026-11-22T09:00:00Z", "service": "s", "role": "server", "total": 1}).encode() + b"\n"
    for command in ("report", "trace"):
        refused(t, NO_INPUT, [command, "--from", "/nonexistent/x"], "/nonexistent/x", "No such file", "give")
        refused(t, NO_INPUT, [command, "--from", folder], folder, "directory", name=f"{command} --from a folder")
        for name, content in [
                ("empty", b""),
                ("text", b"no recording\n"),
                ("zeros", bytes(10000)),
                ("head", whole[:5]),
                ("header", whole[:20]),
                ("version", whole[:8] + b"\xff\xff\xff\x7f" + whole[12:]),
                ("broken-line", b'{"time": "2026-11-22T09:00:00Z", "service":\n' + line),
                ("no-request", b'{"a": 1}\n'),
                ("no-object", b"[1, 2]\n"),
                ("gzip", gzip.compress(line * 1000)[:15]),
                ("broken-gzip", gzip.compress(line)[:12] + b"\xff" * 50)]:
            refused(t, DATA, [command, "--from", file(name, content)], name, name=f"{command} --from {name}",
                    out=None)
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        changed = bytearray(whole)
        changed[at] ^= 0x20
        done = sojourn("report", "--json", "--from", file("bit", changed))
        if done.returncode not in (0, DATA) or len(complaint(done)) > 1 or (done.returncode and not complaint(done)):
            t.ok(False, f"a changed bit in byte {at} is told in one line", got=f"{done.returncode}, {complaint(done)}")
            break
    else:
        t.ok(True, "a changed bit anywhere in a recording is told in one line")
    done = sojourn("report", "--json", "--from", file("cut", whole[:len(whole) - 20]))
    t.ok(done.returncode in (0, DATA) and len(complaint(done)) == 1, "a recording that was cut off is told",
         got=f"{done.returncode}, {complaint(done)}")


def no_output(t):
    folder = sjtest.temp("outputs")
    os.mkdir(folder)
    taken = folder + "/taken"
    with open(taken, "wb") as file:
        file.write(b"before")
    refused(t, CANNOT_CREATE, ["record", "-o", "/nonexistent/x"], "/nonexistent/x", "No such file", "folder")
    refused(t, CANNOT_CREATE, ["record", "-o", folder], folder, "directory", name="record -o a folder")
    refused(t, CANNOT_CREATE, ["record", "-o", "/proc/version/x"], "/proc/version/x")
    with open("/dev/full", "wb") as full:
        for arguments in (["--help"], ["--version"], ["check"], ["check", "--json"], ["report", "--help"],
                          ["report", "-d", "100ms"], ["report", "--json", "-d", "100ms"]):
            refused(t, IO, arguments, "standard output", "No space", stdout=full,
                    name=" ".join(arguments) + " > /dev/full")
        refused(t, IO, ["record", "-o", "-", "-d", "100ms"], "standard output", "No space", stdout=full,
                name="record -o - > /dev/full")
    refused(t, IO, ["record", "-o", "/dev/full", "-d", "100ms"], "/dev/full", "No space")
    refused(t, IO, ["report", "-d", "100ms"], "standard output", prefix=["sh", "-c", 'exec "$@" >&-', "sh"],
            name="report >&-")
    nobody = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    refused(t, NO_PERMISSION, ["record", "-o", folder + "/new"], "CAP_BPF", prefix=nobody,
            name="record without the rights to measure")
    refused(t, NO_PERMISSION, ["record", "-o", taken], "CAP_BPF", prefix=nobody,
            name="the same over a file that exists")
    t.equal(os.listdir(folder), ["taken"], "no file is left where nothing was recorded")
    t.equal(open(taken, "rb").read(), b"before", "and a file that was there keeps its content")


def trace_to_a_full_disk(t):
    with sjtest.Server("--model", "thread") as server, open("/dev/full", "wb") as full:
        process = sjtest.Process([sjtest.SOJOURN, "trace", "--port", server.port], stdout=full)
        sjtest.await_true(lambda: "measuring" in process.err(), "measuring", process=process)
        sjtest.client(server, "--requests", 101)
        try:
            status = process.wait(10)
        except subprocess.TimeoutExpired:
            status = "it runs on"
        said = [line for line in process.err().splitlines() if line != "measuring"]
        sjtest.stop(process, signal.SIGKILL)
    t.equal(status, IO, "trace > /dev/full ends by itself")
    t.ok(len(said) == 1 and "standard output" in said[0], "and says why in one line", got=said)


def record_to_a_full_disk(t):
    folder = sjtest.temp("full")
    os.mkdir(folder)
    with sjtest.Server("--model", "thread") as server:
        # What could be written is looked at before the file system goes with its namespace.
        script = ('mount -t tmpfs -o size=64k none "$1"; f=$1/recording; shift; "$@" -o "$f"; s=$?; '
                  'cp "$f" "$0"; ls "${f%/*}" >&2; exit $s')
        copy = sjtest.temp("copy")
        process = sjtest.Process(["unshare", "-m", "--propagation", "private", "sh", "-c", script, copy, folder,
                                  sjtest.SOJOURN, "record", "--port", server.port])
        sjtest.await_true(lambda: "measuring" in process.err(), "measuring", process=process)
        asking = sjtest.Client(server, "--requests", 1000000, "--connections", 4, "--duration", "20s")
        try:
            status = process.wait(40)
        except subprocess.TimeoutExpired:
            status = "it runs on"
        said = [line for line in process.err().splitlines() if line != "measuring"]
        sjtest.stop(process, signal.SIGKILL)
        sjtest.stop(asking.process)
    t.equal(status, IO, "record to a full file system ends by itself")
    t.ok(len(said) == 2 and "No space" in said[0] and "can be read" in said[0], "says in one line what became of it",
         got=said)
    t.equal(said[1:], ["recording"], "leaves nothing else there")
    done = sojourn("report", "--json", "--from", copy)
    requests = json.loads(done.stdout or b'{"completeness": {}}')["completeness"].get("requests", 0)
    t.ok(done.returncode == 0 and requests > 0 and str(requests) in said[0].replace(",", ""),
         "and what it says can be read, can", said=said, status=done.returncode, requests=requests,
         stderr=done.stderr.decode())


def closed_pipe(t):
    for arguments in (["--help"], ["report", "--help"], ["check"], ["report", "-d", "300ms"],
                      ["report", "--json", "-d", "300ms"], ["record", "-o", "-", "-d", "300ms"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = sojourn(*arguments, stdout=writer)
        os.close(writer)
        t.equal((done.returncode, complaint(done)), (0, []), f"{' '.join(arguments)} into a closed pipe is quiet")
    reader, writer = os.pipe()
    with sjtest.Server("--model", "thread") as server:
        process = sjtest.Process([sjtest.SOJOURN, "trace", "--json", "--port", server.port], stdout=writer)
        os.close(writer)
        sjtest.await_true(lambda: "measuring" in process.err(), "measuring", process=process)
        sjtest.client(server, "--requests", 11)
        os.read(reader, 10)
        os.close(reader)
        begin = time.monotonic()
        try:
            status = process.wait(10)  # though no further request comes
        except subprocess.TimeoutExpired:
            status = "it runs on"
        took = time.monotonic() - begin
        said = [line for line in process.err().splitlines() if line != "measuring"]
        sjtest.stop(process, signal.SIGKILL)
    t.equal((status, said), (0, []), "trace ends quietly when its reader goes away", took=took)


def readable_copy():
    """The program where anybody may run it."""
    path = sjtest.temp("sojourn")
    shutil.copy(sjtest.SOJOURN, path)
    os.chmod(path, 0o755)
    return path


def no_rights(t):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all",
              "--bounding-set=-all"]
    copy = readable_copy()
    folder = sjtest.temp("folder")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    original, sjtest.SOJOURN = sjtest.SOJOURN, copy
    try:
        for command in (["report", "-d", "1s"], ["trace"], ["record", "-o", folder + "/x"], ["check"]):
            refused(t, NO_PERMISSION, command, "no permission", "root", "CAP_BPF", prefix=nobody, out=None,
                    name="an ordinary user: " + command[0])
        t.equal(os.listdir(folder), [], "no file is left")
        done = sojourn("check", "--json", prefix=nobody)
        check = json.loads(done.stdout)
        t.equal((done.returncode, check["possible"], done.stderr), (NO_PERMISSION, False, b""),
                "check --json says it in its object")
        t.ok("CAP_BPF" in check.get("reason", ""), "with the reason", check=check)
        for missing in ("bpf", "perfmon"):
            refused(t, NO_PERMISSION, ["report", "-d", "1s"], "CAP_BPF and CAP_PERFMON", out=None,
                    prefix=["setpriv", f"--bounding-set=-{missing},-sys_admin"], name=f"root without CAP_{missing}")
        both = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all,+bpf,+perfmon",
                "--ambient-caps=-all,+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon"]
        with sjtest.Server("--model", "thread") as server:
            with sjtest.Measure("--port", server.port, "--role", "server", prefix=both) as m:
                sjtest.client(server, "--requests", 101)
            t.equal(m.requests(), 101, "an ordinary user with the two capabilities measures")
    finally:
        sjtest.SOJOURN = original


# Runs a program that may do everything but load BPF programs, as a security policy may have it.
NO_PROGRAMS = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, 5), (0x06, 0, 0, 0x50001),
         (0x06, 0, 0, 0x7fff0000)]  # bpf(BPF_PROG_LOAD): EPERM
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def no_leave(t):
    """The rights are there, the tracepoints too, and still the kernel says no: `check` must not promise otherwise."""
    policy = [sys.executable, "-c", NO_PROGRAMS]
    for command in (["report", "-d", "1s"], ["report", "-d", "1s", "--probe-set", "syscall"], ["trace"], ["check"]):
        refused(t, NO_PERMISSION, command, "refused", "policy", prefix=policy, out=None,
                name="a policy against it: " + " ".join(command))
    done = sojourn("check", "--json", prefix=policy)
    t.equal((done.returncode, json.loads(done.stdout)["possible"]), (NO_PERMISSION, False),
            "a policy against it: check --json")
    done = sojourn("check")
    t.equal((done.returncode, complaint(done)), (0, []), "no policy against it: check is content")


BTF = "/sys/kernel/btf"
CLOCK = ("sched_switch", "sched_wakeup", "signal_generate")  # needed for the stages only


def no_kernel_support(t):
    empty = in_mount_namespace(f"mount -t tmpfs none {BTF}")
    for command in (["report", "-d", "1s"], ["trace"], ["check"]):
        refused(t, UNAVAILABLE, command, "btf", "CONFIG_DEBUG_INFO_BTF", prefix=empty, out=None,
                name="no BTF: " + command[0])
    done = sojourn("check", "--json", prefix=empty)
    t.equal((done.returncode, json.loads(done.stdout)["possible"]), (UNAVAILABLE, False), "no BTF: check --json")
    with open(BTF + "/vmlinux", "rb") as file:
        types = file.read()
    # The kernel's own description of itself, in which one tracepoint has another name. Who needs it?
    needed = {"sk_data_ready": ["socket"], "sock_recv_length": ["socket"], "sock_send_length": ["socket"],
              "sys_exit": ["syscall"], "tcp_probe": ["syscall"],
              "tcp_destroy_sock": ["socket", "syscall"], "inet_sock_set_state": ["socket", "syscall"]}
    for tracepoint in (*needed, *CLOCK):
        name = b"\0btf_trace_" + tracepoint.encode() + b"\0"
        if types.count(name) != 1:
            raise sjtest.Failed(f"{tracepoint} is not in {BTF}/vmlinux once")
        path = sjtest.temp("btf")
        with open(path, "wb") as file:
            file.write(types.replace(name, b"\0btf_trace_x" + name[len(b"\0btf_trace_x"):]))
        without = in_mount_namespace(f"mount --bind {path} {BTF}/vmlinux")
        if tracepoint in CLOCK:
            without_clock(t, tracepoint, without)
        else:
            without_tracepoint(t, tracepoint, needed[tracepoint], without)
        os.unlink(path)


def without_tracepoint(t, tracepoint, sets, without):
    """The sets that need it refuse; the other one steps in, if there is one."""
    for probe_set in sets:
        refused(t, UNAVAILABLE, ["report", "-d", "1s", "--probe-set", probe_set], f"tracepoint {tracepoint}:",
                prefix=without, name=f"no tracepoint {tracepoint}: report --probe-set {probe_set}")
    others = [s for s in ("socket", "syscall") if s not in sets]
    if not others:
        refused(t, UNAVAILABLE, ["report", "-d", "1s"], f"tracepoint {tracepoint}:", prefix=without,
                name=f"no tracepoint {tracepoint}: report")
        refused(t, UNAVAILABLE, ["check"], f"tracepoint {tracepoint}:", prefix=without, out=None,
                name=f"no tracepoint {tracepoint}: check")
        return
    done = sojourn("report", "--json", "-d", "100ms", "--port", 1, prefix=without)
    t.equal((done.returncode, json.loads(done.stdout or b"{}").get("probe", {}).get("set")), (0, others[0]),
            f"no tracepoint {tracepoint}: report takes the other set", said=complaint(done))
    done = sojourn("check", "--json", prefix=without)
    t.equal((done.returncode, json.loads(done.stdout)["probe_set"]), (0, others[0]),
            f"no tracepoint {tracepoint}: and so check says")


def without_clock(t, tracepoint, without):
    refused(t, UNAVAILABLE, ["report", "-d", "1s"], f"tracepoint {tracepoint}:", prefix=without,
            name=f"no tracepoint {tracepoint}: report")
    done = sojourn("check", prefix=without)
    row = [line for line in done.stdout.decode().splitlines() if line.startswith(tracepoint)]
    t.ok(done.returncode == 0 and len(row) == 1 and "NO" in row[0] and "--stages queue" in row[0],
         f"no tracepoint {tracepoint}: check says what can be measured without", got=row)
    done = sojourn("report", "--json", "--stages", "queue", "-d", "100ms", "--port", 1, prefix=without)
    t.equal((done.returncode, complaint(done)), (0, []), f"no tracepoint {tracepoint}: report --stages queue")


def a_command_that_cannot_run(t):
    done = sojourn("report", "--json", "--port", 1, "--", "/nonexistent/program")
    t.equal((done.returncode, len(complaint(done)), "/nonexistent/program" in "".join(complaint(done))),
            (127, 1, True), "a command that does not exist: 127, as in a shell", said=complaint(done))
    done = sojourn("report", "--json", "--port", 1, "--", "/etc/passwd")
    t.equal((done.returncode, len(complaint(done))), (126, 1), "a command that is no program: 126",
            said=complaint(done))
    done = sojourn("report", "--json", "--port", 1, "--", "sh", "-c", "exit 7")
    t.equal((done.returncode, complaint(done)), (7, []), "a command's status is passed on")
    done = sojourn("report", "--json", "--port", 1, "--", "sh", "-c", "kill -9 $$")
    t.equal((done.returncode, complaint(done)), (137, []), "and so is its signal")


def few_descriptors(t):
    """Every limit of the system that is met on the way has its line."""
    for limit in (5, 8, 12, 16, 20, 24, 28):
        done = sojourn("report", "--json", "--port", 1, "-d", "50ms",
                       prefix=["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"])
        said = complaint(done)
        t.ok(done.returncode in (0, 69, 71, 77) and len(said) == (1 if done.returncode else 0),
             f"with {limit} descriptors it measures or says why not", got=f"{done.returncode}, {said}")


def extreme_rings(t):
    """The whole range that is accepted works, or says what would."""
    for size in ("4KiB", "5KiB", "64KiB", "1MiB", "100MiB", "1GiB"):
        done = sojourn("report", "--json", "--port", 1, "-d", "50ms", "--ring", size)
        said = complaint(done)
        t.ok((done.returncode == 0 and not said) or (done.returncode == 71 and len(said) == 1 and "--ring" in said[0]),
             f"--ring {size} works or is told to be too large", got=f"{done.returncode}, {said}")


def what_it_does_without(t):
    """Things that others need: no tracefs, little lockable memory, perf events forbidden."""
    measure = ["report", "--json", "--port", 1, "-d", "50ms"]
    bare = in_mount_namespace("umount -l /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; "
                              "mount -t tmpfs none /sys/fs")
    few = ["prlimit", "--memlock=65536:65536", "--"]
    for name, prefix in (("tracefs and the like", bare), ("more than 64 KiB of lockable memory", few)):
        done = sojourn(*measure, prefix=prefix)
        t.equal((done.returncode, complaint(done)), (0, []), f"it measures without {name}")
    setting = "/proc/sys/kernel/perf_event_paranoid"
    if not os.path.exists(setting):
        done = sojourn(*measure)
        t.equal((done.returncode, complaint(done)), (0, []), "it measures on a kernel without perf events")
        return
    with open(setting, encoding="ascii") as file:
        before = file.read()
    try:
        with open(setting, "w", encoding="ascii") as file:
            file.write("3")
        done = sojourn(*measure)
        t.equal((done.returncode, complaint(done)), (0, []), "it measures with kernel.perf_event_paranoid=3")
    finally:
        with open(setting, "w", encoding="ascii") as file:
            file.write(before)


def what_check_tells(t):
    done = sojourn("check", "--json")
    check = json.loads(done.stdout)
    t.equal((done.returncode, check["possible"], check["probe_set"]), (0, True, "socket"), "the set that is chosen")
    t.equal([(s["name"], s["possible"]) for s in check["probe_sets"]], [("socket", True), ("syscall", True)],
            "the sets that are possible")
    t.ok(check["rights_after"] in ("none", "CAP_BPF"), "the rights that stay", got=check)
    t.ok(all(c["have"] or c["consequence"] for c in check["capabilities"]), "what is missing has a consequence",
         got=check)
    rows = sojourn("check").stdout.decode().splitlines()
    for name in ("payload", "probe_set_syscall", "process_names", "after attaching"):
        t.equal(sum(row.startswith(name) for row in rows), 1, f"a row tells of {name}")


sjtest.main(usage, bad_values, broken_input, no_output, trace_to_a_full_disk, record_to_a_full_disk, closed_pipe,
            no_rights, no_leave, no_kernel_support, a_command_that_cannot_run, few_descriptors,
            extreme_rings, what_it_does_without, what_check_tells)
