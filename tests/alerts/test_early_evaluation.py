"""Rules are looked at soon after something happened that may concern them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent, AgentEvent
from agents.services.timeline import write_line_of_each, write_lines
from alerts.models import Alert, AlertRule
from alerts.services import early_evaluation, evaluating
from alerts.services.evaluating import evaluate_all
from alerts.services.rule_edits import create_rule
from alerts.services.silencing import create_silence
from opamp_transport import runtime
from tests.alerts.conftest import NOW, later
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


class TestPausesThatEnd:
    """What a look says of when the next one has something to do, by a clock that stands still."""

    @pytest.fixture
    def wished(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        found: list[float] = []
        monkeypatch.setattr(evaluating, "want_again_in", lambda _name, seconds: found.append(seconds))
        return found

    def test_one_that_is_pending_is_judged_when_its_dwell_ends(
        self, fleet: Make, rule: Make, wished: list[float]
    ) -> None:
        fleet(1, connected=False, disconnected_at=later(-3_600))
        rule(dwell_seconds=100)
        rule(dwell_seconds=20)
        for seconds in (0, 13, 20):
            evaluate_all(later(seconds))
        assert wished == [20, 7, 80]
        assert [alert.fired_at for alert in Alert.objects.order_by("rule_id")] == [None, later(20)]

    def test_one_that_clears(self, fleet: Make, rule: Make, wished: list[float]) -> None:
        (agent,) = fleet(1, connected=False, disconnected_at=later(-3_600))
        rule(clear_seconds=40)
        evaluate_all(NOW)
        assert wished == []
        Agent.objects.filter(pk=agent.pk).update(connected=True)
        for seconds in (10, 30, 50):
            evaluate_all(later(seconds))
        assert wished == [40, 20]
        assert Alert.objects.get().resolved_at == later(50)

    def test_a_silence(self, fleet: Make, rule: Make, wished: list[float]) -> None:
        fleet(1, connected=False, disconnected_at=later(-3_600))
        create_silence({"rule": rule(), "note": "known", "expires_at": later(30)}, by=None, at=NOW)
        create_silence({"note": "all", "expires_at": later(90)}, by=None, at=NOW)
        evaluate_all(later(5))
        assert wished == [25]

    def test_what_cannot_be_judged_is_waited_for_by_nobody(self, fleet: Make, rule: Make, wished: list[float]) -> None:
        """Else a rule that fails would have all rules looked at every second."""
        fleet(1, connected=False, disconnected_at=later(-3_600))
        broken = rule(dwell_seconds=20)
        evaluate_all(NOW)
        AlertRule.objects.filter(pk=broken.pk).update(query="nosuch.word:")
        for seconds in (10, 30):
            evaluate_all(later(seconds))
        assert wished == [20]
        AlertRule.objects.filter(pk=broken.pk).update(query="", enabled=False)
        evaluate_all(later(40))
        assert wished == [20]

    def test_a_clock_that_was_put_back(self, fleet: Make, rule: Make, wished: list[float]) -> None:
        fleet(1, connected=False, disconnected_at=later(-10_000))
        rule(dwell_seconds=20)
        evaluate_all(NOW)
        evaluate_all(later(-5_000))
        assert wished == [20, 20]


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
