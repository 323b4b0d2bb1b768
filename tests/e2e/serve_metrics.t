#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What /metrics of the daemon says beside requests: exactly what the manual lists, what is open, what is known of how
much, what was fitted, and what the daemon itself takes; and that its report is of the form of `report`."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request

import sjdaemon
import sjtest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FILTER = re.compile(r"SECCOMP_SET_MODE_FILTER, [A-Z_|]*TSYNC[A-Z_|]*, (?:\{|0x)")
IDLE, HANGING = 5, 3
WATCHED = """alerts:
  - name: busy
    match: {{service: {service}, role: server}}
    when: rate > 1/s
slos:
  - name: quick
    match: {{service: {service}, role: server}}
    objective: 99%
    latency: 500ms
notify:
  - syslog: {{}}
"""


class Samples(list):
    """(name, labels, value) of an exposition, and its families with their types."""

    def __init__(self, text):
        super().__init__()
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.M):
            self.append((name, dict(sjdaemon.LABEL.findall(labels)), float(value)))

    def find(self, name, **wanted):
        return [(labels, value) for is_, labels, value in self if is_ == name and wanted.items() <= labels.items()]

    def sum(self, name, **wanted):
        found = self.find(name, **wanted)
        return sum(value for _, value in found) if found else None


def scrape(d):
    return Samples(d.get("/metrics")[1])


def awaited(d, condition, what, timeout=60):
    """The scrape of which the condition holds; the latest one if it never does."""
    got = scrape(d)

    def holds():
        nonlocal got
        got = scrape(d)
        return condition(got)

    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(holds, what, timeout=timeout)
    return got


@contextlib.contextmanager
def served(more=""):
    """nginx under a name of its own, a daemon, and 600 requests, of which the daemon knows."""
    service = f"shop{os.getpid() % 1000000}"
    locations = "location /hang { proxy_pass http://127.0.0.1:%d; }"
    with socket.create_server(("127.0.0.1", 0)) as deaf, contextlib.ExitStack() as stack:
        nginx = stack.enter_context(sjtest.Nginx(locations % deaf.getsockname()[1],
                                                 program=sjdaemon.called("nginx", service)))
        d = stack.enter_context(sjdaemon.Daemon(more.format(service=service)))
        sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 600, "--connections", 4)
        sjtest.await_true(lambda: scrape(d).sum("sojourn_requests_total", service_name=service) == 600, "600 requests")
        yield service, nginx, d


def listed():
    """The names of metrics in the manual."""
    with open(f"{ROOT}/docs/sojourn.1", encoding="utf-8") as file:
        section = file.read().split("\n.Ss /metrics\n")[1].split("\n.Sh ")[0]
    return re.findall(r"sojourn_\w+", " ".join(re.findall(r"^\.It Cm (.*)$", section, re.M)))


def the_manual_lists_what_there_is(t):
    names = listed()
    t.equal(len(names), len(set(names)), "the manual lists each metric once")
    with served(WATCHED) as (_, _, d):
        wanted = set(names)
        got = awaited(d, lambda s: set(s.types) >= wanted, "all metrics")
        t.equal((sorted(set(got.types) - wanted), sorted(wanted - set(got.types))), ([], []),
                f"what is exported are the {len(wanted)} metrics of the manual")
        wrong = [name for name, kind in got.types.items() if (kind == "counter") != name.endswith("_total")]
        t.equal(wrong, [], "counters and nothing else end in _total")


def read_by_others(d, form, accept):
    """The lines of an exposition as readers that are not ours have it, one form for all formats."""
    path = sjtest.temp(form)
    request = urllib.request.Request(f"http://127.0.0.1:{d.port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer, open(path, "wb") as file:
        file.write(answer.read())
    # under the interpreter that the distribution installs those readers for
    return sjtest.run(["/usr/bin/python3", f"{ROOT}/tests/unit/exposition_read.py", form, path]).splitlines()


def all_formats_say_the_same(t):
    with served() as (service, nginx, d), socket.create_connection(("127.0.0.1", nginx.port)) as sock:
        sock.sendall(b"GET /hang/on HTTP/1.1\r\nHost: a\r\n\r\n")
        ours = re.compile(r"sojourn_(request_duration|stage_duration|requests|errors|connections)\w*\{.*"
                          f'service_name="{service}"')
        awaited(d, lambda s: s.sum("sojourn_requests_in_flight", service_name=service, role="server") == 1, "a request")
        got = {form: {line for line in read_by_others(d, form, accept) if ours.match(line)}
               for form, accept in (("text", "text/plain"), ("openmetrics", OPENMETRICS), ("protobuf", PROTOBUF))}
        t.at_least(len(got["text"]), 100, "the text has samples")
        native = {line for line in got["protobuf"] if "_native{" in line}
        t.equal(sorted(got["openmetrics"] ^ got["protobuf"] - native)[:6], [], "OpenMetrics and protobuf have the same")
        plain = {line.split(" # ")[0] for line in got["openmetrics"] if "_created{" not in line}
        t.equal(sorted(plain ^ got["text"])[:6], [], "and so has the text but for examples and beginnings")
        examples = [line for line in got["openmetrics"] if " # {'peer': '127.0.0.1:" in line]
        t.ok(examples and all("sojourn_request_duration_seconds_bucket{" in line for line in examples),
             "there are examples", examples=examples[:2])


def what_is_open_is_told(t):
    with served() as (service, nginx, d), contextlib.ExitStack() as stack:
        def connect(request):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", nginx.port)))
            sock.sendall(request)
            return sock

        of = {"service_name": service, "role": "server"}
        opened = [connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(IDLE)]
        for sock in opened:
            sock.recv(65536)
        opened += [connect(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(HANGING)]

        def both(samples, **labels):
            return samples.sum("sojourn_connections", **labels), samples.sum("sojourn_requests_in_flight", **labels)

        got = both(awaited(d, lambda s: both(s, **of) == (IDLE + HANGING, HANGING), "what is open"), **of)
        t.equal(got, (IDLE + HANGING, HANGING), "open connections, and those of them that wait for an answer")
        t.equal(both(scrape(d), **{**of, "role": "client"}), (HANGING, HANGING), "and what nginx itself waits for")
        for sock in opened:
            sock.close()
        closed = {(0, 0), (None, None)}
        got = both(awaited(d, lambda s: both(s, **of) in closed, "the end of it"), **of)
        t.ok(got in closed, "which ends with them", got=got)
        t.equal(scrape(d).sum("sojourn_requests_total", status_class="2xx", **of), 600 + IDLE,
                "nothing was counted twice")


def fits_are_shown(t):
    with served() as (service, _, d):
        of = {"service_name": service, "role": "server"}
        got = awaited(d, lambda s: s.find("sojourn_fit_quantile_error", **of), "a fit", timeout=120)
        errors = got.find("sojourn_fit_quantile_error", **of)
        t.equal(len(errors), 1, "nginx has a fit", fits=errors)
        fit = next(s for s in d.report()["services"] if (s["service"], s["role"]) == (service, "server")).get("fit")
        t.equal(fit["family"], errors[0][0]["family"], "that of the report")
        t.ok(same(errors[0][1], fit["max_quantile_error"]), "as far off", got=errors, report=fit["max_quantile_error"])
        parameters = {labels["parameter"]: value for labels, value in got.find("sojourn_fit_parameter", **of)}
        t.ok(parameters.keys() == fit["parameters"].keys() and
             all(same(value, fit["parameters"][name]) for name, value in parameters.items()),
             "with the same parameters", got=parameters, report=fit["parameters"])
        tail = {(labels["p"], labels["bound"]): value for labels, value in got.find("sojourn_fit_tail_seconds", **of)}
        wanted = {}
        if fit.get("tail"):
            for p, name in ("0.99", "p99"), ("0.999", "p999"), ("0.9999", "p9999"):
                low, high = fit["tail"][name + "_ci"]
                wanted |= {(p, "estimate"): fit["tail"][name], (p, "low"): low, (p, "high"): high}
        t.ok(tail.keys() == wanted.keys() and all(same(value, wanted[key]) for key, value in tail.items()),
             "and the same tail", got=tail, report=wanted)


def same(a, b):
    """As far as the report's digits go."""
    return abs(a - b) <= 1e-9 * abs(b)


def the_fits_need_no_rights(t):
    """What the filter refuses shows under strace: of what either process and its threads do it must be nothing."""
    d, calls = sjdaemon.Daemon(), sjtest.temp("strace")
    d.process = sjtest.Process(["strace", "-f", "-o", calls, sjtest.SOJOURN, "serve", "-c", d.path])
    with contextlib.ExitStack() as stack:
        stack.callback(d.stop)
        server = stack.enter_context(sjtest.Server("--model", "thread"))
        sjtest.await_true(lambda: "measuring" in d.process.err(), "measuring", process=d.process)
        sjtest.client(server, "--requests", 1000, "--connections", 5)
        got = awaited(d, lambda s: s.find("sojourn_fit_tail_seconds"), "a fit", timeout=120)
        t.ok(got.find("sojourn_fit_tail_seconds"), "there are fits")
        t.equal(d.get("/api/v1/report")[0], 200, "and a report")
        os.kill(int(sjtest.run(["pgrep", "-P", d.process.pid]).split()[0]), signal.SIGTERM)
        t.equal(d.process.wait(60), 0, "it ends well")
    with open(calls, encoding="utf-8", errors="replace") as file:
        before, *between, after = FILTER.split(file.read())
    t.equal(len(between), 1, "both processes have a filter")
    t.equal([line for line in after.splitlines() if "EPERM" in line], [], "which refuses nothing")
    told = before + "".join(between)
    idle = re.findall(r"^(\d+) .*sched_setscheduler\(0, SCHED_IDLE", told, re.M)
    dropped = re.findall(r"^(\d+) .*capset\(.*effective=0, permitted=0, inheritable=0", told, re.M)
    t.ok(len(idle) == 1 and idle[0] in dropped,
         "one thread runs when nothing else does, and has no rights before anything is attached", idle=idle)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10


def cpu_seconds(pid):
    """Of all its threads, to the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def completeness_and_cost_are_told(t):
    with served() as (service, nginx, d):
        def known(s):
            kinds = "sojourn_completeness_requests_total"
            return s.sum(kinds, kind="detailed") + s.sum(kinds, kind="counted_only")

        sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 20000, "--connections", 8)
        sjtest.await_true(lambda: scrape(d).sum("sojourn_requests_total", service_name=service) == 20600, "the rest")
        before = scrape(d).sum("sojourn_requests_total")
        got = awaited(d, lambda s: known(s) >= before and s.sum("sojourn_probe_cpu_seconds_total"), "completeness")
        requests = got.sum("sojourn_requests_total")
        t.equal(got.sum("sojourn_request_duration_seconds_count"), requests, "all requests are in a histogram")
        # others on the machine may go on meanwhile; completeness is told each second
        t.between(known(got), before, requests, "and are detailed or counted only")
        cost = got.sum("sojourn_probe_cpu_seconds_total"), got.sum("sojourn_probe_request_cost_seconds")
        t.ok(cost[0] and cost[1] and cost[1] * known(got) / cost[0] < 1.01,
             "the kernel's CPU time is told, and per request", cost=cost)
        for name, pid in {"collector": d.process.pid, "courier": d.courier}.items():
            least = cpu_seconds(pid)
            got = awaited(d, lambda s, n=name, x=least: s.sum("sojourn_cpu_seconds_total", process=n) >= x - 0.02,
                          "CPU time")
            most = cpu_seconds(pid)
            t.between(got.sum("sojourn_cpu_seconds_total", process=name), least - 0.02, most + 0.02,
                      f"the CPU time of the {name} is the kernel's")
            rss = resident(pid)
            t.between(got.sum("sojourn_resident_memory_bytes", process=name), rss / 2, rss * 2, "and so is its memory")
        build = scrape(d).find("sojourn_build_info")
        version = sjtest.run([sjtest.SOJOURN, "--version"]).split()[1]
        t.ok(len(build) == 1 and build[0][1] == 1 and build[0][0]["version"] == version and build[0][0]["probe_set"],
             "build info has the version and the probe set", build=build, version=version)


def starting():
    """A daemon that is stopped before it measures, and its process; the courier runs."""
    for _ in range(10):
        d = sjdaemon.Daemon()
        d.process = sjtest.Process([sjtest.SOJOURN, "serve", "-c", d.path])
        sjtest.await_true(lambda p=d.process: subprocess.run(["pgrep", "-P", str(p.pid)], stdout=subprocess.DEVNULL,
                                                             check=False).returncode == 0, "the courier")
        d.process.send_signal(signal.SIGSTOP)
        if d.get("/-/ready")[0] != 200:
            return d
        d.process.send_signal(signal.SIGCONT)
        d.stop()
    raise sjtest.Failed("it was ready each time")


def who_does_not_answer_is_not_waited_for(t):
    d = starting()
    try:
        t.equal([d.get(path)[0] for path in ("/-/healthy", "/-/ready")], [200, 503], "healthy before it is ready")
        d.process.send_signal(signal.SIGCONT)
        sjtest.await_true(lambda: d.get("/-/ready")[0] == 200, "ready", process=d.process)
        t.equal(d.get("/metrics")[0], 200, "ready once it measures")
        d.process.send_signal(signal.SIGSTOP)
        t.equal([d.get(path)[0] for path in ("/metrics", "/-/healthy", "/nothing")], [503, 200, 404],
                "while the collector hangs, others are answered")
        d.process.send_signal(signal.SIGCONT)
        sjtest.await_true(lambda: d.get("/metrics")[0] == 200, "an answer", process=d.process)
        t.equal(d.get("/api/v1/report")[0], 200, "and afterwards it goes on")
    finally:
        d.process.send_signal(signal.SIGCONT)
        d.stop()


def shape(value, path=""):
    """The paths to everything in a document, without indices."""
    if isinstance(value, dict):
        return {path}.union(*(shape(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return {path}.union(*(shape(v, path + "[]") for v in value))
    return {path}


def the_report_is_that_of_report(t):
    def only(document, service):
        services = [s for s in document["services"] if (s["service"], s["role"]) == (service, "server")]
        return {**document, "services": services}

    with served() as (service, nginx, d):
        with sjtest.Measure("--pid", nginx.pid) as m:
            sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 600, "--connections", 4)
        awaited(d, lambda s: s.find("sojourn_fit_quantile_error", service_name=service), "a fit", timeout=120)
        theirs, ours = shape(only(m.report, service)), shape(only(d.report(), service))
        t.at_least(len(ours), 60, "the report of the daemon tells of nginx")
        # which family fits, how far, and whether the probes' cost is known of so few requests is chance
        changing = re.compile(r"\.fit\b|_ci|bounds|kernel_seconds_per_request")
        t.equal(sorted(key for key in theirs ^ ours if not changing.search(key)), [], "in the form of report --json",
                changing=sorted(theirs ^ ours))
        t.ok(any(".fit.family" in key for key in ours), "with fits")
        t.equal(json.loads(d.get("/api/v1/report")[1])["schema"], "sojourn.report/1", "under the same name")


sjtest.main(the_manual_lists_what_there_is, all_formats_say_the_same, what_is_open_is_told, fits_are_shown,
            the_fits_need_no_rights, completeness_and_cost_are_told, who_does_not_answer_is_not_waited_for,
            the_report_is_that_of_report)
