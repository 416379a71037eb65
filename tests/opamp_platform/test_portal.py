"""The first page: counts, configurations, events; and what it teaches while there is nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration

pytestmark = pytest.mark.django_db


def shown(client: Any) -> str:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return str(answer.content.decode())


def publish(name: str, env: str) -> None:
    files = {"": ConfigFile(b"a: 1\n", "text/yaml")}
    create_configuration(name, Draft(selector={"env": env}, files=files), by=None, at=timezone.now())


def test_an_empty_portal_teaches(client, alice):
    client.force_login(alice)
    body = shown(client)
    assert "endpoint: ws://testserver/v1/opamp" in body
    assert "simulate_agents" in body
    assert "Create the first configuration" in body
    assert "wss://" in client.get("/admin/", secure=True).content.decode()


def test_cards_count_by_status_and_lead_to_the_list(client, alice, report):
    report("a", healthy=False)
    report("b")
    report("c", env="prod")
    publish("prod", "prod")
    client.force_login(alice)
    body = re.sub(r"\s+", " ", shown(client))
    for status, number in (("error", 1), ("configuring", 1), ("connected", 1), ("disconnected", 0)):
        assert f'href="/admin/agents/agent/?status={status}"><strong>{number}</strong>' in body
    assert "0 of 1 applied" in body
    assert "1 pending" in body
    assert "Configuration prod r1 assigned" in body
    assert "No agent yet" not in body


@pytest.mark.usefixtures("lasting_bell")
def test_it_costs_the_same_few_queries_whatever_it_shows(client, alice, report):
    client.force_login(alice)
    report("a", env="prod")
    publish("one", "prod")
    shown(client)
    with CaptureQueriesContext(connection) as few:
        shown(client)
    for number in range(5):
        report(f"b{number}", env="prod")
        publish(f"more-{number}", "prod")
    with CaptureQueriesContext(connection) as many:
        shown(client)
    assert len(few) == len(many) <= 23


def test_what_people_may_not_see_is_not_counted_for_them(client, bob, charlie, report):
    report("a")
    client.force_login(bob)
    body = shown(client)
    assert "status-card" in body
    assert "Create the first configuration" not in body
    client.force_login(charlie)
    body = shown(client)
    assert "status-card" not in body
    assert "otelcol" not in body
