"""What is read of OTLP metrics, in both encodings, and what is refused."""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf import json_format

from telemetry import otlp
from telemetry.measures import Measure, measure_of, plain_name
from telemetry.otlp import AgentMetrics, TooManyMetrics, UnreadableMetrics, read_metrics
from tests.telemetry.otlp_requests import DELTA, START, Export

UID = UUID("0190a000-0000-7000-8000-000000000001")


def one(export: Export) -> AgentMetrics:
    (found,) = read_metrics(export.body, as_json=False)
    return found


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("otelcol_process_cpu_seconds", Measure.CPU),
        ("otelcol_process_cpu_seconds_total", Measure.CPU),
        ("otelcol.process.cpu_seconds", Measure.CPU),
        ("otelcol_process_memory_rss", Measure.MEMORY),
        ("otelcol_process_memory_rss_bytes", Measure.MEMORY),
        ("otelcol.process.memory.rss", Measure.MEMORY),
        ("otelcol_receiver_accepted_log_records", Measure.ACCEPTED),
        ("otelcol_receiver_refused_metric_points_total", Measure.REFUSED),
        ("otelcol_exporter_send_failed_profile_samples", Measure.FAILED),
        ("otelcol_receiver_accepted_anything", None),
        ("otelcol_process_uptime", None),
        ("", None),
        ("x" * 1_000_000, None),
    ],
)
def test_names(name: str, measure: Measure | None) -> None:
    assert measure_of(plain_name(name)) is measure


def test_what_a_collector_sends() -> None:
    found = one(Export(UID).collector(cpu=1.5, memory=64e6, accepted=7))
    assert found.uid == UID
    assert found.gauges == {Measure.MEMORY: 64e6, Measure.QUEUE: 0.25}
    by_measure = {key.measure: point for key, point in found.counters.items()}
    assert by_measure[Measure.CPU].value == 1.5
    assert by_measure[Measure.ACCEPTED].value == 7
    assert by_measure[Measure.CPU].start == START
    assert (found.points, found.rejected) == (6, 0)


def test_json_says_the_same() -> None:
    export = Export(UID).collector(cpu=1.5, accepted=7)
    text = json_format.MessageToJson(export.request).encode()
    assert read_metrics(text, as_json=True) == read_metrics(export.body, as_json=False)


def test_json_has_fields_that_nobody_knows() -> None:
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", "new": 1}]}], "entityRefs": []}], "z": 2}
    assert len(read_metrics(json.dumps(body).encode(), as_json=True)) == 1


def test_series_are_told_apart_by_attributes_in_any_order() -> None:
    found = one(
        Export(UID)
        .counter("otelcol_receiver_accepted_spans", 1, receiver="a", transport="grpc")
        .counter("otelcol_receiver_accepted_spans", 2, receiver="b", transport="grpc")
        .counter("otelcol_receiver_accepted_log_records", 3, receiver="a", transport="grpc")
        .counter("otelcol_receiver_accepted_spans", 4, transport="grpc", receiver="a", at=START + 10**12)
    )
    assert sorted(point.value for point in found.counters.values()) == [2, 3, 4]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e19])
def test_values_that_are_none(value: float) -> None:
    found = one(
        Export(UID)
        .counter("otelcol_process_cpu_seconds", value)
        .gauge("otelcol_process_memory_rss", value)
        .gauge("otelcol_exporter_queue_size", value)
        .gauge("otelcol_exporter_queue_capacity", 10)
    )
    assert (found.counters, found.gauges) == ({}, {})
    assert (found.points, found.rejected) == (4, 3)


def test_of_metrics_that_are_not_kept_nothing_is_rejected() -> None:
    found = one(Export(UID).gauge("up", math.nan).counter("otelcol_exporter_sent_spans", 5))
    assert (found.counters, found.gauges, found.points, found.rejected) == ({}, {}, 2, 0)


def test_deltas_and_gauges_are_no_counters() -> None:
    found = one(
        Export(UID).counter("otelcol_process_cpu_seconds", 1, temporality=DELTA).gauge("otelcol_process_cpu_seconds", 1)
    )
    assert (found.counters, found.rejected) == ({}, 2)


def test_a_counter_without_a_time() -> None:
    export = Export(UID)
    export.at = 0
    assert one(export.counter("otelcol_process_cpu_seconds", 1)).rejected == 1


@pytest.mark.parametrize(("size", "capacity", "share"), [(5, 10, 0.5), (20, 10, 1.0), (0, 10, 0.0), (5, 0, None)])
def test_queues(size: float, capacity: float, share: float | None) -> None:
    found = one(
        Export(UID)
        .gauge("otelcol_exporter_queue_size", size, exporter="x")
        .gauge("otelcol_exporter_queue_capacity", capacity, exporter="x")
        .gauge("otelcol_exporter_queue_size", 9, exporter="without capacity")
    )
    assert found.gauges.get(Measure.QUEUE) == share


@pytest.mark.parametrize("uid", [None, "", "no uuid", "x" * 1_000, "0190a000-0000-7000-8000-00000000000"])
def test_a_resource_without_a_uid(uid: str | None) -> None:
    assert one(Export(uid).collector(cpu=1)).uid is None


@pytest.mark.parametrize(
    "body", [b"garbage", b"\xff" * 100, b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x03\x0a\x7f\x01"]
)
def test_garbage(body: bytes) -> None:
    with pytest.raises(UnreadableMetrics):
        read_metrics(body, as_json=False)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"1", b"\xff", b'{"resourceMetrics": 1}', b'{"resourceMetrics": [1]}',
        b"[" * 50_000, b'{"a":' * 50_000, b'{"resourceMetrics":[{"resource":{"attributes":[{"key":1}]}}]}',
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"timeUnixNano":"x"}]}}]}]}]}',
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"timeUnixNano":-1}]}}]}]}]}',
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{},"gauge":{}}]}]}]}',
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":"' + b"9" * 5_000 + b'"}]}}]}]}]}',
    ],
)  # fmt: skip
def test_garbage_in_json(body: bytes) -> None:
    with pytest.raises(UnreadableMetrics):
        read_metrics(body, as_json=True)


@pytest.mark.parametrize(
    ("bound", "build"),
    [
        ("MOST_RESOURCES", lambda export: [export.resource(uuid4()) for _ in range(3)]),
        ("MOST_METRICS", lambda export: [export.gauge("a", 1) for _ in range(3)]),
        ("MOST_POINTS", lambda export: [export.counter("otelcol_process_cpu_seconds", 1) for _ in range(3)]),
    ],
)
def test_too_many(monkeypatch: pytest.MonkeyPatch, bound: str, build: object) -> None:
    monkeypatch.setattr(otlp, bound, 2)
    export = Export(UID)
    build(export)  # type: ignore[operator]
    with pytest.raises(TooManyMetrics, match="2 are read at most"):
        read_metrics(export.body, as_json=False)


def test_too_many_objects_of_json() -> None:
    with pytest.raises(TooManyMetrics, match="objects and lists"):
        read_metrics(b'{"x":[' + b"{}," * 60_000 + b"{}]}", as_json=True)


def test_points_of_many_resources_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MOST_POINTS", 3)
    export = Export(UID).gauge("a", 1).gauge("b", 1).resource(uuid4()).gauge("c", 1).gauge("d", 1)
    with pytest.raises(TooManyMetrics):
        read_metrics(export.body, as_json=False)


def test_a_point_with_too_many_attributes() -> None:
    export = Export(UID).counter("otelcol_process_cpu_seconds", 1, **{f"a{n}": "b" for n in range(65)})
    assert one(export).rejected == 1


def test_status_in_both_encodings() -> None:
    text = "é" * 200
    raw = otlp.status_body(400, text, as_json=False)
    assert raw[:3] == bytes([0x08, 3, 0x12])
    assert raw.endswith(text.encode())
    assert raw[3] & 0x7F | raw[4] << 7 == 400
    assert json.loads(otlp.status_body(429, text, as_json=True)) == {"code": 14, "message": text}


ODD_VALUES = (
    "",
    "x",
    "NaN",
    "Infinity",
    -1,
    0,
    2**64,
    1e400,
    1.5,
    None,
    True,
    [],
    [[]],
    {},
    {"a": {}},
    "\ud800",
    "9" * 400,
)


def test_mutated_requests() -> None:
    """Bytes turned, cut and repeated: nothing but the two promised errors comes out, and what is read is finite."""
    choose = random.Random(7)
    body = Export(UID).collector(cpu=1.5, accepted=7).body
    for _case in range(3_000):
        mutated = bytearray(body)
        for _change in range(choose.randint(1, 8)):
            place = choose.randrange(len(mutated))
            mutated[place : place + choose.randint(0, 3)] = choose.randbytes(choose.randint(0, 3))
        with contextlib.suppress(UnreadableMetrics, TooManyMetrics):
            for found in read_metrics(bytes(mutated), as_json=False):
                assert all(math.isfinite(point.value) and point.value >= 0 for point in found.counters.values())
                assert all(math.isfinite(value) and value >= 0 for value in found.gauges.values())


def test_mutated_json() -> None:
    """Each value, object and list in turn is something else."""
    request = json.loads(json_format.MessageToJson(Export(UID).collector(cpu=1.5, accepted=7).request))

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        yield path
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, member in members:
            yield from places(member, (*path, key))

    for *way, last in [path for path in places(request) if path]:
        for odd in ODD_VALUES:
            mutated = json.loads(json.dumps(request))
            inner = mutated
            for key in way:
                inner = inner[key]
            inner[last] = odd
            with contextlib.suppress(UnreadableMetrics, TooManyMetrics):
                read_metrics(json.dumps(mutated).encode(), as_json=True)
