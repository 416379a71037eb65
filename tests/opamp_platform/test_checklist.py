"""The first steps on the overview: ticked off by facts, gone when all are done or when a person says so."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from agents.models import Agent, AgentEvent
from agents.remote_config import ConfigFile
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration
from foundation.clock import clock

pytestmark = pytest.mark.django_db
TITLES = ["Connect an agent", "See it here", "Publish a configuration", "Watch it arrive"]


def shown(client: Any) -> list[bool] | None:
    """Which of the steps are done; ``None`` without a checklist."""
    page = client.get("/admin/").content.decode()
    if 'id="checklist"' not in page:
        assert "dismiss-checklist" not in page
        return None
    steps = page[page.index('id="checklist"') :].split("<li")[1:5]
    assert [title for title, step in zip(TITLES, steps, strict=True) if title in step] == TITLES
    assert page.count('aria-current="step"') == 1
    return ["is-done" in step for step in steps]


def test_steps_are_ticked_off_by_facts(signed_in, alice, report):
    assert shown(signed_in) == [False] * 4
    report("a", env="prod")
    assert shown(signed_in) == [True, True, False, False]
    Agent.objects.update(connected=False)
    assert shown(signed_in) == [True, False, False, False]
    draft = Draft(selector={"env": "elsewhere"}, files={"": ConfigFile(b"exporters: {debug: {}}\n", "text/yaml")})
    row, _findings = create_configuration("first", draft, by=alice, at=clock.now())
    Agent.objects.update(connected=True)
    assert shown(signed_in) == [True, True, True, False]
    assert f"/{row.pk}/change/#progress" in signed_in.get("/admin/").content.decode()
    Agent.objects.update(in_sync=True)
    assert shown(signed_in) is None
    # While it applies another one it is not in sync, and the steps do not come back.
    Agent.objects.update(in_sync=False)
    assert shown(signed_in) is not None
    AgentEvent.objects.create(agent=Agent.objects.get(), kind=AgentEvent.Kind.APPLIED, at=clock.now())
    assert shown(signed_in) is None


def test_one_person_dismisses_it_for_themselves(signed_in, client, alice, django_user_model):
    page = signed_in.get("/admin/").content.decode()
    action = re.search(r'id="dismiss-checklist" action="([^"]+)"', page)
    assert action is not None
    assert signed_in.get(action[1]).status_code == 405
    assert signed_in.post(action[1]).url == "/admin/"
    cookie = signed_in.cookies[f"checklist-{alice.pk}"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"]) == ("Lax", "/admin/")
    assert shown(signed_in) is None
    other = django_user_model.objects.create_superuser("other", password="other-password")
    signed_in.force_login(other)
    assert shown(signed_in) == [False] * 4


def test_it_is_for_those_who_may_do_the_steps(client, bob, charlie):
    client.force_login(bob)
    assert shown(client) is None
    bob.user_permissions.add(Permission.objects.get(codename="add_configuration"))
    client.force_login(type(bob).objects.get(pk=bob.pk))
    assert shown(client) == [False] * 4
    client.force_login(charlie)
    assert shown(client) is None


def test_the_way_to_a_first_agent_is_offered_once(signed_in, report):
    """By the first step; without the steps by a button; beside a fleet by a quiet link."""

    def offered() -> list[str]:
        main = signed_in.get("/admin/").content.decode().partition('id="content-start"')[2]
        return re.findall(r'<a(?: class="([\w-]+)")? href="/admin/connect/"', main)

    assert offered() == ["button"]
    signed_in.post("/admin/checklist/dismiss/")
    assert offered() == ["button"]
    report("a", env="prod")
    assert offered() == ["quiet-link"]
