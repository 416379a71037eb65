"""Connection settings in the admin, without JavaScript: made, looked at, confirmed, released, moved, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.stored_contents import content_of
from rollouts.models import Rollout
from tests.connections.conftest import TOKEN
from tests.html_forms import fields_of
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
ACCEPTS = CAPABLE | 0x20 | 0x40 | 0x80 | 0x100 | 0x8000
LIST = "/admin/connections/connectionsettings/"


def typed(**values: Any) -> dict[str, Any]:
    return {
        "name": "site",
        "selector": '{"env": "prod"}',
        "priority": "0",
        "enabled": "on",
        "opamp_keep_credentials": "on",
        "own_metrics_endpoint": "https://otel.example/v1/metrics",
        "own_metrics_headers": f"Authorization: Bearer {TOKEN}\r\nX-Tenant: a",
        **values,
    }


def confirmed(client: Client, url: str, values: dict[str, Any], **more: Any) -> Any:
    """Post, and post once more what the page that asks has in it."""
    asked = client.post(url, values)
    page = asked.content.decode()
    assert asked.status_code == 200, page
    assert 'name="confirmed"' in page, page
    return client.post(url, {**fields_of(page), "release-how": "as_set", **more})


def make(client: Client, **values: Any) -> ConnectionSettings:
    answer = confirmed(client, f"{LIST}add/", typed(**values))
    assert answer.status_code == 302, answer.content.decode()
    return ConnectionSettings.objects.get(name=values.get("name", "site"))


def page_of(row: ConnectionSettings) -> str:
    return reverse("admin:connections_connectionsettings_change", args=[row.pk])


def test_from_the_empty_list_to_an_agent(signed_in: Client, report: Any) -> None:
    agent = report(env="prod", capabilities=ACCEPTS)
    assert signed_in.get(LIST).status_code == 200
    assert signed_in.get(f"{LIST}add/").status_code == 200
    asked = signed_in.post(f"{LIST}add/", typed()).content.decode()
    assert "It concerns 1 agent." in asked
    assert not ConnectionSettings.objects.exists()
    row = make(signed_in)
    stored = content_of(SettingsVersion.objects.get())
    assert stored == {
        "own_metrics": {
            "endpoint": "https://otel.example/v1/metrics",
            "headers": {"Authorization": f"Bearer {TOKEN}", "X-Tenant": "a"},
        }
    }
    shown = signed_in.get(page_of(row)).content.decode()
    assert TOKEN not in shown
    assert "Authorization: [redacted]" in shown
    assert "web-1" in shown
    of_agent = signed_in.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert "Connection settings</h3>" in of_agent
    assert "https://otel.example/v1/metrics" in of_agent
    assert signed_in.get(f"{LIST}?enabled__exact=1&q=site").status_code == 200


def test_a_hidden_value_stays_and_an_edit_is_a_version(signed_in: Client, report: Any) -> None:
    report(env="prod", capabilities=ACCEPTS)
    row = make(signed_in)
    fields = fields_of(signed_in.get(page_of(row)).content.decode())
    answer = confirmed(signed_in, page_of(row), {**fields, "own_logs_endpoint": "https://otel.example/v1/logs"})
    assert answer.status_code == 302, answer.content.decode()
    stored = content_of(SettingsVersion.objects.get(number=2))
    assert stored["own_metrics"]["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert AgentConnection.objects.get().version == SettingsVersion.objects.get(number=2)
    # Somebody else's page is of the edition before.
    late = signed_in.post(page_of(row), {**fields, "priority": "5", "confirmed": "1", "shown_count": "1"})
    assert "Somebody else has changed the settings" in late.content.decode()
    back = reverse("admin:connection_release", args=[row.pk, 1])
    assert "It concerns 1 agent." in signed_in.get(back).content.decode()
    assert signed_in.post(back, {"release-how": "as_set", "shown_count": "1"}).status_code == 302
    assert AgentConnection.objects.get().version == SettingsVersion.objects.get(number=1)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"own_metrics_endpoint": "https://otel.example"}, "Write the whole URL with its path"),
        ({"own_metrics_headers": "Authorization: a\r\nauthorization: b"}, "Each header is named once."),
        ({"own_metrics_headers": "A: x\r\nA: y"}, "This is no name of a header."),
        ({"own_metrics_headers": "nonsense"}, "Values of headers have"),
        ({"own_metrics_headers": "Authorization: [redacted]"}, "There is no stored value that could stay"),
        ({"opamp_endpoint": "wss://h/v1/opamp"}, "Say how agents verify the server"),
        ({"opamp_endpoint": "ws://h/v1/opamp", "opamp_heartbeat_seconds": "0"}, "Write whole seconds from 1"),
        ({"other_connections": "{"}, "Enter a valid JSON."),
        ({"own_metrics_endpoint": ""}, "Name at least one connection."),
        ({"selector": '{"env": {"a": 1}}'}, "env"),
    ],
)
def test_what_cannot_be_meant_is_said_in_the_form(signed_in: Client, bad: dict[str, str], text: str) -> None:
    page = signed_in.post(f"{LIST}add/", typed(**bad)).content.decode()
    assert text in page
    assert 'name="confirmed"' not in page
    assert not ConnectionSettings.objects.exists()


def test_in_stages(signed_in: Client, report: Any) -> None:
    report(env="prod", ring="0", capabilities=ACCEPTS)
    asked = signed_in.post(f"{LIST}add/", typed()).content.decode()
    staged = {**fields_of(asked), "release-how": "staged", "release-stages": "ring=0"}
    planned = signed_in.post(f"{LIST}add/", {**staged, "stage": "stages"}).content.decode()
    assert "ring" in planned
    assert not ConnectionSettings.objects.exists()
    assert signed_in.post(f"{LIST}add/", staged).status_code == 302
    assert Rollout.objects.get().subject == "connection_settings"
    page = signed_in.get(reverse("admin:rollouts_rollout_change", args=[Rollout.objects.get().pk]))
    assert page.status_code == 200


def test_moving_agents(signed_in: Client, report: Any) -> None:
    report(env="prod", capabilities=ACCEPTS)
    row = make(signed_in)
    move = reverse("admin:connection_move", args=[row.pk])
    assert signed_in.get(move).status_code == 200
    nowhere = signed_in.post(move, {"opamp_endpoint": "", "opamp_keep_credentials": "on"}).content.decode()
    assert "not empty" in nowhere
    values = {"opamp_endpoint": "ws://new.example/v1/opamp", "opamp_keep_credentials": "on", "note": "to the new site"}
    asked = signed_in.post(move, values).content.decode()
    assert "ws://new.example/v1/opamp" in asked
    assert "client certificate" not in asked
    AgentConnection.objects.update(by_certificate=True)
    assert (
        "Come with a client certificate, so they are not led elsewhere: 1"
        in signed_in.post(move, values).content.decode()
    )
    AgentConnection.objects.update(by_certificate=False)
    assert SettingsVersion.objects.count() == 1
    assert signed_in.post(move, {**fields_of(asked), "release-how": "as_set"}).status_code == 302
    newest = SettingsVersion.objects.get(number=2)
    assert (newest.note, newest.origin) == ("to the new site", "http://new.example:80")
    page = signed_in.get(f"{page_of(row)}?move=here").content.decode()
    assert "still here" in page
    assert "web-1" in page
    assert "web-1" not in signed_in.get(f"{page_of(row)}?move=failed").content.decode()
    again = signed_in.post(move, {**fields_of(asked), "release-how": "as_set"}).content.decode()
    assert "led there already" in again


def test_told_once_more(signed_in: Client, report: Any) -> None:
    agent = report(env="prod", capabilities=ACCEPTS)
    make(signed_in)
    again = reverse("admin:connection_offer_again", args=[agent.pk])
    assert signed_in.get(again).status_code == 405
    assert "is about to be told" in signed_in.post(again, follow=True).content.decode()
    AgentConnection.objects.update(status="failed", error_message=f"no Bearer {TOKEN}")
    shown = signed_in.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert "Tell it once more" in shown
    assert TOKEN not in shown
    assert "with its next message" in signed_in.post(again, follow=True).content.decode()
    assert AgentConnection.objects.get().status == "pending"


def test_deleted_only_when_nobody_has_them(signed_in: Client, report: Any) -> None:
    report(env="prod", capabilities=ACCEPTS)
    row = make(signed_in)
    delete = reverse("admin:connections_connectionsettings_delete", args=[row.pk])
    assert "disable them first" in signed_in.post(delete, {"post": "yes"}, follow=True).content.decode()
    fields = fields_of(signed_in.get(page_of(row)).content.decode())
    fields.pop("enabled")
    assert confirmed(signed_in, page_of(row), fields).status_code == 302
    assert signed_in.post(delete, {"post": "yes"}).status_code == 302
    assert not ConnectionSettings.objects.exists()


def test_who_may_look_sees_and_changes_nothing(client: Client, signed_in: Client, bob: Any, charlie: Any) -> None:
    row = make(signed_in)
    client.force_login(bob)
    page = client.get(page_of(row))
    assert page.status_code == 200
    assert TOKEN not in page.content.decode()
    for url in (page_of(row), reverse("admin:connection_move", args=[row.pk])):
        assert client.post(url, typed()).status_code == 403
    client.force_login(charlie)
    assert client.get(page_of(row)).status_code == 403
