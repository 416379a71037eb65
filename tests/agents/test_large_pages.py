"""One agent that says very much makes no page large: what pages leave out stands on pages and in downloads of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.admin import whole
from agents.models import Agent, AgentEvent
from agents.remote_config import ConfigFile
from agents.reports import (
    ComponentHealth,
    EffectiveConfig,
    RemoteConfigStatus,
    RemoteConfigStatuses,
)
from agents.shown import MOST_OF_A_MESSAGE
from configurations.models import Configuration
from configurations.services.publishing import Draft, ReleasePlan, create_configuration
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
MOST_BYTES = 400 * 1024
NAME = "edge"
ERROR = "cannot start: password=hunter2-hunter2 " + "lorem ipsum " * 85_000
COMPONENTS = 2_000


def effective() -> str:
    """5 MB of a Collector's configuration, with a secret now and then."""
    receivers = "".join(
        f"  otlp/{number}:\n    endpoint: host-{number}.example:4317\n    password: secret-{number}-{'x' * 20}\n"
        f"    note: {'words ' * 8}\n"
        for number in range(35_000)
    )
    return f"receivers:\n{receivers}exporters:\n  debug: {{}}\n"


def health() -> dict[str, Any]:
    """A tree of 2,000 components, each with a long error."""
    components = {
        f"pipeline:traces/{number}": {"healthy": False, "status": "StatusPermanentError", "last_error": "broken " * 60}
        for number in range(COMPONENTS)
    }
    return {"healthy": False, "last_error": ERROR, "components": components}


@pytest.fixture
def large(report: Any, settings: Any) -> Agent:
    """An agent that says as much as it may of everything, and which a rollout concerns."""
    body = "receivers:\n" + "".join(f"  otlp/{n}:\n    endpoint: a{n}:4317\n" for n in range(3_000))
    draft = Draft(selector={"env": "large"}, match_all=False, files={"": ConfigFile(body.encode(), "text/yaml")})
    plan = ReleasePlan(parse_policy({"stages": [{"percent": 100}]}))
    create_configuration(NAME, draft, by=None, at=timezone.now(), plan=plan)
    attributes = {f"label.number.{number}": f"value {number} " + "v" * 200 for number in range(2_000)}
    agent = report(
        "large-1",
        env="large",
        capabilities=CAPABLE,
        **attributes,
        health=ComponentHealth(False, "", ERROR, 0, 0, health()),
        effective_config=EffectiveConfig({"": {"body": effective(), "content_type": "text/yaml"}}),
        remote_config_status=RemoteConfigStatus(b"x", RemoteConfigStatuses.FAILED, ERROR),
        package_statuses={
            "packages": {f"p{n}": {"status": "failed", "error_message": "word " * 400} for n in range(2_000)},
            "error_message": ERROR,
        },
        custom_capabilities=tuple(f"com.example.capability.{number}.{'x' * 100}" for number in range(2_000)),
    )
    operator = {f"own.{number}": "o" * 60 for number in range(128)}
    Agent.objects.filter(pk=agent.pk).update(
        operator_labels=operator,
        remote_config_hash=agent.configuration_hash,
        remote_config_status=3,
        config_failed=True,
    )
    agent.refresh_from_db()
    agent.assignment.status, agent.assignment.error_message = "failed", ERROR
    agent.assignment.save()
    told = {"healthy": False, "before": True, "error": "e " * 1_000, "status": "failed"}
    AgentEvent.objects.bulk_create(
        AgentEvent(
            agent=agent,
            at=timezone.now(),
            kind=kind,
            data=told,
        )
        for number in range(10_000)
        for kind in [("health", "failed", "edited", "labels")[number % 4]]
    )
    return agent


def pages_of(agent: Agent) -> dict[str, dict[str, str]]:
    """Every page that shows it, with the headers to ask for it with."""
    live = {"X-Portal-Refresh": "live"}
    one = f"/admin/agents/agent/{agent.pk}"
    configuration = f"/admin/configurations/configuration/{Configuration.objects.get().pk}"
    rollout = f"/admin/rollouts/rollout/{Rollout.objects.get().pk}"
    return {
        "/admin/": {},
        "/admin/agents/agent/": {},
        "/admin/agents/agent/?status=error": {},
        "/admin/agents/agent/?q=env=large": {},
        f"{one}/change/": {},
        f"{one}/change/#live": live,
        f"{one}/timeline/": {},
        f"{one}/timeline/?fragment=1": {},
        f"{configuration}/change/": {},
        f"{configuration}/change/#live": live,
        f"{rollout}/change/": {},
        f"{rollout}/change/#live": live,
        "/admin/running/": {},
        f"/admin/compare/?left=agent:{agent.instance_uid}&right=configuration:{NAME}": {},
        "/admin/accounts/auditentry/": {},
    }


def too_large(client: Client, pages: dict[str, dict[str, str]]) -> dict[str, tuple[int, int]]:
    """Status and size of the pages that are."""
    answers = {url: client.get(url.partition("#")[0], headers=headers) for url, headers in pages.items()}
    found = {url: (answer.status_code, len(answer.content)) for url, answer in answers.items()}
    return {url: (status, size) for url, (status, size) in found.items() if status != 200 or size > MOST_BYTES}


def test_no_page_is_large(signed_in: Client, large: Agent) -> None:
    assert too_large(signed_in, pages_of(large)) == {}


def test_all_of_it_is_downloaded_without_secrets(signed_in: Client, large: Agent) -> None:
    page = signed_in.get(f"/admin/agents/agent/{large.pk}/change/").content.decode()
    whole, one_file = f"/admin/agents/agent/{large.pk}/whole/", f"/admin/agents/agent/{large.pk}/whole/file/?key="
    assert whole in page
    assert one_file in page
    answer = signed_in.get(one_file)
    text = answer.content.decode()
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "otlp/34999:" in text
    assert "secret-34999" not in text
    said = signed_in.get(whole).json()
    assert len(said["health"]["components"]) == COMPONENTS
    assert len(said["non_identifying_attributes"]) > 2_000
    assert "hunter2" not in str(said)
    assert signed_in.get(f"{one_file}other").status_code == 404


def test_one_download_is_made_at_a_time(signed_in: Client, report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = report()
    monkeypatch.setattr(whole, "_PATIENCE_SECONDS", 0.0)
    url = f"/admin/agents/agent/{agent.pk}/whole/"
    with whole._one_at_a_time:
        answer = signed_in.get(url, follow=True)
        assert "Another download is being prepared" in answer.content.decode()
    assert signed_in.get(url).json()["effective_config"] == {"": {"body": "receivers: {}\n"}}


def test_unhealthy_components_are_shown_first(signed_in: Client, report: Any) -> None:
    below: dict[str, Any] = {f"a{number}": {"healthy": True} for number in range(whole.MOST_NODES * 2)}
    tree = {"healthy": False, "components": {**below, "zzz-broken": {"healthy": False, "last_error": "no route"}}}
    agent = report(health=ComponentHealth(False, "", "no route", 0, 0, tree))
    page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    assert "zzz-broken" in page.partition('id="effective"')[0]


def test_two_large_configurations_are_compared_on_a_small_page(signed_in: Client) -> None:
    for name, port in (("left", 1), ("right", 2)):
        body = "receivers:\n" + "".join(
            f"  otlp/{port}{number}:\n    endpoint: {'host' * 100}:{port}\n" for number in range(500)
        )
        draft = Draft(selector={"env": name}, files={"": ConfigFile(body.encode(), "text/yaml")})
        create_configuration(name, draft, by=None, at=timezone.now())
    pages = {"/admin/compare/?left=configuration:left&right=configuration:right": {}}
    answer = signed_in.get(next(iter(pages))).content.decode()
    assert "diff-line" in answer
    assert too_large(signed_in, pages) == {}


def test_error_texts_over_rest_are_bounded(api_of: Any, alice: Any, large: Agent) -> None:
    api = api_of(alice)
    one = api.get(f"/api/v1/agents/{large.instance_uid}").json()
    desired = api.get(f"/api/v1/configurations/{NAME}/agents").json()["results"][0]
    rollout = api.get(f"/api/v1/rollouts/{Rollout.objects.get().pk}/agents").json()["results"][0]
    texts = [
        one["remote_config_status"]["error_message"],
        one["health"]["last_error"],
        desired["error_message"],
        rollout["error_message"],
    ]
    for text in texts:
        assert "lorem" in text
        assert "hunter2" not in text
        assert len(text) <= MOST_OF_A_MESSAGE + 10


def test_no_number_of_components_and_connectors_makes_the_picture_of_pipelines_large(
    signed_in: Client, report: Any
) -> None:
    connectors = [f"forward/{'x' * 80}{number}" for number in range(30)]
    pipelines = {f"traces/{number}": {"receivers": connectors, "exporters": connectors} for number in range(40)}
    text = json.dumps({"connectors": dict.fromkeys(connectors), "service": {"pipelines": pipelines}})
    ill = {f"connector:{name}": {"healthy": False, "last_error": "broken " * 60} for name in connectors}
    tree = {"components": {f"pipeline:{name}": {"components": ill} for name in pipelines}}
    agent = report(
        "g",
        effective_config=EffectiveConfig({"": {"body": text}}),
        health=ComponentHealth(False, "broken", "", 0, 0, {"healthy": False, **tree}),
    )
    answer = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/")
    assert b'class="pipelines"' in answer.content
    assert b"that are not shown" in answer.content
    assert len(answer.content) < MOST_BYTES
