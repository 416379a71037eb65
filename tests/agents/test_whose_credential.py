"""Who may speak for which agent, and who is offered a credential: all cases as tables (S-115, S-117)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from agents.credentials import AgentCredential, Denial
from agents.models import Agent, Transport
from agents.reports import AgentCapabilities, StatusReport
from agents.services.arrivals import Arrival, Lease
from agents.services.credentials import denial_of, enrolment_due

LOW, OWN, HIGH = UUID(int=1), UUID(int=1 << 100), UUID(int=(1 << 128) - 1)
AT = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = Lease("one", "here", Transport.WEBSOCKET, "127.0.0.1")
TAKES_SETTINGS = AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS


def _agent(**columns: Any) -> Agent:
    return Agent(instance_uid=OWN, **{f"credential_{name}": value for name, value in columns.items()})


def _arrival(credential: AgentCredential | None) -> Arrival:
    return Arrival(StatusReport(OWN, 1, 0), LEASE, credential=credential)


@pytest.mark.rule("S-117")
@pytest.mark.parametrize(
    ("row", "shown", "denial"),
    [
        (None, None, None),
        (None, AgentCredential(OWN, 7), Denial.OUTDATED),
        (None, AgentCredential(LOW, 7), Denial.FOREIGN),
        (None, AgentCredential(HIGH, 7), Denial.FOREIGN),
        (_agent(), None, None),
        (_agent(number=7), None, None),
        (_agent(number=7), AgentCredential(OWN, 7), None),
        # The row that holds the number is the agent it speaks for, whatever uid it had before.
        (_agent(number=7), AgentCredential(HIGH, 7), None),
        (_agent(number=7, former_number=6), AgentCredential(OWN, 6), None),
        (_agent(number=7, former_number=6), AgentCredential(OWN, 5), Denial.OUTDATED),
        (_agent(number=7), AgentCredential(LOW, 8), Denial.FOREIGN),
        (_agent(number=7), AgentCredential(HIGH, 8), Denial.FOREIGN),
        (_agent(number=7, used_at=AT), None, Denial.SHARED),
        (_agent(number=7, used_at=AT, revoked_at=AT), None, Denial.REVOKED),
        (_agent(number=7, revoked_at=AT), AgentCredential(OWN, 7), Denial.REVOKED),
    ],
)
def test_who_may_speak(settings: Settings, row: Agent | None, shown: AgentCredential | None, denial: Denial) -> None:
    settings.OPAMP_AGENT_CREDENTIALS = True
    assert denial_of(row, _arrival(shown)) is denial


def test_where_credentials_are_off_the_shared_secret_is_enough(settings: Settings) -> None:
    settings.OPAMP_AGENT_CREDENTIALS = False
    assert denial_of(_agent(number=7, used_at=AT), _arrival(None)) is None


@pytest.mark.parametrize(
    ("on", "capabilities", "number", "due"),
    [
        (True, TAKES_SETTINGS, None, True),
        (True, ~TAKES_SETTINGS & 0xFFFF, None, False),
        (True, TAKES_SETTINGS, 7, False),
        (True, 0, 7, False),
        (False, TAKES_SETTINGS, None, False),
    ],
)
def test_who_is_due_for_one(settings: Settings, on: bool, capabilities: int, number: int | None, due: bool) -> None:
    settings.OPAMP_AGENT_CREDENTIALS = on
    agent = _agent(number=number)
    agent.capabilities = capabilities
    assert enrolment_due(agent) is due
