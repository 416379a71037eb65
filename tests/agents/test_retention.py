"""What is kept, what goes, and that a report at the same moment loses nothing."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry
from agents.models import (
    Agent,
    AgentCommand,
    AgentEvent,
    AgentPresence,
    ConnectionRecord,
    ReportedDocument,
    ReportedState,
    Transport,
)
from agents.reports import EffectiveConfig, StatusReport
from agents.services import retention
from agents.services.arrivals import Arrival, Lease
from agents.services.documents import DOCUMENT_GRACE
from agents.services.leases import release_leases
from agents.services.retention import PrunedKind, count_overdue, prune
from opamp_transport.batch import process_reports
from tests.databases import on_postgresql, on_sqlite

Report = Callable[..., Agent]
DAY = timedelta(days=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pruned(kind: PrunedKind, *, at: datetime) -> int:
    """Prune all, after counting: both must say the same."""
    counted = count_overdue(kind, at=at)
    deleted = sum(prune(kind, at=at))
    assert deleted == counted
    return deleted


def gone(agent: Agent, *, at: datetime, last_seen_at: datetime | None = None) -> None:
    """The agent's connection closed at ``at``; it was last heard then, or before."""
    release_leases([agent.lease_id], reason="connection closed", at=at)
    AgentPresence.objects.filter(agent=agent).update(last_seen_at=last_seen_at or at)


def reports_config(agent: Agent, body: str, *, at: datetime) -> None:
    """The agent reports another effective configuration."""
    lease = Lease(f"ws-{agent.instance_uid.hex}", "test", Transport.WEBSOCKET, "127.0.0.1")
    message = StatusReport(
        instance_uid=agent.instance_uid, sequence_num=9, effective_config=EffectiveConfig({"": {"body": body}})
    )
    process_reports([Arrival(message, lease)], at=at)


@pytest.mark.django_db
class TestHistory:
    def test_events_older_than_their_days_go(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_KEEP_EVENTS_DAYS = 10
        agent, now = report(), timezone.now()
        fresh = AgentEvent.objects.count()
        for days in (9, 11, 100):
            AgentEvent.objects.create(agent=agent, at=now - days * DAY, kind=AgentEvent.Kind.HEALTH)
        assert pruned(PrunedKind.EVENTS, at=now) == 2
        assert AgentEvent.objects.count() == fresh + 1

    def test_zero_days_keep_for_ever(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_KEEP_EVENTS_DAYS = settings.OPAMP_KEEP_CONNECTIONS_DAYS = settings.OPAMP_FORGET_AGENTS_DAYS = 0
        agent, now = report(), timezone.now()
        gone(agent, at=now - 3_000 * DAY)
        AgentEvent.objects.update(at=now - 3_000 * DAY)
        assert [pruned(kind, at=now) for kind in (PrunedKind.EVENTS, PrunedKind.CONNECTIONS, PrunedKind.AGENTS)] == [
            0,
            0,
            0,
        ]

    def test_connections_go_by_their_end_and_open_ones_never(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_KEEP_CONNECTIONS_DAYS = 10
        now = timezone.now()
        old, open_still = report("old"), report("open")
        ConnectionRecord.objects.update(connected_at=now - 50 * DAY)
        gone(old, at=now - 11 * DAY)
        assert pruned(PrunedKind.CONNECTIONS, at=now) == 1
        assert ConnectionRecord.objects.get().agent == open_still

    def test_finished_commands_go_and_waiting_ones_stay(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_KEEP_EVENTS_DAYS = 10
        agent, now = report(), timezone.now()
        outcome = AgentCommand.Outcome
        for kept, days in ((outcome.DONE, 11), (outcome.PENDING, 11), (outcome.DONE, 9), (outcome.EXPIRED, 30)):
            AgentCommand.objects.create(
                agent=agent, kind=AgentCommand.Kind.CUSTOM_MESSAGE, requested_at=now - days * DAY, outcome=kept
            )
        assert pruned(PrunedKind.COMMANDS, at=now) == 2
        assert set(AgentCommand.objects.values_list("outcome", flat=True)) == {outcome.PENDING, outcome.DONE}

    def test_an_agent_that_flaps_keeps_only_its_newest_lines(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_KEEP_PER_AGENT = 100
        flapping, calm, now = report("flapping"), report("calm"), timezone.now()
        calm_lines = AgentEvent.objects.filter(agent=calm).count()
        AgentEvent.objects.bulk_create(
            AgentEvent(agent=flapping, at=now, kind=AgentEvent.Kind.CONNECTED, data={"number": number})
            for number in range(1_700)
        )
        ConnectionRecord.objects.bulk_create(
            ConnectionRecord(
                agent=flapping, lease_id="x", transport=Transport.WEBSOCKET, connected_at=now, disconnected_at=now
            )
            for _ in range(150)
        )
        assert pruned(PrunedKind.EVENTS, at=now) > 1_600
        kept = AgentEvent.objects.filter(agent=flapping).order_by("id")
        assert [event.data["number"] for event in kept] == list(range(1_600, 1_700))
        assert AgentEvent.objects.filter(agent=calm).count() == calm_lines
        assert pruned(PrunedKind.CONNECTIONS, at=now) == 50

    def test_each_transaction_is_small(self, report: Report) -> None:
        agent, now = report(), timezone.now()
        AgentEvent.objects.bulk_create(
            AgentEvent(agent=agent, at=now - 1_000 * DAY, kind=AgentEvent.Kind.HEALTH) for _ in range(1_100)
        )
        assert list(prune(PrunedKind.EVENTS, at=now)) == [500, 500, 100]


@pytest.mark.django_db
class TestAgents:
    def test_only_those_gone_for_long_are_forgotten_with_an_audit_entry(
        self, report: Report, settings: Settings
    ) -> None:
        settings.OPAMP_FORGET_AGENTS_DAYS = 30
        now = timezone.now()
        names = ("connected", "yesterday", "long ago", "silent but here until yesterday")
        agents = {name: report(name) for name in names}
        AgentPresence.objects.update(last_seen_at=now - 60 * DAY)
        gone(agents["yesterday"], at=now - DAY)
        gone(agents["long ago"], at=now - 31 * DAY)
        gone(agents["silent but here until yesterday"], at=now - DAY, last_seen_at=now - 60 * DAY)
        assert pruned(PrunedKind.AGENTS, at=now) == 1
        assert set(Agent.objects.values_list("hostname", flat=True)) == set(names) - {"long ago"}
        entry = AuditEntry.objects.get(verb="agent.forget")
        assert entry.data == {"instance_uid": str(agents["long ago"].instance_uid)}

    def test_a_forgotten_agent_registers_itself_anew(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_FORGET_AGENTS_DAYS = 1
        agent, now = report(), timezone.now()
        gone(agent, at=now - 2 * DAY)
        assert pruned(PrunedKind.AGENTS, at=now) == 1
        reports_config(agent, "a: 1\n", at=now)
        assert Agent.objects.get(instance_uid=agent.instance_uid).pk != agent.pk


@pytest.mark.django_db
class TestDocuments:
    def test_those_nobody_refers_to_go_after_the_grace(self, report: Report) -> None:
        agent, now = report(), timezone.now()
        former = ReportedState.objects.get(agent=agent).effective_config_id
        reports_config(agent, "a: 1\n", at=now)
        assert pruned(PrunedKind.DOCUMENTS, at=now + DOCUMENT_GRACE / 2) == 0
        assert pruned(PrunedKind.DOCUMENTS, at=now + 2 * DOCUMENT_GRACE) == 1
        assert not ReportedDocument.objects.filter(hash=former).exists()
        assert ReportedDocument.objects.get().content == {"": {"body": "a: 1\n"}}

    def test_one_that_is_reported_again_begins_its_grace_anew(self, report: Report) -> None:
        agent, now = report(), timezone.now()
        later = now + 3 * DOCUMENT_GRACE
        reports_config(agent, "a: 1\n", at=now)
        reports_config(agent, "receivers: {}\n", at=later)
        reports_config(agent, "a: 1\n", at=later)
        assert pruned(PrunedKind.DOCUMENTS, at=later + DOCUMENT_GRACE / 2) == 0


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    @pytest.fixture
    def pruned_meanwhile(self, report: Report, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, bool]]:
        """Prunes documents; when the pruner has chosen one, and before it deletes, a report refers to it again.

        ``waits``: for the report, before the deletion goes on. Returns how many went, and whether the agent has its document.
        """
        agent, now = report(), timezone.now()
        former = ReportedState.objects.get(agent=agent).effective_config_id
        reports_config(agent, "a: 1\n", at=now)
        # The other one would be due as well once the report has replaced it, if the pruner looked then.
        ReportedDocument.objects.filter(hash=former).update(stored_at=now - 3 * DOCUMENT_GRACE)
        came: list[BaseException | None] = []

        def report_meanwhile() -> None:
            try:
                reports_config(agent, "receivers: {}\n", at=now)
            except BaseException as error:  # noqa: BLE001  shown by the assertion below
                came.append(error)
            else:
                came.append(None)
            finally:
                connection.close()

        def prune_meanwhile(*, waits: bool) -> tuple[int, bool]:
            reporter = threading.Thread(target=report_meanwhile)
            delete = retention.QuerySet._raw_delete

            def delete_after_the_report(rows: Any, using: str | None) -> int:
                # Of many deletions, also the report's own, the pruner's first of documents alone is meant.
                if rows.model is ReportedDocument and threading.current_thread() is not reporter and not reporter.ident:
                    reporter.start()
                    if waits:
                        reporter.join(10)
                return delete(rows, using)

            monkeypatch.setattr(retention.QuerySet, "_raw_delete", delete_after_the_report)
            gone = sum(prune(PrunedKind.DOCUMENTS, at=now))
            reporter.join(30)
            assert came == [None]
            holds = ReportedState.objects.get(agent=agent).effective_config_id == former
            return gone, holds and ReportedDocument.objects.filter(hash=former).exists()

        return prune_meanwhile

    @on_postgresql
    def test_a_report_keeps_the_document_that_is_being_pruned(
        self, pruned_meanwhile: Callable[..., tuple[int, bool]]
    ) -> None:
        assert pruned_meanwhile(waits=True) == (0, True)

    @on_sqlite
    def test_a_report_that_waits_for_the_pruner_brings_the_document_anew(
        self, pruned_meanwhile: Callable[..., tuple[int, bool]]
    ) -> None:
        """SQLite has one writer, so the report waits for the end of the deletion."""
        assert pruned_meanwhile(waits=False) == (1, True)

    def test_an_agent_that_comes_back_keeps_its_row(self, report: Report, settings: Settings) -> None:
        settings.OPAMP_FORGET_AGENTS_DAYS = 1
        agent, now = report(), timezone.now()
        gone(agent, at=now - 2 * DAY)
        done: list[int] = []

        def forget() -> None:
            try:
                done.append(sum(prune(PrunedKind.AGENTS, at=now)))
            finally:
                connection.close()

        pruner = threading.Thread(target=forget)
        with transaction.atomic():
            row = Agent.objects.select_for_update().get(pk=agent.pk)
            row.connected = True
            row.save(update_fields=["connected"])
            # It finds the row as it was before, or waits for the one writer of SQLite.
            pruner.start()
            pruner.join(1)
            assert pruner.is_alive()
        pruner.join(30)
        assert done == [0]
        assert Agent.objects.filter(pk=agent.pk).exists()


@pytest.mark.django_db
class TestCommand:
    def said(self, *arguments: str) -> dict[str, str]:
        output = io.StringIO()
        call_command("prune", *arguments, stdout=output)
        return dict(line.split(": ") for line in output.getvalue().splitlines())

    def test_it_says_what_it_deletes_and_a_dry_run_deletes_nothing(self, report: Report) -> None:
        agent, now = report(), timezone.now()
        before = AgentEvent.objects.count()
        AgentEvent.objects.create(agent=agent, at=now - 1_000 * DAY, kind=AgentEvent.Kind.HEALTH)
        assert self.said("--dry-run")["events"] == "1 would be deleted"
        assert AgentEvent.objects.count() == before + 1
        assert self.said() == {
            "events": "1 deleted",
            "connections": "0 deleted",
            "commands": "0 deleted",
            "agents": "0 deleted",
            "documents": "0 deleted",
            "rollouts": "0 deleted",
            "freezes": "0 deleted",
            "releases": "0 deleted",
            "telemetry": "0 deleted",
            "alerts": "0 deleted",
            "silences": "0 deleted",
            "job results": "0 deleted",
            "jobs": "0 deleted",
            "tasks": "0 deleted",
            "latest telemetry": "0 deleted",
            "drafts": "0 deleted",
            "deleted configurations": "0 deleted",
        }
        assert AgentEvent.objects.count() == before


@pytest.mark.django_db
class TestClock:
    @pytest.mark.parametrize(("ahead", "behind"), [(-DAY, False), (timedelta(seconds=10), False), (DAY, True)])
    def test_it_is_behind_when_what_was_written_last_lies_ahead(
        self, report: Report, ahead: timedelta, behind: bool
    ) -> None:
        agent = report()
        # Of a clock that stood elsewhere once: time stamps of the future do not count for ever.
        AgentEvent.objects.create(agent=agent, at=NOON + 400 * DAY, kind=AgentEvent.Kind.HEALTH)
        AgentEvent.objects.create(agent=agent, at=NOON + ahead, kind=AgentEvent.Kind.HEALTH)
        assert retention.is_clock_behind(NOON) is behind

    def test_without_events_it_is_not(self) -> None:
        assert not retention.is_clock_behind(NOON)
