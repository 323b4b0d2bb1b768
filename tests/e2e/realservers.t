#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers and clients as they are found: Python's http.server, redis, PostgreSQL, nginx in front of another server."""

import contextlib
import datetime
import os
import re
import signal
import socket
import subprocess
import sys
import time

import sjtest


def residuals(lines):
    """The lines whose stages do not sum to their total, to the nanosecond."""
    return [line for line in lines
            if sum(sjtest.ns(v) for v in line["stages"].values()) != sjtest.ns(line["total"])]


def start(line):
    """When the request began, in nanoseconds."""
    whole, _, fraction = line["time"].rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


class Asker:
    """A connection that asks once and notes how long the answer took by its own clock, which is never shorter."""

    def __init__(self, address, ask, whole):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(address)
        self.port = 0 if family == socket.AF_UNIX else self.socket.getsockname()[1]
        self.ask, self.whole = ask, whole
        self.asked = self.sent = self.elapsed = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self):
        self.asked = time.monotonic()
        self.socket.sendall(self.ask)
        self.sent = time.monotonic()

    def agrees(self, line):
        return line["total"] - 0.001 <= self.elapsed <= max(1.5 * line["total"], line["total"] + 1)

    def receive(self):
        answer = b""
        while not self.whole(answer):
            chunk = self.socket.recv(65536)
            if not chunk:
                break
            answer += chunk
        self.elapsed = time.monotonic() - self.asked
        return answer


def by_peer(lines, port):
    found = [line for line in lines if line["role"] == "server" and line.get("peer", "").endswith(f":{port}")]
    if len(found) != 1:
        raise sjtest.Failed(f"{len(found)} server-side requests from port {port}, not 1: {found}")
    return found[0]


# ---- Python's http.server -------------------------------------------------------------------------------------------

SLOW_SERVER = """
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.04)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


@contextlib.contextmanager
def python_server(*arguments, port):
    process = sjtest.Process([sys.executable, *arguments], cwd=sjtest.scratch())
    sjtest.await_true(lambda: sjtest.accepts(("127.0.0.1", port)), "Python's server listens", process=process)
    try:
        yield process
    finally:
        sjtest.stop(process, signal.SIGKILL)


def python_queue(t):
    """Several clients at once on a server with one thread: all but the first wait, in the accept queue."""
    port = sjtest.free_port()
    ask = b"GET /slow HTTP/1.0\r\n\r\n"
    with python_server("-c", SLOW_SERVER.format(port=port), port=port) as process:
        name = comm(process.pid)
        with sjtest.Measure("--port", port, "--role", "server", command="trace") as m, contextlib.ExitStack() as stack:
            askers = [stack.enter_context(Asker(("127.0.0.1", port), ask, lambda _: False)) for _ in range(4)]
            for asker in askers:
                asker.send()
            waiting = sjtest.Threads(*(asker.receive for asker in askers))
            waiting.finish()
            time.sleep(0.1)
    t.equal([(line["service"], line["operation"], line["status"]) for line in m.lines],
            [(name, "GET /slow", "200")] * 4, "http.server: four clients, four requests")
    t.all(residuals(m.lines), "http.server: stages sum to the total")
    if len(m.lines) != 4:
        return
    answers = [(asker, by_peer(m.lines, asker.port)) for asker in askers]
    t.all([(asker.elapsed, line) for asker, line in answers if not asker.agrees(line)],
          "http.server: totals are what the clients waited")
    served = sorted(m.lines, key=lambda line: line["total"])
    t.all([line for line in served if line.get("blocked_by", {}).get("sleep", 0) < 0.035],
          "http.server: its sleep is blocked, by sleep")
    spread = askers[-1].sent - askers[0].asked + 0.001
    t.all([(i, line) for i, line in enumerate(served) if line["stages"]["queue"] < 0.04 * i - spread],
          "http.server: each waited in the queue for all that were before it")
    slower = [a["stages"]["queue"] < b["stages"]["queue"] for a, b in zip(served, served[1:])]
    t.ok(all(slower), "http.server: the queue is what makes them different", lines=served)


def python_files(t):
    """python3 -m http.server and curl: found and not found, both sides."""
    port = sjtest.free_port()
    with open(os.path.join(sjtest.scratch(), "file.txt"), "w", encoding="utf-8") as file:
        file.write("x" * 20000)
    with python_server("-m", "http.server", "--bind", "127.0.0.1", port, port=port) as process:
        name = comm(process.pid)
        with sjtest.Measure("--port", port) as m:
            for path in ["file.txt"] * 11 + ["nothing.txt"] * 7:
                sjtest.run(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/{path}"])
    found, nothing = "GET /file.txt", "GET /nothing.txt"
    for role, service in (("server", name), ("client", "curl")):
        t.equal(m.operations(role=role, service=service, protocol="http"), {found: 11, nothing: 7},
                f"python3 -m http.server and curl: 18 requests as {role}")
        missing = [s["client_errors"] for s in m.services(role=role, service=service)]
        t.equal((missing, [s["errors"] for s in m.services(role=role)]), ([7], [0]),
                f"what was not found is the client's error ({role})")
    t.equal(m.requests(), 36, "python3 -m http.server and curl: nothing else", services=m.report["services"])


# ---- redis ----------------------------------------------------------------------------------------------------------


def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words))


def redis_line(answer):
    return answer.endswith(b"\r\n")


def blocked_redis(t, redis, name, slow, check):
    """One connection asks something slow, three others ask for little meanwhile."""
    with contextlib.ExitStack() as stack:
        m = stack.enter_context(sjtest.Measure("--port", redis.port, "--role", "server", command="trace"))
        first = stack.enter_context(Asker(redis.target(), resp(*slow), redis_line))
        others = [stack.enter_context(Asker(redis.target(), resp("PING"), redis_line)) for _ in range(3)]
        first.send()
        time.sleep(0.08)
        for asker in others:
            asker.send()
        sjtest.Threads(*(asker.receive for asker in [first, *others])).finish()
        time.sleep(0.1)
    t.equal([(line["service"], line["protocol"]) for line in m.lines], [("redis-server", "unknown")] * 4,
            f"redis, {name}: four requests")
    t.all(residuals(m.lines), f"redis, {name}: stages sum to the total")
    slow_line = by_peer(m.lines, first.port)
    check(slow_line, first.elapsed)
    bad = []
    for asker in others:
        line = by_peer(m.lines, asker.port)
        rest = (start(slow_line) - start(line)) / 1e9 + slow_line["total"]
        # nobody is read before the slow one has its answer
        if not asker.agrees(line) or line["stages"]["queue"] < rest - 0.001:
            bad.append((rest, asker.elapsed, line))
    t.all(bad, f"redis, {name}: the others' queue is the rest of it")
    t.at_least(min(line["stages"]["queue"] for line in m.lines if line is not slow_line), 0.05,
               f"redis, {name}: which is long")


def redis_blocked(t):
    with sjtest.Redis("--enable-debug-command", "yes") as redis:
        def slept(line, elapsed):
            t.at_least(line.get("blocked_by", {}).get("sleep", 0), 0.95, "redis, asleep: blocked by its sleep",
                       elapsed=elapsed, line=line)
            t.at_most(line["stages"]["queue"], 0.5, "redis, asleep: itself did not queue", line=line)

        def computed(line, elapsed):
            running = line["stages"]["oncpu"] + line["stages"]["runq"]
            t.at_least(running, 0.9 * (line["total"] - line["stages"]["queue"]),
                       "redis, computing: nearly all is on the CPU or waits for one", elapsed=elapsed, line=line)
            t.at_least(line["stages"]["oncpu"], 0.05, "redis, computing: it is on the CPU", line=line)

        blocked_redis(t, redis, "asleep", ("DEBUG", "SLEEP", "1"), slept)
        script = "local x = 0 for i = 1, 100000000 do x = x + i end return x"
        blocked_redis(t, redis, "computing", ("EVAL", script, "0"), computed)


def calls(redis, command):
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", redis.cli("info", "commandstats"))
    return int(found[1]) if found else 0


def redis_counts(t):
    """redis-benchmark with a known number of requests; its two CONFIG GET at the start are one turn."""
    for unix in (False, True):
        kind = "unix" if unix else "TCP"
        with sjtest.Redis(unix=unix) as redis:
            where = ["-s", redis.path] if unix else ["-p", redis.port]
            only = ["--comm", "redis-server"] if unix else ["--port", redis.port]
            with sjtest.Measure(*only) as m:
                sjtest.run(["redis-benchmark", *where, "-n", 5003, "-c", 7, "-t", "set", "-q"])
            mine = {"pid": redis.pid}
            t.equal(calls(redis, "set"), 5003, f"redis-benchmark, {kind}: redis itself counts 5003 SET")
            t.equal(m.requests(role="server", protocol="unknown", **mine), 5004,
                    f"redis-benchmark, {kind}: as many turns as server", services=m.report["services"])
            if not unix:
                t.equal(m.requests(role="client", service="redis-benchmark"), 5004,
                        "redis-benchmark, TCP: as many turns as client")
                t.equal(m.requests(), 10008, "redis-benchmark, TCP: nothing else")
                t.equal(m.completeness["lost"], 0, "redis-benchmark, TCP: nothing lost")
    with sjtest.Redis() as redis:
        with sjtest.Measure("--port", redis.port) as m:
            sjtest.run(["redis-benchmark", "-p", redis.port, "-n", 5000, "-c", 3, "-P", 10, "-t", "set", "-q"])
        # turns, not commands: of a protocol that is not understood a pipeline is a lower bound
        for role in ("server", "client"):
            t.between(m.requests(role=role), 501, 5001, f"redis-benchmark -P 10: turns are a lower bound ({role})")


def redis_cli(t):
    for unix in (False, True):
        kind = "unix" if unix else "TCP"
        with sjtest.Redis(unix=unix) as redis:
            with sjtest.Measure("--comm", "redis-cli", command="trace") as m:
                told = [redis.cli("set", "key", "value"), redis.cli("get", "key")]
                time.sleep(0.1)
        t.equal(told, ["OK\n", "value\n"], f"redis-cli over {kind} works")
        peer = f"unix:{redis.path}" if unix else f"127.0.0.1:{redis.port}"
        lines = [line for line in m.lines if line.get("peer") == peer]
        t.equal([(line["role"], line["service"], line["bytes_out"], line["bytes_in"]) for line in lines],
                [("client", "redis-cli", len(resp("set", "key", "value")), 5),
                 ("client", "redis-cli", len(resp("get", "key")), 11)], f"redis-cli over {kind}: a client's two turns",
                lines=m.lines)


# ---- PostgreSQL -----------------------------------------------------------------------------------------------------


class Session:
    """One psql whose statements are fed to it one by one."""

    def __init__(self, postgres, host=None):
        self.process = subprocess.Popen([str(word) for word in postgres.psql_command(host=host)], bufsize=0,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pid = int(self.ask("select pg_backend_pid()")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def tell(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo done\n".encode())

    def answers(self):
        lines = []
        while (line := self.process.stdout.readline().decode().strip()) != "done":
            if not line and self.process.poll() is not None:
                raise sjtest.Failed(f"psql ended: {lines} {line}")
            lines.append(line)
        return lines

    def ask(self, sql):
        self.tell(sql)
        return self.answers()


def postgres_lock(t):
    """Two backends wait for a row that a third one holds; each is woken by a signal out of epoll. Several rounds, for
    the wake-up takes one way or another through the scheduler."""
    rounds, held = 8, 0.3
    with sjtest.Postgres("deadlock_timeout=60s") as postgres, contextlib.ExitStack() as stack:
        postgres.psql("create table things (id int primary key, n int); insert into things values (1, 0)")
        holder, waiter_unix, watcher = (stack.enter_context(Session(postgres)) for _ in range(3))
        waiter_tcp = stack.enter_context(Session(postgres, host="127.0.0.1"))
        waiters = (waiter_unix, waiter_tcp)
        with sjtest.Measure("--comm", "postgres", command="trace") as m:
            # The first request of a connection that is older than the measurement may count as cut off.
            for waiter in waiters:
                waiter.ask("select 1")
            for _ in range(rounds):
                holder.ask("begin")
                holder.ask("update things set n = n + 1 where id = 1")
                for waiter in waiters:
                    waiter.tell("update things set n = n + 10 where id = 1")
                waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                sjtest.await_true(lambda: watcher.ask(waiting) == ["2"], "two backends wait for the lock")
                time.sleep(held)
                holder.ask("commit")
                for waiter in waiters:
                    waiter.answers()
        n = watcher.ask("select n from things")
    t.equal(n, [str(21 * rounds)], "PostgreSQL: all updates happened")
    for name, waiter, where in (("unix", waiter_unix, f"unix:{postgres.folder}/.s.PGSQL.{postgres.port}"),
                                ("TCP", waiter_tcp, f"127.0.0.1:{postgres.port}")):
        lines = [line for line in m.lines if line["pid"] == waiter.pid]
        t.between(len(lines), rounds, rounds + 1, f"PostgreSQL, {name}: a statement is a request", lines=lines)
        lines = lines[-rounds:]
        t.all([line for line in lines if (line["role"], line["service"], line["local"], line["interleaved"]) !=
               ("server", "postgres", where, False)], f"PostgreSQL, {name}: who and where")
        t.all([line for line in lines if not held / 2 <= line.get("blocked_by", {}).get("lock", 0) <= line["total"]],
              f"PostgreSQL, {name}: waiting for the row is blocked, by a lock")
        # the log of the one that held it is flushed first, and disks stall
        t.all([line for line in lines if line["blocked_by"].get("lock", 0) <
               0.8 * (line["stages"]["blocked"] - line["blocked_by"].get("disk", 0))],
              f"PostgreSQL, {name}: and hardly by anything else")
    t.all(residuals(m.lines), "PostgreSQL: stages sum to the total")


def postgres_counts(t):
    """psql: over TCP it asks for TLS first; then it logs in and asks; ending, it says something without an answer."""
    with sjtest.Postgres() as postgres:
        with sjtest.Measure("--comm", "postgres", command="trace") as servers, \
                sjtest.Measure("--comm", "psql", command="trace") as clients:
            for _ in range(5):
                postgres.psql("select 1", host="127.0.0.1")
                postgres.psql("select 1")
            time.sleep(0.7)
        unix = f"unix:{postgres.folder}/.s.PGSQL.{postgres.port}"
        tcp = f"127.0.0.1:{postgres.port}"
    for name, where, turns in (("TCP", tcp, 15), ("unix", unix, 10)):
        answered = [line for line in servers.lines if line.get("local") == where]
        asked = [line for line in clients.lines if line.get("peer") == where]
        t.equal((len(answered), {line["role"] for line in answered}), (turns, {"server"}),
                f"psql over {name}: five sessions answered", lines=answered)
        t.equal((len(asked), {line["role"] for line in asked}), (turns, {"client"}),
                f"psql over {name}: five sessions asked", lines=asked)
        t.equal(sum(line["bytes_in"] for line in answered), sum(line["bytes_out"] for line in asked),
                f"psql over {name}: both sides saw the same bytes asked")
        t.equal(sum(line["bytes_out"] for line in answered), sum(line["bytes_in"] for line in asked),
                f"psql over {name}: and the same answered")
    t.all(residuals(servers.lines + clients.lines), "psql: stages sum to the total")


# ---- nginx in front -------------------------------------------------------------------------------------------------

PROXY = """
location / {
    proxy_pass http://behind;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}
"""


def front_of(port):
    return sjtest.Nginx(locations=PROXY, http=f"upstream behind {{ server 127.0.0.1:{port}; keepalive 8; }}")


def nginx_proxy(t):
    """Both sides of both hops, on kept connections."""
    with sjtest.Nginx() as back, front_of(back.port) as front, sjtest.Measure("--comm", "nginx") as m:
        before = back.stub_status()
        sent = sjtest.client(f"127.0.0.1:{front.port}", "--requests", 2003, "--connections", 4, "--path", "/item/7")
        after = back.stub_status()
    t.equal((sent["answered"], after["requests"] - before["requests"] - 1), (2003, 2003),
            "nginx behind nginx: all answered, all passed on")
    for name, port, role, pid in (("the front as server", front.port, "server", front.pid),
                                  ("the front as client", back.port, "client", front.pid),
                                  ("the one behind", back.port, "server", back.pid)):
        t.equal(m.operations(port=port, role=role, pid=pid, protocol="http"), {"GET /item/:id": 2003},
                f"nginx behind nginx: {name}")
    connections = after["accepts"] - before["accepts"] - 1
    t.at_most(connections, 8, "nginx behind nginx: few connections were enough")


def nginx_waits(t):
    """A front whose work is to wait: what it waits for the one behind is blocked, by net."""
    with sjtest.Server("--model", "thread", "--sleep", "20ms") as back, front_of(back.port) as front:
        with sjtest.Measure("--comm", "nginx", command="trace") as m:
            sent = sjtest.client(f"127.0.0.1:{front.port}", "--requests", 53)
            time.sleep(0.7)
    fronts = [line for line in m.lines if line.get("port") == front.port]
    asks = [line for line in m.lines if line.get("port") == back.port]
    t.equal((sent["answered"], len(fronts), len(asks)), (53, 53, 53), "nginx that waits: 53 requests, 53 passed on")
    t.equal({(line["role"], line["pid"]) for line in asks}, {("client", front.pid)},
            "nginx that waits: it is a client too")
    t.all(residuals(m.lines), "nginx that waits: stages sum to the total")
    blocked = [line.get("blocked_by", {}).get("net", 0) for line in fronts]
    t.at_least(sjtest.median(blocked), 0.019, "nginx that waits: its waiting is blocked, by net")
    # on a busy machine it may wait for a CPU while the other one already works
    t.at_most(len([line for line, net in zip(fronts, blocked) if net + line["stages"]["runq"] < 0.0195]), 5,
              "nginx that waits: nearly every time")
    rest = [line["total"] - line["stages"]["blocked"] for line in fronts]
    t.at_most(sjtest.median(rest), 0.01, "nginx that waits: and that is nearly all of it")
    pairs = list(zip(sorted(line["total"] for line in fronts), sorted(line["total"] for line in asks)))
    t.all([pair for pair in pairs if pair[0] < pair[1]], "nginx that waits: the outer takes longer than the inner")
    t.at_least(sjtest.median([line["stages"]["wait"] for line in asks]), 0.02,
               "nginx that waits: as a client it waits for the answer")


def curl_keeps(t):
    """curl with several addresses keeps its connection."""
    with sjtest.Nginx() as nginx, sjtest.Measure("--port", nginx.port, command="trace") as m:
        sjtest.run(["curl", "-s", *[f"{nginx.url}/page/{word}" for word in ("a", "b", "c")]])
        sjtest.run(["curl", "-s", "-I", f"{nginx.url}/head"])
        sjtest.run(["curl", "-s", "-d", "x" * 5000, f"{nginx.url}/post"])
        time.sleep(0.1)
    wanted = ["GET /page/a", "GET /page/b", "GET /page/c", "HEAD /head", "POST /post"]
    for role, service in (("client", "curl"), ("server", "nginx")):
        lines = m.select(role=role, service=service)
        lines.sort(key=lambda line: line["time"])
        t.equal([line["operation"] for line in lines], wanted, f"curl on nginx: five requests as {role}", lines=lines)
        ends = {line["peer" if role == "server" else "local"] for line in lines}
        t.equal(len(ends), 3, f"curl on nginx: on three connections ({role})")
        sizes = [line["bytes_in" if role == "server" else "bytes_out"] for line in lines]
        t.ok(len(sizes) == 5 and sizes[4] > 5000 > max(sizes[:4]), f"curl on nginx: the body counts ({role})",
             sizes=sizes)
    t.all(residuals(m.lines), "curl on nginx: stages sum to the total")


sjtest.main(python_queue, python_files, redis_blocked, redis_counts, redis_cli, postgres_lock, postgres_counts,
            nginx_proxy, nginx_waits, curl_keeps)
