"""What the fleet may take: new agents by address and in all, bytes of one agent and of all, across processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from agents.excess import Excess
from agents.models import Agent, AgentEvent, Fleet, ReportedDocument, ReportedState, Transport
from agents.replies import ErrorType
from agents.reports import (
    AgentDescription,
    AvailableComponents,
    ComponentHealth,
    EffectiveConfig,
    StatusReport,
)
from agents.services import quotas as module
from agents.services.arrivals import Arrival, Lease
from agents.services.quotas import Quotas, Room, stored_bytes
from opamp_platform.operations import capacity
from opamp_transport import newcomers
from opamp_transport.batch import Processed, process_reports
from opamp_transport.newcomers import Newcomers

KIB = 1024
Report = Callable[..., Agent]


def arrival(
    uid: UUID | None = None, *, number: int = 0, address: str = "192.0.2.1", size: int = 0, **parts: Any
) -> Arrival:
    """One message of an agent; ``size`` as if it had so many bytes."""
    uid = uid or uuid4()
    report = StatusReport(instance_uid=uid, sequence_num=number, capabilities=1, **parts)
    return Arrival(report, Lease(f"ws-{uid.hex}", "test", Transport.WEBSOCKET, address), size=size)


def process_batch(arrivals: Sequence[Arrival], quotas: Quotas | None) -> list[Processed]:
    return process_reports(arrivals, at=timezone.now(), quotas=quotas)


def config(text: str) -> dict[str, Any]:
    return {"effective_config": EffectiveConfig({"": {"body": text}})}


def text_of(size: int, seed: str = "x") -> str:
    return (seed * size)[:size]


class TestRoom:
    def room(self, taken: list[int], few: int = 10) -> Room:
        """A room of which others took the numbers in ``taken``, one more at each measurement."""
        return Room(lambda: taken.pop(0) if len(taken) > 1 else taken[0], few)

    def test_without_a_limit_nothing_is_measured(self) -> None:
        def unasked() -> int:
            raise AssertionError

        assert Room(unasked, 10).take(1_000, 0) == 1_000
        assert Room(unasked, 10).take(0, 5) == 0

    def test_far_from_the_limit_one_measurement_is_enough_for_many_batches(self) -> None:
        asked = []
        room = Room(lambda: asked.append(1) or 0, 10)  # type: ignore[func-returns-value]
        assert [room.take(5, 1_000) for _ in range(100)] == [5] * 100
        assert len(asked) == 1

    @pytest.mark.django_db
    def test_near_the_limit_each_batch_is_measured_and_gets_what_is_left(self) -> None:
        taken = [95]
        room = self.room(taken)
        assert room.take(3, 100) == 3
        taken[0] = 98
        assert room.take(5, 100) == 2
        taken[0] = 100
        assert room.take(1, 100) == 0

    @pytest.mark.django_db
    def test_what_is_full_is_asked_again_only_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1_000.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        taken = [100]
        room = self.room(taken)
        assert room.take(1, 100) == 0
        taken[0] = 50
        with CaptureQueriesContext(connection) as queries:
            assert room.take(1, 100) == 0
        assert not queries.captured_queries
        now[0] += 2
        assert room.take(1, 100) == 1


@pytest.mark.django_db
class TestNewAgents:
    def test_beyond_the_most_they_are_told_to_come_back_and_nothing_is_kept(self, settings: Settings) -> None:
        settings.OPAMP_MAX_AGENTS = 3
        settings.OPAMP_RETRY_AFTER_SECONDS = 30
        arrivals = [arrival(**config("a")) for _ in range(5)]
        processed = process_batch(arrivals, Quotas())
        assert [one.denial for one in processed] == [None] * 3 + [Excess.FLEET_FULL] * 2
        assert Agent.objects.count() == AgentEvent.objects.filter(kind="registered").count() == 3
        refused = processed[-1].reply
        assert refused is not None
        assert refused.error is not None
        assert refused.error.type is ErrorType.UNAVAILABLE
        assert refused.error.retry_after_seconds is not None
        assert 30 <= refused.error.retry_after_seconds < 60
        assert "OPAMP_MAX_AGENTS" in refused.error.message

    def test_those_the_fleet_has_go_on_whatever_the_limit(self, settings: Settings) -> None:
        members = [arrival() for _ in range(4)]
        process_batch(members, None)
        settings.OPAMP_MAX_AGENTS = 2
        again = [arrival(one.report.instance_uid, number=1) for one in members]
        assert [one.denial for one in process_batch([*again, arrival()], Quotas())] == [None] * 4 + [Excess.FLEET_FULL]

    def test_one_that_was_forgotten_makes_room(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1_000.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        settings.OPAMP_MAX_AGENTS = 1
        quotas = Quotas()
        assert process_batch([arrival()], quotas)[0].denial is None
        assert process_batch([arrival()], quotas)[0].denial is Excess.FLEET_FULL
        Agent.objects.all().delete()
        now[0] += 2
        assert process_batch([arrival()], quotas)[0].denial is None

    def test_each_address_brings_so_many_an_hour(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1_000.0]
        monkeypatch.setattr(newcomers.time, "monotonic", lambda: now[0])
        settings.OPAMP_NEW_AGENTS_PER_HOUR = 60
        quotas = Quotas(Newcomers().admits)
        flood = process_batch([arrival() for _ in range(100)], quotas)
        assert [one.denial for one in flood] == [None] * 60 + [Excess.TOO_MANY_NEW] * 40
        elsewhere = process_batch([arrival(address="192.0.2.2")], quotas)
        assert elsewhere[0].denial is None
        members = Agent.objects.values_list("instance_uid", flat=True)[:50]
        assert all(one.denial is None for one in process_batch([arrival(uid, number=1) for uid in members], quotas))
        now[0] += 120
        assert [one.denial for one in process_batch([arrival() for _ in range(3)], quotas)] == [
            None,
            None,
            Excess.TOO_MANY_NEW,
        ]

    def test_zero_lifts_the_limit(self, settings: Settings) -> None:
        settings.OPAMP_NEW_AGENTS_PER_HOUR = settings.OPAMP_MAX_AGENTS = 0
        assert not any(one.denial for one in process_batch([arrival() for _ in range(50)], Quotas(Newcomers().admits)))

    def test_far_from_the_limit_a_batch_of_newcomers_counts_nobody(self) -> None:
        quotas = Quotas(Newcomers().admits)
        process_batch([arrival()], quotas)
        with CaptureQueriesContext(connection) as queries:
            process_batch([arrival(**config("a")) for _ in range(10)], quotas)
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper() or "fleet" in query["sql"]]


@pytest.mark.django_db(transaction=True)
def test_processes_that_register_at_once_do_not_pass_the_limit(settings: Settings) -> None:
    settings.OPAMP_MAX_AGENTS = 10
    Fleet.objects.get_or_create(pk=1)
    begin, denials = threading.Barrier(4), []

    def work() -> None:
        try:
            begin.wait(10)
            quotas = Quotas()
            for _ in range(5):
                denials.extend(one.denial for one in process_batch([arrival()], quotas))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Agent.objects.count() == denials.count(None) == 10
    assert denials.count(Excess.FLEET_FULL) == 10


@pytest.mark.django_db
class TestStoredPerAgent:
    def test_different_configurations_of_one_agent_end_at_its_quota(self, settings: Settings) -> None:
        settings.OPAMP_STORED_PER_AGENT = 100 * KIB
        quotas, uid = Quotas(), uuid4()
        for number in range(6):
            processed = process_batch(
                [arrival(uid, number=number, size=30 * KIB, **config(text_of(30 * KIB, str(number))))], quotas
            )
            # The report counts all the same, and the agent is not put off.
            assert processed[0].denial is None
            assert processed[0].reply is not None
            assert processed[0].reply.error is None
            assert number == 0 or not processed[0].reply.report_full_state
        assert ReportedDocument.objects.count() == 3
        assert stored_bytes() <= 100 * KIB
        state = ReportedState.objects.select_related("effective_config", "agent__presence").get()
        assert state.effective_config is not None
        assert state.effective_config.content[""]["body"].startswith("2")
        assert state.agent.presence.sequence_num == 5
        assert state.unstored == {"effective_config": state.effective_config.size}
        told = AgentEvent.objects.filter(kind="not_stored").values_list("data", flat=True)
        assert [data["limit"] for data in told] == ["agent"]

    def test_what_fits_again_is_stored_and_the_mark_goes(self, settings: Settings) -> None:
        settings.OPAMP_STORED_PER_AGENT = 10 * KIB
        quotas, uid = Quotas(), uuid4()
        process_batch([arrival(uid, **config("small"))], quotas)
        process_batch([arrival(uid, number=1, **config(text_of(20 * KIB)))], quotas)
        assert ReportedState.objects.get().unstored
        # The former document, which is there.
        process_batch([arrival(uid, number=2, **config("small"))], quotas)
        assert ReportedState.objects.get().unstored == {}

    def test_a_document_that_is_there_already_costs_nobody_anything(self, settings: Settings) -> None:
        shared = text_of(8 * KIB)
        process_batch([arrival(**config(shared))], Quotas())
        settings.OPAMP_STORED_PER_AGENT = 1 * KIB
        others = [arrival(**config(shared)) for _ in range(5)]
        process_batch(others, Quotas())
        assert ReportedState.objects.filter(effective_config__isnull=False).count() == 6
        assert not AgentEvent.objects.filter(kind="not_stored").exists()

    def test_of_one_batch_it_is_stored_for_all_when_one_has_room(self, settings: Settings) -> None:
        settings.OPAMP_STORED_PER_AGENT = 10 * KIB
        quotas, full = Quotas(), uuid4()
        process_batch([arrival(full, **config(text_of(9 * KIB, "a")))], quotas)
        shared = config(text_of(5 * KIB, "b"))
        process_batch([arrival(full, number=1, **shared), arrival(**shared)], quotas)
        assert len(set(ReportedState.objects.values_list("effective_config_id", flat=True))) == 1
        assert not AgentEvent.objects.filter(kind="not_stored").exists()

    def test_components_count_too(self, settings: Settings) -> None:
        settings.OPAMP_STORED_PER_AGENT = 4 * KIB
        parts = {"available_components": AvailableComponents(b"1", {text_of(8 * KIB): {}}), **config("a: 1")}
        process_batch([arrival(**parts)], Quotas())
        state = ReportedState.objects.get()
        assert state.components is None
        assert state.effective_config is not None
        assert set(state.unstored) == {"available_components"}

    @pytest.mark.parametrize("part", ["health", "agent_description", "package_statuses"])
    def test_so_do_parts_of_the_row_that_come_in_large_messages(self, settings: Settings, part: str) -> None:
        settings.OPAMP_STORED_PER_AGENT = 50 * KIB

        def of(size: int) -> dict[str, Any]:
            text = text_of(size)
            return {
                "health": ComponentHealth(True, "", "", 0, 0, {"healthy": True, "status": text}),
                "agent_description": AgentDescription({"service.name": "a"}, {"note": text}),
                "package_statuses": {"packages": {text: {}}},
            }[part], size  # type: ignore[return-value]

        quotas, uid = Quotas(), uuid4()
        for number, size in enumerate((40 * KIB, 80 * KIB, 30 * KIB)):
            value, _ = of(size)
            process_batch([arrival(uid, number=number, size=size, **{part: value})], quotas)
            state = ReportedState.objects.get()
            assert state.parts_size <= 50 * KIB
            assert (part in state.unstored) is (size > 50 * KIB)
        # The largest never got in, and what came after it did.
        assert 30 * KIB < state.parts_size < 31 * KIB
        assert stored_bytes() == state.parts_size

    def test_an_agent_that_comes_back_with_what_is_known_asks_nothing_more(self) -> None:
        quotas = Quotas()
        known = [arrival(**config("a: 1")) for _ in range(5)]
        process_batch(known, None)
        again = [arrival(one.report.instance_uid, number=1, **config("a: 1")) for one in known]
        with CaptureQueriesContext(connection) as without:
            process_batch(again, None)
        again = [arrival(one.report.instance_uid, number=2, **config("a: 1")) for one in known]
        with CaptureQueriesContext(connection) as with_quotas:
            process_batch(again, quotas)
        assert len(with_quotas) == len(without)


@pytest.mark.django_db
class TestStoredInAll:
    def test_when_all_is_full_reports_go_on_without_what_is_large(self, settings: Settings) -> None:
        settings.OPAMP_STORED_IN_ALL = 50 * KIB
        quotas = Quotas()
        arrivals = [arrival(size=20 * KIB, **config(text_of(20 * KIB, str(number)))) for number in range(4)]
        for one in arrivals:
            assert process_batch([one], quotas)[0].denial is None
        assert Agent.objects.count() == 4
        assert ReportedDocument.objects.count() == 2
        assert stored_bytes() <= 50 * KIB
        limits = AgentEvent.objects.filter(kind="not_stored").values_list("data__limit", flat=True)
        assert list(limits) == ["fleet", "fleet"]

    def test_in_one_batch_too_and_for_all_that_share_it(self, settings: Settings) -> None:
        settings.OPAMP_STORED_IN_ALL = 30 * KIB
        first, second = config(text_of(20 * KIB, "a")), config(text_of(20 * KIB, "b"))
        process_batch([arrival(**first), arrival(**second), arrival(**second)], Quotas())
        assert ReportedDocument.objects.count() == 1
        assert [bool(state.unstored) for state in ReportedState.objects.order_by("pk")] == [False, True, True]


@pytest.mark.django_db
class TestShown:
    @pytest.fixture(autouse=True)
    def asked_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody remembers what another test stored."""
        monkeypatch.setattr(capacity, "stored", capacity.StoredBytes())

    def test_the_overview_says_what_is_full(
        self, settings: Settings, client: Client, alice: Any, report: Report
    ) -> None:
        report("a")
        client.force_login(alice)
        page = client.get("/admin/").content.decode()
        assert "OPAMP_MAX_AGENTS" not in page
        assert "OPAMP_STORED_IN_ALL" not in page
        settings.OPAMP_MAX_AGENTS, settings.OPAMP_STORED_IN_ALL = 1, 10
        page = client.get("/admin/").content.decode()
        assert "The fleet is full: 1 of OPAMP_MAX_AGENTS=1 agents." in page
        assert "100 percent of OPAMP_STORED_IN_ALL" in page

    def test_and_whose_new_agents_were_refused(self, settings: Settings, client: Client, alice: Any) -> None:
        settings.OPAMP_NEW_AGENTS_PER_HOUR = 1
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "here"}}
        new = Newcomers()
        assert [new.admits("192.0.2.7") for _ in range(2)] == [True, False]
        new.tell(timezone.now())
        client.force_login(alice)
        assert "New agents of 192.0.2.7 were refused" in client.get("/admin/").content.decode()

    def test_the_agents_page_and_rest_say_what_is_not_stored(
        self, settings: Settings, client: Client, alice: Any, api_of: Any, report: Report
    ) -> None:
        agent = report("a")
        settings.OPAMP_STORED_PER_AGENT = 10
        process_batch([arrival(agent.instance_uid, number=1, **config("b: 1\nc: 2\n"))], Quotas())
        client.force_login(alice)
        page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "Not stored for want of room" in page
        assert "its reports fill OPAMP_STORED_PER_AGENT" in page
        told = api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}").json()
        assert set(told["unstored"]) == {"effective_config"}

    def test_metrics_measure_what_is_stored(self, client: Client, report: Report) -> None:
        report("a")
        size = ReportedDocument.objects.get().size
        assert size > 0
        assert f"opamp_stored_bytes {float(size)}" in client.get("/metrics").content.decode()


@pytest.mark.django_db
def test_what_a_failed_batch_took_is_there_again(settings: Settings) -> None:
    quotas = Quotas()
    with transaction.atomic():
        assert quotas._agents.take(1, 1) == 1
        transaction.set_rollback(True)
    settings.OPAMP_MAX_AGENTS = 1
    assert process_batch([arrival()], quotas)[0].denial is None
