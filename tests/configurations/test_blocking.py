"""What a Collector would refuse is not published, unless somebody with a right of their own forces it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry, User
from agents.models import Agent, ReportedDocument, ReportedState
from configurations.models import Configuration, Revision
from configurations.services.collector_verdict import collector_verdict

URL = "/api/v1/configurations"
ONE = f"{URL}/c"
GOOD = "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n"
BAD = GOOD.replace("receivers: [nop]", "receivers: [nopp]")
MANY = BAD.replace("exporters: [nop]", "exporters: [gone]")
PART = "receivers:\n  otlp: ...\n"


@pytest.fixture
def client(api_of, alice):
    return api_of(alice)


@pytest.fixture
def editor(bob):
    """May edit, but not publish what is blocked."""
    for code in ("view_configuration", "add_configuration", "change_configuration"):
        bob.user_permissions.add(Permission.objects.get(content_type__app_label="configurations", codename=code))
    return bob


class TestOverRest:
    def test_nothing_is_saved_and_all_is_told(self, client):
        answer = client.post(URL, {"name": "c", "raw_config": MANY})
        assert answer.status_code == 422
        body = answer.json()
        assert body["code"] == "configuration-refused-by-agents"
        assert list(body["errors"]) == ["raw_config"]
        assert [(item["code"], item["severity"], item["line"]) for item in body["findings"]] == [
            ("component-undefined", "error", 3),
            ("component-undefined", "error", 3),
        ]
        assert not Configuration.objects.exists()

    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_edits(self, client, method):
        client.post(URL, {"name": "c", "raw_config": GOOD})
        assert getattr(client, method)(ONE, {"raw_config": BAD}).status_code == 422
        assert Revision.objects.count() == 1
        assert getattr(client, method)(f"{ONE}?force=true", {"raw_config": BAD}).status_code == 200
        assert AuditEntry.objects.filter(verb="configuration.update").latest("id").data["forced"]

    def test_put_makes_none(self, client):
        assert client.put(ONE, {"raw_config": BAD}).status_code == 422
        assert client.put(f"{ONE}?force=maybe", {"raw_config": BAD}).status_code == 400
        assert client.put(f"{ONE}?force=true", {"raw_config": BAD}).status_code == 201

    def test_syntax_stays_another_matter(self, client):
        assert client.put(f"{ONE}?force=true", {"raw_config": "a: ["}).status_code == 400

    def test_a_part_of_a_configuration_is_warned_of(self, client):
        answer = client.put(ONE, {"raw_config": PART})
        assert answer.status_code == 201
        assert {item["severity"] for item in answer.json()["warnings"]} == {"warning"}

    def test_what_agents_have_already_is_not_blocked(self, client):
        client.put(f"{ONE}?force=true", {"raw_config": BAD})
        assert client.patch(ONE, {"priority": 3}).status_code == 200

    def test_going_back_is_never_blocked_by_it(self, client, editor, api_of):
        client.put(f"{ONE}?force=true", {"raw_config": BAD})
        client.patch(ONE, {"raw_config": GOOD})
        assert api_of(editor).post(f"{ONE}/rollback", {"revision": 1}).status_code == 200

    def test_force_needs_a_right(self, client, editor, api_of):
        theirs = api_of(editor)
        answer = theirs.put(f"{ONE}?force=true", {"raw_config": BAD})
        assert (answer.status_code, answer.json()["code"]) == (403, "forcing-needs-a-right")
        assert not Configuration.objects.exists()
        # Where nothing is blocked nothing is forced.
        assert theirs.put(f"{ONE}?force=true", {"raw_config": GOOD}).status_code == 201
        editor.user_permissions.add(Permission.objects.get(codename="publish_with_errors"))
        trusted = User.objects.get(pk=editor.pk)
        assert api_of(trusted).put(f"{ONE}?force=true", {"raw_config": BAD}).status_code == 200


class TestInTheAdmin:
    ADD = "/admin/configurations/configuration/add/"

    @pytest.mark.parametrize("may", [True, False])
    def test_it_is_refused_and_forcing_offered_to_those_who_may(self, may, alice, editor):
        client = Client()
        client.force_login(alice if may else editor)
        fields = {
            "name": "c",
            "raw_config": BAD,
            "content_type": "yaml",
            "config_key": "",
            "selector": "",
            "priority": "0",
        }
        page = client.post(self.ADD, {**fields, "stage": "publish", "shown_count": "0"}).content.decode()
        assert "is not defined" in page
        assert ('name="force"' in page) is may
        assert not Configuration.objects.exists()


class TestLists:
    def test_denied_and_not_allowed(self, client, settings):
        settings.COMPONENTS_DENIED = ["exporters/no*"]
        answer = client.put(ONE, {"raw_config": GOOD})
        assert (answer.status_code, [item["code"] for item in answer.json()["findings"]]) == (422, ["component-denied"])
        settings.COMPONENTS_DENIED, settings.COMPONENTS_ALLOWED = [], ["nop"]
        assert client.put(ONE, {"raw_config": GOOD}).status_code == 201
        settings.COMPONENTS_ALLOWED = ["otlp", "receivers/*"]
        answer = client.put(ONE, {"raw_config": GOOD + "# changed\n"})
        assert [item["code"] for item in answer.json()["findings"]] == ["component-not-allowed"]


class TestWhatAgentsHave:
    def test_those_that_lack_a_component_are_counted_and_named(self, client):
        for number, kinds in enumerate((["nop"], ["nop", "otlp"], ["otlp"], ["otlp"])):
            names = {"name": "otelcol", "hostname": f"web-{number}", "labels": {"env": "prod"}}
            agent = Agent.objects.create(instance_uid=uuid4(), **names)
            content = {"receivers": {"components": {kind: {} for kind in kinds}}}
            document, _ = ReportedDocument.objects.get_or_create(
                hash="".join(kinds), defaults={"kind": ReportedDocument.Kind.COMPONENTS, "content": content}
            )
            ReportedState.objects.update_or_create(agent=agent, defaults={"components": document})
        Agent.objects.create(instance_uid=uuid4(), name="silent", labels={"env": "prod"})
        body = {"raw_config": GOOD, "selector": {"env": "prod"}}
        warnings = client.put(ONE, body).json()["warnings"]
        (found,) = [item for item in warnings if item["code"] == "agents-lack-component"]
        assert "2 of 4 agents have no nop" in found["message"]
        assert [agent["name"] for agent in found["agents"]] == ["web-2", "web-3"]
        assert (found["severity"], found["line"], found["path"]) == ("warning", 1, "receivers.nop")


class TestVerdict:
    """With a program in the Collector's place: what it says is another test's."""

    @pytest.fixture
    def program(self, tmp_path: Path, settings):
        def write(script: str) -> None:
            path = tmp_path / "otelcol"
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            settings.OTELCOL_BINARY = os.fspath(path)

        return write

    def test_its_words_are_an_error_at_their_place(self, program, client):
        program("echo 'Error: exporters::nop: no, not this'; exit 1")
        answer = client.put(ONE, {"raw_config": GOOD})
        (found,) = answer.json()["findings"]
        assert (answer.status_code, found["code"], found["line"], found["path"]) == (
            422,
            "collector-refuses",
            2,
            "exporters.nop",
        )

    def test_it_is_not_asked_of_what_it_would_follow(self, program):
        program("exit 1")
        assert collector_verdict({"": ("a: ${file:/etc/passwd}", "yaml")}) == []
        assert collector_verdict({"": ("a: ${https://example.org}", "yaml")}) == []

    def test_variables_that_only_agents_have_make_it_a_warning(self, program):
        program("echo 'Error: no'; exit 1")
        assert [item.severity for item in collector_verdict({"": (GOOD + "# ${env:X}", "yaml")})] == ["warning"]

    def test_one_that_hangs_or_is_missing_says_nothing(self, program, settings, monkeypatch):
        monkeypatch.setattr("configurations.services.collector_verdict._SECONDS", 0.1)
        program("exec tail -f /dev/null")
        assert collector_verdict({"": (GOOD, "yaml")}) == []
        settings.OTELCOL_BINARY = "/nonexistent/otelcol"
        assert collector_verdict({"": (GOOD, "yaml")}) == []

    def test_its_words_are_cut(self, program):
        program("head -c 1000000 /dev/zero | tr '\\0' x; exit 1")
        (found,) = collector_verdict({"": (GOOD, "yaml")})
        assert len(str(found.message)) < 500
