#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon in Debian's Prometheus: the same counts and quantiles there, in both kinds of histograms; what deploy/ has
for Prometheus gives data; counters never go back, and begin anew with the daemon."""

import contextlib
import os
import re
import socket
import subprocess
import threading
import time

import sjprometheus
import sjtest
from sjdaemon import Daemon, Receiver, called
from sjprometheus import OnlyText, Prometheus

BUCKET = 2 ** (1 / 8)  # the width of a bucket of a native histogram
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
WATCHED = """alerts:
  - name: busy
    match: {{service: {service}, role: server}}
    when: rate > 1/s
    over: 5s
    keep_firing_for: 1h
slos:
  - name: quick
    match: {{service: {service}, role: server}}
    objective: 99%
    latency: 500ms
notify:
  - webhook: {{url: "{url}"}}
"""


def words(n):
    """n different words without a digit."""
    return ["".join("abcdefghij"[int(digit)] for digit in str(1000 + i)) for i in range(n)]


@contextlib.contextmanager
def asked(port, paths):
    """Each of the paths once, on one connection, which stays open."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s, s.makefile("rb") as answers:
        for path in paths:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            length = 0
            while (line := answers.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)
        yield


def ask_all(port, paths):
    with asked(port, paths):
        pass


def pings(redis, n):
    """n commands on one connection."""
    with socket.create_connection(redis.target(), timeout=20) as s, s.makefile("rb") as answers:
        for _ in range(n):
            s.sendall(b"PING\r\n")
            if answers.readline() != b"+PONG\r\n":
                raise sjtest.Failed("redis does not answer")


def commands_of(redis):
    """How many commands it has had, this one not counted."""
    return int(re.search(r"total_commands_processed:(\d+)", redis.cli("info", "stats"))[1])


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)


def metrics_are_linted(t, d):
    body, _ = sjprometheus.scrape(d.port, sjprometheus.TEXT)
    done = subprocess.run(["promtool", "check", "metrics"], input=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, check=False)
    t.equal((done.returncode, done.stdout.decode()), (0, ""), "promtool check metrics has nothing to say")


def quantiles_agree(t, p, d, service):
    """The rate leaves the first few requests out; what was counted since the start is exactly what the report has."""
    rows = [s for s in d.report()["services"] if (s["service"], s["role"]) == (service, "server")]
    row = max(rows, key=lambda s: s["requests"])
    of = f'service_name="{service}", role="server"'
    total = f"sojourn_request_duration_seconds{{{of}}}"
    for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99")):
        for by, expression in (("rate", f"rate({total}[1h])"), ("since the start", total)):
            got = p.value(f"histogram_quantile({q}, sum by (service_name) ({expression}))")
            t.between(got / row["total"][name], 1 / BUCKET, BUCKET, f"{name} by {by} is the report's, within a bucket",
                      here=got, report=row["total"][name])
    stages = {stage: times["p99"] for stage, times in row["stages"].items() if times["p99"] > 0}
    wrong = {}
    for stage, p99 in stages.items():
        got = p.value(f'histogram_quantile(0.99, sum(sojourn_stage_duration_seconds{{{of}, stage="{stage}"}}))')
        if not 1 / BUCKET <= got / p99 <= BUCKET:
            wrong[stage] = (got, p99)
    t.ok(len(stages) >= 4 and not wrong, f"and so is the p99 of each of {len(stages)} stages", wrong=wrong, stages=stages)


def without_data(p, queries, timeout=120.0):
    """Those of the queries, (name, expression), that give nothing however long one waits: fits have no priority."""
    left = list(queries)

    def waits():
        left[:] = [(name, expression) for name, expression in left if not p.query(expression)]
        return not left

    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(waits, "data", timeout)
    return left


def what_deploy_has_gives_data(t, servers, service):
    values = {"instance": ".*", "role": "server", "service": service, "__rate_interval": "60s"}
    queries = sjprometheus.dashboard_queries(values)
    t.at_least(len(queries), 40, "the dashboard has queries")
    for name, p in servers.items():
        native_only = () if p.native else ("Durations",)
        t.all(without_data(p, [q for q in queries if q[0] not in native_only]),
              f"every query of the dashboard gives data with {name}", limit=9)
        rules = [rule for group in p.ask("rules")["groups"] for rule in group["rules"]]
        t.all(without_data(p, [(rule["name"], rule["name"]) for rule in rules if rule["type"] == "recording"]),
              f"every recording rule gives data with {name}", limit=9)
        t.all(without_data(p, [(rule["name"], f"count({selector})") for rule in rules if rule["type"] == "alerting"
                               for selector in sjprometheus.selectors(rule["query"])]),
              f"every alert looks at series that exist with {name}", limit=9)
        rules = [rule for group in p.ask("rules")["groups"] for rule in group["rules"]]
        t.all([rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")],
              f"all {len(rules)} rules are evaluated with {name}")
    t.all(without_data(servers["native histograms"],
                       [("SojournAlert", 'ALERTS{alertname="SojournAlert", alertstate="firing"}')]),
          "an alert of the daemon is one of Prometheus too")


def agrees(t, p, expression, wanted, name):
    """The only series of an expression gets that value, which it keeps once nothing is sent any more."""
    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(lambda: p.number(expression) == wanted, name)
    t.equal(p.value(expression), wanted, name)


def counts_agree(t, servers, of, own):
    for name, p in servers.items():
        durations = "sojourn_request_duration_seconds"
        wanted = {"sojourn_requests_total": f"sum(sojourn_requests_total{of})"}
        if p.native:
            wanted[durations] = f"histogram_count(sum({durations}{of}))"
        else:
            wanted[durations] = f"sum({durations}_count{of})"
            wanted["its last bucket"] = f'sum({durations}_bucket{{le="+Inf", {of[1:]})'
        for what, expression in wanted.items():
            agrees(t, p, expression, own, f"{name}: {what} has nginx's own count")


def prometheus_has_the_same(t):
    service, cache = f"shop{os.getpid() % 1000000}", f"cache{os.getpid() % 1000000}"
    log = sjtest.temp("access.log")
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        receiver = enter(Receiver())
        d = enter(Daemon(WATCHED.format(service=service, url=receiver.url)))
        text = enter(OnlyText(d))
        p = enter(Prometheus({"sojourn": d.port}, rules=[sjprometheus.RULES]))
        c = enter(Prometheus({"sojourn": d.port, "text": text.port}, native=False, rules=[sjprometheus.RULES]))
        backend = enter(sjtest.Server("--model", "thread", "--random", "lognormal:4ms:0.7", "--error-every", 101))
        nginx = enter(sjtest.Nginx(f"location / {{ access_log {log}; proxy_pass http://127.0.0.1:{backend.port}; }}",
                                   program=called("nginx", service)))
        redis = enter(sjtest.Redis(program=called("redis-server", cache)))
        servers = {"native histograms": p, "classic histograms": c}
        of = f'{{service_name="{service}", role="server", job="sojourn"}}'

        def seen(wanted):
            sjtest.await_true(lambda: d.metric("sojourn_requests_total", service_name=service, role="server") == wanted,
                              f"{wanted} requests in /metrics")
            for server in servers.values():
                sjtest.await_true(lambda s=server: s.number(f"sum(sojourn_requests_total{of})") == wanted,
                                  f"{wanted} requests in Prometheus")

        # the last one is of the load's operation: a rate knows nothing of what a series had when it was first seen
        enter(asked(nginx.port, [*("/item/" + word for word in words(8)), "/users/0"]))
        seen(9)
        sent = sjtest.client(f"127.0.0.1:{nginx.port}", "--requests", 6007, "--connections", 12, "--path", "/users/{n}",
                             fail=False)
        pings(redis, 503)
        own = nginx.stub_status()["requests"]
        t.equal((sent["sent"], lines_of(log), own), (6007, 6016, 6017), "nginx has had the requests that were sent")
        seen(own)
        counts_agree(t, servers, of, own)
        text_only = of.replace('"sojourn"', '"text"')
        for metric in ("sojourn_requests_total", "sojourn_request_duration_seconds_count"):
            agrees(t, c, f"sum({metric}{text_only})", own, f"the classic text: {metric} too")
        t.equal(p.number('count(sojourn_request_duration_seconds_bucket) or vector(0)'), 0,
                "native histograms have no classic buckets beside them")
        agrees(t, p, f"sum(sojourn_errors_total{of})", 6016 // 101, "every 101st request was an error")
        agrees(t, p, f'sum(sojourn_requests_total{{service_name="{cache}", role="server"}})', commands_of(redis) + 1,
               "redis: its own count, and the question for it")
        quantiles_agree(t, p, d, service)
        metrics_are_linted(t, d)
        what_deploy_has_gives_data(t, servers, service)


# ---- counters -------------------------------------------------------------------------------------------------------


def counters_in(body):
    """Everything that only grows in an exposition in text: sample -> value."""
    kinds, found = {}, {}
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif line and not line.startswith("#"):
            sample, value = line.split(" # ")[0].rsplit(" ", 1)
            name = sample.split("{")[0]
            family = name if name in kinds else re.sub(r"_(total|bucket|count|sum)$", "", name)
            if kinds.get(family) in ("counter", "histogram") and not name.endswith("_created"):
                found[sample] = float(value)
    return found


def counters_never_go_back(t):
    floor, went_back, lock = {}, [], threading.Lock()

    def scraper(d, accept):
        for _ in range(25):
            with lock:
                before = floor.setdefault(accept, {})
            got = counters_in(sjprometheus.scrape(d.port, accept)[0])
            with lock:
                went_back.extend((sample, before[sample], value) for sample, value in got.items()
                                 if value < before.get(sample, 0))
                went_back.extend((sample, value, "gone") for sample, value in before.items() if sample not in got)
                now = floor[accept]
                floor[accept] = {sample: max(value, now.get(sample, 0)) for sample, value in {**now, **got}.items()}

    with sjtest.Nginx() as nginx, Daemon() as d:
        load = sjtest.Client(f"127.0.0.1:{nginx.port}", "--duration", "600s", "--connections", 4, "--path", "/{i}/x")
        sjtest.await_true(lambda: d.metric("sojourn_requests_total", service_name="nginx", role="server"), "requests")
        sjtest.Threads(*[lambda accept=accept: scraper(d, accept)
                         for accept in [sjprometheus.TEXT, OPENMETRICS] * 5]).finish()
        t.ok(load.process.poll() is None, "there was load all the time")
        sjtest.stop(load.process)
        t.at_least(min(len(samples) for samples in floor.values()), 100, "ten scrapers at once find many counters")
        t.all(went_back, "no counter goes back or vanishes, whoever asks in whatever format")


def created(body, name, **labels):
    """The _created samples of a metric in OpenMetrics text."""
    return [float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines()
            if line.startswith(name + "_created{") and all(f'{k}="{v}"' in line for k, v in labels.items())]


def a_restart_begins_anew(t):
    service = f"shop{os.getpid() % 1000000}"
    of = f'{{service_name="{service}", role="server"}}'
    with sjtest.Nginx(program=called("nginx", service)) as nginx, contextlib.ExitStack() as stack:
        d = Daemon()
        p = stack.enter_context(Prometheus({"sojourn": d.port}))
        since = []

        def requests(n, more):
            """n of them are in Prometheus, then so many more."""
            ask_all(nginx.port, ["/"] * n)
            sjtest.await_true(lambda: p.number(f"sum(sojourn_requests_total{of})") == n, f"{n} requests")
            ask_all(nginx.port, ["/"] * more)
            sjtest.await_true(lambda: p.number(f"sum(sojourn_requests_total{of})") == n + more, f"{n + more} requests")
            body, _ = sjprometheus.scrape(d.port, OPENMETRICS)
            since.append((d.metric("sojourn_start_time_seconds"),
                          [*created(body, "sojourn_requests", service_name=service),
                           *created(body, "sojourn_request_duration_seconds", service_name=service)], time.time()))

        with d:
            requests(307, 400)
        with d:
            requests(11, 200)
        exact = 400 + 211
        t.equal(p.number(f"resets(sojourn_requests_total{of}[1h])"), 1, "Prometheus sees one reset")
        # Prometheus extrapolates by half an interval at each end; it may have seen some of the first requests come
        most = 1.5 * (307 + exact)
        t.between(p.number(f"increase(sojourn_requests_total{of}[1h])"), exact, most,
                  "the increase over it is that of both runs")
        t.between(p.number(f"histogram_count(increase(sojourn_request_duration_seconds{of}[1h]))"), exact, most,
                  "and that of the histogram")
        # the clocks behind these are read one after the other, and one of them may be set meanwhile
        for start, begun, now in since:
            t.ok(len(begun) == 2 and all(start - 1 <= x <= now + 1 for x in begun),
                 "counters say that they were made between the start and now", start=start, begun=begun, now=now)
        t.ok(min(since[1][1]) > max(since[0][1]) and since[1][0] > since[0][0],
             "after the restart they and the daemon are younger", since=since)


sjtest.main(prometheus_has_the_same, counters_never_go_back, a_restart_begins_anew)
