"""What can be done to many agents in the admin: a page that says whom it reaches, then the deed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand, AgentEvent
from agents.reports import AgentCapabilities
from configurations.models import Assignment
from tests.agents.admin_pages import LIST, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


class TestMany:
    """Actions on chosen agents: a page that says whom they reach, then the deed."""

    @pytest.fixture
    def act(self, signed_in: Any) -> Callable[..., Any]:
        def perform(action: str, agents: list[Agent], url: str = LIST, **more: Any) -> Any:
            chosen = {"action": action, "_selected_action": [agent.pk for agent in agents]}
            return signed_in.post(url, {**chosen, **more}, follow=True)

        return perform

    @pytest.mark.django_db(transaction=True)
    def test_restart_skips_those_that_cannot_and_says_so_first(self, act, report):
        able, unable = report("able"), report("unable", capabilities=int(AgentCapabilities.REPORTS_STATUS))
        Agent.objects.filter(pk=able.pk).update(connected=False)
        page = act("restart", [able, unable]).content.decode()
        assert not AgentCommand.objects.exists()
        for text in ("does not accept the restart command", "Restart (1 agent)", "</strong> offline"):
            assert text in page
        assert "Agents asked to restart: 1" in act("restart", [able, unable], confirmed="1").content.decode()
        assert AgentCommand.objects.get().agent == able

    def test_labels_are_set_and_removed_and_matching_follows(self, act, report):
        publish(env="canary")
        one, other = report("one", env="prod"), report("other", env="prod")
        Agent.objects.filter(pk=one.pk).update(operator_labels={"old": "x", "keep": "y"})
        page = act("relabel", [one, other], confirmed="1", put="env canary", remove="old")
        assert "has no = in it" in page.content.decode()
        page = act("relabel", [one, other], confirmed="1", put="env=canary\nenv = prod", remove="old")
        assert "“env” is there twice." in page.content.decode()
        page = act("relabel", [one, other], confirmed="1", put="", remove="")
        assert "at least one label" in page.content.decode()
        act("relabel", [one, other], confirmed="1", put="env=canary", remove="old, never-there")
        one.refresh_from_db()
        assert one.operator_labels == {"keep": "y", "env": "canary"}
        assert set(Agent.objects.values_list("configuration_name", flat=True)) == {"prod"}
        assert AuditEntry.objects.get(verb="agent.edit").data["count"] == 2
        assert AgentEvent.objects.filter(kind="labels").count() == 2

    def test_select_all_reaches_all_that_match_and_nobody_else(self, act, report):
        rows = [report(f"a{number}", env="prod") for number in range(60)]
        spared = report("b", env="dev")
        url = LIST + "?q=env%3Dprod"
        page = act("forget", rows[:1], url, select_across="1").content.decode()
        assert "Forget (60 agents)" in page
        assert Agent.objects.count() == 61
        act("forget", rows[:1], url, select_across="1", confirmed="1", shown_count="60")
        assert list(Agent.objects.values_list("pk", flat=True)) == [spared.pk]
        assert AuditEntry.objects.get(verb="agent.forget").data["count"] == 60

    def test_above_a_hundred_the_number_is_typed(self, act, report, monkeypatch):
        monkeypatch.setattr("agents.admin.typed_count.TYPE_ABOVE", 2)
        rows = [report(f"a{number}") for number in range(3)]
        assert 'name="typed_count"' in act("forget", rows).content.decode()
        page = act("forget", rows, confirmed="1", shown_count="3", typed_count="2")
        assert "Type the number 3" in page.content.decode()
        assert Agent.objects.count() == 3
        act("forget", rows, confirmed="1", shown_count="3", typed_count="3")
        assert not Agent.objects.exists()

    def test_a_fleet_that_grew_meanwhile_is_looked_at_again(self, act, report):
        rows = [report(f"a{number}") for number in range(12)]
        page = act("forget", rows, confirmed="1", shown_count="1")
        assert "has grown to 12" in page.content.decode()
        assert Agent.objects.count() == 12

    @pytest.mark.django_db(transaction=True)
    def test_a_configuration_is_offered_once_more_to_those_that_have_one(self, act, report):
        publish()
        has, has_not = report("has", env="prod"), report("has-not")
        assert "no configuration is assigned" in act("offer_again", [has, has_not]).content.decode()
        act("offer_again", [has, has_not], confirmed="1")
        assert [row.agent_id for row in Assignment.objects.filter(retry_requested=True)] == [has.pk]
