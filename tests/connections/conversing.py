"""What the tests of connection settings share: an agent that takes them, and what an operator does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.event_texts import line_of
from agents.models import AgentEvent
from agents.reports import AgentCapabilities as Can
from connections.models import AgentConnection
from connections.services.moving import counted_moves
from connections.services.settings_edits import Saved, update_settings
from opamp_transport.proto import opamp_pb2
from rollouts.services.version_publishing import AT_ONCE
from tests.fake_agent import COLLECTOR, FakeAgent
from tests.opamp_transport.conversations import processed

SECRET = "fleet-secret-9f1c"
HEADERS = {"host": "old.example:4320", "authorization": f"Bearer {SECRET}"}
OWN = Can.REPORTS_OWN_METRICS | Can.REPORTS_OWN_TRACES | Can.REPORTS_OWN_LOGS
OPAMP = Can.ACCEPTS_OPAMP_CONNECTION_SETTINGS
SAYS = Can.REPORTS_CONNECTION_SETTINGS_STATUS
ALL = int(COLLECTOR | OWN | OPAMP | Can.ACCEPTS_OTHER_CONNECTION_SETTINGS | SAYS)
SILENT = ALL & ~SAYS
APPLIED = opamp_pb2.ConnectionSettingsStatuses_APPLIED
APPLYING = opamp_pb2.ConnectionSettingsStatuses_APPLYING
FAILED = opamp_pb2.ConnectionSettingsStatuses_FAILED
Make = Callable[..., Saved]


def prod(mask: int = ALL) -> FakeAgent:
    return FakeAgent(env="prod", capabilities=mask)


def status(hash_: bytes, outcome: int = APPLIED, error: str = "") -> dict[str, Any]:
    told = opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=hash_, status=outcome, error_message=error)
    return {"connection_settings_status": told}


def members(reply: opamp_pb2.ServerToAgent) -> set[str]:
    """Names of the members that a reply tells."""
    return {field.name for field, _ in reply.connection_settings.ListFields()} - {"hash"}


def headers_of(member: Any) -> dict[str, str]:
    return {each.key: each.value for each in member.headers.headers}


@sync_to_async
def connection_of(agent: FakeAgent) -> AgentConnection:
    rows = AgentConnection.objects.select_related("version")
    return rows.get(agent__instance_uid=agent.uid)


async def edit(saved: Saved, **values: Any) -> Saved:
    edited = await sync_to_async(update_settings)(saved.settings.pk, values, by=None, at=timezone.now(), plan=AT_ONCE)
    await processed()
    return edited


@sync_to_async
def moves(saved: Saved) -> dict[str, int]:
    return {name: number for name, number in counted_moves(saved.settings).items() if number}


@sync_to_async
def lines(agent: FakeAgent) -> list[str]:
    rows = AgentEvent.objects.filter(agent__instance_uid=agent.uid, kind__startswith="connection_").order_by("pk")
    return [str(line_of(row).text) for row in rows]


def pretend_long_ago() -> None:
    from agents.models import ReportedState

    ReportedState.objects.update(settings_offered_at=timezone.now() - timedelta(hours=2))
