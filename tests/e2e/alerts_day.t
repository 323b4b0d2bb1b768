#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Days in fast-forward: the alerts are those of Prometheus's own rule engine for the same series."""

import itertools
import os
import random

import sjday
import sjtest

SEED = int(os.environ.get("SOJOURN_SEED", "1"))
DAYS = int(os.environ.get("SOJOURN_DAYS", "1"))
S = 10**9
MS = 10**6
STEP = 15
EVALUATIONS = 86400 // STEP


def stretches(random, modes, n):
    """n modes, one after the other for a while each; a while is anything from once to an hour."""
    out = []
    while len(out) < n:
        mode = random.choices([m for m, _ in modes], [w for _, w in modes])[0]
        out += [mode] * min(int(random.lognormvariate(2, 1.5)) + 1, 360)
    return out[:n]


# ---- states: for, keep_firing_for, no data, restarts, clocks that jump ----------------------------------------------

# What is measured is the same in both engines, as a window is one interval: what differs could only be the states.
STATES = [
    # name, when, the same of Prometheus, for, keep_firing_for, no_data
    ("slow", "max > 1s", "q_max > 1", 60, 0, "resolve"),
    ("slow_once", "max > 1s", "q_max > 1", 0, 0, "resolve"),
    ("slow_kept", "max >= 1s", "q_max >= 1", 30, 120, "resolve"),
    ("errors", "error_ratio > 5%", "q_errors > 0.05", 20, 30, "resolve"),
    ("errors_long", "error_ratio > 5%", "q_errors > 0.05", 600, 0, "resolve"),
    ("quick", "mean < 200ms", "q_mean < 0.2", 50, 20, "resolve"),
    ("missing", "max > 1s", "(q_max > 1) or (q_known unless q_max)", 30, 0, "alert"),
    ("kept", "mean > 500ms", '(q_mean > 0.5) or (max by (service) (ALERTS{alertname="kept"}) unless q_mean)', 0, 0,
     "keep"),
    ("idle", "rate < 5.25/s", "q_rate < 5.25", 60, 20, None),
    ("many", "requests >= 115", "q_requests >= 115", 0, 0, None),
]
# requests, errors, latency in ms; there may be several at once
MODES = [
    ([(120, 0, 100)], 6),
    ([(120, 1, 100), (15, 0, 950)], 4),
    ([(100, 3, 100), (15, 0, 2000)], 6),
    ([(45, 15, 3000)], 4),
    ([(45, 45, 1)], 2),
    ([], 6),
]


def config_of(rules, interval):
    lines = [f"interval: {interval}s", f"resend: {max(interval, 60)}s", "forget_after: 60d", "alerts:"]
    for name, when, _, pending, keep, no_data, *over in rules:
        lines.append(f"- {{name: {name}, when: '{when}', over: {over[0] if over else interval}s, for: {pending}s, "
                     f"keep_firing_for: {keep}s{f', no_data: {no_data}' if no_data else ''}}}")
    return "\n".join(lines) + "\n"


def rules_of(rules):
    return [{"alert": name, "expr": expression, **({"for": f"{pending}s"} if pending else {}),
             **({"keep_firing_for": f"{keep}s"} if keep else {})} for name, _, expression, pending, keep, *_ in rules]


def trouble(random, script):
    """Between two evaluations: the clock of the day is put, the program ends and begins again, the machine boots."""
    dice = random.random()
    jump = random.choice([-1, 1]) * int(random.choice([1, 60, 3600, 86400, 30 * 86400]) * random.uniform(0.5, 1) * S)
    if dice < 0.004:
        script.put_clock(jump)
    elif dice < 0.012:
        late = random.randrange(S)
        down = random.choice([0, 0, random.randrange(30 * S), random.randrange(3600 * S)])
        script.restart(late, down, random.choice([None, random.randrange(100 * S)]))
        if random.random() < 0.3:
            script.put_clock(jump)
        return late
    return 0


def states_day(seed):
    """The script, and the series by which Prometheus sees the same day. Time that the program is not there is cut out."""
    rng = random.Random(f"states {seed}")
    script = sjday.Script(config_of(STATES, STEP))
    series = {}
    days = {service: stretches(rng, MODES, EVALUATIONS) for service in "ab"}
    late = 0
    for at in range(EVALUATIONS):
        for service, day in days.items():
            for requests, errors, latency in day[at]:
                script.requests(service, latency * MS, requests, errors)
        # Evaluations are a little late, never early, and not later and later.
        script.tick(STEP * S + rng.randrange(S // 10) - late)
        late = trouble(rng, script)
    for service, day in days.items():
        labels = {"service": service}
        n = [sum(r for r, _, _ in mode) for mode in day]
        first = next(at for at, requests in enumerate(n) if requests)
        values = {
            "q_known": [1 if at >= first else None for at in range(EVALUATIONS)],
            "q_requests": [n[at] if at >= first else None for at in range(EVALUATIONS)],
            "q_rate": [n[at] / STEP if at >= first else None for at in range(EVALUATIONS)],
            "q_max": [max((m[2] for m in mode), default=None) for mode in day],
            "q_mean": [sum(m[0] * m[2] for m in mode) / n[at] / 1000 if n[at] else None for at, mode in enumerate(day)],
            "q_errors": [sum(m[1] for m in mode) / n[at] if n[at] else None for at, mode in enumerate(day)],
        }
        values["q_max"] = [value if value is None else value / 1000 for value in values["q_max"]]
        for metric, list_of in values.items():
            series[sjday.name_of(metric, labels)] = [None, *list_of]
    return script, series


# ---- windows: rates, ratios, quantiles and means over counters ------------------------------------------------------

# Thresholds that no quotient of these counts can be equal to: what rounding makes of a tie is not what is compared.
WINDOWS = [
    # as above, and the window
    ("ratio", "error_ratio > 1.037%", "increase(c_errors[5m]) / increase(c_requests[5m]) > 0.01037", 60, 0, "resolve",
     300),
    ("ratio_short", "error_ratio >= 30.11%", "increase(c_errors[30s]) / increase(c_requests[30s]) >= 0.3011", 0, 30,
     "resolve", 30),
    ("p99", "p99 > 1s", "histogram_quantile(0.99, rate(c_bucket[5m])) > 1", 0, 60, "resolve", 300),
    ("p53", "p53 > 300ms", "histogram_quantile(0.53, rate(c_bucket[10m])) > 0.3", 30, 0, "resolve", 600),
    ("mean", "mean > 151.713ms", "increase(c_ms[1m]) / increase(c_requests[1m]) > 151.713", 20, 20, "resolve", 60),
    ("longest", "max > 2s", "max_over_time(g_max[299s]) > 2", 0, 0, "resolve", 300),
    ("busy", "rate > 9.03/s", "rate(c_requests[2m]) > 9.03", 0, 0, None, 120),
    ("failing", "errors > 20.5", "increase(c_errors[1m]) > 20.5", 20, 0, None, 60),
    ("bad_rate", "error_rate >= 6.1/m", "rate(c_errors[2m]) >= 6.1 / 60", 0, 0, None, 120),
    # Few requests in a window that has only begun are no low rate; Prometheus is told to wait for it.
    ("calm", "rate < 2.011/s", "(rate(c_requests[5m]) < 2.011) and on () (vector(time()) >= 300)", 60, 0, None, 300),
    ("few", "requests <= 99.5", "(increase(c_requests[1m]) <= 99.5) and on () (vector(time()) >= 60)", 0, 0, None, 60),
]
BOUNDS = [100, 300, 1000, 3000]  # ms, edges of Prometheus's buckets
# How many requests, about; which of them are errors; which latencies, in ms, how often. No latency is near an edge.
TRAFFIC = [
    ((120, 0.0, {50: 20, 200: 10}), 8),
    ((120, 0.02, {50: 20, 200: 10, 600: 1}), 4),
    ((165, 0.01, {50: 1, 600: 1}), 3),
    ((90, 0.002, {50: 90, 2000: 1}), 3),
    ((90, 0.6, {200: 1, 2000: 1, 5000: 1}), 2),
    ((6, 0.1, {50: 5, 2000: 1}), 2),
    ((0, 0, {50: 1}), 3),
]
WARM = 60  # evaluations with the first of these, until all windows are filled


def windows_service(rng):
    """Per interval {(latency, is it an error): requests}."""
    day = []
    for requests, bad, latencies in [TRAFFIC[0][0]] * WARM + stretches(rng, TRAFFIC, EVALUATIONS - WARM):
        made = {}
        for _ in range(rng.randint(requests * 9 // 10, requests * 11 // 10)):
            key = (rng.choices(list(latencies), latencies.values())[0], rng.random() < bad)
            made[key] = made.get(key, 0) + 1
        day.append(made)
    # Where just as many requests lie below an edge as the quantile asks for, either answer would be right: one more then.
    for per_cent, edge, n in ((99, 1000, 300 // STEP), (53, 300, 600 // STEP)):
        below = total = 0
        for at, made in enumerate(day):
            gone = day[at - n] if at >= n else {}
            below += sum(k for (ms, _), k in made.items() if ms <= edge) - sum(k for (ms, _), k in gone.items() if ms <= edge)
            total += sum(made.values()) - sum(gone.values())
            while 100 * below == per_cent * total != 0:
                made[50, False] = made.get((50, False), 0) + 1
                below, total = below + 1, total + 1
    return day


def windows_day(seed):
    rng = random.Random(f"windows {seed}")
    script = sjday.Script(config_of(WINDOWS, STEP))
    series = {}
    days = {"a": windows_service(rng)}
    for at in range(EVALUATIONS):
        for service, day in days.items():
            for (latency, error), n in day[at].items():
                script.requests(service, latency * MS, n, n if error else 0)
        script.tick(STEP * S)
    for service, day in days.items():
        labels = {"service": service}

        def counter(metric, count, **more):
            values = itertools.accumulate(sum(count(*key) * n for key, n in made.items()) for made in day)
            series[sjday.name_of(metric, {**labels, **more})] = [0, *values]

        counter("c_requests", lambda ms, error: 1)
        counter("c_errors", lambda ms, error: int(error))
        counter("c_ms", lambda ms, error: ms)
        for bound in BOUNDS:
            counter("c_bucket", lambda ms, error: int(ms <= bound), le=bound / 1000)
        counter("c_bucket", lambda ms, error: 1, le="+Inf")
        series[sjday.name_of("g_max", labels)] = [None, *(max((ms / 1000 for ms, _ in made), default=None)
                                                           for made in day)]
    return script, series


# ---- burn rates -----------------------------------------------------------------------------------------------------

MINUTE = 60
BURN_PLANS = [(60, 1), (300, 6)]  # seconds between evaluations, days
OBJECTIVES = {"available": 0.999, "fast": 0.99}
# Of the SRE workbook, "Alerting on SLOs": factor, long window and short window, in minutes
PAIRS = {"1h": (14.4, 60, 5), "6h": (6, 360, 30), "3d": (1, 4320, 360)}
# An interval's share of bad requests as a multiple of the budget
BURNS = [(0, 8), (0.4, 12), (0.95, 6), (3, 3), (9, 2), (25, 1), (95, 0.4)]
QUIET = 360  # minutes; a burst just after the start is no burn rate of days
MARGIN = 3e-4


def burn_config(step):
    lines = [f"interval: {step}s", "resend: 300s", "forget_after: 60d", "slos:",
             "- {name: available, objective: 99.9%, min_requests: 1}",
             "- {name: fast, objective: 99%, latency: 250ms, min_requests: 1}"]
    return "\n".join(lines) + "\n"


def burn_rules():
    rules = []
    for slo, objective in OBJECTIVES.items():
        for name, (factor, long, short) in PAIRS.items():
            both = [f"(increase(c_{slo}[{n}m]) / increase(c_requests[{n}m]) > {factor} * (1 - {objective}))"
                    for n in (long, short)]
            rules.append({"alert": slo, "expr": " and ".join(both), "labels": {"long_window": name}})
    return rules


class Burning:
    """
    One service's intervals: requests and bad ones by objective, in numbers at which the lower confidence bound of a burn
    rate is the burn rate, but for less than MARGIN; and never nearer to a limit than that.
    """

    def __init__(self, rng, step):
        self.rng = rng
        self.step = step // MINUTE
        self.requests = []
        self.bad = {slo: [] for slo in OBJECTIVES}
        self.sums = {key: [0] for key in ("requests", *OBJECTIVES)}

    def go_on(self, there, burns):
        n = self.rng.randint(4 * 10**8, 6 * 10**8) if there else 0
        self.requests.append(n)
        for slo, objective in OBJECTIVES.items():
            self.bad[slo].append(int(n * min(1, burns[slo] * (1 - objective) * self.rng.uniform(0.9, 1.1))))
        # What is slow, and is no error, is bad for the second objective only.
        self.bad["fast"][-1] = min(n, max(self.bad["fast"][-1], self.bad["available"][-1]))
        self.requests[-1] = n
        while there and (near := self.too_near()):
            slo, more = near[0], 1 + self.window(*near) // 500
            self.bad[slo][-1] += more if self.bad[slo][-1] + more <= n else -more
            self.bad["fast"][-1] = max(self.bad["fast"][-1], self.bad["available"][-1])
        self.sums["requests"].append(self.sums["requests"][-1] + n)
        for slo in OBJECTIVES:
            self.sums[slo].append(self.sums[slo][-1] + self.bad[slo][-1])

    def window(self, key, minutes):
        sums, last = self.sums[key], (self.requests if key == "requests" else self.bad[key])[-1]
        return sums[-1] + last - sums[max(0, len(sums) - minutes // self.step)]

    def too_near(self):
        for slo, objective in OBJECTIVES.items():
            for factor, *windows in PAIRS.values():
                for minutes in windows:
                    limit = factor * (1 - objective) * self.window("requests", minutes)
                    if abs(self.window(slo, minutes) - limit) < MARGIN * limit:
                        return slo, minutes
        return None


def burn_days(seed, step, days):
    rng = random.Random(f"burn {seed} {step}")
    script = sjday.Script(burn_config(step))
    total, quiet = days * 86400 // step, QUIET * MINUTE // step
    services = {service: Burning(rng, step) for service in "a"}
    levels = {(service, slo): [0] * quiet + stretches(rng, BURNS, total - quiet)
              for service in services for slo in OBJECTIVES}
    times, down = [], 0
    for at in range(total):
        for service, s in services.items():
            s.go_on(not down, {slo: levels[service, slo][at] for slo in OBJECTIVES})
            errors = s.bad["available"][-1]
            slow = s.bad["fast"][-1] - errors + errors // 2  # half of the errors are slow, too
            script.requests(service, 400 * MS, slow, errors // 2)
            script.requests(service, 100 * MS, s.requests[-1] - slow, errors - errors // 2)
        if down:
            down -= 1
            continue
        script.tick(step * S)
        times.append((at + 1) * step)
        dice = rng.random()
        if dice < 0.004:
            # The program is not there for some intervals, in which nobody asks either; the machine may boot, on the
            # second of a slot, since counts are kept by slots.
            down = rng.randrange(20)
            boot = 600 * S * rng.randrange(1, 100) + (script.mono + down * step * S) % (600 * S)
            script.restart(0, down * step * S, rng.choice([None, boot]))
        elif dice < 0.008:
            script.put_clock(rng.choice([-1, 1]) * rng.randrange(86400 * S))
    series = {}
    for service, s in services.items():
        for metric, sums in s.sums.items():
            series[sjday.name_of(f"c_{metric}", {"service": service})] = sums
    return script, series, times


def counts(after):
    """How much happened, so that a day without alerts is not taken for agreement: how often each began and fired."""
    began, fired = {}, {}
    for before, now in zip([{}, *after], after):
        for key, (state, since) in now.items():
            if before.get(key, (None, None))[1] != since:
                began[key[0]] = began.get(key[0], 0) + 1
            if state == "firing" and before.get(key) != (state, since):
                fired[key[0]] = fired.get(key[0], 0) + 1
    return began, fired


def lively(t, seed, after, names):
    began, fired = counts(after)
    t.all((name for name in names if not fired.get(name)), f"seed {seed}: every rule fired")
    sjtest.Test.diag(f"seed {seed}: began {began}, fired {fired}")


def states(t):
    for seed in range(SEED, SEED + DAYS):
        script, series = states_day(seed)
        troubles = []
        after = sjday.follow(script, script.play(), troubles)
        t.all(troubles, f"seed {seed}: restarts change no alert, times of day are those of the evaluations")
        times = range(STEP, STEP * EVALUATIONS + 1, STEP)
        said = sjday.Agreement(rules_of(STATES), series, after, times, STEP).difference()
        t.ok(not said, f"seed {seed}: {len(after)} evaluations of {len(STATES)} rules are Prometheus's", said=said)
        lively(t, seed, after, [name for name, *_ in STATES])


def changed(after, which):
    """The same alerts, but for one evaluation of one of them."""
    at = next(at for at, alerts in enumerate(after) if at > 100 and alerts)
    key, (state, began) = next(iter(after[at].items()))
    other = {"lost": {}, "another state": {key: ("firing" if state == "pending" else "pending", began)},
             "another beginning": {key: (state, began - 1)}}[which]
    alerts = {k: v for k, v in after[at].items() if k != key}
    return [*after[:at], {**alerts, **other}, *after[at + 1:]]


def differences_are_seen(t):
    script, series = states_day(SEED)
    n = 200
    after, times = sjday.follow(script, script.play(), [])[:n], range(STEP, n * STEP + 1, STEP)
    series = {name: values[:n + 1] for name, values in series.items()}
    for which in ("lost", "another state", "another beginning"):
        said = sjday.Agreement(rules_of(STATES), series, changed(after, which), times, STEP).difference()
        t.ok("exp:" in said and "got:" in said, f"one alert {which} at one evaluation is no agreement", said=said)


def windows(t):
    for seed in range(SEED, SEED + DAYS):
        script, series = windows_day(seed)
        after = sjday.follow(script, script.play(), [])
        times = range(STEP, STEP * EVALUATIONS + 1, STEP)
        said = sjday.Agreement(rules_of(WINDOWS), series, after, times, STEP).difference()
        t.ok(not said, f"seed {seed}: {len(after)} evaluations of {len(WINDOWS)} rules over windows are Prometheus's",
             said=said)
        lively(t, seed, after, [name for name, *_ in WINDOWS])


def burn_rates(t):
    for seed in range(SEED, SEED + DAYS):
        played = []
        for step, days in BURN_PLANS:
            script, series, times = burn_days(seed, step, days)
            after = sjday.follow(script, script.play(), [])
            # The window of days goes on in steps of ten minutes; between these it is a little shorter than it says.
            said = sjday.Agreement(burn_rules(), series, after, times, step, since=False,
                                   compared=lambda at, key: key[1] != "3d" or at % 600 == 0).difference()
            t.ok(not said, f"seed {seed}: burn rates at {len(after)} evaluations, every {step} s, are Prometheus's",
                 said=said)
            played += [{**alerts, **{(window, name, service): value for (name, window, service), value in alerts.items()}}
                       for alerts in after]
        lively(t, seed, played, [*OBJECTIVES, *PAIRS])


if not sjtest.have("promtool"):
    sjtest.skip_all("needs promtool")
sjtest.main(states, differences_are_seen, windows, burn_rates, root=False)
