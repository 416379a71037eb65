"""Fragments over REST, in manifests and in the portal: kinds, filters, refusals, and why an agent gets what it gets."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from configurations.exporting import export_to
from configurations.file_trees import FolderTree
from configurations.manifests import wanted_in
from configurations.models import Configuration
from configurations.services.applying import Action, plan_configurations
from configurations.services.collisions import FilesCollide
from configurations.services.publishing import create_configuration
from tests.configurations.test_admin import CONFIRMED, FORM, LIST, hidden_fields
from tests.configurations.test_fragments import LOGS, fragment

URL = "/api/v1/configurations"
WHOLE = {"name": "prod", "raw_config": "receivers:\n  otlp: {}\n", "selector": {"env": "prod"}}
COLLECTOR = """receivers: {otlp: {protocols: {http: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""
LOGGING = {
    "name": "logging",
    "kind": "fragment",
    "raw_config": "exporters:\n  debug: {}\n",
    "selector": {"env": "prod"},
}


@pytest.fixture
def api(alice, api_of):
    return api_of(alice)


@pytest.mark.django_db
class TestRest:
    def test_a_fragment_gets_its_name_as_config_key_and_is_counted(self, api, report):
        agent = report(env="prod")
        assert api.post(URL, WHOLE).json()["kind"] == "whole"
        made = api.post(URL, LOGGING)
        assert made.status_code == 201, made.json()
        body = made.json()
        assert (body["kind"], body["config_key"], body["matched_agents"]) == ("fragment", "logging", 1)
        assert list(body["files"]) == ["logging"]
        desired = api.get(f"/api/v1/agents/{agent.instance_uid}/configuration").json()
        assert [(each["name"], each["wins"]) for each in desired["candidates"]] == [("prod", True)]
        (added,) = desired["fragments"]
        assert (added["name"], added["revision"], added["added"], added["matches"]) == ("logging", 1, True, True)
        assert added["clauses"][0]["satisfied"] is True
        assigned = api.get(f"{URL}/logging/agents").json()["results"]
        assert [each["instance_uid"] for each in assigned] == [str(agent.instance_uid)]
        shown = api.get(f"/api/v1/agents/{agent.instance_uid}").json()["configuration"]
        assert (shown["name"], shown["hash"]) == ("prod", Agent.objects.get().configuration_hash)

    def test_kinds_are_filtered_and_nothing_else_is_one(self, api):
        api.post(URL, WHOLE)
        api.post(URL, LOGGING)
        names = {
            kind: [each["name"] for each in api.get(f"{URL}?kind={kind}").json()["results"]]
            for kind in ("whole", "fragment")
        }
        assert names == {"whole": ["prod"], "fragment": ["logging"]}
        assert api.get(f"{URL}?kind=half").status_code == 400
        assert api.post(URL, {**LOGGING, "kind": "half"}).status_code == 400

    def test_the_kind_stays_whatever_an_edit_leaves_out_and_cannot_change(self, api):
        api.post(URL, LOGGING)
        edited = api.put(f"{URL}/logging", {"raw_config": "exporters: {otlp: }\n", "selector": {"env": "prod"}})
        assert (edited.status_code, edited.json()["kind"], edited.json()["config_key"]) == (200, "fragment", "logging")
        assert api.patch(f"{URL}/logging", {"priority": 3}).json()["config_key"] == "logging"
        refused = api.patch(f"{URL}/logging", {"kind": "whole"})
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == ["kind"]

    def test_files_that_would_meet_are_refused_with_both_named(self, api):
        api.post(URL, WHOLE)
        for request in (
            lambda body: api.post(URL, body),
            lambda body: api.post(f"{URL}/preview", body),
            lambda body: api.put(f"{URL}/logging", body),
        ):
            refused = request({**LOGGING, "config_key": ""})
            assert refused.status_code == 409, refused.json()
            assert refused.json()["code"] == "files-collide"
            assert "logging and prod" in str(refused.json()["errors"]["files"])
        assert not Configuration.objects.filter(name="logging").exists()

    def test_a_preview_counts_all_that_match(self, api, report):
        report(env="prod")
        api.post(URL, WHOLE)
        found = api.post(f"{URL}/preview", {**LOGGING, "priority": -5}).json()
        assert (found["matched"], found["assigned"], found["gained"], found["rivals"], found["taken"]) == (
            1,
            1,
            1,
            [],
            [],
        )
        api.post(URL, LOGGING)
        found = api.post(f"{URL}/logging/preview", {"selector": {"env": "lab"}}).json()
        assert (found["matched"], found["lost"]) == (0, 1)
        whole = api.post(f"{URL}/preview", {**WHOLE, "name": "more", "priority": 1}).json()
        assert [each["name"] for each in whole["rivals"]] == ["prod"]

    def test_a_preview_judges_all_files_of_one_agent_together(self, api, report):
        report(env="prod")
        api.post(URL, {**WHOLE, "raw_config": COLLECTOR})
        pipelines = "service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}\n"
        # The receiver and the exporter stand in the whole.
        assert api.post(f"{URL}/preview", {**LOGGING, "raw_config": pipelines}).json()["findings"] == []
        wrong = {**LOGGING, "raw_config": pipelines.replace("debug", "gone")}
        (said,) = api.post(f"{URL}/preview", wrong).json()["findings"]
        assert (said["code"], said["severity"]) == ("component-undefined", "warning")
        assert "Together with prod" in said["message"]
        assert api.post(URL, {**LOGGING, "raw_config": pipelines}).status_code == 201
        renamed = COLLECTOR.replace("debug", "debug/main")
        (said,) = api.post(f"{URL}/prod/preview", {"raw_config": renamed}).json()["findings"]
        assert "Together with logging" in said["message"]

    def test_a_list_is_judged_as_it_ends(self, api):
        api.post(URL, WHOLE)
        clash = {"configurations": [{**LOGGING, "config_key": ""}]}
        for extra in ({}, {"dry_run": True}):
            refused = api.post(f"{URL}:apply", {**clash, **extra})
            assert refused.status_code == 409, refused.json()
            assert "logging and prod" in str(refused.json()["errors"])
        # The key moves from one to the other in one call.
        moved = [{**WHOLE, "config_key": "main"}, {**LOGGING, "config_key": ""}]
        answer = api.post(f"{URL}:apply", {"configurations": moved})
        assert answer.status_code == 200, answer.json()
        back = [{**LOGGING, "config_key": "main"}, {**WHOLE, "config_key": ""}]
        answer = api.post(f"{URL}:apply", {"configurations": back})
        assert answer.status_code == 200, answer.json()
        refused = api.post(f"{URL}:apply", {"configurations": [{**LOGGING, "kind": "whole"}]})
        assert refused.status_code == 400

    def test_what_is_exported_is_as_wanted(self, api, tmp_path):
        api.post(URL, WHOLE)
        api.post(URL, LOGGING)
        export_to(tmp_path)
        assert "kind: fragment" in (tmp_path / "logging" / "configuration.yaml").read_text()
        wanted, _warnings = wanted_in(FolderTree(tmp_path))
        assert {step.action for step in plan_configurations(wanted, by=None, at=timezone.now())} == {Action.UNCHANGED}

    def test_drafts_keep_the_kind(self, api):
        made = api.post("/api/v1/drafts", LOGGING)
        assert made.status_code == 201, made.json()
        published = api.post(f"/api/v1/drafts/{made.json()['id']}/publish", {"edition": 1})
        assert published.status_code in (200, 201), published.json()
        assert Configuration.objects.get().is_fragment


@pytest.mark.django_db
class TestPortal:
    def test_a_fragment_is_made_listed_and_explained(self, signed_in, report):
        agent = report(env="prod")
        signed_in.post(LIST + "add/", {**CONFIRMED, "shown_count": "1"})
        form = {**FORM, "name": "logging", "kind": "fragment", "raw_config": "exporters: {debug: }\n"}
        page = signed_in.post(LIST + "add/", form).content.decode()
        answer = signed_in.post(LIST + "add/", {**hidden_fields(page), "stage": "publish"})
        assert answer.status_code == 302, answer.content.decode()
        row = Configuration.objects.get(name="logging")
        assert (row.kind, row.config_key, list(row.current.files)) == ("fragment", "logging", ["logging"])
        page = signed_in.get(f"{LIST}{row.pk}/change/").content.decode()
        assert re.search(r'<span class="chip">fragment</span>', page)
        assert '<select name="kind"' not in page
        page = signed_in.get(f"{LIST}{row.pk}/change/", {"tab": "agents"}).content.decode()
        assert agent.name_and_host() in page or agent.hostname in page
        listed = signed_in.get(f"{LIST}?kind__exact=fragment").content.decode()
        assert "logging" in listed
        assert "prod-config" not in listed
        shown = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "+ logging r1" in shown
        assert "prod-config r1 + logging r1" in shown

    def test_what_would_meet_is_said_on_the_form(self, signed_in):
        signed_in.post(LIST + "add/", CONFIRMED)
        row = Configuration.objects.get()
        form = {**FORM, "name": "logging", "kind": "fragment", "config_key": "x"}
        page = signed_in.post(LIST + "add/", form).content.decode()
        signed_in.post(LIST + "add/", {**hidden_fields(page), "stage": "publish"})
        edit = {**FORM, "main_file": "=", "config_key": "x", "expected_revision": "1"}
        page = signed_in.post(f"{LIST}{row.pk}/change/", edit).content.decode()
        assert "prod-config and logging both have a file" in page
        assert Configuration.objects.get(pk=row.pk).current.number == 1

    def test_the_reach_of_a_fragment_is_all_that_match(self, signed_in, report):
        report(env="prod")
        signed_in.post(LIST + "add/", {**CONFIRMED, "shown_count": "1"})
        typed = {"selector": '{"env": "prod"}', "priority": "-3", "enabled": "on", "kind": "fragment"}
        found = signed_in.post(f"{LIST}reach/", typed).json()
        assert found["changing"] == [1, 1]
        assert "another configuration is stronger" not in found["html"]

    def test_an_agent_with_fragments_alone(self, signed_in, report):
        agent = report(env="lab")
        create_configuration(
            "logging", fragment("logging", LOGS, selector={"env": "lab"}), by=None, at=timezone.now(), force=True
        )
        page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "fragments alone" in page
        assert "+ logging r1" in page


@pytest.mark.django_db(transaction=True)
def test_of_two_that_collide_and_are_published_at_once_one_is_refused():
    barrier, raised = threading.Barrier(2), []

    def publish(name: str) -> None:
        try:
            barrier.wait(timeout=30)
            create_configuration(name, fragment("same", LOGS), by=None, at=timezone.now(), force=True)
        except Exception as error:  # noqa: BLE001  whatever it is, the test says it
            raised.append(error)
        finally:
            connection.close()

    threads: list[Any] = [threading.Thread(target=publish, args=[name]) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert [type(error) for error in raised] == [FilesCollide]
    assert Configuration.objects.count() == 1
