"""Secrets of configurations at every entry point: hidden from everybody, shown on demand, kept by edits."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import AuditEntry, User
from agents.models import AgentEvent
from agents.remote_config import ConfigFile
from agents.reports import EffectiveConfig, RemoteConfigStatus, RemoteConfigStatuses
from configurations.models import Configuration, Revision
from configurations.services import publishing
from configurations.services.drafts import Draft
from foundation.secrecy import shows_secret

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
LIST = "/admin/configurations/configuration/"
TEXT = """\
exporters:
  otlp:
    endpoint: https://user:pa55-of-url@a.example.org
    timeout: 1s
    headers: {api-key: hunter2-first}
service: {pipelines: {traces: {receivers: [nop], exporters: [otlp]}}}
receivers: {nop: }
"""
MORE = "extensions: {bearertokenauth: {token: hunter2-file}}\n"
SECRETS = ("pa55-of-url", "hunter2-first", "hunter2-second", "hunter2-file")


@pytest.fixture
def row(alice) -> Configuration:
    """Revision 2, in which one secret changed since revision 1; and a second file."""
    draft = Draft(
        selector={"env": "prod"},
        files={"": ConfigFile(TEXT.encode(), "text/yaml"), "more.yaml": ConfigFile(MORE.encode())},
    )
    row, _findings = publishing.create_configuration("prod", draft, by=alice, at=timezone.now())
    files = {**draft.files, "": ConfigFile(TEXT.replace("first", "second").encode(), "text/yaml")}
    publishing.update_configuration(
        "prod", Draft(selector={"env": "prod"}, files=files), by=alice, at=timezone.now(), note="rotated"
    )
    AuditEntry.objects.all().delete()
    return Configuration.objects.get(pk=row.pk)


@pytest.fixture
def erin(bob: User) -> User:
    """Somebody who edits configurations and may not see their secrets."""
    rights = Permission.objects.filter(codename__in=["change_configuration", "add_configuration"])
    bob.user_permissions.add(*rights)
    return User.objects.get(pk=bob.pk)


def stored(row: Configuration) -> dict[str, Any]:
    current = Configuration.objects.select_related("current").get(pk=row.pk).current
    return {key: file["body"] for key, file in current.files.items()}


def assert_hides(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


class TestRest:
    @pytest.mark.parametrize("who", ["alice", "bob"])
    @pytest.mark.parametrize(
        "path",
        ["", "?page_size=1", "/prod", "/prod?secrets=hidden", "/prod/revisions", "/prod/revisions/1", "/prod/agents"],
    )
    def test_reading_hides_them_from_everybody(self, api_of, request, row, report, who, path):
        error = RemoteConfigStatus(
            bytes.fromhex(row.current.hash), RemoteConfigStatuses.FAILED, "api-key: hunter2-second"
        )
        report(env="prod", remote_config_status=error)
        answer = api_of(request.getfixturevalue(who)).get(URL + path)
        assert answer.status_code == 200, answer.content
        assert_hides(answer.content.decode())
        assert not AuditEntry.objects.exists()

    def test_the_hash_is_that_of_the_true_text(self, api_of, bob, row):
        body = api_of(bob).get(f"{URL}/prod").json()
        assert body["config_hash"] == row.current.remote_config().config_hash().hex()
        assert body["raw_config"] == body["files"][""]["body"]
        assert "[redacted]" in body["files"]["more.yaml"]["body"]

    @pytest.mark.parametrize(("path", "what"), [("/prod", "revision 2"), ("/prod/revisions/1", "revision 1")])
    def test_who_has_the_right_asks_for_them_and_that_is_audited(self, api_of, alice, bob, row, path, what):
        assert api_of(bob).get(f"{URL}{path}?secrets=shown").status_code == 403
        assert not AuditEntry.objects.exists()
        answer = api_of(alice).get(f"{URL}{path}?secrets=shown")
        assert "hunter2-" in answer.json()["files"][""]["body"]
        entry = AuditEntry.objects.get()
        assert (entry.verb, entry.object_name, entry.data) == ("configuration.reveal_secrets", "prod", {"what": what})
        assert "no-store" in answer["cache-control"]

    @pytest.mark.parametrize("path", ["", "/prod/revisions", "/prod/agents"])
    def test_lists_show_none_and_say_so(self, api_of, alice, row, path):
        answer = api_of(alice).get(f"{URL}{path}?secrets=shown")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["secrets"])
        edit = api_of(alice).patch(f"{URL}/prod?secrets=shown", {"priority": 1})
        assert (edit.status_code, list(edit.json()["errors"])) == (400, ["secrets"])

    def test_the_two_representations_have_etags_of_their_own_and_either_names_the_revision(self, api_of, alice, row):
        tags = [api_of(alice).get(f"{URL}/prod?secrets={word}")["etag"] for word in ("hidden", "shown")]
        assert tags == ['"2"', '"2-shown"']
        for number, tag in enumerate(tags):
            priority = {"priority": number + 1}
            assert api_of(alice).patch(f"{URL}/prod", priority, headers={"If-Match": tag}).status_code in (200, 412)
        assert Configuration.objects.get().priority == 1
        assert api_of(alice).patch(f"{URL}/prod", {"priority": 7}, headers={"If-Match": '"3-shown"'}).status_code == 200

    @pytest.mark.parametrize("who", ["alice", "erin"])
    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_what_was_read_is_written_back_without_loss(self, api_of, request, row, who, method):
        client = api_of(request.getfixturevalue(who))
        body = client.get(f"{URL}/prod").json()
        before = stored(row)
        answer = getattr(client, method)(f"{URL}/prod", {**body, "priority": 3})
        assert answer.status_code == 200, answer.json()
        assert_hides(answer.content.decode())
        assert (stored(row), Configuration.objects.get().priority) == (before, 3)
        assert answer.json()["config_hash"] == body["config_hash"]

    def test_an_editor_changes_the_rest_and_not_where_it_goes(self, api_of, alice, erin, row):
        text = api_of(erin).get(f"{URL}/prod").json()["raw_config"]
        assert api_of(erin).patch(f"{URL}/prod", {"raw_config": text.replace("1s", "2s")}).status_code == 200
        assert stored(row)[""] == TEXT.replace("first", "second").replace("1s", "2s")
        evil = text.replace("a.example.org", "evil.example.net")
        for path, send in ((f"{URL}/prod", "patch"), (f"{URL}/prod/preview", "post")):
            answer = getattr(api_of(erin), send)(path, {"raw_config": evil})
            assert answer.status_code == 400
            assert {item["kind"] for item in answer.json()["findings"]} == {"hidden"}
            assert "line 3" in str(answer.json()["errors"]["raw_config"])
            assert_hides(answer.content.decode())
        assert api_of(alice).patch(f"{URL}/prod", {"raw_config": evil}).status_code == 200
        assert "user:pa55-of-url@evil.example.net" in stored(row)[""]

    def test_an_edit_of_one_file_leaves_the_secrets_of_others(self, api_of, erin, row):
        files = api_of(erin).get(f"{URL}/prod").json()["files"]
        files["more.yaml"]["body"] += "# a comment\n"
        files[""] = {"body": TEXT.replace("hunter2-first", "typed-anew")}
        answer = api_of(erin).put(f"{URL}/prod", {"selector": {"env": "prod"}, "files": files})
        assert answer.status_code == 200, answer.json()
        assert stored(row) == {"more.yaml": f"{MORE}# a comment\n", "": TEXT.replace("hunter2-first", "typed-anew")}

    @pytest.mark.parametrize("who", ["alice", "erin"])
    def test_a_placeholder_makes_no_new_configuration(self, api_of, request, row, who):
        client = api_of(request.getfixturevalue(who))
        body = client.get(f"{URL}/prod").json()
        answer = client.post(URL, {"name": "copy", "raw_config": body["raw_config"]})
        assert answer.status_code == 400
        assert "type the value" in str(answer.json()["errors"]["raw_config"])
        assert Configuration.objects.count() == 1
        assert client.post(f"{URL}/preview", {"raw_config": body["raw_config"]}).status_code == 400

    def test_rolling_back_brings_the_former_secrets(self, api_of, erin, row):
        answer = api_of(erin).post(f"{URL}/prod/rollback", {"revision": 1})
        assert answer.status_code == 200, answer.json()
        assert_hides(answer.content.decode())
        assert stored(row)[""] == TEXT

    def test_findings_are_those_of_the_true_text_and_cite_no_secret(self, api_of, erin, row):
        text = (
            api_of(erin).get(f"{URL}/prod").json()["raw_config"].replace("exporters: [otlp]", "exporters: [otlp, gone]")
        )
        answer = api_of(erin).post(f"{URL}/prod/preview", {"raw_config": text})
        assert any("gone" in item["message"] for item in answer.json()["findings"])
        assert_hides(answer.content.decode())

    def test_the_audit_trail_keeps_none(self, api_of, alice, row):
        api_of(alice).patch(f"{URL}/prod", {"description": "see https://admin:hunter2-first@wiki.example.org"})
        assert_hides(json.dumps(list(AuditEntry.objects.values_list("data", flat=True))))


class TestPages:
    def form_of(self, client: Any, row: Configuration) -> dict[str, str]:
        body = client.get(f"{LIST}{row.pk}/change/").content.decode()
        text = re.search(r'<textarea name="raw_config"[^>]*>\n?(.*?)</textarea>', body, re.DOTALL)
        assert text is not None
        return {
            "display_name": "", "description": "", "priority": "0", "enabled": "on", "selector": '{"env": "prod"}',
            "content_type": "text/yaml", "config_key": "", "raw_config": html.unescape(text[1]), "note": "",
            "expected_revision": "2",
        }  # fmt: skip

    @pytest.mark.parametrize("who", ["alice", "bob", "erin"])
    def test_no_page_shows_them(self, client, request, row, report, who):
        error = RemoteConfigStatus(
            bytes.fromhex(row.current.hash), RemoteConfigStatuses.FAILED, "api-key: hunter2-second"
        )
        effective = EffectiveConfig({"": {"body": TEXT.replace("first", "file")}})
        agent = report(env="prod", remote_config_status=error, effective_config=effective)
        AgentEvent.objects.create(agent=agent, at=timezone.now(), kind="failed", data={"error": "token=hunter2-first"})
        client.force_login(request.getfixturevalue(who))
        pages = [f"{LIST}{row.pk}/change/{tab}" for tab in ("", "?tab=revisions", "?tab=graph", "?tab=agents")]
        pages += [f"/admin/agents/agent/{agent.pk}/change/", "/admin/", LIST]
        if who != "bob":
            pages += [f"{LIST}{row.pk}/rollback/1/", f"{LIST}{row.pk}/switch/"]
        for page in pages:
            answer = client.get(page)
            assert answer.status_code == 200, page
            assert_hides(answer.content.decode())
        assert "[redacted]" in client.get(pages[0]).content.decode()

    def test_a_difference_tells_that_a_hidden_value_changed(self, client, bob, row):
        client.force_login(bob)
        body = client.get(f"{LIST}{row.pk}/change/", {"tab": "revisions"}).content.decode()
        assert "the hidden value is another one" in body
        assert_hides(body)

    def test_the_form_saves_placeholders_back_as_what_they_stand_for(self, client, erin, row):
        client.force_login(erin)
        form = self.form_of(client, row)
        assert_hides(form["raw_config"])
        page = f"{LIST}{row.pk}/change/"
        form |= {"raw_config": form["raw_config"].replace("1s", "5s").replace("\n", "\r\n")}
        confirmation = client.post(page, form).content.decode()
        assert_hides(confirmation)
        assert "timeout: 5s" in confirmation
        problems = client.post(f"{LIST}problems/", {**form, "configuration": row.pk})
        assert_hides(problems.content.decode())
        assert problems.json()["new_files"] is True
        assert client.post(page, {**form, "stage": "publish", "shown_count": "0"}).status_code == 302
        assert stored(row)[""] == TEXT.replace("first", "second").replace("1s", "5s")

    def test_nothing_edited_is_nothing_new(self, client, erin, row):
        client.force_login(erin)
        problems = client.post(f"{LIST}problems/", {**self.form_of(client, row), "configuration": row.pk})
        assert problems.json()["new_files"] is False

    def test_the_form_says_at_which_line_a_secret_would_leave(self, client, erin, row):
        client.force_login(erin)
        form = self.form_of(client, row)
        form |= {"raw_config": form["raw_config"].replace("a.example.org", "evil.example.net")}
        body = client.post(f"{LIST}{row.pk}/change/", {**form, "stage": "publish", "shown_count": "0"}).content.decode()
        assert "line 3" in body
        assert_hides(body)
        problems = client.post(f"{LIST}problems/", {**form, "configuration": row.pk}).json()
        assert problems["lines"] == {"3": "error"}
        assert Revision.objects.count() == 2

    def test_secrets_are_shown_on_a_page_and_as_a_file_to_those_with_the_right(self, client, alice, bob, row):
        page = f"{LIST}{row.pk}/secrets/"
        client.force_login(bob)
        assert "Show secrets" not in client.get(f"{LIST}{row.pk}/change/").content.decode()
        assert client.post(page).status_code == client.post(page + "file/", {"key": ""}).status_code == 403
        client.force_login(alice)
        assert "Show secrets" in client.get(f"{LIST}{row.pk}/change/").content.decode()
        assert client.get(page).status_code == 405
        assert not AuditEntry.objects.exists()
        for entry_point in (page, page + "file/"):
            assert_hides(client.post(entry_point, {"key": ""}).content.decode())
        assert not AuditEntry.objects.exists()
        answer = client.post(page, {"confirm_password": "alice-password"})
        assert "hunter2-second" in answer.content.decode()
        assert shows_secret(answer)
        assert "no-store" in answer["cache-control"]
        file = client.post(page + "file/", {"key": "more.yaml"})
        assert (file.content, file["content-type"]) == (MORE.encode(), "application/octet-stream")
        assert shows_secret(file)
        assert client.post(page + "file/", {"key": "none"}).status_code == 404
        assert [entry.verb for entry in AuditEntry.objects.all()] == ["configuration.reveal_secrets"] * 2

    def test_the_live_part_of_a_page_is_read_without_the_files(self, client, alice, row, django_assert_max_num_queries):
        client.force_login(alice)
        tab = f"{LIST}{row.pk}/change/?tab=agents"
        answer = client.get(tab, headers={"X-Portal-Refresh": "live"})
        page = client.get(tab).content.decode()
        for part in ("progress-now", "assignments"):
            assert f"#{part}" in page, "the page keeps it fresh"
            assert f'id="{part}"' in answer.content.decode()
        assert "raw_config" not in answer.content.decode()
