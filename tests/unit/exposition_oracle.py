#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what was exposed with the requests it is about:  exposition_oracle.py FOLDER

FOLDER/requests holds a JSON array per line: service, role, protocol, operation, status, error, total, stages (false:
not known), all times ns. FOLDER/text, openmetrics and protobuf are the expositions of them. Counts are computed here
with whole numbers only. Prints what differs; ends with 0 when nothing does.
"""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import exposition_read  # noqa: E402

STAGES = ["queue", "oncpu", "busy", "runq", "blocked", "handoff", "send", "wait", "pickup", "receive"]
OF_ROLE = {"server": STAGES[:7], "client": STAGES[6:]}
SCHEMA = 3
troubles = []


def claim(good, text):
    if not good:
        troubles.append(text)


def bucket(ns):
    """The smallest i with ns / 1e9 <= 2^(i / 2^SCHEMA), exactly."""
    power = 2**SCHEMA
    left, right = ns**power, 10**(9 * power)
    i = left.bit_length() - right.bit_length() - 1
    while left * 2**max(-i, 0) > right * 2**max(i, 0):
        i += 1
    return i


def shown(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def status_class(status):
    if not status:
        return "unknown"
    return status[0] + "xx" if len(status) == 3 and status.isdigit() and status[0] in "12345" else "other"


class Expected:
    def __init__(self, lines):
        self.durations = defaultdict(list)
        self.stages = defaultdict(list)
        self.requests = Counter()
        self.errors = Counter()
        for service, role, protocol, operation, status, error, total, stages in lines:
            labels = {"service_name": shown(service), "role": role, "protocol": protocol, "operation": shown(operation)}
            key = tuple(sorted(labels.items()))
            self.durations[key].append(total)
            self.requests[tuple(sorted({**labels, "status_class": status_class(status)}.items()))] += 1
            self.errors[key] += error
            for i, ns in enumerate(stages):
                if ns is not False and STAGES[i] in OF_ROLE[role]:
                    self.stages[tuple(sorted({**labels, "stage": STAGES[i]}.items()))].append(ns)


def check_histogram(form, family, expected, bounds):
    name = family.name
    claim(family.type == "histogram" and family.unit in ("seconds", ""), f"{form}: {name}: {family.type}, {family.unit}")
    left = dict(family.samples)
    for key, values in expected.items():
        at_most = sorted(values)
        for exponent in bounds:
            bound = Fraction(2)**exponent
            want = sum(1 for v in at_most if Fraction(v, 10**9) <= bound)
            got = left.pop((name + "_bucket", tuple(sorted([*key, ("le", repr(float(bound)))]))), None)
            claim(got == want, f"{form}: {name}{dict(key)}: le 2^{exponent}: {got}, not {want}")
        for suffix, more, want in ("_bucket", [("le", "+Inf")], len(values)), ("_count", [], len(values)):
            got = left.pop((name + suffix, tuple(sorted([*key, *more]))), None)
            claim(got == want, f"{form}: {name}{suffix}{dict(key)}: {got}, not {want}")
        got = left.pop((name + "_sum", key), None)
        claim(got is not None and abs(got * 1e9 - sum(values)) <= 1e-15 * sum(values) * 4 + 0.5,
              f"{form}: {name}_sum{dict(key)}: {got}, not {sum(values)} ns")
        if form == "openmetrics":
            claim(left.pop((name + "_created", key), 0) > 1.79e9, f"{form}: {name}_created{dict(key)}")
        if form == "protobuf":
            check_native(f"{name}{dict(key)}", family.native.pop(key, None), values)
    claim(not left, f"{form}: {name}: also {list(left)[:3]}")
    claim(not family.native, f"{form}: {name}: also native {list(family.native)[:3]}")


def check_native(name, native, values):
    want = Counter(bucket(v) for v in values if v)
    claim(native is not None and native.schema == SCHEMA and native.zero_threshold == 0, f"{name}: native {native}")
    if native is None:
        return
    claim(native.buckets == want, f"{name}: buckets {native.buckets}, not {dict(want)}")
    claim(native.zero_count == sum(1 for v in values if not v), f"{name}: zero bucket {native.zero_count}")
    claim(native.count == len(values) == native.zero_count + sum(native.buckets.values()), f"{name}: {native.count}")
    claim(native.start_ns == 1795338000123456789, f"{name}: since {native.start_ns}")


def check_counter(form, families, name, expected):
    family = families.get(name if form != "protobuf" else name + "_total")
    claim(family is not None and family.type == "counter", f"{form}: {name} is no counter")
    if not family:
        return
    got = {key: value for (sample, key), value in family.samples.items() if not sample.endswith("_created")}
    claim(got == dict(expected), f"{form}: {name}: {set(got.items()) ^ set(expected.items())}"[:500])
    created = sum(sample.endswith("_created") for sample, _ in family.samples)
    claim(created == (len(got) if form == "openmetrics" else 0), f"{form}: {name}: {created} times of creation")


def main():
    folder = sys.argv[1]
    with open(f"{folder}/requests", encoding="utf-8") as file:
        expected = Expected(json.loads(line) for line in file)
    for form in "text", "openmetrics", "protobuf":
        with open(f"{folder}/{form}", "rb") as file:
            families = exposition_read.read(form, file.read())
        check_histogram(form, families["sojourn_request_duration_seconds"], expected.durations, range(-20, 7))
        check_histogram(form, families["sojourn_stage_duration_seconds"], expected.stages, range(-20, 7, 2))
        check_counter(form, families, "sojourn_requests", expected.requests)
        check_counter(form, families, "sojourn_errors", expected.errors)
        for family in families.values():
            claim(family.name.startswith("sojourn_") and family.help.strip(), f"{form}: {family.name} has no help")
    with open(f"{folder}/text", "rb") as file:
        said = subprocess.run(["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, check=False)
    claim(said.returncode == 0 and not said.stdout + said.stderr, f"promtool: {said.stdout}{said.stderr}")
    print("\n".join(troubles[:20]))
    sys.exit(bool(troubles))


main()
