"""What Prometheus reads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from agents.models import Agent
from agents.reports import Status
from opamp_platform.operations import metrics
from opamp_platform.operations.capacity import StoredBytes
from opamp_platform.operations.metrics import FleetCollector, forget_dead_workers


def sample(client: Client, name: str, **labels: str) -> float:
    """One sample of ``/metrics``; 0 when it is not there."""
    text = client.get("/metrics").content.decode()
    return sum(
        found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


@pytest.mark.django_db
class TestFleet:
    @pytest.mark.defect(17)
    def test_every_status_is_counted_by_the_one_rule(
        self, report: Callable[..., Agent], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        report("web-1")
        report("web-2")
        report("web-3", healthy=False)
        Agent.objects.filter(pk=report("web-4").pk).update(connected=False)
        with django_assert_num_queries(1):
            counts = Agent.objects.count_by_status()
        assert +counts == {Status.CONNECTED: 2, Status.ERROR: 1, Status.DISCONNECTED: 1}

    def test_a_count_is_kept_for_a_while(
        self,
        report: Callable[..., Agent],
        django_assert_num_queries: DjangoAssertNumQueries,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        report("web-1")
        collector = FleetCollector()
        # What reports occupy is kept for the whole process, by whichever test asked last.
        monkeypatch.setattr(metrics, "stored", StoredBytes())
        with django_assert_num_queries(4):
            first = list(collector.collect())
            second = list(collector.collect())
        assert first == second
        assert {found.labels["status"] for found in first[0].samples} == {status.value for status in Status}

    def test_it_is_left_out_while_the_database_is_away(self) -> None:
        def away(*_arguments: object) -> None:
            raise OperationalError("connection refused")

        with connection.execute_wrapper(away):
            assert list(FleetCollector().collect()) == []


@pytest.mark.django_db
class TestRequests:
    def test_requests_are_counted_by_method_and_status(self, client: Client) -> None:
        name = "opamp_http_requests_total"
        before = sample(client, name, method="GET", status="404")
        timed = sample(client, "opamp_http_request_seconds_count", method="GET")
        client.get("/no-such-page")
        assert sample(client, name, method="GET", status="404") == before + 1
        assert sample(client, "opamp_http_request_seconds_count", method="GET") > timed

    def test_an_invented_method_makes_no_series_of_its_own(self, client: Client) -> None:
        client.generic("BREW", "/no-such-page")
        assert sample(client, "opamp_http_requests_total", method="other") >= 1
        assert sample(client, "opamp_http_requests_total", method="BREW") == 0


def test_a_dead_worker_no_longer_counts_connections_but_its_messages_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as worker:
        worker.wait(10)
    gone = [tmp_path / f"gauge_livesum_{worker.pid}.db", tmp_path / f"counter_{worker.pid}.db"]
    here = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    for path in (*gone, here):
        path.touch()
    forget_dead_workers(tmp_path)
    assert set(tmp_path.iterdir()) == {here, gone[1]}
