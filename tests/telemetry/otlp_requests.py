"""What the tests of agents' own metrics share: requests as a Collector makes them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from channels.testing import HttpCommunicator
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from opamp_platform.asgi import application
from tests.fake_agent import TIMEOUT, HttpAnswer

METRICS = "/v1/metrics"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


class Export:
    """A request, built step by step; ``at`` is seconds after the agent's start."""

    def __init__(self, uid: UUID | str | None = None, *, at: float = 60.0) -> None:
        self.request = ExportMetricsServiceRequest()
        self.at = START + int(at * SECOND)
        self.resource(uid)

    def resource(self, uid: UUID | str | None) -> Export:
        """What follows is of this agent."""
        self._resource = self.request.resource_metrics.add()
        if uid is not None:
            self._resource.resource.attributes.add(key="service.instance.id").value.string_value = str(uid)
        self._scope = self._resource.scope_metrics.add()
        return self

    def counter(
        self,
        name: str,
        value: float,
        *,
        temporality: int = CUMULATIVE,
        start: int = START,
        at: int = 0,
        **attributes: str,
    ) -> Export:
        """A sum since the start."""
        metric = self._scope.metrics.add(name=name)
        metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
        metric.sum.is_monotonic = True
        point = metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=at or self.at, as_double=value)
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
        return self

    def gauge(self, name: str, value: float, **attributes: str) -> Export:
        """A value as it is."""
        point = self._scope.metrics.add(name=name).gauge.data_points.add(time_unix_nano=self.at, as_double=value)
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
        return self

    def collector(self, *, cpu: float, memory: float = 50e6, accepted: float = 0.0, refused: float = 0.0) -> Export:
        """What a Collector sends."""
        self.counter("otelcol_process_cpu_seconds", cpu).gauge("otelcol_process_memory_rss", memory)
        self.counter("otelcol_receiver_accepted_spans", accepted, receiver="otlp", transport="grpc")
        self.counter("otelcol_receiver_refused_spans", refused, receiver="otlp", transport="grpc")
        self.gauge("otelcol_exporter_queue_size", 250, exporter="otlp").gauge(
            "otelcol_exporter_queue_capacity", 1000, exporter="otlp"
        )
        return self

    @property
    def body(self) -> bytes:
        """As protobuf."""
        return self.request.SerializeToString()


async def send(body: bytes, headers: dict[str, str] | None = None, *, method: str = "POST") -> HttpAnswer:
    """One request to where agents send their own metrics."""
    fields = {"content-type": "application/x-protobuf", **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in fields.items() if value]
    communicator = HttpCommunicator(application, method, METRICS, body=body, headers=raw)
    communicator.scope["client"] = ("10.0.0.1", 40_000)
    return HttpAnswer(await communicator.get_response(timeout=TIMEOUT))


def response(answer: HttpAnswer) -> Any:
    """The answer of a request that was taken."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/x-protobuf"
    return ExportMetricsServiceResponse.FromString(answer.body)
