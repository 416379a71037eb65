"""Before something is published: from which configurations it takes agents, what changes for them, and who gets something."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.models import Configuration
from configurations.previewing import SAMPLE, Taken, preview
from configurations.services import publishing
from configurations.services.publishing import Draft

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"
FORM = {"name": "new", "enabled": "on", "priority": "5", "selector": '{"env": "prod"}', "raw_config": "a: 2\n"}


def published(name: str, body: bytes = b"a: 1\n", priority: int = 0, **selector: str) -> Configuration:
    draft = Draft(selector=selector, priority=priority, files={"": ConfigFile(body, "text/yaml")})
    return publishing.create_configuration(name, draft, by=None, at=timezone.now())[0]


def shown(client: Any, page: str, form: dict[str, str]) -> str:
    answer = client.post(page, form)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_new_one_names_those_it_takes_agents_from_and_what_changes_for_them(signed_in, report):
    published("old", region="eu")
    report(env="prod", region="eu")
    report(env="prod", region="eu")
    report(env="prod")
    body = shown(signed_in, LIST + "add/", FORM)
    assert "<strong>2</strong>: taken from old" in body
    assert "<strong>1</strong>: no configuration of this portal" in body
    difference = re.search(r"What changes for them, compared with old\s*</summary>(.*?)</details>", body, re.DOTALL)
    assert difference
    assert "-a: 1" in difference[1]
    assert "+a: 2" in difference[1]


def test_an_edit_names_those_it_takes_newly(signed_in, report):
    published("old", region="eu")
    row = published("mine", env="dev")
    report(env="prod", region="eu")
    report(env="dev", region="eu", team="x")
    form = {**FORM, "display_name": "", "description": "", "priority": "9", "expected_revision": "1"}
    body = shown(signed_in, f"{LIST}{row.pk}/change/", form)
    assert "<strong>1</strong>: taken from old" in body
    assert "taken from mine" not in body


def test_nobody_is_listed_who_gets_nothing(signed_in, report):
    """Another description changes nothing for the agents that run it."""
    row = published("mine", b"a: 2\n", priority=5, env="prod")
    agent = report(env="prod")
    form = {**FORM, "display_name": "", "description": "other words", "expected_revision": "1"}
    body = shown(signed_in, f"{LIST}{row.pk}/change/", form)
    assert "<strong>0</strong>" in body
    assert "Agents that get it" not in body
    assert agent.instance_uid.hex[:8] not in body


def test_without_new_files_only_the_newcomers_are_listed(signed_in, report):
    row = published("mine", b"a: 2\n", priority=5, env="prod", region="eu")
    report(env="prod", region="eu", hostname="stays")
    report(env="prod", hostname="comes")
    form = {**FORM, "display_name": "", "description": "", "expected_revision": "1"}
    body = shown(signed_in, f"{LIST}{row.pk}/change/", form)
    listed = re.findall(r'<ul class="sample">(.*?)</ul>', body, re.DOTALL)
    assert len(listed) == 1
    assert listed[0].count("<li>") == 1


def test_the_sample_of_newcomers_is_bounded_and_the_rest_counted(report):
    for _number in range(SAMPLE + 2):
        report(env="prod")
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    found = preview(draft, name=None)
    assert (found.gained, len(found.newcomers)) == (SAMPLE + 2, SAMPLE)
    assert found.taken == [Taken("", SAMPLE + 2)]


def test_rest_says_it_too(api_of, alice, report):
    published("old", region="eu")
    report(env="prod", region="eu")
    body = {"selector": {"env": "prod"}, "priority": 9, "raw_config": "a: 2\n"}
    found = api_of(alice).post("/api/v1/configurations/preview", body).json()
    assert found["taken"] == [{"name": "old", "agents": 1}]


def test_rolling_back_and_switching_land_on_the_progress_too(signed_in, report):
    row = published("mine", env="prod")
    report(env="prod")
    url = f"{LIST}{row.pk}/switch/"
    answer = signed_in.post(url, {"expected_edition": str(row.edition), "shown_count": "1"})
    assert answer.status_code == 302
    assert answer["location"] == f"{LIST}{row.pk}/change/#progress"
    assert 'id="progress"' in signed_in.get(f"{LIST}{row.pk}/change/").content.decode()


def test_the_page_says_which_edition_it_shows_and_who_made_it(signed_in, alice):
    row = published("mine", env="prod")
    files = {"": ConfigFile(b"a: 3\n", "text/yaml")}
    publishing.update_configuration("mine", Draft(selector={"env": "prod"}, files=files), by=alice, at=timezone.now())
    body = re.sub(r"\s+", " ", signed_in.get(f"{LIST}{row.pk}/change/").content.decode())
    assert f'data-edition="{Configuration.objects.get().edition}" data-revision="2"' in body
    assert "Revision 2 was published by alice meanwhile" in body
