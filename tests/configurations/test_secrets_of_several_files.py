"""Secrets of configurations with several files: kept by the form and by REST whichever file is edited, renamed or left alone."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import AuditEntry, User
from agents.remote_config import ConfigFile
from configurations.line_differences import difference
from configurations.models import Configuration, files_to_json
from configurations.services import publishing
from configurations.services.drafts import Draft
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
LIST = "/admin/configurations/configuration/"
MAIN = "exporters: {otlp: {endpoint: a.example.org, headers: {api-key: hunter2-main}}}\n"
MORE = "extensions:\r\n  bearertokenauth:\r\n    token: hunter2-more\r\n    scheme: Bearer\r\n"
OPAQUE = b"\x00\xffhunter2"
FILES = {
    "": ConfigFile(MAIN.encode(), "text/yaml"),
    "more.yaml": ConfigFile(MORE.encode(), "text/yaml", "extra"),
    "store.bin": ConfigFile(OPAQUE, "application/octet-stream"),
}


@pytest.fixture
def row(db: None) -> Configuration:
    draft = Draft(selector={"env": "prod"}, files=FILES)
    row, _findings = publishing.create_configuration("prod", draft, by=None, at=timezone.now())
    AuditEntry.objects.all().delete()
    return row


@pytest.fixture
def erin(bob: User) -> User:
    """Somebody who edits configurations and may not see their secrets."""
    bob.user_permissions.add(*Permission.objects.filter(codename="change_configuration"))
    return User.objects.get(pk=bob.pk)


def files_now() -> dict[str, ConfigFile]:
    current = Configuration.objects.select_related("current").get().current
    assert current is not None
    return dict(current.remote_config().files)


class TestForm:
    def publish(self, client: Any, row: Configuration, **edits: str) -> Any:
        page = f"{LIST}{row.pk}/change/"
        fields = fields_of(client.get(page).content.decode())
        assert "hunter2" not in str(fields)
        shown = client.post(page, {**fields, **edits}).content.decode()
        assert "hunter2" not in shown
        return client.post(page, {**fields_of(shown), "stage": "publish"})

    @pytest.mark.parametrize("who", ["alice", "erin"])
    def test_another_file_than_the_main_one_keeps_its_hidden_values_and_line_breaks(self, client, request, row, who):
        client.force_login(request.getfixturevalue(who))
        text = fields_of(client.get(f"{LIST}{row.pk}/change/").content.decode())["files-1-body"]
        typed = f"# a comment\n{text}"
        assert self.publish(client, row, **{"files-1-body": typed}).status_code == 302
        assert files_now() == {
            **FILES,
            "more.yaml": replace(FILES["more.yaml"], body=f"# a comment\r\n{MORE}".encode()),
        }

    def test_files_that_nobody_edited_keep_theirs_under_another_key(self, client, erin, row):
        client.force_login(erin)
        assert self.publish(client, row, **{"files-1-key": "renamed.yaml"}).status_code == 302
        assert files_now() == {("renamed.yaml" if key == "more.yaml" else key): file for key, file in FILES.items()}

    def test_what_would_send_the_secret_of_another_file_elsewhere_is_told_at_its_file(self, client, erin, row):
        client.force_login(erin)
        fields = fields_of(client.get(f"{LIST}{row.pk}/change/").content.decode())
        fields["raw_config"] = fields["raw_config"].replace("a.example.org", "evil.example.net")
        answer = client.post(f"{LIST}problems/", {**fields, "configuration": row.pk, "force": "on"}).json()
        assert answer["file_lines"][0] == {"1": "error"}
        page = client.post(f"{LIST}{row.pk}/change/", {**fields, "force": "on", "stage": "publish", "shown_count": "0"})
        assert "might go elsewhere" in page.content.decode()
        assert files_now() == FILES


class TestRest:
    @pytest.mark.parametrize("who", ["alice", "erin"])
    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_bytes_that_are_no_text_are_hidden_and_sent_back(self, api_of, request, row, who, method):
        client = api_of(request.getfixturevalue(who))
        body = client.get(f"{URL}/prod").json()
        assert body["files"]["store.bin"]["body_base64"] == "[redacted]"
        answer = getattr(client, method)(f"{URL}/prod", {**body, "priority": 4})
        assert answer.status_code == 200, answer.json()
        assert (files_now(), Configuration.objects.get().priority) == (FILES, 4)

    def test_if_match_takes_either_representation_in_a_list(self, api_of, alice, row):
        api = api_of(alice)
        tag = api.get(f"{URL}/prod?secrets=shown")["etag"]
        assert tag == '"1-shown"'
        for header, status in ((f'"7", {tag}', 200), (tag, 412), ('"2-hidden"', 412), ('"2"', 200)):
            edit = {"priority": Configuration.objects.get().priority + 1}
            assert api.patch(f"{URL}/prod", edit, headers={"If-Match": header}).status_code == status, header

    def test_a_session_shows_none_until_the_password_was_typed(self, client, alice, row):
        client.force_login(alice)
        assert client.get(f"{URL}/prod?secrets=shown").status_code == 403
        assert not AuditEntry.objects.exists()
        client.post(f"{LIST}{row.pk}/secrets/", {"confirm_password": "alice-password"})
        assert "hunter2-main" in client.get(f"{URL}/prod?secrets=shown").content.decode()
        assert AuditEntry.objects.filter(verb="configuration.reveal_secrets").count() == 2

    @pytest.mark.parametrize("word", ["hidden", "shown"])
    @pytest.mark.parametrize("path", ["", "/prod/revisions", "/prod/agents"])
    def test_where_none_are_shown_the_parameter_is_refused(self, api_of, alice, row, path, word):
        answer = api_of(alice).get(f"{URL}{path}?secrets={word}")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["secrets"])
        other = api_of(alice).get(f"{URL}{path}?nonsense=1").json()
        assert "secrets" not in str(other["errors"]["nonsense"])

    def test_force_lets_no_hidden_value_out(self, api_of, erin, row):
        evil = MAIN.replace("a.example.org", "evil.example.net").replace("hunter2-main", "[redacted]")
        answer = api_of(erin).patch(f"{URL}/prod", {"raw_config": evil, "force": True})
        assert (answer.status_code, {item["kind"] for item in answer.json()["findings"]}) == (400, {"hidden"})
        assert {item["file"] for item in answer.json()["findings"]} == {""}
        assert files_now() == FILES


class TestDifferences:
    def test_names_types_and_sizes_are_told_in_the_readers_language(self, client, alice, row):
        files = {**FILES, "": ConfigFile(MAIN.encode(), "application/yaml"), "store.bin": ConfigFile(b"\xff\x00")}
        del files["more.yaml"]
        draft = Draft(selector={"env": "prod"}, files=files)
        publishing.update_configuration("prod", draft, by=alice, at=timezone.now())
        client.force_login(alice)
        said = {
            "en": [
                "--- main file",
                "+content type: application/yaml",
                "+++ (no such file)",
                "-9 bytes that are no text",
            ],
            "zh-hans": ["--- 主文件", "+内容类型：application/yaml", "+++ （无此文件）", "-9 字节的非文本内容"],
        }
        for language in ("en", "zh-hans", "en"):
            client.cookies["django_language"] = language
            body = client.get(f"{LIST}{row.pk}/change/?tab=revisions").content.decode()
            assert [line for line in said[language] if line not in body] == []
            assert "hunter2" not in body

    def test_no_bytes_are_shown(self):
        lines = difference(files_to_json(FILES), {})
        assert base64.b64encode(OPAQUE).decode() not in str(lines)
        assert "hunter2" not in str(lines)
