"""Each form and each bulk action of the admin leaves exactly one audit entry: what was done, by whom, to what."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from agents.credentials import new_number
from agents.models import Agent, ReportedState
from agents.remote_config import ConfigFile
from configurations.models import Configuration
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration

pytestmark = pytest.mark.django_db
AGENTS = "/admin/agents/agent/"
CONFIGURATIONS = "/admin/configurations/configuration/"
FORM = {
    "name": "created",
    "display_name": "",
    "description": "",
    "priority": "0",
    "enabled": "on",
    "selector": '{"env": "prod"}',
    "content_type": "yaml",
    "config_key": "",
    "raw_config": "a: 3\r\n",
    "note": "",
    "stage": "publish",
    "shown_count": "2",
}


@dataclass
class Scene:
    """Two agents that run the second revision of a configuration, and a browser that is signed in."""

    client: Client
    configuration: Configuration
    agents: list[Agent]

    @property
    def page(self) -> str:
        """URL of the first agent."""
        return f"{AGENTS}{self.agents[0].pk}/"

    @property
    def configuration_page(self) -> str:
        """URL of the configuration."""
        return f"{CONFIGURATIONS}{self.configuration.pk}/"

    def confirm(self, url: str) -> Any:
        """Answer the question that ``url`` asks."""
        page = self.client.get(url).content.decode()
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
        return self.client.post(url, {name: html.unescape(value) for name, value in fields})

    def act(self, action: str, **more: str) -> Any:
        """A bulk action on both agents, confirmed."""
        chosen = {"action": action, "_selected_action": [agent.pk for agent in self.agents]}
        return self.client.post(AGENTS, {**chosen, "confirmed": "1", "shown_count": "2", **more})


@pytest.fixture
def scene(client: Client, alice: User, report: Callable[..., Agent], settings: Settings) -> Scene:
    settings.OPAMP_AGENT_CREDENTIALS = True
    at = timezone.now()

    def draft(text: bytes) -> Draft:
        return Draft(selector={"env": "prod"}, files={"": ConfigFile(text, "text/yaml")})

    create_configuration("kept", draft(b"a: 1\n"), by=None, at=at)
    update_configuration("kept", draft(b"a: 2\n"), by=None, at=at)
    agents = [report(name, env="prod") for name in ("one", "two")]
    ReportedState.objects.update(custom_capabilities=["io.example.snapshot"])
    for agent in agents:
        Agent.objects.filter(pk=agent.pk).update(credential_number=new_number(), credential_issued_at=at)
    client.force_login(alice)
    AuditEntry.objects.all().delete()
    return Scene(client, Configuration.objects.get(), agents)


def entries() -> list[tuple[str, str, str, str]]:
    """Verb, actor, object and its key of every entry, oldest first."""
    rows = AuditEntry.objects.select_related("actor").order_by("pk")
    return [(row.verb, row.actor.username if row.actor else "", row.object_name, row.object_id) for row in rows]


EDIT = {**FORM, "name": "kept", "expected_revision": "2"}
MESSAGE = {"message-capability": "io.example.snapshot", "message-message_type": "take", "message-text": "now"}
SIGNED = {"confirm_password": "alice-password"}

FORMS: dict[str, tuple[str, Callable[[Scene], Any]]] = {
    "publish": ("configuration.update", lambda on: on.client.post(on.configuration_page + "change/", EDIT)),
    "roll back": ("configuration.update", lambda on: on.confirm(on.configuration_page + "rollback/1/")),
    "disable": ("configuration.update", lambda on: on.confirm(on.configuration_page + "switch/")),
    "delete": ("configuration.delete", lambda on: on.confirm(on.configuration_page + "delete/")),
    "show secrets": (
        "configuration.reveal_secrets",
        lambda on: on.client.post(on.configuration_page + "secrets/", SIGNED),
    ),
    "retry": ("configuration.retry", lambda on: on.client.post(f"{CONFIGURATIONS}retry/{on.agents[0].pk}/")),
    "edit": ("agent.edit", lambda on: on.client.post(on.page + "change/", {"custom_name": "", "label_lines": "a=b"})),
    "notes": ("agent.edit", lambda on: on.client.post(on.page + "change/", {"custom_name": "", "notes": "n"})),
    "restart": ("agent.restart", lambda on: on.client.post(on.page + "restart/")),
    "new uid": ("agent.assign_uid", lambda on: on.client.post(on.page + "uid/")),
    "message": ("agent.custom_message", lambda on: on.client.post(on.page + "message/", MESSAGE)),
    "revoke": ("agent.revoke_credential", lambda on: on.client.post(on.page + "revoke/")),
    "enrolment": ("agent.allow_enrolment", lambda on: on.client.post(on.page + "enrolment/")),
    "forget": ("agent.forget", lambda on: on.client.post(on.page + "delete/", {"post": "yes"})),
    "show reported secrets": ("agent.reveal_secrets", lambda on: on.client.post(on.page + "secrets/", SIGNED)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_leaves_one_entry(scene: Scene, form: str) -> None:
    verb, send = FORMS[form]
    about_agent = verb.startswith("agent.") or form == "retry"
    key = scene.agents[0].pk if about_agent else scene.configuration.pk
    answer = send(scene)
    assert answer.status_code in {200, 302}, answer.content.decode()
    assert entries() == [(verb, "alice", "one (otelcol)" if about_agent else "kept", str(key))]


def test_a_new_configuration_leaves_one_entry(scene: Scene) -> None:
    answer = scene.client.post(CONFIGURATIONS + "add/", {**FORM, "priority": "5"})
    assert answer.status_code == 302, answer.content.decode()
    key = Configuration.objects.get(name="created").pk
    assert entries() == [("configuration.create", "alice", "created", str(key))]


def test_enabling_leaves_one_entry(scene: Scene) -> None:
    scene.confirm(scene.configuration_page + "switch/")
    scene.confirm(scene.configuration_page + "switch/")
    assert [verb for verb, *_ in entries()] == ["configuration.update"] * 2
    assert Configuration.objects.get().enabled


def test_rolling_back_one_that_is_disabled_leaves_it_disabled(scene: Scene) -> None:
    scene.confirm(scene.configuration_page + "switch/")
    assert not Configuration.objects.get().enabled
    assert scene.confirm(scene.configuration_page + "rollback/1/").status_code == 302
    row = Configuration.objects.select_related("current").get()
    assert row.current is not None
    assert (row.enabled, row.current.enabled, row.current.files[""]["body"]) == (False, False, "a: 1\n")
    assert not Agent.objects.exclude(configuration_name="").exists()


ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "restart": ("agent.restart", {}),
    "relabel": ("agent.edit", {"put": "team=a", "remove": ""}),
    "revoke": ("agent.revoke_credential", {}),
    "allow_enrolment": ("agent.allow_enrolment", {}),
    "forget": ("agent.forget", {}),
    "offer_again": ("configuration.retry", {}),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_bulk_action_leaves_one_entry_that_lists_its_agents(scene: Scene, action: str) -> None:
    verb, more = ACTIONS[action]
    assert scene.act(action, **more).status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor_name) == (verb, "alice")
    assert entry.data["count"] == 2
    for agent in scene.agents:
        assert agent.name_and_host() in str(entry.data)
