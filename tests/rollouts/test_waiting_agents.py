"""The filter for agents that wait for a rollout's stage: those whose page says it, and no others."""

from __future__ import annotations

import pytest
from django.urls import reverse

from agents.models import Agent
from configurations.pending_stages import waiting_keys, waits_for
from rollouts.models import Rollout
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/configurations/c"
CANARY = {"stages": [{"count": 2}], "gate": {"timeout_seconds": 60}}


def body(text: str, **more: object) -> dict[str, object]:
    return {"selector": {"env": "prod"}, "raw_config": text, "force": True, **more}


@pytest.fixture
def api(alice, api_of):
    api = api_of(alice)
    assert api.put(URL, body("old: {}\n"), format="json").status_code == 201
    fleet = Fleet(AT)
    fleet.join(6, env="prod")
    fleet.join(3, env="dev")
    fleet.answer(fleet.agents)
    return api


def by_page() -> set[str]:
    """The agents whose page says that they wait."""
    return {str(agent.instance_uid) for agent in Agent.objects.all() if waits_for(agent)}


def listed(api, value: str) -> set[str]:
    answer = api.get(f"/api/v1/agents?waits={value}")
    assert answer.status_code == 200, answer.content
    return {row["instance_uid"] for row in answer.json()["results"]}


def test_nobody_waits_without_a_rollout(api, django_assert_num_queries):
    assert listed(api, "true") == set()
    assert len(listed(api, "false")) == 9
    with django_assert_num_queries(1):
        waiting_keys()


def test_the_filter_finds_whose_page_says_it(api):
    api.put(URL, body("new: {}\n", release=CANARY), format="json")
    assert len(by_page()) == 4
    assert listed(api, "true") == by_page()
    assert len(listed(api, "false")) == 5
    assert not listed(api, "true") & listed(api, "false")


def test_those_that_another_selector_would_lose_or_gain_wait_too(api):
    api.put(URL, {**body("new: {}\n", release=CANARY), "selector": {"env": "dev"}}, format="json")
    assert len(by_page()) == 7
    assert listed(api, "true") == by_page()


def test_a_disabled_revision_and_an_ended_rollout_have_nobody_waiting(api):
    api.put(URL, body("new: {}\n", release={**CANARY, "approval": True}), format="json")
    assert listed(api, "true") == by_page()
    assert len(by_page()) == 6
    number = Rollout.objects.get().pk
    api.post(f"/api/v1/rollouts/{number}/abort", {}, format="json")
    assert listed(api, "true") == by_page() == set()


def test_on_the_list_of_agents(api, signed_in):
    api.put(URL, body("new: {}\n", release=CANARY), format="json")
    page = signed_in.get(reverse("admin:agents_agent_changelist"), {"waits": "true"})
    assert {str(row.instance_uid) for row in page.context["cl"].result_list} == by_page()
    assert "waits for a rollout" in page.content.decode()
    others = signed_in.get(reverse("admin:agents_agent_changelist"), {"waits": "false"})
    assert len(others.context["cl"].result_list) == 5


def test_strange_values_are_refused(api):
    assert api.get("/api/v1/agents?waits=perhaps").status_code == 400
