# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what /metrics answers with readers that are not ours: prometheus_client's and protobuf's.

read(FORMAT, BYTES) returns {family name: Family}. Classic histograms are samples with the label le, as in text; native
ones are in .native.

exposition_read.py FORMAT FILE prints what is read, a sample per line, in one form for all formats: labels are sorted,
times of creation are samples of NAME_created, an exemplar stands behind its sample after " # ".
"""

import importlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class Native:
    """Buckets by their index; bucket i holds (2^((i-1)/2^schema), 2^(i/2^schema)]."""
    schema: int
    zero_threshold: float
    zero_count: int
    count: int
    sum: float
    buckets: dict
    start_ns: int
    exemplars: list


@dataclass
class Family:
    name: str
    type: str
    unit: str
    help: str
    samples: dict = field(default_factory=dict)  # (name, ((label, value), ...)) -> value
    native: dict = field(default_factory=dict)  # ((label, value), ...) -> Native
    exemplars: dict = field(default_factory=dict)  # as samples -> (labels, value, time)
    created: dict = field(default_factory=dict)  # ((label, value), ...) -> time, of protobuf

    def add(self, name, labels, value, exemplar=None):
        key = (name, tuple(sorted(labels.items())))
        if key in self.samples:
            raise ValueError(f"twice: {key}")
        self.samples[key] = value
        if exemplar:
            self.exemplars[key] = exemplar


def read_text(data, parse):
    families = {}
    for parsed in parse(data.decode("utf-8")):
        if parsed.name in families:
            raise ValueError(f"the family {parsed.name} comes twice")
        family = families[parsed.name] = Family(parsed.name, parsed.type, parsed.unit, parsed.documentation)
        for s in parsed.samples:
            exemplar = s.exemplar and (dict(s.exemplar.labels), s.exemplar.value, float(s.exemplar.timestamp))
            family.add(s.name, s.labels, s.value, exemplar)
    return families


_messages = None


def messages():
    """The classes that protoc makes of metrics.proto."""
    global _messages
    if _messages is None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["protoc", f"--proto_path={HERE}", f"--python_out={folder}", "metrics.proto"], check=True)
            sys.path.insert(0, folder)
            _messages = importlib.import_module("metrics_pb2")
            sys.path.remove(folder)
    return _messages


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            return value, at


def labels_of(pairs):
    labels = {pair.name: pair.value for pair in pairs}
    if len(labels) != len(pairs):
        raise ValueError(f"a label comes twice: {pairs}")
    return labels


def time_ns(t):
    return t.seconds * 10**9 + t.nanos


def exemplar_of(x):
    return labels_of(x.label), x.value, time_ns(x.timestamp) / 10**9


def native_of(h):
    buckets, index, count, deltas = {}, 0, 0, iter(h.positive_delta)
    if not h.positive_span:
        raise ValueError("no span: not a native histogram")
    for span in h.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            if count:
                buckets[index] = count
            index += 1
    if next(deltas, None) is not None:
        raise ValueError("more deltas than buckets")
    return Native(h.schema, h.zero_threshold, h.zero_count, h.sample_count, h.sample_sum, buckets,
                  time_ns(h.start_timestamp), [exemplar_of(x) for x in h.exemplars])


def add_histogram(family, labels, h):
    for bucket in h.bucket:
        family.add(family.name + "_bucket", {**labels, "le": repr(bucket.upper_bound)}, bucket.cumulative_count,
                   exemplar_of(bucket.exemplar) if bucket.HasField("exemplar") else None)
    family.add(family.name + "_bucket", {**labels, "le": "+Inf"}, h.sample_count)
    family.add(family.name + "_count", labels, h.sample_count)
    family.add(family.name + "_sum", labels, h.sample_sum)
    family.native[tuple(sorted(labels.items()))] = native_of(h)


def read_protobuf(data):
    families, at = {}, 0
    while at < len(data):
        length, at = varint(data, at)
        message = messages().MetricFamily.FromString(data[at:at + length])
        at += length
        if message.name in families:
            raise ValueError(f"the family {message.name} comes twice")
        if message.UnknownFields() if hasattr(message, "UnknownFields") else False:
            raise ValueError("unknown fields")
        kind = messages().MetricType.Name(message.type).lower()
        family = families[message.name] = Family(message.name, kind, message.unit, message.help)
        for metric in message.metric:
            labels = labels_of(metric.label)
            if kind == "histogram":
                add_histogram(family, labels, metric.histogram)
                family.created[tuple(sorted(labels.items()))] = time_ns(metric.histogram.start_timestamp) / 10**9
            else:
                if kind == "counter":
                    family.created[tuple(sorted(labels.items()))] = time_ns(metric.counter.start_timestamp) / 10**9
                family.add(message.name, labels, getattr(metric, kind).value)
    if at != len(data):
        raise ValueError("cut short")
    return families


def read(form, data):
    if form == "protobuf":
        return read_protobuf(data)
    if form == "openmetrics":
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
    else:
        from prometheus_client.parser import text_string_to_metric_families as parse
    return read_text(data, parse)


def sample(families, name, **labels):
    """The value of the sample with these labels, None without."""
    for family in families.values():
        for (sample_name, sample_labels), value in family.samples.items():
            if sample_name == name and dict(sample_labels) == labels:
                return value
    return None


def select(families, name, **labels):
    """[(labels, value)] of the samples of that name whose labels include these."""
    found = []
    for family in families.values():
        for (sample_name, sample_labels), value in family.samples.items():
            have = dict(sample_labels)
            if sample_name == name and all(have.get(k) == v for k, v in labels.items()):
                found.append((have, value))
    return found


def line(name, labels, value, exemplar=None):
    inner = ",".join(f'{key}="{text}"' for key, text in sorted(dict(labels).items()))
    shown = f"{name}{{{inner}}} {float(value)!r}"
    return f"{shown} # {dict(sorted(exemplar[0].items()))} {exemplar[1]!r} {exemplar[2]!r}" if exemplar else shown


def lines(families):
    for family in families.values():
        base = family.name.removesuffix("_total")
        for (name, labels), value in family.samples.items():
            yield line(name, labels, value, family.exemplars.get((name, labels)))
        for labels, time in family.created.items():
            yield line(f"{base}_created", labels, time)
        for labels, native in family.native.items():
            for exemplar in native.exemplars:
                yield line(f"{base}_native", labels, native.count, exemplar)


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as source:
        print("\n".join(sorted(lines(read(sys.argv[1], source.read())))))
