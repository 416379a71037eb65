"""OTLP/HTTP metrics: bytes to what is kept of them, and the answers as bytes. The one module here that knows protobuf.

Pure but for the library. Every size is bounded before it is walked: what is sent here is foreign.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zlib import crc32

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from foundation.nesting import NestedTooDeep, check_json
from telemetry.increases import FlowKey, Point, SeriesKey
from telemetry.measures import COUNTED, QUEUE_CAPACITY, QUEUE_SIZE, Measure, flow_of, measure_of, plain_name

MOST_BYTES = 1024 * 1024
"""Of a request, unpacked. A Collector with a hundred components sends some 50 KB."""
MOST_RESOURCES, MOST_SCOPES, MOST_METRICS, MOST_POINTS = 100, 500, 5_000, 20_000
"""In one request."""
MOST_ATTRIBUTES = 64
"""Of a resource, or of a point that is kept."""
# Objects and lists of a request in JSON, before any of them is made: three to a point.
_MOST_BRACKETS = 60_000
_LONGEST_UID = 64
_LONGEST_COMPONENT = 100
# What no counter of a real agent reaches; beyond it, sums would lose what is added to them.
_MOST_VALUE = 1e18
_UID = "service.instance.id"
_INVALID_ARGUMENT, _UNAVAILABLE = 3, 14


class UnreadableMetrics(Exception):
    """The body is no OTLP metrics; the text says why."""


class TooManyMetrics(Exception):
    """The body has more parts than are read; the text says of what."""


@dataclass(slots=True)
class AgentMetrics:
    """What is kept of one resource. ``points``: all that it had; ``rejected``: those of them that cannot be taken."""

    uid: UUID | None
    counters: dict[SeriesKey, Point] = field(default_factory=dict)
    gauges: dict[Measure, float] = field(default_factory=dict)
    flows: dict[FlowKey, Point] = field(default_factory=dict)
    points: int = 0
    rejected: int = 0


def read_metrics(body: bytes | bytearray, *, as_json: bool) -> list[AgentMetrics]:
    """What each resource of a request says. Raises `UnreadableMetrics` and `TooManyMetrics`."""
    request = _from_json(body) if as_json else _from_protobuf(body)
    _check_number("resources", len(request.resource_metrics), MOST_RESOURCES)
    _check_number("scopes", sum(len(each.scope_metrics) for each in request.resource_metrics), MOST_SCOPES)
    scopes = [scope for each in request.resource_metrics for scope in each.scope_metrics]
    _check_number("metrics", sum(len(scope.metrics) for scope in scopes), MOST_METRICS)
    found = [_of_resource(each) for each in request.resource_metrics]
    _check_number("data points", sum(each.points for each in found), MOST_POINTS)
    return found


def export_response(rejected: int, text: str, *, as_json: bool) -> bytes:
    """The answer to a request that was taken; ``rejected`` points were not, for the reason in ``text``."""
    response = ExportMetricsServiceResponse()
    if rejected:
        response.partial_success.rejected_data_points = rejected
        response.partial_success.error_message = text
    return json_format.MessageToJson(response, indent=None).encode() if as_json else response.SerializeToString()


def status_body(http_status: int, text: str, *, as_json: bool) -> bytes:
    """A `google.rpc.Status`, which OTLP answers with whatever was not taken: a code, and what to do."""
    code = _UNAVAILABLE if http_status in {429, 503} else _INVALID_ARGUMENT
    if as_json:
        return json.dumps({"code": code, "message": text}, ensure_ascii=False).encode()
    said = text.encode()
    return bytes([0x08, code, 0x12]) + _varint(len(said)) + said


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _from_protobuf(body: bytes | bytearray) -> ExportMetricsServiceRequest:
    try:
        return ExportMetricsServiceRequest.FromString(bytes(body))
    except DecodeError as error:
        raise UnreadableMetrics(f"The body is no ExportMetricsServiceRequest: {error}") from error


def _from_json(body: bytes | bytearray) -> ExportMetricsServiceRequest:
    try:
        text = body.decode()
        _check_number("objects and lists", text.count("{") + text.count("["), _MOST_BRACKETS)
        check_json(text)
        read = json.loads(text)
        if not isinstance(read, dict):
            raise UnreadableMetrics("The body is no JSON object.")
        if "\\u" in text:
            # Half a surrogate pair is no text, and the library fails at it in a way that nobody may catch.
            json.dumps(read, ensure_ascii=False).encode()
        return json_format.ParseDict(read, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (
        NestedTooDeep,
        json_format.ParseError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
    ) as error:
        raise UnreadableMetrics(f"The body is no OTLP metrics in JSON: {str(error)[:200]}") from error


def _check_number(what: str, number: int, most: int) -> None:
    if number > most:
        raise TooManyMetrics(f"The request has {number} {what}; {most} are read at most.")


def _of_resource(each: Any) -> AgentMetrics:
    found = AgentMetrics(_uid_of(each.resource.attributes))
    sizes: dict[str, float] = {}
    capacities: dict[str, float] = {}
    for scope in each.scope_metrics:
        for metric in scope.metrics:
            kind = metric.WhichOneof("data")
            points = getattr(metric, kind).data_points if kind else ()
            found.points += len(points)
            _check_number("data points", found.points, MOST_POINTS)
            plain = plain_name(metric.name)
            measure = measure_of(plain)
            _flow(found, plain, metric)
            if measure in COUNTED:
                _count(found, measure, plain, metric)
            elif measure is not None and kind in {"gauge", "sum"}:
                values = _values(found, points)
                found.gauges |= {measure: max(values.values())} if values else {}
            elif plain in {QUEUE_SIZE, QUEUE_CAPACITY} and kind in {"gauge", "sum"}:
                (sizes if plain == QUEUE_SIZE else capacities).update(_values(found, points))
    shares = [min(size / capacities[key], 1.0) for key, size in sizes.items() if capacities.get(key, 0.0) > 0]
    if shares:
        found.gauges[Measure.QUEUE] = max(shares)
    return found


def _flow(found: AgentMetrics, plain: str, metric: Any) -> None:
    """What each component passed on since the start, by all of its transports together.

    Here nothing is rejected: what counts for the agent as a whole is, in `_count`.
    """
    named = flow_of(plain)
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    if named is None or metric.WhichOneof("data") != "sum" or metric.sum.aggregation_temporality != cumulative:
        return
    role, signal, attribute = named
    for point in metric.sum.data_points:
        value = _number(point)
        names = [each.value.string_value for each in point.attributes[:MOST_ATTRIBUTES] if each.key == attribute]
        if value is None or not point.time_unix_nano or not names or not _is_name(names[0]):
            continue
        key = FlowKey(role, signal, names[0])
        there = found.flows.get(key, Point(0.0, 0))
        found.flows[key] = Point(
            there.value + value,
            max(there.at, point.time_unix_nano),
            max(there.start, point.start_time_unix_nano),
        )


def _is_name(text: str) -> bool:
    """Whether it can be kept and shown as a component's name: PostgreSQL takes no U+0000, and a line no other control sign."""
    return 0 < len(text) <= _LONGEST_COMPONENT and text.isprintable()


def _count(found: AgentMetrics, measure: Measure, plain: str, metric: Any) -> None:
    """Sums since the start alone: of the others nobody could tell which are missing."""
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    if metric.WhichOneof("data") != "sum" or metric.sum.aggregation_temporality != cumulative:
        found.rejected += len(getattr(metric, metric.WhichOneof("data") or "sum").data_points)
        return
    for point in metric.sum.data_points:
        value = _number(point)
        if value is None or not point.time_unix_nano or len(point.attributes) > MOST_ATTRIBUTES:
            found.rejected += 1
            continue
        key = SeriesKey(measure, f"{crc32(plain.encode() + _key_of(point.attributes)):08x}")
        there = found.counters.get(key)
        if there is None or there.at < point.time_unix_nano:
            found.counters[key] = Point(value, point.time_unix_nano, point.start_time_unix_nano)


def _values(found: AgentMetrics, points: Iterable[Any]) -> dict[str, float]:
    """Of each series the value that is last; what is none is rejected."""
    values: dict[str, float] = {}
    for point in points:
        value = _number(point)
        if value is None or len(point.attributes) > MOST_ATTRIBUTES:
            found.rejected += 1
        else:
            values[_key_of(point.attributes).hex()] = value
    return values


def _number(point: Any) -> float | None:
    """The value; ``None`` for NaN, infinity, less than nothing, and what is too large to count on."""
    value = float(point.as_double if point.WhichOneof("value") == "as_double" else point.as_int)
    return value if math.isfinite(value) and 0 <= value <= _MOST_VALUE else None


def _key_of(attributes: Iterable[Any]) -> bytes:
    """The attributes as bytes, the same in any order."""
    return b"\x00".join(sorted(each.SerializeToString(deterministic=True) for each in attributes))


def _uid_of(attributes: Any) -> UUID | None:
    """The instance uid among the first attributes of a resource; ``None`` without a readable one."""
    for each in attributes[:MOST_ATTRIBUTES]:
        text = each.value.string_value
        if each.key == _UID and 0 < len(text) <= _LONGEST_UID:
            try:
                return UUID(text)
            except ValueError:
                return None
    return None
