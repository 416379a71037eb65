"""Files over REST: what is refused, what must be forced, and what becomes of them when their keys and types change."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from agents.remote_config import ConfigFile
from configurations.models import Configuration
from configurations.services import publishing

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
ONE = f"{URL}/c"
RUNS = "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n"


@pytest.fixture
def client(api_of, alice):
    return api_of(alice)


def store(files: dict[str, ConfigFile], **fields: Any) -> Configuration:
    """A configuration as an older version may have stored it, unjudged."""
    draft = publishing.Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    row, _findings = publishing.create_configuration("c", draft, by=None, at=timezone.now())
    revision = row.current
    assert revision is not None
    revision.files = publishing.files_to_json(files)
    revision.hash = publishing.RemoteConfig(files).config_hash().hex()
    revision.save(update_fields=["files", "hash"])
    Configuration.objects.filter(pk=row.pk).update(**fields)
    return Configuration.objects.get(pk=row.pk)


class TestRefused:
    @pytest.mark.parametrize(
        ("file", "field"),
        [
            ({"body": "a: 1", "content_type": "text/yaml\r\nX-Evil: 1"}, "content_type"),
            ({"body": "a: 1", "content_type": "nonsense"}, "content_type"),
            ({"body": "a: 1", "role": "a\nb"}, "role"),
            ({"body": "a: 1", "role": "a\x1bb"}, "role"),
            ({"body": "a: 1", "role": "a\u2028b"}, "role"),
        ],
    )
    def test_what_stands_around_a_text_is_judged_like_the_top_level_fields(self, client, file, field):
        for key in ("", "more.yaml"):
            answer = client.post(URL, {"name": "c", "files": {key: file}})
            assert answer.status_code == 400, answer.content
            assert f"files.{key}.{field}" in answer.json()["errors"]
        assert not Configuration.objects.exists()

    @pytest.mark.parametrize("file", [{}, {"content_type": "yaml"}, {"body": None}, {"body_base64": "%%"}, {"body": 1}])
    def test_a_file_without_a_readable_body(self, client, file):
        answer = client.post(URL, {"name": "c", "files": {"a": file}})
        assert answer.status_code == 400
        assert {"body", "body_base64"} & set(answer.json()["errors"]["files"]["a"])

    @pytest.mark.parametrize(
        "key",
        [
            "../../etc/passwd",
            "/etc/passwd",
            "a/../b",
            "a/./b",
            "..",
            ".",
            "a//b",
            "a/",
            "a\\b",
            "C:evil",
            "c:/x",
            "a\nb",
            "a\r",
            "a\tb",
            "a\x00b",
            "a\x7f",
            "a\x85",
            "a\u2029b",
            " a",
            "a ",
            "x" * 256,
        ],
    )
    def test_odd_keys(self, client, key):
        for body in ({"files": {key: {"body": RUNS}}}, {"config_key": key, "raw_config": RUNS}):
            answer = client.post(URL, {"name": "c", **body})
            assert answer.status_code == 400, answer.content
            assert answer["content-type"] == "application/problem+json"
        assert not Configuration.objects.exists()

    @pytest.mark.parametrize(
        "key", ["", "main.yaml", "conf.d/main.yaml", "..hidden", "a..b", "elastic", "键", "ab:c", "a b"]
    )
    def test_usual_keys(self, client, key):
        assert client.post(URL, {"name": "c", "files": {key: {"body": RUNS}}}).status_code == 201

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("display_name", "a\nb"),
            ("display_name", "a\x1b[31m"),
            ("description", "a\x07"),
            ("description", "a\x9b"),
            ("note", "a\nb"),
        ],
    )
    def test_control_characters_in_what_people_read(self, client, field, value):
        answer = client.post(URL, {"name": "c", "raw_config": RUNS, field: value})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
        assert client.post(URL, {"name": "c", "raw_config": RUNS, "description": "a\r\n\tb"}).status_code == 201

    def test_what_is_stored_already_does_not_stop_other_edits(self, client):
        odd = {"../x": ConfigFile(b"a: [", "yaml\r\n", "r\n"), "": ConfigFile(b"sevice: {pipelines: }", "text/yaml")}
        store(odd, display_name="odd\x07")
        for edit in ({"priority": 3}, {"enabled": False}, {"description": "why"}, {"selector": {"env": "dev"}}):
            answer = client.patch(ONE, edit)
            assert answer.status_code == 200, answer.content
        assert Configuration.objects.get().current.remote_config().files == odd
        more = {key: {"body": file.body.decode(), "content_type": "yaml"} for key, file in odd.items()}
        assert client.patch(ONE, {"files": more}).status_code == 400

    def test_text_with_nul_is_read_as_agents_read_it(self, client):
        file = {"body_base64": base64.b64encode(b"a: \x00").decode()}
        assert client.post(URL, {"name": "c", "files": {"a": file}}).status_code == 400
        opaque = {**file, "content_type": "application/octet-stream"}
        assert client.post(URL, {"name": "c", "files": {"a": opaque}}).status_code == 201

    def test_types_of_files_are_stored_as_mime_types(self, client):
        files = {
            "a": {"body": "{}", "content_type": "json"},
            "b": {"body": RUNS, "content_type": "YML"},
            "c": {"body": RUNS},
        }
        stored = client.post(URL, {"name": "c", "files": files}).json()["files"]
        assert [stored[key]["content_type"] for key in "abc"] == ["application/json", "text/yaml", "text/yaml"]


class TestEmpty:
    """Nothing in any file: a supervisor stops its Collector on it."""

    @pytest.mark.parametrize("body", ["", " \n\t ", "# nothing\n", "---\n", "null", "~", "{}", "--- {}\n...\n"])
    def test_it_is_blocked_unless_forced_and_that_is_audited(self, client, body):
        answer = client.post(URL, {"name": "c", "raw_config": body})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["raw_config"])
        assert "force" in answer.json()["detail"]
        assert answer.json()["findings"][0]["kind"] == "document"
        forced = client.post(URL, {"name": "c", "raw_config": body, "force": True})
        assert forced.status_code == 201, forced.content
        assert forced.json()["warnings"][0]["severity"] == "warning"
        assert "force" not in forced.json()
        assert AuditEntry.objects.get(verb="configuration.create").data["forced"]

    @pytest.mark.parametrize("content_type", ["json", "text/plain", "yaml"])
    def test_whatever_its_type(self, client, content_type):
        body = {"name": "c", "raw_config": "", "content_type": content_type}
        assert client.post(URL, body).status_code == 400
        assert client.post(URL, {**body, "force": True}).status_code == 201

    def test_a_configuration_without_any_text(self, client):
        assert client.post(URL, {"name": "c"}).status_code == 400
        assert client.post(URL, {"name": "c", "files": {}}).status_code == 400
        assert client.post(URL, {"name": "c", "files": {}, "force": True}).status_code == 400

    def test_one_of_several_is_a_warning_all_of_them_are_not(self, client):
        files = {"a": {"body": RUNS}, "b": {"body": ""}}
        warnings = client.post(URL, {"name": "c", "files": files}).json()["warnings"]
        assert [(item["file"], item["severity"]) for item in warnings if item["file"]] == [("b", "warning")]
        assert client.patch(ONE, {"files": {"a": {"body": "# x"}, "b": {"body": "{}"}}}).status_code == 400
        binary = {"a": {"body_base64": base64.b64encode(b"\xff").decode()}, "b": {"body": ""}}
        assert client.patch(ONE, {"files": binary}).status_code == 200

    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_edits_and_previews_are_blocked_as_well(self, client, method):
        client.post(URL, {"name": "c", "raw_config": RUNS})
        for call, path in (
            (getattr(client, method), ONE),
            (client.post, f"{ONE}/preview"),
            (client.post, f"{URL}/preview"),
        ):
            assert call(path, {"raw_config": "# gone\n"}).status_code == 400
        assert client.get(ONE).json()["revision"] == 1
        assert client.post(f"{ONE}/preview", {"raw_config": "", "force": True}).status_code == 200
        assert getattr(client, method)(ONE, {"raw_config": "", "force": True}).json()["revision"] == 2
        assert AuditEntry.objects.filter(verb="configuration.update").latest("id").data["forced"]

    def test_a_rollback_is_blocked_as_well(self, client):
        client.post(URL, {"name": "c", "raw_config": "", "force": True})
        client.patch(ONE, {"raw_config": RUNS})
        assert client.post(f"{ONE}/rollback", {"revision": 1}).status_code == 400
        assert client.post(f"{ONE}/rollback", {"revision": 1, "force": True}).json()["revision"] == 3

    def test_what_was_forced_once_is_not_asked_again_while_it_stays(self, client):
        client.post(URL, {"name": "c", "raw_config": "", "force": True})
        for edit in ({"enabled": False}, {"enabled": True}, {"raw_config": ""}, {"display_name": "empty"}):
            assert client.patch(ONE, edit).status_code == 200
        assert client.put(ONE, client.get(ONE).json()).status_code == 200
        assert client.patch(ONE, {"raw_config": "# still nothing"}).status_code == 400


class TestForce:
    def test_what_is_wrapped_or_misspelt_can_be_forced_and_what_is_unreadable_cannot(self, client):
        for body in ("kind: ConfigMap\n", "receivers: {nop: }\nsevice: {}\n"):
            answer = client.post(URL, {"name": "c", "raw_config": body})
            assert (answer.status_code, "force" in answer.json()["detail"]) == (400, True)
        broken = client.post(URL, {"name": "c", "raw_config": "a: [", "force": True})
        assert (broken.status_code, "force" in broken.json()["detail"]) == (400, False)
        assert client.post(URL, {"name": "c", "raw_config": "kind: ConfigMap\n", "force": True}).status_code == 201

    @pytest.mark.parametrize("value", ["true", 1, None])
    def test_it_is_true_or_false(self, client, value):
        assert client.post(URL, {"name": "c", "raw_config": RUNS, "force": value}).status_code == 400

    def test_findings_name_their_file(self, client):
        files = {"a.yaml": {"body": "receivers: {nop: }\n"}, "b.yaml": {"body": "a: 1\na: 2\n"}}
        findings = client.post(URL, {"name": "c", "files": files}).json()["findings"]
        assert [(item["file"], item["line"]) for item in findings] == [("b.yaml", 2)]


class TestKeysAndTypes:
    FILES = {
        "a.yaml": {"body": "a: 1\n", "role": "first", "content_type": "text/x-a"},
        "b.yaml": {"body": "b: 1\n"},
        "c.bin": {"body_base64": "AP8=", "content_type": "application/octet-stream"},
    }

    @pytest.fixture
    def files(self, client):
        answer = client.post(URL, {"name": "c", "config_key": "a.yaml", "files": self.FILES})
        assert answer.status_code == 201, answer.content
        return answer.json()["files"]

    def test_an_edit_of_something_else_leaves_every_file_as_it_is(self, client, files):
        before = client.get(ONE).json()
        for edit in ({"display_name": "x"}, {"description": "y"}, {"priority": 4}, {"enabled": False}):
            after = client.patch(ONE, edit).json()
            assert (after["files"], after["config_hash"]) == (files, before["config_hash"])

    def test_the_main_file_moves_to_a_new_key(self, client, files):
        after = client.patch(ONE, {"config_key": "d.yaml"}).json()
        assert after["files"] == {"b.yaml": files["b.yaml"], "c.bin": files["c.bin"], "d.yaml": files["a.yaml"]}
        assert (after["config_key"], after["raw_config"]) == ("d.yaml", "a: 1\n")

    def test_a_key_that_another_file_has_makes_that_one_the_main_file(self, client, files):
        after = client.patch(ONE, {"config_key": "b.yaml"}).json()
        assert after["files"] == files
        assert (after["raw_config"], after["revision"]) == ("b: 1\n", 1)
        assert client.patch(ONE, {"config_key": "gone.yaml", "raw_config": "z: 1\n"}).json()["files"] == {
            "a.yaml": files["a.yaml"],
            "c.bin": files["c.bin"],
            "gone.yaml": {**files["b.yaml"], "body": "z: 1\n"},
        }

    def test_a_type_is_that_of_the_main_file_alone(self, client, files):
        after = client.patch(ONE, {"content_type": "text/x-b"}).json()
        assert after["files"] == {**files, "a.yaml": {**files["a.yaml"], "content_type": "text/x-b"}}
        assert client.patch(ONE, {"raw_config": "a: 2\n"}).json()["files"]["a.yaml"] == {
            "body": "a: 2\n",
            "role": "first",
            "content_type": "text/x-b",
        }

    def test_a_configuration_without_a_main_file_keeps_its_files(self, client):
        client.post(URL, {"name": "c", "files": self.FILES})
        before = client.get(ONE).json()
        for edit in ({"display_name": "x"}, {"content_type": "json"}, {"config_key": "none.yaml"}, {"enabled": False}):
            after = client.patch(ONE, edit).json()
            assert (after["files"], after["config_hash"]) == (before["files"], before["config_hash"])
