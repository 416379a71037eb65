"""What an editor asks for: what can be completed, by what agents say and who may see what, and the files that are live."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.models import Agent
from agents.redaction import HIDDEN
from agents.remote_config import ConfigFile
from agents.reports import AvailableComponents
from configurations.models import Configuration
from configurations.reported_components import reported_components, types_by_section
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration
from foundation.clock import clock
from variables.models import Secret, Variable

pytestmark = pytest.mark.django_db
URL = "/admin/configurations/configuration/completions/"
PROD = '{"env": "prod"}'


def having(*types: str) -> AvailableComponents:
    return AvailableComponents(",".join(types).encode(), {"receivers": {"components": {key: {} for key in types}}})


def grant(person: Any, *codenames: str) -> None:
    person.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


class TestCompletions:
    def test_components_are_those_that_the_matched_agents_report(self, signed_in, report):
        report("a", env="prod", available_components=having("otlp", "nop"))
        report("b", env="prod", available_components=having("otlp", "kafka"))
        report("c", env="dev", available_components=having("zipkin"))
        found = signed_in.post(URL, {"selector": PROD}).json()
        assert found["components"] == {"receivers": ["kafka", "nop", "otlp"]}
        assert found["source"] == "reported by agents"
        assert "schemas" not in found

    @pytest.mark.parametrize("selector", ["", PROD, '{"env": ', "[" * 2_000])
    def test_without_reports_they_are_the_known_ones(self, signed_in, selector):
        found = signed_in.post(URL, {"selector": selector, "schemas": "1"}).json()
        assert {"hostmetrics", "otlp"} <= set(found["components"]["receivers"])
        assert found["source"] == ""
        kind = found["schemas"]["components"]["exporters"]["otlp"]
        assert "sending_queue" in found["schemas"]["types"][kind]

    def test_names_are_told_to_those_who_may_see_them(self, client, charlie, signed_in, alice, report):
        report("a", env="prod", available_components=having("nop"))
        Variable.objects.create(name="region", value="never told")
        Secret.objects.create(name="api_key", encrypted="x")
        client.force_login(alice)
        found = client.post(URL, {"selector": PROD})
        assert (found.json()["vars"], found.json()["secrets"]) == (["region"], ["api_key"])
        assert "env" in found.json()["labels"]
        assert "never told" not in found.content.decode()
        grant(charlie, "add_configuration")
        client.force_login(charlie)
        found = client.post(URL, {"selector": PROD}).json()
        assert found["vars"] == found["secrets"] == found["labels"] == []
        assert "otlp" in found["components"]["receivers"]

    def test_they_are_for_those_who_edit(self, client, bob, charlie, alice):
        for person in (bob, charlie):
            client.force_login(person)
            assert client.post(URL, {}).status_code == 403
        client.force_login(alice)
        assert client.get(URL).status_code == 405
        assert client.post(URL, {"configuration": "9" * 30}).status_code == 404

    def test_reports_are_read_once(self, signed_in, report):
        report("a", env="prod", available_components=having("once", "twice"))
        with CaptureQueriesContext(connection) as first:
            reported_components(Agent.objects.all())
        with CaptureQueriesContext(connection) as second:
            assert reported_components(Agent.objects.all()) == {"receivers": ["once", "twice"]}
        assert len(second) == len(first) - 1 == 1


def test_strange_reports_have_no_types() -> None:
    assert types_by_section(["a"]) == types_by_section({"receivers": {"components": ["a"]}, "b": 1}) == {}


@pytest.fixture
def live(alice: Any) -> Configuration:
    text = "exporters:\n  otlp:\n    headers: {authorization: Bearer hide-this-token}\n"
    draft = Draft(selector={"env": "prod"}, files={"a.yaml": ConfigFile(text.encode()), "b": ConfigFile(b"\xff\x00")})
    row, _findings = create_configuration("live", draft, by=alice, at=clock.now())
    return row


def test_live_files_are_shown_as_the_form_shows_them(signed_in, client, charlie, live):
    url = reverse("admin:configuration_live_files", args=[live.pk])
    answer = signed_in.get(url)
    assert set(answer.json()["files"]) == {"a.yaml", "b"}
    assert answer.json()["files"]["b"] == ""
    assert "hide-this-token" not in answer.content.decode()
    assert HIDDEN in answer.json()["files"]["a.yaml"]
    assert signed_in.post(url).status_code == 405
    assert signed_in.get(url.replace(str(live.pk), "9" * 30)).status_code == 404
    client.force_login(charlie)
    assert client.get(url).status_code == 403


def test_problems_say_where_they_are(signed_in):
    form = {"name": "a", "kind": "whole", "raw_config": "receivers:\n  otlp: {}\n  otlp: {}\n", "priority": "0"}
    (found,) = signed_in.post("/admin/configurations/configuration/problems/", form).json()["findings"]
    assert (found["place"], found["line"], found["column"], found["severity"]) == (0, 3, 3, "error")
    assert "otlp" in found["message"]


def test_the_form_gives_the_editor_its_words(signed_in, live):
    page = signed_in.get(reverse("admin:configurations_configuration_change", args=[live.pk])).content.decode()
    assert '<script id="editor-texts" type="application/json">' in page
    assert f"/admin/configurations/configuration/{live.pk}/live-files/" in page
    new = signed_in.get(reverse("admin:configurations_configuration_add")).content.decode()
    assert "live-files" not in new
