"""Groups of agents that run the same: how they are found, counted, described, and adopted in one go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from agents.models import Agent, ReportedDocument
from agents.reports import EffectiveConfig
from configurations.models import Configuration, ConfigurationDraft
from configurations.services import effective_groups
from configurations.services.effective_groups import agent_groups, described_groups, note_likeness
from foundation.chores import registered_chores
from tests.configurations.test_adopting import PLAIN, URL

LIST = "/api/v1/agents/groups"
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
OTHER = "receivers: {otlp: {}}\n"


def supervised(number: int, text: str = PLAIN) -> EffectiveConfig:
    """What a supervised agent says it runs: no two report the same text."""
    own = f"ws://127.0.0.1:{40000 + number}/v1/opamp"
    return EffectiveConfig({"": {"body": text.replace("ws://127.0.0.1:1/v1/opamp", own)}})


@pytest.fixture
def fleet(report):
    """Three that run the same, two that run something else, one that says nothing, one that has a configuration."""
    agents = [report(f"web-{n}", effective_config=supervised(n), env="prod", rack=str(n)) for n in range(3)]
    agents += [report(f"db-{n}", effective_config=EffectiveConfig({"": {"body": OTHER}}), env="dev") for n in range(2)]
    report("quiet", effective_config=None, env="prod")
    return agents


def sizes(**more: bool) -> list[int]:
    return [group.agents for group in agent_groups(**more)]


@pytest.mark.django_db
class TestGroups:
    def test_by_text_until_compared_then_by_meaning(self, fleet):
        assert sizes() == [2, 1, 1, 1]
        assert effective_groups.unjudged() == 4
        assert note_likeness(AT) == 4
        assert sizes() == [3, 2]
        assert effective_groups.unjudged() == 0
        assert note_likeness(AT) == 0

    def test_keys_stay_while_agents_run_the_same(self, fleet):
        note_likeness(AT)
        (first, second) = agent_groups()
        assert effective_groups.group_of(first.key) == first
        assert effective_groups.group_of("0" * 64) is None
        assert first.key != second.key

    def test_layout_order_and_comments_are_no_difference(self, report):
        for number, text in enumerate(["a: {b: 1, c: 2}\n", "# hi\na:\n  c: 2\n  b: 1\n", "a: {b: 1, c: '2'}\n"]):
            report(f"n{number}", effective_config=EffectiveConfig({"": {"body": text}}))
        note_likeness(AT)
        assert sizes() == [2, 1]

    @pytest.mark.parametrize("body", ["[INPUT]\n  Name cpu\n", "a: [", "a: " + "x" * 300_000, "a: " + "y" * 2_000_000])
    def test_what_has_no_meaning_is_compared_by_its_text(self, report, body):
        for number in range(2):
            report(f"n{number}", effective_config=EffectiveConfig({"": {"body": body}}))
        assert note_likeness(AT) == 1
        assert sizes() == [2]

    def test_bytes_too(self, report):
        report(effective_config=EffectiveConfig({"": {"body_base64": "/w=="}}))
        assert note_likeness(AT) == 1
        assert sizes() == [1]

    def test_those_with_a_configuration_are_among_all(self, fleet, alice, api_of):
        note_likeness(AT)
        api_of(alice).post("/api/v1/configurations", {"name": "c", "raw_config": "a: 1\n", "selector": {"env": "dev"}})
        assert sizes() == [3]
        assert sizes(everybody=True) == [3, 2]

    def test_what_they_share_and_whom_that_reaches_beside_them(self, fleet):
        note_likeness(AT)
        first, second = described_groups(agent_groups())
        assert first.labels is not None
        assert first.labels["env"] == "prod"
        assert "rack" not in first.labels
        assert "host.name" not in first.labels
        assert first.selector["service.name"] == "otelcol"
        assert "service.version" not in first.selector
        assert first.outside == 1  # the quiet one
        assert second.outside == 0
        assert {agent.pk for agent in first.examples} <= {agent.pk for agent in fleet[:3]}

    def test_queries_do_not_grow_with_the_fleet(self, fleet, report, django_assert_num_queries):
        note_likeness(AT)
        for number in range(20):
            report(f"more-{number}", effective_config=supervised(number), env="prod")
        note_likeness(AT)
        with django_assert_num_queries(4):
            described_groups(agent_groups())

    def test_a_document_that_everybody_left_is_judged_by_its_text(self, report):
        agent = report(effective_config=supervised(1))
        Agent.objects.filter(pk=agent.pk).delete()
        assert note_likeness(AT) == 1
        assert ReportedDocument.objects.get(kind="effective_config").likeness

    def test_the_chore_is_there(self):
        assert "likeness" in {chore.name for chore in registered_chores()}


@pytest.mark.django_db
class TestOverRest:
    def test_the_list(self, fleet, alice, api_of):
        note_likeness(AT)
        found = api_of(alice).get(LIST).json()
        assert (found["count"], found["unjudged"]) == (2, 0)
        first = found["results"][0]
        assert (first["agents"], first["connected"], first["matched_outside"]) == (3, 3, 1)
        assert len(first["examples"]) == 3
        assert first["selector"]["env"] == "prod"

    def test_pages(self, fleet, alice, api_of):
        note_likeness(AT)
        api = api_of(alice)
        assert [group["agents"] for group in api.get(LIST, {"limit": 1, "offset": 1}).json()["results"]] == [2]
        assert api.get(LIST, {"offset": 5}).json()["results"] == []
        for wrong in ({"limit": 0}, {"limit": 51}, {"offset": -1}, {"assigned": "some"}, {"page": 1}):
            assert api.get(LIST, wrong).status_code == 400

    def test_nothing_to_group(self, alice, api_of):
        assert api_of(alice).get(LIST).json() == {"count": 0, "unjudged": 0, "results": []}

    def test_rights(self, bob, charlie, api_of):
        assert api_of(bob).get(LIST).status_code == 200
        assert api_of(charlie).get(LIST).status_code == 403

    def test_a_group_is_adopted_in_one_go(self, fleet, alice, api_of):
        note_likeness(AT)
        api = api_of(alice)
        key = api.get(LIST).json()["results"][0]["key"]
        proposal = api.get(URL, {"group": key}).json()
        assert proposal["selector"]["env"] == "prod"
        assert proposal["matched_agents"] == 4
        made = api.post(URL, {"group": key, "name": "web", "publish": True}, format="json")
        assert made.status_code == 201, made.content
        assert made.json()["configuration"]["matched_agents"] == 4
        assert {agent.configuration_name for agent in Agent.objects.filter(hostname__startswith="web-")} == {"web"}
        assert sizes() == [2]
        assert sizes(everybody=True) == [3, 2]

    def test_labels_that_hide_something_are_hidden(self, report, alice, api_of):
        report(effective_config=supervised(1), api_key="s3cr3t-value-of-prod")
        body = api_of(alice).get(LIST).content.decode()
        assert "s3cr3t-value" not in body
        assert "api_key" in body


@pytest.mark.django_db
class TestPages:
    def test_the_list_and_adopting_from_it(self, fleet, signed_in):
        note_likeness(AT)
        url = reverse("admin:agent_groups")
        page = signed_in.get(url)
        body = page.content.decode()
        key = page.context["groups"][0]["row"].group.key
        adopt = reverse("admin:agent_group_adopt", args=[key])
        assert f'href="{adopt}"' in body
        assert "env=prod" in body
        asked = signed_in.get(adopt)
        assert "3 agents run this." in asked.content.decode()
        answer = signed_in.post(adopt, {**asked.context["form"].initial, "selector": "env: prod", "note": ""})
        row = ConfigurationDraft.objects.get()
        assert answer.url == reverse("admin:configuration_draft", args=[row.pk])
        assert not Configuration.objects.exists()

    def test_it_stands_in_the_menu_for_those_who_may_see_it(self, client, signed_in, charlie):
        url = reverse("admin:agent_groups")
        body = signed_in.get(reverse("admin:index")).content.decode()
        assert body.count(f'href="{url}"') >= 2
        assert 'aria-current="page">Running configurations' in signed_in.get(url).content.decode()
        client.force_login(charlie)
        assert client.get(url).status_code == 403
        assert url not in client.get(reverse("admin:index")).content.decode()

    def test_empty_states_and_pages(self, report, signed_in, monkeypatch):
        url = reverse("admin:agent_groups")
        assert "has a configuration" in signed_in.get(url).content.decode()
        assert "No agent has reported" in signed_in.get(url, {"assigned": "any"}).content.decode()
        for number in range(25):
            report(f"n{number}", effective_config=EffectiveConfig({"": {"body": f"a: {number}\n"}}))
        body = signed_in.get(url).content.decode()
        assert "25 reported configurations are not compared yet" in body
        assert '?p=2"' in body
        assert len(signed_in.get(url, {"p": "2"}).context["groups"]) == 5
        for strange in ("0", "-1", "x", "9" * 30, "²"):
            assert signed_in.get(url, {"p": strange}).status_code == 200

    def test_a_group_that_nobody_runs_any_more(self, signed_in):
        assert signed_in.get(reverse("admin:agent_group_adopt", args=["0" * 64])).status_code == 404
        assert signed_in.get("/admin/running/%00/adopt/").status_code in (400, 404)

    def test_a_viewer_sees_them_and_adopts_none(self, fleet, bob, client):
        client.force_login(bob)
        page = client.get(reverse("admin:agent_groups"))
        assert page.status_code == 200
        key = page.context["groups"][0]["row"].group.key
        assert reverse("admin:agent_group_adopt", args=[key]) not in page.content.decode()
        assert client.get(reverse("admin:agent_group_adopt", args=[key])).status_code == 403
