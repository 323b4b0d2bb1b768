#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings and what stands around a measurement: --from, gzip, standard input, no rights, damaged files, -- COMMAND,
closed pipes, signals."""

import collections
import gzip
import json
import os
import shutil
import signal
import subprocess
import time

import sjtest

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--")
EX_DATAERR, EX_NOINPUT, EX_NOPERM, EX_CANTCREAT = 65, 66, 77, 73

Ended = collections.namedtuple("Ended", "status out err")


def sojourn(*arguments, prefix=(), program=None, stdin=None, timeout=60):
    """Run to the end: status, standard output, standard error."""
    command = [*prefix, program or sjtest.SOJOURN, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True, timeout=timeout, check=False)
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip())


def begin(*arguments, **options):
    """Start a measurement; returns its process when everything is attached."""
    process = sjtest.Process([sjtest.SOJOURN, *arguments], **options)
    sjtest.await_true(lambda: "measuring" in process.err().splitlines(), "the line 'measuring'", process=process)
    return process


def read(path, *arguments, **options):
    done = sojourn("report", "--json", "--from", path, *arguments, **options)
    if done.status:
        raise sjtest.Failed(f"report --from {path}: {done.status} {done.err}")
    return json.loads(done.out)


def read_lines(path, *arguments, **options):
    done = sojourn("trace", "--json", "--from", path, *arguments, **options)
    if done.status:
        raise sjtest.Failed(f"trace --from {path}: {done.status} {done.err}")
    return [json.loads(line) for line in done.out.splitlines()]


def in_order(lines):
    """By connection and time, for lines of several programs that saw the same requests."""
    return sorted(lines, key=lambda line: (line["local"], line.get("peer", ""), line["time"]))


def what(line):
    """What does not depend on which of several programs looked."""
    return tuple(line.get(key) for key in ("service", "role", "protocol", "operation", "status", "error", "local",
                                           "peer", "pid", "bytes_in", "bytes_out"))


# ---- one load, recorded and reported at the same time ---------------------------------------------------------------


class Recorded:
    """4,003 requests over TCP with some errors and 1,009 over a unix socket, in a recording, a trace and a report."""

    def __init__(self):
        self.path = sjtest.temp("recording")
        only = ("--comm", "answerer")
        unix = "unix:" + sjtest.temp("socket")
        work = ("--name", "answerer", "--random", "lognormal:1ms:0.7", "--seed", "7")
        with sjtest.Server(*work, "--error-every", "50") as tcp, sjtest.Server(*work, listen=unix) as local:
            self.port = tcp.port
            with sjtest.Measure(*only) as report, sjtest.Measure(*only, command="trace") as trace:
                self.recorder = begin("record", "-o", self.path, "--label", "v1", *only)
                clients = [sjtest.Client(tcp, "--requests", 4003, "--connections", 5, "--path", "/item/{n}"),
                           sjtest.Client(local, "--requests", 1009, "--connections", 2, "--path", "/unix/{n}")]
                self.sent = [client.finish() for client in clients]
                time.sleep(0.05)  # see sjtest.Measure
                self.status = sjtest.stop(self.recorder)
        self.report, self.lines, self.lines_path = report.report, trace.lines, trace.process.out_path
        os.chmod(self.path, 0o644)


_recorded = []


def recorded():
    if not _recorded:
        _recorded.append(Recorded())
    return _recorded[0]


def same_as_live(t):
    """A report of a recording is that of the measurement."""
    r = recorded()
    t.equal((r.status, [s["answered"] for s in r.sent]), (0, [4003, 1009]), "record ends with 0 after SIGTERM",
            said=r.recorder.err())
    t.ok("5,012 requests" in r.recorder.err(), "record says what is in the file", said=r.recorder.err())
    told = read(r.path)
    t.equal(told["completeness"], r.report["completeness"], "recording: completeness as in the live report")
    t.equal(told["completeness"]["requests"], 5012, "recording: all requests")
    t.equal((told["schema"], told.get("label"), told["host"], told["probe"]),
            ("sojourn.report/1", "v1", r.report["host"], r.report["probe"]), "recording: what was measured, and how")
    live = {s.get("port", 0): s for s in r.report["services"]}
    kept = {s.get("port", 0): s for s in told["services"]}
    t.equal(set(kept), {0, r.port}, "recording: the two services")
    if set(kept) != set(live):
        t.ok(False, "recording: the same services as live", live=set(live), kept=set(kept))
        return
    for port, one in kept.items():
        other = live[port]
        name = f"recording, {'TCP' if port else 'unix'}"
        counts = ("service", "role", "protocol", "pid", "requests", "errors", "client_errors", "unparsed",
                  "interleaved")
        t.equal([one.get(key) for key in counts], [other.get(key) for key in counts], f"{name}: counts as live")
        operations = [[(o["operation"], o["requests"], o["errors"], o["statuses"]) for o in s["operations"]]
                      for s in (one, other)]
        t.equal(operations[0], operations[1], f"{name}: operations as live")
        # Two programs measured the same requests. For TCP they take the kernel's stamps; on unix sockets each reads the
        # clock for itself, and one request may have lost its CPU between the two for a fifth of a second.
        lost = 0 if port else 0.2 / one["requests"]
        quantiles = ("mean", "p50", "p90", "p95", "p99", *(["p999"] if port else []))
        off = [(key, one["total"][key], other["total"][key]) for key in quantiles
               if abs(one["total"][key] - other["total"][key]) > max(0.05 * other["total"][key], 20e-6) + lost]
        t.all(off, f"{name}: quantiles as live")
        off = [(stage, one["stages"][stage]["mean"], values["mean"]) for stage, values in other["stages"].items()
               if abs(one["stages"][stage]["mean"] - values["mean"]) > max(0.05 * values["mean"], 50e-6) + lost]
        t.all(off, f"{name}: stages as live")
    errors = sum(s["errors"] for s in told["services"])
    t.equal(errors, 4003 // 50, "recording: every fiftieth is an error")


def same_lines(t):
    """trace --from gives what trace gave."""
    r = recorded()
    kept = read_lines(r.path)
    t.equal(len(kept), len(r.lines), "trace --from: as many lines as live")
    pairs = list(zip(in_order(kept), in_order(r.lines)))
    t.all([pair for pair in pairs if what(pair[0]) != what(pair[1])], "trace --from: the same requests")
    t.at_most(sjtest.median([abs(a["total"] - b["total"]) for a, b in pairs]), 20e-6, "trace --from: the same totals")
    t.all([line for line in kept
           if sum(sjtest.ns(v) for v in line["stages"].values()) != sjtest.ns(line["total"])
           or sum(sjtest.ns(v) for v in line.get("blocked_by", {}).values()) != sjtest.ns(line["stages"]["blocked"])],
          "trace --from: stages sum to the total, causes to what is blocked")
    text = sojourn("trace", "--from", r.path)
    t.equal((text.status, text.out.count(b"GET /item/:id"), text.out.count(b"GET /unix/:id")), (0, 4003, 1009),
            "trace --from: as text", said=text.err)


def filters(t):
    """Filters work on recordings as they do on what is measured."""
    r = recorded()
    for arguments, expected in ((("--port", r.port), 4003), (("--operation", "GET /unix/*"), 1009),
                                (("--role", "client"), 0), (("--comm", "answerer"), 5012), (("--protocol", "tls"), 0)):
        t.equal(read(r.path, *arguments)["completeness"]["requests"], expected,
                f"--from with {' '.join(map(str, arguments))}")
    kept = read_lines(r.path)
    slow = sjtest.median([line["total"] for line in kept])
    t.equal(len(read_lines(r.path, "--slower", f"{sjtest.ns(slow)}ns")),
            sum(sjtest.ns(line["total"]) >= sjtest.ns(slow) for line in kept), "--from with --slower")


def other_forms(t):
    """As lines of JSON, compressed, from standard input: always the same report."""
    r = recorded()
    lines = sojourn("trace", "--json", "--from", r.path).out
    ndjson = sjtest.temp("lines")
    with open(ndjson, "wb") as file:
        file.write(lines)
    with open(r.path, "rb") as file:
        recording = file.read()
    t.at_most(len(recording), 0.25 * len(lines), "a recording is much smaller than its lines")
    t.equal(sojourn("trace", "--json", "--from", ndjson).out, lines, "lines of JSON survive to the byte")

    wanted = read(r.path)

    def comparable(report):
        """Lines of JSON say nothing about the measurement around them, so neither duration nor rates."""
        return [{key: value for key, value in s.items() if key != "rate"} for s in report["services"]]

    t.equal(comparable(read(ndjson)), comparable(wanted), "report from lines of JSON: the same services")
    t.equal(read(ndjson)["completeness"]["requests"], 5012, "report from lines of JSON: all requests")

    def counted(report):
        return {s.get("port", 0): [(o["operation"], o["requests"], o["statuses"]) for o in s["operations"]]
                for s in report["services"]}

    t.equal(counted(read(r.lines_path)), counted(r.report), "report from the lines of a live trace: the same counts")
    for name, data in (("recording", recording), ("lines", lines)):
        packed = sjtest.temp("packed")
        with open(packed, "wb") as file:
            file.write(gzip.compress(data))
        t.equal(comparable(read(packed)), comparable(wanted), f"gzip of the {name}: the same report")
        t.equal(comparable(read("-", stdin=data)), comparable(wanted), f"{name} on standard input: the same report")
        t.equal(comparable(read("-", stdin=gzip.compress(data))), comparable(wanted),
                f"gzip of the {name} on standard input: the same report")
    shell = f"'{sjtest.SOJOURN}' trace --json --from '{r.path}' | gzip | '{sjtest.SOJOURN}' report --json --from -"
    t.equal(comparable(json.loads(sjtest.run(["sh", "-c", shell]))), comparable(wanted), "through a pipe of three")


def without_rights(t):
    """What was recorded can be read by anybody."""
    r = recorded()
    program = sjtest.temp("sojourn")
    shutil.copy(sjtest.SOJOURN, program)
    os.chmod(program, 0o755)
    options = {"prefix": NOBODY, "program": program}
    t.equal(read(r.path, **options), read(r.path), "report --from as nobody")
    t.equal(read_lines(r.path, **options), read_lines(r.path), "trace --from as nobody")
    hidden = sjtest.temp("hidden")
    shutil.copy(r.path, hidden)
    os.chmod(hidden, 0o600)
    refused(t, "another's file", sojourn("report", "--from", hidden, **options), EX_NOPERM, hidden)
    done = sojourn("record", "-d", "1s", "-o", sjtest.scratch() + "/nobodys", **options)
    t.ok(done.status in (EX_NOPERM, EX_CANTCREAT) and len(done.err.splitlines()) == 1,
         "measuring as nobody is refused in one line", done=done)


# ---- damage ---------------------------------------------------------------------------------------------------------


def refused(t, name, done, status, *mentions):
    told = len(done.err.splitlines()) == 1 and all(mention in done.err for mention in mentions)
    t.ok(done.status == status and not done.out and told, f"{name}: refused with {status}, in one line", done=done)


def cut_short(t):
    """A recording that was cut off is readable up to its last whole block, and says that it was."""
    r = recorded()
    with open(r.path, "rb") as file:
        data = file.read()
    counts = []
    for part in (0.3, 0.6, 0.9, 0.999):
        path = sjtest.temp("cut")
        with open(path, "wb") as file:
            file.write(data[:int(part * len(data))])
        done = sojourn("report", "--json", "--from", path)
        if done.status == 0:
            report = json.loads(done.out)
            counts.append(report["completeness"]["requests"])
            t.ok(path in done.err and len(done.err.splitlines()) == 1 and report["completeness"].get("lower_bound"),
                 f"cut off at {part * 100:g} %: it says so", said=done.err, completeness=report["completeness"])
        else:
            refused(t, f"cut off at {part * 100:g} %, before its first request", done, EX_DATAERR, path)
            counts.append(0)
    t.ok(counts == sorted(counts) and 0 < counts[-1] <= 5012, "the longer, the more there is", counts=counts)
    path = sjtest.temp("cut")
    with open(path, "wb") as file:
        packed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in r.lines))
        file.write(packed[:len(packed) // 2])
    done = sojourn("trace", "--json", "--from", path)
    t.ok(done.status == 0 and 0 < len(done.out.splitlines()) < 5012 and len(done.err.splitlines()) == 1,
         "lines in a gzip file that was cut off: those that are whole", lines=len(done.out.splitlines()), said=done.err)


def broken(t):
    """What is no recording, or no longer one, is refused."""
    r = recorded()
    with open(r.path, "rb") as file:
        data = file.read()
    forms = {
        "an empty file": b"",
        "text": b"these are not requests\n",
        "random bytes": os.urandom(5000),
        "a byte changed in the middle": data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 0x55])
        + data[len(data) // 2 + 1:],
        "another version": data[:8] + bytes([data[8] ^ 0x7F]) + data[9:],
        "lines of something else": b'{"hello": 1}\n{"hello": 2}\n',
        "half a line, then others": b'{"time": "2026-\n{}\n',
    }
    for name, content in forms.items():
        path = sjtest.temp("broken")
        with open(path, "wb") as file:
            file.write(content)
        done = sojourn("trace", "--json", "--from", path)
        # what came before the damage may have been printed already, line by line
        t.ok(done.status == EX_DATAERR and len(done.err.splitlines()) == 1 and path in done.err,
             f"{name}: refused with 65, in one line", done=(done.status, done.err))
        refused(t, f"{name}, as report", sojourn("report", "--json", "--from", path), EX_DATAERR, path)
    nowhere = sjtest.scratch() + "/nowhere"
    refused(t, "no such file", sojourn("report", "--from", nowhere), EX_NOINPUT, nowhere)
    refused(t, "a folder", sojourn("report", "--from", sjtest.scratch()), EX_NOINPUT, sjtest.scratch())
    refused(t, "no folder to write to", sojourn("record", "-d", "1s", "-o", nowhere + "/file"), EX_CANTCREAT, nowhere)


def killed(t):
    """kill -9 while recording: what was written until a second before is there."""
    path = sjtest.temp("recording")
    with sjtest.Server("--name", "answerer") as server:
        recorder = begin("record", "-o", path, "--port", server.port)
        sjtest.client(server, "--requests", 1009)
        time.sleep(2.2)
        status = sjtest.stop(recorder, signal.SIGKILL)
    done = sojourn("report", "--json", "--from", path)
    t.equal((status, done.status), (-signal.SIGKILL, 0), "killed while recording: the file is readable", said=done.err)
    if done.status == 0:
        requests = json.loads(done.out)["completeness"]["requests"]
        t.equal(requests, 2018, "killed while recording: all requests are there")
        t.ok(len(done.err.splitlines()) == 1 and path in done.err, "killed while recording: it says that it was",
             said=done.err)


# ---- commands, pipes, signals ---------------------------------------------------------------------------------------


def around_a_command(t):
    """report -- COMMAND measures while it runs and passes its status on."""
    with sjtest.Server("--name", "answerer") as server:
        path = sjtest.temp("result")
        client = ["sh", "-c", f"exec \"$0\" \"$@\" >'{path}'", sjtest.LOAD, "client", "--connect", server.address,
                  "--requests", "2003", "--name", "asker"]
        done = sojourn("report", "--json", "--port", server.port, "--", *client)
        with open(path, encoding="utf-8") as file:
            sent = json.load(file)
        report = json.loads(done.out)
        t.equal((done.status, sent["answered"]), (0, 2003), "report -- COMMAND: the command did its work")
        t.equal({(s["service"], s["role"]): s["requests"] for s in report["services"]},
                {("answerer", "server"): 2003, ("asker", "client"): 2003}, "report -- COMMAND: all of it is measured")
        recording = sjtest.temp("recording")
        done = sojourn("record", "-o", recording, "--port", server.port, "--", *client)
        t.equal((done.status, read(recording)["completeness"]["requests"]), (0, 4006), "record -- COMMAND: the same",
                said=done.err)
    for command, status in ((("sh", "-c", "exit 7"), 7), (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
                            (("/nowhere/to/be/found",), 127), ((sjtest.scratch(),), 126)):
        for sub in ("report", "trace"):
            done = sojourn(sub, "--port", "1", "--", *command)
            t.equal(done.status, status, f"{sub} -- {command[0]} ... : status {status}", said=done.err)
    recording = sjtest.temp("recording")
    done = sojourn("record", "-o", recording, "--port", "1", "--", "sh", "-c", "exit 7")
    t.equal((done.status, os.path.exists(recording)), (7, True), "record -- COMMAND: its status, and a file",
            said=done.err)


def command_ends_with_it(t):
    """A measurement that is ended takes its command along."""
    for number in (signal.SIGINT, signal.SIGTERM):
        pid_path = sjtest.temp("pid")
        process = begin("report", "--json", "--port", "1", "--", "sh", "-c", f"echo $$ >'{pid_path}'; exec sleep 60")
        sjtest.await_true(lambda: os.path.exists(pid_path) and os.path.getsize(pid_path), "the command runs")
        with open(pid_path, encoding="utf-8") as file:
            pid = int(file.read())
        process.send_signal(number)
        process.wait(20)
        # asked for the child alone: sjtest.stop would end the whole group
        t.ok(not os.path.exists(f"/proc/{pid}"), f"{number.name} ends the command, too", status=process.returncode)
        sjtest.stop(process)
        t.equal(json.loads(process.out())["completeness"]["requests"], 0, f"{number.name}: and the report is printed")


def closed_pipe(t):
    """sojourn trace | head -1 ends, quietly."""
    r = recorded()
    errors = sjtest.temp("errors")
    with sjtest.Server("--name", "answerer") as server:
        for name, words in (("trace", ["trace", "--port", str(server.port)]),
                            ("trace --json", ["trace", "--json", "--port", str(server.port)]),
                            ("trace --from", ["trace", "--json", "--from", r.path])):
            with open(errors, "wb") as err:
                first = subprocess.Popen([sjtest.SOJOURN, *words], stdout=subprocess.PIPE, stderr=err)
                head = subprocess.Popen(["head", "-n", "1"], stdin=first.stdout, stdout=subprocess.PIPE)
                first.stdout.close()
                client = None
                try:
                    if "--from" not in words:
                        sjtest.await_true(lambda: os.path.getsize(errors) > 0, "the line 'measuring'")
                        client = sjtest.Client(server, "--requests", 100000, "--duration", "20s", "--gap", "5ms")
                    line = head.communicate(timeout=20)[0]
                    status = first.wait(20)
                finally:
                    first.kill()
                    head.kill()
                    if client:
                        sjtest.stop(client.process)
            with open(errors, encoding="utf-8") as file:
                said = [line for line in file.read().splitlines() if line != "measuring"]
            t.equal((status, said, line.count(b"\n")), (0, [], 1), f"{name} | head -1: ends quietly with 0")
    shell = f"'{sjtest.SOJOURN}' report --from '{r.path}' | true"
    done = subprocess.run(["bash", "-c", f"{shell}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False)
    t.equal((done.returncode, done.stderr), (0, b""), "report | true: ends quietly with 0")


def signals(t):
    """SIGINT and SIGTERM end a measurement in good order: it prints, and the status is 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with sjtest.Server("--name", "answerer") as server:
            only = ("--port", server.port, "--role", "server")
            path = sjtest.temp("recording")
            report = begin("report", "--json", *only)
            trace = begin("trace", "--json", *only)
            record = begin("record", "-o", path, *only)
            sjtest.client(server, "--requests", 211)
            # no pause: what has just been answered is told, too
            statuses = [sjtest.stop(process, number) for process in (report, trace, record)]
        name = number.name
        t.equal(statuses, [0, 0, 0], f"{name}: report, trace and record end with 0",
                said=[process.err() for process in (report, trace, record)])
        counts = [json.loads(report.out())["completeness"]["requests"], len(trace.out().splitlines()),
                  read(path)["completeness"]["requests"]]
        t.equal(counts, [211, 211, 211], f"{name}: everything up to then is there")
    r = recorded()
    for number in (signal.SIGINT, signal.SIGTERM):
        reader = subprocess.Popen([sjtest.SOJOURN, "report", "--json", "--from", "-"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with open(r.lines_path, "rb") as file:
            reader.stdin.write(file.read())
        reader.stdin.flush()
        time.sleep(0.5)
        reader.send_signal(number)  # while it waits for more
        status = reader.wait(20)
        text = reader.stdout.read()
        reader.stdin.close()
        t.equal((status, json.loads(text)["completeness"]["requests"]), (0, 5012),
                f"{number.name} while standard input is open: a report of what came", said=reader.stderr.read())
    begin_time = time.monotonic()
    done = sojourn("report", "--json", "-d", "500ms", "--port", "1")
    t.equal((done.status, json.loads(done.out)["completeness"]["requests"]), (0, 0), "-d ends it; nothing is nothing")
    t.between(json.loads(done.out)["duration_s"], 0.5, time.monotonic() - begin_time, "and lasts that long")


def through_a_pipe(t):
    """record -o - writes to a pipe, in which another reads."""
    with sjtest.Server("--name", "answerer") as server:
        first = subprocess.Popen([sjtest.SOJOURN, "record", "-o", "-", "--port", str(server.port), "-d", "3s"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        second = subprocess.Popen([sjtest.SOJOURN, "report", "--json", "--from", "-"], stdin=first.stdout,
                                  stdout=subprocess.PIPE)
        first.stdout.close()
        first.stderr.readline()  # "measuring"
        sjtest.client(server, "--requests", 503)
        text = second.communicate(timeout=60)[0]
        said = first.stderr.read().decode()
        first.wait()
    t.equal((first.returncode, second.returncode), (0, 0), "record -o - | report --from -: both end with 0", said=said)
    t.equal(json.loads(text)["completeness"]["requests"], 1006, "record -o - | report --from -: all requests")


def without_detail(t):
    """What was only counted is in a recording, too."""
    path = sjtest.temp("recording")
    with sjtest.Server("--name", "answerer") as server:
        recorder = begin("record", "-o", path, "--ring", "64KiB", "--port", server.port)
        recorder.send_signal(signal.SIGSTOP)
        try:
            sjtest.client(server, "--requests", 5003, "--connections", 3, "--name", "asker")
        finally:
            recorder.send_signal(signal.SIGCONT)
        status = sjtest.stop(recorder)
    report = read(path)
    done = report["completeness"]
    t.equal((status, done["requests"], done["detailed"] + done["counted_only"], done["lost"]), (0, 10006, 10006, 0),
            "recording under overload: every request", completeness=done)
    t.at_least(done["counted_only"], 1, "recording under overload: some without detail")
    t.equal({(s["service"], s["role"]): s["requests"] for s in report["services"]},
            {("answerer", "server"): 5003, ("asker", "client"): 5003}, "recording under overload: of whom they were")
    t.equal(len(read_lines(path)), done["detailed"], "recording under overload: lines are those with detail")


sjtest.main(same_as_live, same_lines, filters, other_forms, without_rights, without_detail, cut_short, broken, killed,
            around_a_command, command_ends_with_it, closed_pipe, signals, through_a_pipe)
