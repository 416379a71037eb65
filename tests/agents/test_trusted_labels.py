"""Labels that agents give themselves: under trusted keys they are shown and match nothing, whichever way is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from agents.label_conditions import selector_condition
from agents.labels import asserted_of, labels_of
from agents.models import Agent, Fleet, Transport
from agents.remote_config import ConfigFile
from agents.reports import AgentDescription, StatusReport
from agents.selectors import parse_label_query
from agents.services.arrivals import Arrival, Lease
from agents.services.editing import edit_agent, edit_labels
from agents.services.labelling import apply_trusted_keys
from configurations.models import Configuration
from configurations.previewing import reach
from configurations.services.publishing import Draft, create_configuration
from configurations.targets import why
from opamp_transport.batch import process_reports

Report = Callable[..., Agent]


class TestPure:
    SAID = AgentDescription({"service.name": "shop", "tier": "gold"}, {"env": "prod", "tier": "lead", "n": 1})

    def test_an_agents_word_does_not_count_under_a_trusted_key(self) -> None:
        assert labels_of(self.SAID, {}, ["env", "tier"]) == {"service.name": "shop", "n": "1"}
        assert asserted_of(self.SAID, ["env", "tier", "region"]) == {"env": "prod", "tier": "gold"}

    def test_an_operators_does(self) -> None:
        assert labels_of(self.SAID, {"env": "dev"}, ["env"])["env"] == "dev"

    def test_without_trusted_keys_all_is_as_it_was(self) -> None:
        assert labels_of(self.SAID, {}) == {"service.name": "shop", "tier": "gold", "env": "prod", "n": "1"}
        assert asserted_of(self.SAID, []) == {}


@pytest.fixture
def trusted(settings: Settings) -> None:
    """Only operators say which environment an agent is of."""
    settings.OPAMP_TRUSTED_LABEL_KEYS = ["env"]


def publish(name: str = "prod", **selector: str) -> Configuration:
    draft = Draft(selector=selector or {"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    configuration, _ = create_configuration(name, draft, by=None, at=timezone.now())
    return configuration


def matched(query: str) -> set[str]:
    return set(Agent.objects.filter(selector_condition(parse_label_query(query))).values_list("name", flat=True))


@pytest.mark.django_db
@pytest.mark.usefixtures("trusted")
class TestMatching:
    def test_a_claim_brings_no_configuration(self, report: Report) -> None:
        publish()
        liar = report(env="prod")
        assert (liar.configuration_name, liar.asserted_labels) == ("", {"env": "prod"})
        assert "env" not in liar.labels
        row = edit_agent(liar.pk, by=None, at=timezone.now(), operator_labels={"env": "prod"})
        assert row.configuration_name == "prod"

    def test_nor_does_publishing_after_it(self, report: Report) -> None:
        liar = report(env="prod")
        publish()
        liar.refresh_from_db()
        assert liar.configuration_name == ""

    @pytest.mark.parametrize(
        ("query", "found"), [("env=prod", 1), ("env", 1), ("!env", 1), ("env!=prod", 1), ("env in (prod)", 1)]
    )
    def test_lists_go_by_the_same_labels(self, report: Report, api_of: Any, alice: Any, query: str, found: int) -> None:
        report("liar", env="prod")
        named = report("named")
        edit_labels([named.pk], assign={"env": "prod"}, remove=[], by=None, at=timezone.now())
        answer = api_of(alice).get("/api/v1/agents", {"label": query}).json()
        assert len(answer["results"]) == found
        (one,) = answer["results"]
        assert (one["hostname"] == "liar") is (query in {"!env", "env!=prod"})

    def test_taking_the_operators_label_away_does_not_bring_the_claim_back(self, report: Report) -> None:
        publish()
        agent = report(env="prod")
        edit_labels([agent.pk], assign={"env": "prod"}, remove=[], by=None, at=timezone.now())
        edit_labels([agent.pk], assign={}, remove=["env"], by=None, at=timezone.now())
        agent.refresh_from_db()
        assert ("env" in agent.labels, agent.configuration_name) == (False, "")


@pytest.mark.django_db
@pytest.mark.usefixtures("trusted")
class TestShown:
    def test_no_secret_that_an_agent_says_under_such_a_key_is_shown(
        self, report: Report, client: Client, alice: Any, api_of: Any, settings: Any
    ) -> None:
        settings.OPAMP_TRUSTED_LABEL_KEYS = ["api-key"]
        publish(**{"api-key": "x"})
        agent = report(**{"api-key": "hunter2"})
        assert agent.asserted_labels == {"api-key": "hunter2"}
        client.force_login(alice)
        pages = [f"/admin/agents/agent/{agent.pk}/change/", "/admin/agents/agent/"]
        paths = [f"/api/v1/agents/{agent.instance_uid}{below}" for below in ("", "/configuration")]
        told = [client.get(page).content.decode() for page in pages]
        told += [api_of(alice).get(path).content.decode() for path in paths]
        assert ["hunter2" in text for text in told] == [False] * 4
        assert "[redacted]" in told[0]

    def test_why_tells_the_difference(self, report: Report, client: Client, alice: Any, api_of: Any) -> None:
        publish()
        agent = report(env="prod")
        ((clause,),) = [candidate["clauses"] for candidate in why(agent)]
        assert (clause["satisfied"], clause["actual"], clause["asserted"]) == (False, None, "prod")
        told = api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}/configuration").json()
        assert told["candidates"][0]["clauses"][0]["asserted"] == "prod"
        client.force_login(alice)
        page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "The agent says env=prod, but only an operator's label counts for env." in page
        assert "not matched: only an operator" in page

    def test_the_preview_counts_those_who_only_say_so(
        self, report: Report, client: Client, alice: Any, api_of: Any
    ) -> None:
        report("liar", env="prod")
        report("other", env="dev")
        named = report("named", env="dev")
        edit_labels([named.pk], assign={"env": "prod"}, remove=[], by=None, at=timezone.now())
        overruled = report("overruled", env="prod")
        edit_labels([overruled.pk], assign={"env": "dev"}, remove=[], by=None, at=timezone.now())
        found = reach(Draft(selector={"env": "prod"}, files={}), name=None)
        assert (found.matched, found.unproven) == (1, 1)
        body = {"name": "p", "raw_config": "a: 1\n", "selector": {"env": "prod"}}
        assert api_of(alice).post("/api/v1/configurations/preview", body).json()["unproven"] == 1
        client.force_login(alice)
        assert (
            "whoever may connect can claim any"
            in client.get("/admin/configurations/configuration/add/").content.decode()
        )

    def test_rest_shows_both(self, report: Report, api_of: Any, alice: Any) -> None:
        agent = report(env="prod")
        told = api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}").json()
        assert told["asserted_labels"] == {"env": "prod"}
        assert "env" not in told["labels"]
        assert told["non_identifying_attributes"]["env"] == "prod"


@pytest.mark.django_db
class TestChangedSetting:
    def test_agents_are_labelled_and_matched_anew_once(
        self, report: Report, settings: Settings, django_assert_num_queries: Any
    ) -> None:
        publish()
        agents = [report(f"a{number}", env="prod") for number in range(3)]
        own = report("own", env="dev")
        edit_labels([own.pk], assign={"env": "prod"}, remove=[], by=None, at=timezone.now())
        assert matched("env=prod") == {"otelcol"}
        assert Agent.objects.filter(configuration_name="prod").count() == 4
        settings.OPAMP_TRUSTED_LABEL_KEYS = ["env"]
        assert apply_trusted_keys(at=timezone.now()) == 3
        assert list(Agent.objects.filter(configuration_name="prod").values_list("pk", flat=True)) == [own.pk]
        assert Fleet.objects.get().trusted_label_keys == ["env"]
        with django_assert_num_queries(1):
            assert apply_trusted_keys(at=timezone.now()) == 0
        settings.OPAMP_TRUSTED_LABEL_KEYS = []
        call_command("relabel")
        assert Agent.objects.filter(configuration_name="prod").count() == 4
        assert not Agent.objects.exclude(asserted_labels={}).exists()
        assert agents

    def test_an_agent_that_an_older_process_labelled_is_put_right_when_it_connects(
        self, report: Report, settings: Settings
    ) -> None:
        agent = report(env="prod")
        settings.OPAMP_TRUSTED_LABEL_KEYS = ["env"]
        state = agent.reported
        again = StatusReport(
            instance_uid=agent.instance_uid,
            sequence_num=1,
            agent_description=AgentDescription(state.identifying_attributes, state.non_identifying_attributes),
        )
        process_reports(
            [Arrival(again, Lease("ws-other", "test", Transport.WEBSOCKET, "127.0.0.1"))], at=timezone.now()
        )
        agent.refresh_from_db()
        assert ("env" in agent.labels, agent.asserted_labels) == (False, {"env": "prod"})
