"""Rules are looked at soon after something happened that may concern them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent, AgentEvent
from agents.services.timeline import write_line_of_each, write_lines
from alerts.models import Alert
from alerts.services import early_evaluation
from alerts.services.rule_edits import create_rule
from opamp_transport import runtime
from tests.alerts.conftest import NOW
from tests.fake_agent import FakeAgent, eventually, run
from tests.opamp_transport.conversations import Line

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., Any]


@pytest.fixture
def hastened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(early_evaluation, "hasten", found.append)
    return found


def test_a_storm_is_one_word(fleet: Make, hastened: list[str]) -> None:
    agents = fleet(2_000)
    write_line_of_each(AgentEvent(at=NOW, kind="disconnected", data={}), [(row.pk, row.instance_uid) for row in agents])
    assert hastened == ["alerts"]


def test_what_concerns_no_rule(fleet: Make, hastened: list[str]) -> None:
    (agent,) = fleet(1)
    kinds = set(AgentEvent.Kind.values) - early_evaluation._CONCERNING
    write_lines([AgentEvent(agent=agent, at=NOW, kind=kind) for kind in sorted(kinds)])
    assert not hastened
    write_lines([AgentEvent(agent=agent, at=NOW, kind="health", data={"healthy": False})])
    assert hastened == ["alerts"]


def test_rules_and_silences_too(hastened: list[str]) -> None:
    create_rule({"name": "gone", "kind": "agents_gone"}, by=None, at=NOW)
    assert hastened == ["alerts"]


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_an_agent_that_falls_ill_is_told_of_at_once(transport: str) -> None:
    """Through the server as it runs: not with the look that comes every 15 seconds."""

    @sync_to_async
    def make() -> None:
        create_rule(
            {"name": "ill", "kind": "agents_unhealthy", "parameters": {"minutes": 0}, "dwell_seconds": 0},
            by=None,
            at=NOW,
        )

    @sync_to_async
    def fires() -> bool:
        return Alert.objects.filter(state="firing", count=1).exists()

    async def leads() -> bool:
        return runtime.current().leads

    async def body() -> None:
        await make()
        await eventually(leads)
        agent = FakeAgent()
        async with Line(transport) as line:
            await line.tell_all(agent)
            assert not await fires()
            await line.exchange(agent.message(health={"healthy": False, "last_error": "disk full"}))
            await eventually(fires)

    run(body())
    assert Agent.objects.get().healthy is False
