"""Reads Prometheus' protobuf format with the protobuf library and a schema of its own, built when it runs.

    read.py < BODY

Prints one line of JSON for each sample that a scraper of classic histograms makes of it, `[name, labels, bits]` with the 64
bits of the value in hexadecimal, and one for each native histogram, `[name, labels, schema, threshold, zero, buckets]` with
the count of each bucket by its number, those of negative observations under `-`. Fails where a message has a field that the
schema does not, or where spans and deltas do not fit together.
"""

import json
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, unknown_fields
from google.protobuf.internal.decoder import _DecodeVarint

# io/prometheus/client/metrics.proto of client_model 0.6.3: message, then fields as name, number and type; `*` is repeated.
SCHEMA = """
LabelPair: name 1 string, value 2 string
Timestamp: seconds 1 int64, nanos 2 int32
Gauge: value 1 double
Counter: value 1 double, created_timestamp 3 Timestamp
Bucket: cumulative_count 1 uint64, upper_bound 2 double, cumulative_count_float 4 double
BucketSpan: offset 1 sint32, length 2 uint32
Histogram: sample_count 1 uint64, sample_sum 2 double, bucket 3 *Bucket, sample_count_float 4 double, schema 5 sint32, \
zero_threshold 6 double, zero_count 7 uint64, zero_count_float 8 double, negative_span 9 *BucketSpan, \
negative_delta 10 *sint64, positive_span 12 *BucketSpan, positive_delta 13 *sint64, created_timestamp 15 Timestamp
Metric: label 1 *LabelPair, gauge 2 Gauge, counter 3 Counter, histogram 7 Histogram
MetricFamily: name 1 string, help 2 string, type 3 int32, metric 4 *Metric, unit 5 string
"""


def family_class():
    field_of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="client", syntax="proto2")
    for line in SCHEMA.strip().splitlines():
        name, fields = line.split(": ")
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            field, number, kind = field.split()
            label = field_of.LABEL_REPEATED if kind.startswith("*") else field_of.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            added = message.field.add(name=field, number=int(number), label=label)
            if kind[0].isupper():
                added.type, added.type_name = field_of.TYPE_MESSAGE, f".client.{kind}"
            else:
                added.type = getattr(field_of, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("client.MetricFamily"))


def check_known(message):
    assert len(unknown_fields.UnknownFieldSet(message)) == 0, f"an unknown field in {message}"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                check_known(one)


def families(body):
    metric_family, at = family_class(), 0
    while at < len(body):
        length, at = _DecodeVarint(body, at)
        assert at + length <= len(body), "cut off"
        family = metric_family.FromString(body[at : at + length])
        check_known(family)
        yield family
        at += length


def numbered(spans, deltas):
    number, count, deltas, found = 0, 0, iter(deltas), {}
    for span in spans:
        number += span.offset
        for _ in range(span.length):
            count += next(deltas)
            assert count >= 0, f"bucket {number} has {count}"
            if count:
                found[number] = count
            number += 1
    assert next(deltas, None) is None, "more deltas than buckets"
    return found


def bits(value):
    return struct.pack(">d", value).hex()


def main():
    for family in families(sys.stdin.buffer.read()):
        for metric in family.metric:
            labels = {label.name: label.value for label in metric.label}
            assert len(labels) == len(metric.label), "a label twice"

            def say(suffix, value, **more):
                print(json.dumps([family.name + suffix, {**labels, **more}, bits(value)]))

            if family.type == 0:
                say("", metric.counter.value)
            elif family.type == 1:
                say("", metric.gauge.value)
            else:
                assert family.type == 4, f"type {family.type}"
                histogram = metric.histogram
                for bucket in histogram.bucket:
                    say("_bucket", bucket.cumulative_count, le=bits(bucket.upper_bound))
                say("_sum", histogram.sample_sum)
                say("_count", histogram.sample_count)
                if histogram.HasField("schema"):
                    negative = numbered(histogram.negative_span, histogram.negative_delta)
                    positive = numbered(histogram.positive_span, histogram.positive_delta)
                    counted = sum(negative.values()) + sum(positive.values()) + histogram.zero_count
                    assert counted == histogram.sample_count, f"{counted} of {histogram.sample_count}"
                    buckets = {**{f"-{n}": c for n, c in negative.items()}, **{str(n): c for n, c in positive.items()}}
                    zero = [bits(histogram.zero_threshold), histogram.zero_count]
                    print(json.dumps([family.name, labels, histogram.schema, *zero, buckets]))


main()
