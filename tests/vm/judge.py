# SPDX-License-Identifier: GPL-3.0-or-later
"""What the results of one kernel must show. Each check is a line of text when it fails; none is a matter of speed."""

import gzip
import json
import os
import re

REQUESTS = {"tcp-keep": 401, "tcp-once": 199, "unix-keep": 251, "unix-once": 146}  # 997 in all
STAIRS = "abc"
AFTER_DROP = 200
DAEMON = 300
SERVER_STAGES = ("queue", "oncpu", "busy", "runq", "blocked", "handoff", "send")
CAP_BPF = 39

# Instructions that the verifier may process for a program, of any kernel. About twice what they were when this was
# written: what explodes does so by a factor.
BUDGET = {"on_recv": 50000, "on_send": 60000, "on_call": 110000}
BUDGET_OTHERS = 10000
# What a kernel may refuse without more ado, since there is another program for the same.
OPTIONAL = {"on_flush"}


def ns(seconds):
    return round(seconds * 1e9)


class Results:
    """The files of one kernel's folder, and what is wrong with them."""

    def __init__(self, folder):
        self.folder = folder
        self.wrong = []
        self.notes = []

    def text(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def expect(self, good, claim):
        if not good:
            self.wrong.append(claim)
        return bool(good)

    def json(self, name):
        """A result that must have come with status 0; {} otherwise."""
        status = self.text(name + ".status").strip() or "it did not run"
        if not self.expect(status == "0", f"{name}: ended with {status}: {self.text(name + '.err').strip()[-600:]}"):
            return {}
        try:
            return json.loads(self.text(name))
        except ValueError:
            self.expect(False, f"{name}: no JSON: {self.text(name)[-200:]!r}")
            return {}


def services(report, **wanted):
    return [s for s in report.get("services", []) if all(s.get(k) == v for k, v in wanted.items())]


def operations(report, **wanted):
    counts = {}
    for service in services(report, **wanted):
        for operation in service.get("operations", []):
            counts[operation["operation"]] = counts.get(operation["operation"], 0) + operation["requests"]
    return counts


def counts(r):
    """Returns how many of the requests are in the report, as server and as client."""
    for name, number in REQUESTS.items():
        answered = r.json("client." + name).get("answered")
        r.expect(answered == number, f"the load generator was answered {answered} times for {name}, not {number}")
    r.expect(r.text("record.status").strip() == "0", f"record: {r.text('record.err').strip()[-600:]}")
    report = r.json("report.json")
    seen = {}
    for role in ("server", "client"):
        found = operations(report, service="sjvm-" + role, role=role)
        for name, number in REQUESTS.items():
            got = found.get("GET /" + name, 0)
            r.expect(got == number, f"{role}: {got} of {number} requests of {name}")
        others = {name: n for name, n in found.items() if name[5:] not in REQUESTS and "stairs" not in name}
        r.expect(not others, f"{role}: operations that nobody asked for: {others}")
        seen[role] = sum(found.get("GET /" + name, 0) for name in REQUESTS)
    complete = report.get("completeness", {})
    r.expect(complete.get("lost") == 0 and complete.get("counted_only") == 0, f"completeness: {complete}")
    return report, seen


def payload_was_seen(r):
    check = r.json("check.json")
    return check, next((c["have"] for c in check.get("capabilities", []) if c["name"] == "payload"), True)


def lines(r):
    try:
        with gzip.open(os.path.join(r.folder, "trace.json.gz"), "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError, EOFError) as trouble:
        r.expect(False, f"trace --json: {trouble}")
        return []


def residual(r, traced):
    """The largest distance of a request's total from the sum of its stages, in nanoseconds."""
    worst = 0
    for line in traced:
        rest = ns(line["total"]) - sum(ns(value) for value in line["stages"].values())
        worst = max(worst, abs(rest))
    r.expect(len(traced) >= 2 * sum(REQUESTS.values()), f"trace told {len(traced)} requests")
    r.expect(worst == 0, f"stages do not sum to the total: {worst} ns remain")
    return worst


def stamp(time):
    """Nanoseconds of the day of an RFC 3339 time; a run over midnight adds a day."""
    found = re.fullmatch(r".*T(\d+):(\d+):(\d+)(?:\.(\d+))?Z", time)
    return ((int(found[1]) * 60 + int(found[2])) * 60 + int(found[3])) * 10**9 + int((found[4] or "0").ljust(9, "0"))


def staircase(r, traced):
    """Five at once on a server that serves one after the other, and sleeps 20 ms for each: their queues are stairs."""
    step, stairs, all_slept = 20 * 10**6, {}, []
    for letter in STAIRS:
        name = f"GET /stairs-{letter}"
        round_ = [line for line in traced if line["service"] == "sjvm-stairs" and line["operation"] == name]
        if not r.expect(len(round_) == 5, f"{name}: {len(round_)} of 5 requests"):
            continue
        taken = sorted((stamp(line["time"]) + ns(line["stages"]["queue"]), line) for line in round_)
        queues = [ns(line["stages"]["queue"]) for _, line in taken]
        told = f"queues {[q // 1000 for q in queues]} us"
        r.expect(all(b[0] - a[0] >= step for a, b in zip(taken, taken[1:])),
                 f"{name}: the server took one before it had served the one before; {told}")
        stairs[told] = queues == sorted(queues) and queues[-1] >= 3 * step
        for _, line in taken:
            all_slept.append(ns(line.get("blocked_by", {}).get("sleep", 0)))
            r.expect(line["stages"]["oncpu"] > 0 and not line["interleaved"],
                     f"{name}: a request ran {line['stages']['oncpu']} s")
    # who sends all five has to do it before the first is served: a machine that stands still is let off twice
    r.expect(any(stairs.values()), f"no staircase; {'; '.join(stairs)}")
    # it is told from when the thread has left its CPU, which an emulated machine takes a while for
    short = [slept for slept in all_slept if slept < step // 2]
    r.expect(len(short) <= len(all_slept) // 5, f"requests slept {short} ns of 20 ms")


def without_rights(r, name):
    """The threads in that result have none; returns which sets hold CAP_BPF, where that has to stay."""
    threads = r.text(name + ".threads")
    told = []
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        found = [int(value, 16) for value in re.findall(rf"^{key}:\s*(\w+)$", threads, re.M)]
        allowed = 0
        if r.text("unprivileged").strip() != "0" and r.text("release").startswith("5.10."):
            allowed = 1 << CAP_BPF
        r.expect(found and not any(value & ~allowed for value in found), f"{name}: {key} is {found}")
        if any(found):
            told.append(key)
    r.expect(set(re.findall(r"^NoNewPrivs:\s*(\d)", threads, re.M)) == {"1"}, f"{name}: no_new_privs is not set")
    r.expect(set(re.findall(r"^Seccomp:\s*(\d)", threads, re.M)) == {"2"}, f"{name}: there is no seccomp filter")
    return told


def rights(r):
    """200 requests after all rights are gone, and no thread with any."""
    client, report = r.json("client.rights"), r.json("rights.json")
    r.expect(client.get("answered") == AFTER_DROP, f"rights: {client.get('answered')} answers")
    got = sum(s["requests"] for s in services(report, role="server"))
    r.expect(got == AFTER_DROP, f"least rights: {got} of {AFTER_DROP} requests")
    r.expect(report.get("completeness", {}).get("lost") == 0, f"least rights: {report.get('completeness')}")
    if r.text("release").startswith("5.10."):
        r.expect(r.text("limited.status").strip() == "77" and "ulimit -l" in r.text("limited.err"),
                 f"a limit of locked memory: {r.text('limited.status')} {r.text('limited.err')}")
    told = without_rights(r, "rights")
    r.notes.append("rights after attaching: " + (f"CAP_BPF in {', '.join(told)}" if told else "none"))


def daemon(r):
    """It measures, answers HTTP, evaluates its rule and runs the command, without a right, and ends when told to."""
    client, report = r.json("client.daemon"), r.json("daemon.json")
    r.expect(client.get("answered") == DAEMON, f"daemon: {client.get('answered')} answers")
    got = operations(report, service="sjvm-server", role="server").get("GET /daemon", 0)
    r.expect(got == DAEMON, f"daemon: {got} of {DAEMON} requests in the report")
    samples = re.findall(r'^sojourn_requests_total\{.*operation="GET /daemon".* (\d+)$', r.text("daemon.metrics"), re.M)
    r.expect(sum(map(int, samples)) == 2 * DAEMON, f"daemon: {samples} in /metrics, for both sides")
    r.expect('"firing"' in r.text("daemon.told"), "daemon: the command was not told of the alert")
    r.expect(r.text("daemon.status").strip() == "0", f"daemon: ended with {r.text('daemon.status').strip()}: "
             f"{r.text('daemon.err').strip()[-600:]}")
    without_rights(r, "daemon")


def verifier(r):
    r.expect(r.text("verifier.status").strip() == "0", f"verifier: {r.text('verifier.err').strip()[-3000:]}")
    processed = {name: int(n) for name, n in re.findall(r"^verified \S+ (\S+) (-?\d+)$", r.text("verifier"), re.M)}
    refused = set(re.findall(r"^refused \S+ (\S+)$", r.text("verifier"), re.M))
    r.expect(refused <= OPTIONAL, f"verifier: refused are {refused}")
    for name, n in processed.items():
        limit = BUDGET.get(name, BUDGET_OTHERS)
        r.expect(0 < n <= limit, f"verifier: {name} takes {n} instructions, {limit} are the limit")
    r.notes.append("verifier: " + " ".join([*(f"{name}={n}" for name, n in processed.items()),
                                           *(f"{name}=refused" for name in refused)]))


def kernel_log(r):
    trouble = re.findall(r"^.*(?:BUG:|WARNING:|Oops|rcu_sched self-detected).*$", r.text("dmesg"), re.M)
    r.expect(not trouble, f"the kernel complained: {trouble[:3]}")


def judge(folder, guest=True):
    """Returns (the words of the TAP line, what is wrong, notes)."""
    r = Results(folder)
    check, _ = payload_was_seen(r)
    r.expect(check.get("possible") is True, f"check: {check.get('reason')}")
    r.expect(check.get("rights_after") in ("none", "CAP_BPF"), "check: it does not tell which rights stay")
    report, seen = counts(r)
    traced = lines(r)
    worst = residual(r, traced)
    staircase(r, traced)
    rights(r)
    daemon(r)
    verifier(r)
    if guest:
        kernel_log(r)
    wanted = sum(REQUESTS.values())
    words = (f"release={r.text('release').strip() or 'unknown'} lockdown={check.get('lockdown', 'unknown')} "
             f"set={report.get('probe', {}).get('set', 'none')} server={seen['server']}/{wanted} "
             f"client={seen['client']}/{wanted} residual_ns={worst}")
    return words, r.wrong, r.notes
