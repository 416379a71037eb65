"""``/metrics``: everything counted in this process (or all workers), and the fleet by status from the database."""

from __future__ import annotations

import hmac
import os
import time
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from agents.models import Agent
from agents.reports import Status
from opamp_platform.operations.capacity import stored
from opamp_platform.operations.certificate import CertificateCollector

HTTP_REQUESTS = Counter("opamp_http_requests", "Requests of pages and API, by method and status.", ["method", "status"])
HTTP_SECONDS = Histogram("opamp_http_request_seconds", "Time to answer pages and API.", ["method"])
_KEPT_SECONDS = 10.0
_DRIFTED = "Agents that run something else than they applied."
_STORED = "What reports of agents occupy in the database, as OPAMP_STORED_IN_ALL counts it."


class FleetCollector(Collector):
    """Agents by status and what their reports occupy, each kept for ten seconds; left out while the database is away."""

    def __init__(self) -> None:
        self._counted_at = 0.0
        self._counts: Tally[Status] | None = None
        self._drifted = 0

    def describe(self) -> list[Metric]:
        """Named without asking the database, so that registering needs none."""
        return [
            GaugeMetricFamily("opamp_agents", "Agents by status.", labels=["status"]),
            GaugeMetricFamily("opamp_agents_drifted", _DRIFTED),
            GaugeMetricFamily("opamp_stored_bytes", _STORED),
        ]

    def collect(self) -> Iterator[Metric]:
        """The gauge, when it can be known."""
        now = time.monotonic()
        if self._counts is None or now - self._counted_at > _KEPT_SECONDS:
            try:
                counts, self._drifted = Agent.objects.count_by_status(), Agent.objects.drifted().count()
                self._counts, self._counted_at = counts, now
            except DatabaseError:
                return
        family = GaugeMetricFamily("opamp_agents", "Agents by status.", labels=["status"])
        for status in Status:
            family.add_metric([status.value], self._counts[status])
        yield family
        yield GaugeMetricFamily("opamp_agents_drifted", _DRIFTED, value=self._drifted)
        try:
            yield GaugeMetricFamily("opamp_stored_bytes", _STORED, value=stored.now())
        except DatabaseError:
            return


def forget_dead_workers(folder: Path) -> None:
    """Remove the live gauges of workers that are gone, which the sum over ``folder`` would keep; counters stay."""
    for path in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            # Another worker may be doing the same.
            path.unlink(missing_ok=True)


_fleet = FleetCollector()


def view(request: HttpRequest) -> HttpResponse:
    """Prometheus text; with ``METRICS_TOKEN`` only for whoever sends it."""
    if not _may_read(request.headers.get("Authorization", "")):
        text = "Send METRICS_TOKEN as 'Authorization: Bearer …'.\n"
        return HttpResponse(text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    registry: CollectorRegistry = REGISTRY
    fleet = CollectorRegistry()
    fleet.register(_fleet)
    fleet.register(CertificateCollector())
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        forget_dead_workers(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry) + generate_latest(fleet), content_type=CONTENT_TYPE_LATEST)


def _may_read(authorization: str) -> bool:
    wanted: str = settings.METRICS_TOKEN
    scheme, _, token = authorization.partition(" ")
    # Compared as bytes, in constant time: a header may hold anything.
    shown = token.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
    return not wanted or hmac.compare_digest(shown, wanted.encode())
