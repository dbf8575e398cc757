"""Reads recorded OTLP requests with the official message types and checks the rules of the specification.

    validate.py cumulative|delta FOLDER

FOLDER holds the bodies in order of their names, `*.pb` (protobuf) and `*.json`. Prints one line of JSON: how many
requests and points there were, and the sum of every monotonic sum by its name, of the last request (cumulative) or of
all (delta). Fails with the first rule that is broken.
"""

import json
import math
import pathlib
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
# 64-bit integers, which OTLP's JSON writes as decimal strings, and enums, which it writes as integers.
WIDE = {"startTimeUnixNano", "timeUnixNano", "asInt", "count", "zeroCount", "intValue"}
WIDE_LISTS = {"bucketCounts"}


def check_json(value, path="$"):
    """The rules that a reader of protobuf's own JSON would not notice."""
    if isinstance(value, list):
        for n, item in enumerate(value):
            check_json(item, f"{path}[{n}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            here = f"{path}.{name}"
            assert "_" not in name, f"{here}: names are lowerCamelCase"
            if name in WIDE:
                assert isinstance(item, str) and item.lstrip("-").isdigit(), f"{here}: {item!r} is no decimal string"
            elif name in WIDE_LISTS:
                assert all(isinstance(one, str) and one.isdigit() for one in item), f"{here}: no decimal strings"
            elif name == "aggregationTemporality":
                assert item in (1, 2) and isinstance(item, int), f"{here}: {item!r} is no enum's integer"
            else:
                check_json(item, here)


def read(path):
    body = path.read_bytes()
    if path.suffix == ".pb":
        return ExportMetricsServiceRequest.FromString(body)
    check_json(json.loads(body))
    return json_format.Parse(body, ExportMetricsServiceRequest())


def check_histogram(name, point):
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    assert len(counts) == len(bounds) + 1, f"{name}: {len(counts)} counts for {len(bounds)} bounds"
    assert all(a < b for a, b in zip(bounds, bounds[1:])), f"{name}: bounds do not increase"
    assert all(math.isfinite(bound) for bound in bounds), f"{name}: a bound is not finite"
    assert sum(counts) == point.count, f"{name}: {sum(counts)} in buckets, {point.count} counted"


def check_exponential(name, point):
    assert -11 <= point.scale <= 20, f"{name}: scale {point.scale}"
    counted = point.zero_count + sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts)
    assert counted == point.count, f"{name}: {counted} in buckets, {point.count} counted"
    assert len(point.positive.bucket_counts) <= 160, f"{name}: too many buckets"


class Times:
    """Start and end of every stream, over all requests."""

    def __init__(self, temporality):
        self.temporality = temporality
        self.streams = {}
        self.windows = []

    def check(self, name, key, temporality, point):
        assert temporality == self.temporality, f"{name}: temporality {temporality}"
        start, end = point.start_time_unix_nano, point.time_unix_nano
        assert 0 < start <= end, f"{name}: from {start} to {end}"
        if self.temporality == CUMULATIVE:
            first, last = self.streams.get(key, (start, end))
            assert start == first, f"{name}: its start moved from {first} to {start}"
            assert end >= last, f"{name}: time went back"
            self.streams[key] = (start, end)
        else:
            assert start < end, f"{name}: a window without length"
            if not self.windows or self.windows[-1] != (start, end):
                assert not self.windows or self.windows[-1][1] == start, f"{name}: {self.windows[-1]}, then {start}"
                self.windows.append((start, end))


def attributes(of):
    return tuple(sorted((one.key, one.value.string_value) for one in of.attributes))


def main(temporality, folder):
    times = Times({"cumulative": CUMULATIVE, "delta": DELTA}[temporality])
    sums, points, requests = {}, 0, 0
    for path in sorted(pathlib.Path(folder).iterdir()):
        request = read(path)
        requests += 1
        seen, last = set(), {}
        for resource in request.resource_metrics:
            who = attributes(resource.resource)
            named = dict(who)
            assert named.get("service.name") and named.get("service.instance.id"), f"{path.name}: {who}"
            for scope in resource.scope_metrics:
                assert scope.scope.name and scope.scope.version, f"{path.name}: a scope without name or version"
                for metric in scope.metrics:
                    assert metric.name and not metric.name.endswith("_total"), f"{path.name}: {metric.name!r}"
                    assert metric.description, f"{metric.name}: no description"
                    kind = metric.WhichOneof("data")
                    data = getattr(metric, kind)
                    assert data.data_points, f"{metric.name}: no points"
                    for point in data.data_points:
                        key = (who, metric.name, attributes(point))
                        assert key not in seen, f"{key}: twice in one request"
                        seen.add(key)
                        points += 1
                        if kind == "gauge":
                            continue
                        times.check(metric.name, key, data.aggregation_temporality, point)
                        if kind == "sum":
                            assert data.is_monotonic, f"{metric.name}: not monotonic"
                            value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
                            last[metric.name] = last.get(metric.name, 0) + value
                        elif kind == "histogram":
                            check_histogram(metric.name, point)
                        elif kind == "exponential_histogram":
                            check_exponential(metric.name, point)
                        else:
                            raise AssertionError(f"{metric.name} is a {kind}")
        assert seen, f"{path.name}: an empty request"
        if temporality == "cumulative":
            sums = last
        else:
            for name, value in last.items():
                sums[name] = sums.get(name, 0) + value
    print(json.dumps({"requests": requests, "points": points, "sums": sums}))


main(*sys.argv[1:])
