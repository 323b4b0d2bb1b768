# SPDX-License-Identifier: GPL-3.0-or-later
"""Days that are played to two engines: the one of this program (tools/play) and Prometheus's own (promtool)."""

import itertools
import json
import os
import random

import sjtest

PLAY = os.path.join(sjtest.BUILD, "tools/play")
BOOT = 6000 * 10**9  # where every slot of a ring begins
EPOCH = 1795338000 * 10**9


class Script:
    """What tools/play is told. Time goes on by tick(); the clock of the day can be put, the machine booted."""

    def __init__(self, config):
        self.path = sjtest.temp("rules.yaml")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(config)
        self.mono, self.real = BOOT, EPOCH
        self.lines = [f"b {self.mono} {self.real}"]
        self.kinds = []  # of the answers: e or a
        self.times = []  # of each evaluation, by the clock of the day

    def requests(self, service, latency_ns, n, errors=0):
        if n:
            self.lines.append(f"r {service} {latency_ns} {n} {errors}")

    def tick(self, ns):
        self.mono += ns
        self.real += ns
        self.lines.append(f"e {self.mono} {self.real}")
        self.kinds.append("e")
        self.times.append(self.real)

    def put_clock(self, ns):
        self.real += ns

    def restart(self, late_ns=0, down_ns=0, boot_ns=None):
        """Ends late_ns after an evaluation, begins down_ns later; boot_ns: what the other clock has come to by then."""
        self.mono += late_ns
        self.real += late_ns
        self.lines.append(f"s {self.mono} {self.real}")
        self.mono = self.mono + down_ns if boot_ns is None else boot_ns
        self.real += down_ns
        self.lines += [f"b {self.mono} {self.real}", "a"]
        self.kinds.append("a")

    def play(self):
        """What was told: for each answer a list of lines in words."""
        told = sjtest.temp("script")
        with open(told, "w", encoding="utf-8") as file:
            file.write("\n".join(self.lines) + "\n")
        with open(told, "rb") as file:
            out = sjtest.run([PLAY, self.path], stdin=file, timeout=300)
        answers = [[]]
        for line in out.splitlines():
            if line:
                answers[-1].append(line.split())
            else:
                answers.append([])
        return answers[:-1]


def follow(script, answers, troubles):
    """The alerts that there are after each evaluation: {(name, window, service): (state, evaluation that began it)}."""
    alerts, after, at = {}, [], -1
    for kind, lines in zip(script.kinds, answers, strict=True):
        if kind == "a":
            there = {tuple(line[:3]): line[3] for line in lines if line[3] != "resolved"}
            if there != {key: state for key, (state, _) in alerts.items()}:
                troubles.append(f"after evaluation {at} a restart made {alerts} to {there}")
            continue
        at += 1
        alerts = dict(alerts)
        for name, window, service, state, _, active, starts, ends in lines:
            key = (name, window, service)
            if state in ("pending", "firing"):
                began = alerts[key][1] if key in alerts else at
                alerts[key] = (state, began)
                if int(active) != script.times[began] or (state == "firing" and int(starts) != script.times[at]):
                    troubles.append(f"{key} {state} in {at}: since {active}, {starts}; not {script.times[began]}")
            else:
                alerts.pop(key, None)
                if state == "resolved" and int(ends) != max(script.times[at], int(starts)):
                    troubles.append(f"{key} was resolved in {at} at {ends}, not {script.times[at]}")
        after.append(alerts)
    return after


def short(values):
    """Values of a series as promtool takes them; None: none. What was there and is not becomes stale at once."""
    words, before = [], None
    for value, run in itertools.groupby(values):
        n = len(list(run))
        if value is None:
            if before is not None:
                words.append("stale")
                n -= 1
            if n:
                words.append(f"_x{n}")
        else:
            words.append(f"{value!r}+0x{n - 1}" if n > 1 else repr(value))
        before = value
    return " ".join(words)


def name_of(metric, labels):
    return metric + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}"


def labels_of(key):
    name, window, service = key
    return {"alertname": name, "service": service, **({"long_window": window} if window != "-" else {})}


def samples(alerts, times, since):
    """The samples of Prometheus's that stand for these alerts; since: those of when they began, too."""
    out = []
    for key, (state, began) in alerts.items():
        out.append({"labels": name_of("ALERTS", {**labels_of(key), "alertstate": state}), "value": 1})
        if since:
            out.append({"labels": name_of("ALERTS_FOR_STATE", labels_of(key)), "value": times[began]})
    return out


def promtool(rules, series, tests, step):
    """
    Lets Prometheus evaluate: rules as in its files, series as {name: values from 0 s on, every `step` s}, and what is
    to come out, as (time in s, expression, samples). Empty when all agrees, else what promtool says.
    """
    folder = sjtest.temp("promtool")
    os.mkdir(folder)
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{step}s",
        "tests": [{
            "interval": f"{step}s",
            "input_series": [{"series": name, "values": short(values)} for name, values in series.items()],
            "promql_expr_test": [{"expr": expression, "eval_time": f"{at}s", "exp_samples": out}
                                 for at, expression, out in tests],
        }],
    }
    for name, content in (("rules.yml", {"groups": [{"name": "g", "rules": rules}]}), ("tests.yml", document)):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            json.dump(content, file)
    process = sjtest.Process(["promtool", "test", "rules", f"{folder}/tests.yml"])
    status = process.wait(600)
    return "" if status == 0 else process.err() + process.out() or f"promtool ended with {status}"


AT_ONCE = 90  # evaluations; promtool's queries may load 10,000 samples


class Agreement:
    """
    Whether Prometheus has the same alerts, in the same state and since the same moment, at every evaluation: `after`,
    which belong to `times` in s. compared(at, key) says which of them count.

    To ask for each evaluation one by one takes minutes. So each has a random weight, and what is compared is, over a
    few of them, the sum of the weights of those in which an alert was in a state: one evaluation more or less, and it is
    another sum. Only where sums differ they are asked for one by one, to say where.
    """

    def __init__(self, rules, series, after, times, step, since=True, compared=lambda at, key: True):
        self.rules, self.after, self.times, self.step, self.since = rules, after, times, step, since
        self.compared = compared
        draw = random.Random(1)
        self.weight = {at: draw.randrange(1, 1 << 20) for at in times}
        self.end = times[-1]
        self.series = dict(series)
        windows = {key[1] for alerts in after for key in alerts} | {"-"}
        for window in windows:
            self.series[name_of("weight", {"long_window": window} if window != "-" else {})] = [
                self.weight[at] if at in self.weight and compared(at, (None, window, None)) else 0
                for at in range(0, self.end + 1, step)]

    def sums(self):
        tests = []
        span = AT_ONCE * self.step
        done = 0
        for begin in range(0, self.end, span):
            end = min(begin + span, self.end)
            within = f"[{end - begin - self.step}s:{self.step}s]"
            state, since = {}, {}
            while done < len(self.times) and self.times[done] <= end:
                at = self.times[done]
                for key, (name, began) in self.after[done].items():
                    if self.compared(at, key):
                        state[key, name] = state.get((key, name), 0) + self.weight[at]
                        since[key] = since.get(key, 0) + self.weight[at] * self.times[began]
                done += 1
            weighed = "(%s * on (long_window) group_left () weight)"
            tests.append((end, f"sum_over_time({weighed % 'ALERTS'}{within}) > 0",
                          [{"labels": name_of("", {**labels_of(key), "alertstate": name}), "value": value}
                           for (key, name), value in state.items()]))
            if self.since:
                tests.append((end, f"sum_over_time({weighed % 'ALERTS_FOR_STATE'}{within}) > 0",
                              [{"labels": name_of("", labels_of(key)), "value": value} for key, value in since.items()]))
        return promtool(self.rules, self.series, tests, self.step)

    def difference(self):
        """Empty, or what promtool says."""
        sums = self.sums()
        if not sums:
            return ""
        tests = []
        for at, alerts in zip(self.times, self.after):
            shown = {key: value for key, value in alerts.items() if self.compared(at, key)}
            windows = {key[1] for key in alerts if not self.compared(at, key)}
            but = "".join(f',long_window!="{window}"' for window in windows)
            which = "ALERTS|ALERTS_FOR_STATE" if self.since else "ALERTS"
            tests.append((at, f'{{__name__=~"{which}"{but}}}', samples(shown, self.times, self.since)))
        return (promtool(self.rules, self.series, tests, self.step) or sums)[:2000]
