"""The page of what people did to one thing: from the audit trail, in the reader's language, wherever it was done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps as django_apps
from django.utils import timezone

from accounts import history
from accounts.services import issue_token, record
from agents.remote_config import ConfigFile
from agents.services import editing
from configurations.services import publishing
from configurations.services.publishing import Draft

pytestmark = pytest.mark.django_db
ZH = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9"}


def said(client: Any, url: str, **extra: Any) -> list[tuple[str, str]]:
    """Who and what, newest first."""
    answer = client.get(url, **extra)
    assert answer.status_code == 200
    return re.findall(r"</time></td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", answer.content.decode())


def test_an_edit_names_its_fields_in_the_readers_language(signed_in, report, alice):
    agent = report("a")
    now = timezone.now()
    editing.edit_agent(agent.pk, by=alice, at=now, notes="x", custom_name="edge", operator_labels={"a": "b"})
    url = f"/admin/agents/agent/{agent.pk}/history/"
    assert said(signed_in, url) == [("alice", "Edited: Operator&#x27;s name, Notes, Operator labels")]
    [(_who, chinese)] = said(signed_in, url, **ZH)
    assert "Notes" not in chinese
    assert "备注" in chinese


def test_edits_of_many_and_over_rest_are_there(signed_in, report, alice, api_of):
    one, other = report("a"), report("b")
    editing.edit_labels([one.pk, other.pk], assign={"team": "x"}, remove=(), by=alice, at=timezone.now())
    api_of(alice).patch(f"/api/v1/agents/{one.instance_uid}", {"notes": "x"})
    assert said(signed_in, f"/admin/agents/agent/{one.pk}/history/") == [
        ("alice", "Edited: Notes"),
        ("alice", "Edited: Operator labels"),
    ]
    assert said(signed_in, f"/admin/agents/agent/{other.pk}/history/") == [("alice", "Edited: Operator labels")]
    # Not those whose number only begins or ends alike, nor what an agent calls itself.
    agent = report("c")
    record(by=alice, verb="agent.edit", target=agent, name=f'"id": "{other.pk}"', data={"notes": f'"id": "{other.pk}"'})
    assert len(said(signed_in, f"/admin/agents/agent/{other.pk}/history/")) == 1


def test_a_configuration_names_its_revisions(signed_in, alice):
    draft = Draft(selector={"env": "x"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    row, _findings = publishing.create_configuration("c", draft, by=alice, at=timezone.now())
    new = Draft(selector={"env": "y"}, priority=3, files={"": ConfigFile(b"a: 2\n", "text/yaml")})
    publishing.update_configuration("c", new, by=alice, at=timezone.now())
    assert said(signed_in, f"/admin/configurations/configuration/{row.pk}/history/") == [
        ("alice", "Edited (revision 2): Priority, Selector, Files"),
        ("alice", "Created (revision 1)"),
    ]


def test_people_and_tokens_have_theirs(signed_in, alice, bob):
    token, _text = issue_token(bob, name="ci", by=alice)
    assert said(signed_in, f"/admin/accounts/apitoken/{token.pk}/history/") == [("alice", "Issued")]
    record(
        by=alice, verb="user.edit", target=bob, name="bob", data={"changed": {"email": ["", "x"], "roles": [[], []]}}
    )
    assert said(signed_in, f"/admin/accounts/user/{bob.pk}/history/")[0] == ("alice", "Edited: Email address, Roles")


def test_values_stay_in_the_trail(signed_in, report, alice):
    agent = report("a")
    editing.edit_agent(agent.pk, by=alice, at=timezone.now(), notes="confidential-word")
    url = f"/admin/agents/agent/{agent.pk}/history/"
    assert b"confidential-word" not in signed_in.get(url).content


def test_a_long_history_shows_its_newest_part(signed_in, report, alice, monkeypatch):
    monkeypatch.setattr("accounts.base_admin.MOST_ACTS", 2)
    agent = report("a")
    for number in range(3):
        editing.edit_agent(agent.pk, by=alice, at=timezone.now(), notes=str(number))
    url = f"/admin/agents/agent/{agent.pk}/history/"
    assert len(said(signed_in, url)) == 2
    assert b"The newest 2 are shown." in signed_in.get(url).content


def test_every_verb_that_is_written_has_words():
    written = set(re.findall(r'verb="([\w.]+)"', "\n".join(path.read_text("utf-8") for path in _sources())))
    written |= set(
        re.findall(r'_record\([^"()]*"(\w+\.\w+)"', "\n".join(path.read_text("utf-8") for path in _sources()))
    )
    assert "job.start" in written
    assert written <= set(history._VERBS)


def _sources() -> list[Any]:
    from tests.live_server import ROOT

    apps = (ROOT / config.name for config in django_apps.get_app_configs() if (ROOT / config.name).is_dir())
    return [path for app in apps for path in app.rglob("*.py")]
