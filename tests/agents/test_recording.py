"""What recording a batch asks of the database beside writing it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.models import ReportedState, Transport
from agents.reports import AvailableComponents, StatusReport
from agents.services.arrivals import Arrival, Lease
from agents.services.batch import Batch, ReportingAgent
from agents.services.recording import record_reports, save_reports

pytestmark = pytest.mark.django_db

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
MAPS = {b"one": {"receivers": {"components": {"otlp": {}}}}, b"two": {"exporters": {"components": {"debug": {}}}}}


def process(arrivals: Sequence[Arrival], at: datetime) -> list[ReportingAgent]:
    """One batch of these reports, in a transaction."""
    with transaction.atomic():
        batch: Batch[ReportingAgent] = Batch(at, arrivals)
        batch.lock_targets()
        record_reports(batch, arrivals)
        for offer in batch.offers:
            offer.note_reports()
        save_reports(batch)
    return batch.agents


def record(components: Sequence[AvailableComponents]) -> list[ReportingAgent]:
    """A batch of newcomers, each reporting its components."""
    arrivals = [
        Arrival(
            report=StatusReport(instance_uid=uuid4(), available_components=reported),
            lease=Lease(f"ws-{uuid4().hex}", "process", Transport.WEBSOCKET, "127.0.0.1"),
        )
        for reported in components
    ]
    return process(arrivals, AT)


def test_a_map_that_one_agent_told_is_known_for_all_that_report_its_hash() -> None:
    told = record([AvailableComponents(hash=key, components=content) for key, content in MAPS.items()])
    hashes = [b"one", b"two", b"one", b"three", b""]
    recorded = record([AvailableComponents(hash=key, components=None) for key in hashes])
    assert [entry.components_known for entry in recorded] == [True, True, True, False, False]
    documents = [entry.state.components_id for entry in told]
    stored = [ReportedState.objects.get(pk=entry.agent.pk).components_id for entry in recorded]
    assert stored == [documents[0], documents[1], documents[0], None, None]


def test_looking_for_known_maps_costs_a_query_for_each_hash_and_none_for_each_agent() -> None:
    record([AvailableComponents(hash=key, components=content) for key, content in MAPS.items()])
    counts = []
    for number in (2, 40):
        reported = [AvailableComponents(hash=key, components=None) for key in [b"one", b"two"] * number]
        with CaptureQueriesContext(connection) as queries:
            record(reported)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_agent_whose_map_is_known_already_asks_nothing() -> None:
    (entry,) = record([AvailableComponents(hash=b"one", components=MAPS[b"one"])])
    again = Arrival(
        report=StatusReport(
            instance_uid=entry.agent.instance_uid,
            sequence_num=1,
            available_components=AvailableComponents(hash=b"one", components=None),
        ),
        lease=entry.arrival.lease,
    )
    with CaptureQueriesContext(connection) as queries:
        (recorded,) = process([again], AT)
    assert recorded.components_known
    assert not any("components_hash" in query["sql"].partition("WHERE")[2] for query in queries)


HOUR = timedelta(hours=1)


def record_again(
    entry: ReportingAgent, number: int, *, at: datetime, remembered: int, over_http: bool = False
) -> ReportingAgent:
    """The same agent's message of this number, by a process that heard ``remembered`` before, just now."""
    lease = Lease("", "process", Transport.HTTP, "127.0.0.1") if over_http else entry.arrival.lease
    report = StatusReport(instance_uid=entry.agent.instance_uid, sequence_num=number)
    (recorded,) = process([Arrival(report, lease, remembered, at)], at)
    return recorded


class TestTwoProcesses:
    @pytest.mark.parametrize(("ahead", "number"), [(timedelta(milliseconds=80), 5), (timedelta(seconds=1), 3)])
    def test_within_what_readings_of_the_clock_differ_the_higher_number_is_the_later_word(
        self, ahead: timedelta, number: int
    ) -> None:
        """Another process wrote 5 when this one, whose clock is ahead, had heard 3; long before, the agent had begun anew."""
        (entry,) = record([AvailableComponents(hash=b"", components=None)])
        record_again(entry, 5, at=AT, remembered=4)
        assert record_again(entry, 6, at=AT + ahead, remembered=3).previous_sequence_num == number

    def test_what_memory_alone_has_answered_is_not_forgotten_for_it(self) -> None:
        (entry,) = record([AvailableComponents(hash=b"", components=None)])
        record_again(entry, 5, at=AT, remembered=4)
        assert record_again(entry, 8, at=AT + timedelta(milliseconds=80), remembered=7).previous_sequence_num == 7


class TestClockPutBack:
    def test_memory_is_newer_than_a_row_of_the_future(self) -> None:
        (entry,) = record([AvailableComponents(hash=b"", components=None)])
        before = AT - HOUR
        assert record_again(entry, 8, at=before, remembered=7).previous_sequence_num == 7

    def test_a_row_that_another_process_wrote_a_moment_later_is_newer_than_memory(self) -> None:
        (entry,) = record([AvailableComponents(hash=b"", components=None)])
        before = AT - timedelta(seconds=1)
        assert record_again(entry, 8, at=before, remembered=7).previous_sequence_num == 0

    def test_a_full_state_asked_for_in_the_future_is_not_waited_for(self) -> None:
        (entry,) = record([AvailableComponents(hash=b"", components=None)])
        record_again(entry, 1, at=AT, remembered=0, over_http=True)
        ReportedState.objects.update(full_state_requested_at=AT + timedelta(seconds=1))
        assert record_again(entry, 2, at=AT, remembered=1, over_http=True).full_state_outstanding
        ReportedState.objects.update(full_state_requested_at=AT + HOUR)
        assert record_again(entry, 3, at=AT, remembered=2, over_http=True).full_state_lost
