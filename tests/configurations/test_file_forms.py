"""All files of a configuration in the admin: what the form does not show, and what nobody edited, stays as it is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent
from agents.remote_config import ConfigFile
from configurations.models import Configuration, Revision
from configurations.services import publishing
from configurations.services.publishing import Draft
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"
MANY = {
    "a.yaml": ConfigFile(b"a: 1\r\nb: 2\r\n", "text/x-a", "first"),
    "b.yaml": ConfigFile(b"\n\nb: 1\n", ""),
    "c.bin": ConfigFile(b"\x00\xff", "application/octet-stream", "bytes"),
}


class Editor:
    """A person before the form; edits are confirmed as a browser would."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def page(self, row: Configuration | None = None) -> tuple[str, dict[str, str]]:
        """The address of the form, and what it would post untouched."""
        url = f"{LIST}{row.pk}/change/" if row else f"{LIST}add/"
        answer = self._client.get(url)
        assert answer.status_code == 200
        return url, fields_of(answer.content.decode())

    def ask(self, row: Configuration | None, **edits: str | None) -> Any:
        """Send the form with ``edits``; ``None`` leaves a field out."""
        url, fields = self.page(row)
        return self._client.post(url, self.edited(fields, edits))

    @staticmethod
    def edited(fields: dict[str, str], edits: dict[str, str | None]) -> dict[str, str]:
        return {name: value for name, value in {**fields, **edits}.items() if value is not None}

    def publish(self, row: Configuration | None, **edits: str | None) -> Any:
        """Send it, and confirm what the page shows."""
        url, _fields = self.page(row)
        shown = self.ask(row, **edits)
        assert "errorlist" not in shown.content.decode(), shown.content.decode()
        answer = self._client.post(url, {**fields_of(shown.content.decode()), "stage": "publish"}, follow=True)
        assert answer.redirect_chain, answer.content.decode()
        return answer


@pytest.fixture
def editor(client, alice):
    client.force_login(alice)
    return Editor(client)


def stored(files: dict[str, ConfigFile], **fields: Any) -> Configuration:
    draft = Draft(selector={"env": "prod"}, files=files, **fields)
    row, _findings = publishing.create_configuration("c", draft, by=None, at=timezone.now(), force=True)
    return row


def files_now() -> dict[str, ConfigFile]:
    current = Configuration.objects.get().current
    assert current is not None
    return dict(current.remote_config().files)


class TestNothingShownIsChanged:
    @pytest.mark.parametrize(
        "files",
        [
            {"a.yaml": ConfigFile(b"a: 1\n", "text/yaml"), "b.yaml": ConfigFile(b"b: 1\n", "text/yaml")},
            MANY,
            {**MANY, "": ConfigFile(b"main: 1\n", "text/yaml")},
            {"": ConfigFile(b"\x00\xff", "application/octet-stream")},
            {"": ConfigFile(b"a: 1", "text/x-other", "main")},
            {"": ConfigFile(b"a: 1\r\rb: 2\n", "text/x-other")},
            {"": ConfigFile(b"", "text/yaml")},
        ],
    )
    @pytest.mark.parametrize("config_key", ["", "a.yaml", "gone.yaml"])
    def test_another_display_name_leaves_the_files_and_the_agents(self, editor, report, files, config_key):
        agent = report(env="prod")
        row = stored(files, config_key=config_key, description="line\nbreak")
        before = Configuration.objects.values().get()
        page = editor.ask(row, display_name="Called otherwise")
        assert "errorlist" not in page.content.decode()
        assert (page.context["changing"], page.context["difference"]) == (0, [])
        assert "no agent gets anything" in page.content.decode()
        answer = editor.publish(row, display_name="Called otherwise")
        assert "its revision is still 1" in answer.content.decode()
        assert files_now() == files
        assert Revision.objects.count() == 1
        after = Configuration.objects.values().get()
        changed = {key for key in before if before[key] != after[key]}
        assert changed == {"display_name", "edition", "updated_at"}
        assert Agent.objects.get(pk=agent.pk).configuration_revision == 1

    def test_an_untouched_form_changes_nothing_at_all(self, editor):
        row = stored(MANY, description="a\r\nb")
        before = Configuration.objects.values().get()
        assert "Nothing differs" in editor.ask(row).content.decode()
        editor.publish(row)
        assert Configuration.objects.values().get() == before
        assert not AuditEntry.objects.filter(verb="configuration.update").exists()

    def test_files_that_are_not_posted_stay(self, editor):
        row = stored({**MANY, "": ConfigFile(b"main: 1\n", "text/yaml")})
        url, fields = editor.page(row)
        few = {name: value for name, value in fields.items() if "file" not in name}
        answer = editor._client.post(url, {**few, "raw_config": "main: 2\n", "stage": "publish", "shown_count": "0"})
        assert answer.status_code == 302
        assert files_now() == {**MANY, "": ConfigFile(b"main: 2\n", "text/yaml")}

    def test_a_form_of_old_that_shows_an_empty_main_file_adds_none(self, editor):
        row = stored(MANY)
        old = {"display_name": "x", "priority": "0", "enabled": "on", "selector": '{"env": "prod"}'}
        posted = {**old, "raw_config": "", "config_key": "", "content_type": "text/yaml"}
        answer = editor._client.post(f"{LIST}{row.pk}/change/", {**posted, "stage": "publish", "shown_count": "0"})
        assert answer.status_code == 302
        assert files_now() == MANY

    def test_the_confirmation_shows_what_is_stored(self, editor):
        row = stored(MANY)
        shown = editor.ask(row, content_type="text/x-other", **{"files-1-role": "second", "files-2-removed": "on"})
        text = shown.content.decode()
        for line in (
            "-content type: text/x-a",
            "+content type: text/x-other",
            "+role: second",
            "-2 bytes that are no text",
        ):
            assert line in text
        editor.publish(row, content_type="text/x-other", **{"files-1-role": "second", "files-2-removed": "on"})
        assert files_now() == {
            "a.yaml": ConfigFile(MANY["a.yaml"].body, "text/x-other", "first"),
            "b.yaml": ConfigFile(MANY["b.yaml"].body, "", "second"),
        }


class TestEditing:
    def test_line_breaks_stay_of_the_kind_they_were(self, editor):
        row = stored(MANY)
        editor.publish(row, raw_config="a: 1\r\nb: 3\r\n", **{"files-1-body": "\r\n\r\nb: 2\r\n"})
        assert files_now()["a.yaml"].body == b"a: 1\r\nb: 3\r\n"
        assert files_now()["b.yaml"].body == b"\n\nb: 2\n"

    def test_bytes_are_kept_while_their_key_and_role_change(self, editor):
        row = stored(MANY)
        editor.publish(row, **{"files-2-key": "d.bin", "files-2-role": "", "files-2-body": "forged"})
        assert files_now()["d.bin"] == ConfigFile(b"\x00\xff", "application/octet-stream", "")

    def test_two_files_swap_their_keys(self, editor):
        row = stored(MANY, config_key="a.yaml")
        editor.publish(row, config_key="b.yaml", **{"files-1-key": "a.yaml"})
        assert files_now() == {"b.yaml": MANY["a.yaml"], "a.yaml": MANY["b.yaml"], "c.bin": MANY["c.bin"]}
        assert Configuration.objects.get().config_key == "b.yaml"

    def test_two_files_cannot_have_one_key(self, editor):
        body = editor.ask(stored(MANY), **{"files-1-key": "a.yaml"}).content.decode()
        assert "Another file has the config key" in body
        assert files_now() == MANY

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("files-1-key", "../x", "A config key is a name"),
            ("files-1-content_type", "nonsense", "MIME type"),
            ("files-1-role", "a\x1bb", "control character"),
            ("files-1-body", "a: [", "line 1"),
            ("config_key", "/x", "A config key is a name"),
            ("content_type", "a/b\r\nX: 1", "MIME type"),
            ("display_name", "a\x1bb", "control character"),
        ],
    )
    def test_mistakes_stand_at_their_field_and_lose_nothing(self, editor, field, value, said):
        files = {**MANY, "b.yaml": ConfigFile(b"b: 1\n", "text/yaml")}
        page = editor.ask(stored(files), **{field: value})
        body = page.content.decode()
        assert "errorlist" in body
        assert said in body
        assert fields_of(body)[field] == value
        assert files_now() == files

    def test_a_file_is_added_without_a_script(self, editor):
        row = stored({"": ConfigFile(b"a: 1\n", "text/yaml")})
        url, fields = editor.page(row)
        longer = editor._client.post(url, {**fields, "raw_config": "a: 2\n", "stage": "add_file"}).content.decode()
        assert "errorlist" not in longer
        grown = fields_of(longer)
        assert (grown["file_count"], grown["raw_config"], grown["files-1-body"]) == ("2", "a: 2\r\n", "")
        confirm = editor._client.post(
            url, {**grown, "files-1-key": "more.json", "files-1-body": "{}", "files-1-content_type": "json"}
        )
        editor._client.post(url, {**fields_of(confirm.content.decode()), "stage": "publish"})
        assert files_now() == {
            "": ConfigFile(b"a: 2\n", "text/yaml"),
            "more.json": ConfigFile(b"{}", "application/json"),
        }

    def test_an_added_form_that_stays_empty_adds_nothing(self, editor):
        row = stored(MANY)
        editor.publish(row, file_count="5", display_name="x")
        assert files_now() == MANY

    def test_the_main_file_can_be_removed_but_not_all(self, editor):
        row = stored({"": ConfigFile(b"a: 1\n", "text/yaml"), "b": ConfigFile(b"b: 1\n", "text/yaml")})
        body = editor.ask(row, main_removed="on", **{"files-1-removed": "on"}).content.decode()
        assert "needs at least one file" in body
        editor.publish(row, main_removed="on")
        assert files_now() == {"b": ConfigFile(b"b: 1\n", "text/yaml")}

    def test_a_new_configuration_of_several_files(self, editor):
        edits = {"files-1-key": "b", "files-1-body": "b: 1", "file_count": "2", "enabled": "on"}
        editor.publish(None, name="new", raw_config='{"a": 1}', config_key="a", content_type="json", **edits)
        row = Configuration.objects.get()
        assert (row.config_key, row.content_type) == ("a", "application/json")
        assert files_now() == {
            "a": ConfigFile(b'{"a": 1}', "application/json"),
            "b": ConfigFile(b"b: 1", "text/yaml"),
        }

    def test_a_first_file_left_empty_for_another_is_none(self, editor):
        editor.publish(None, name="new", file_count="2", **{"files-1-key": "b", "files-1-body": "b: 1"})
        assert files_now() == {"b": ConfigFile(b"b: 1", "text/yaml")}
        assert Configuration.objects.get().config_key == "b"

    def test_no_file_is_dropped_in_silence(self, editor):
        many = {f"files-{number}-key": f"k{number}" for number in range(1, 70)}
        body = editor.ask(None, name="new", raw_config="a: 1", file_count="70", **many).content.decode()
        assert "At most 64 files; 70 were sent" in body


class TestConcurrentEdits:
    def test_a_description_that_somebody_else_wrote_is_not_lost(self, editor):
        row = stored(MANY)
        url, mine = editor.page(row)
        editor.publish(row, description="theirs")
        late = editor._client.post(url, {**mine, "display_name": "mine"})
        body = late.content.decode()
        assert "somebody changed the name or the description" in body
        assert fields_of(body)["display_name"] == "mine"
        again = editor._client.post(url, {**fields_of(body), "stage": "", "rebase": "1"}).content.decode()
        editor._client.post(url, {**fields_of(again), "stage": "publish"})
        assert Configuration.objects.get().display_name == "mine"


class TestEmptyAndForced:
    def test_an_empty_configuration_needs_the_box(self, editor):
        refused = editor.ask(None, name="new", raw_config="# nothing")
        body = refused.content.decode()
        assert "Nothing stands in it" in body
        assert 'name="force"' in body
        assert "force" not in editor.page(None)[1]
        editor.publish(None, name="new", raw_config="# nothing", force="on")
        assert AuditEntry.objects.get(verb="configuration.create").data["forced"]

    def test_what_cannot_be_read_cannot_be_forced(self, editor):
        body = editor.ask(None, name="new", raw_config="a: [", force=None).content.decode()
        assert 'name="force"' not in body

    def test_a_rollback_to_nothing_needs_the_box(self, editor, client):
        row = stored({"": ConfigFile(b"", "text/yaml")})
        editor.publish(row, raw_config="a: 1\n")
        url = f"{LIST}{row.pk}/rollback/1/"
        page = client.get(url).content.decode()
        assert "Nothing stands in it" in page
        assert 'name="force"' in page
        refused = client.post(url, fields_of(page)).content.decode()
        assert "This is blocked" in refused
        assert files_now()[""].body == b"a: 1\n"
        assert client.post(url, {**fields_of(refused), "force": "on"}).status_code == 302
        assert files_now()[""].body == b""

    def test_switching_it_off_and_on_is_never_blocked(self, editor, client):
        row = stored({"": ConfigFile(b"", "text/yaml")})
        for enabled in (False, True):
            page = client.get(f"{LIST}{row.pk}/switch/").content.decode()
            assert client.post(f"{LIST}{row.pk}/switch/", fields_of(page)).status_code == 302
            assert Configuration.objects.get().enabled is enabled

    def test_a_rollback_to_what_is_not_there_is_no_page(self, editor, client):
        assert client.get(f"{LIST}{stored(MANY).pk}/rollback/9/").status_code == 404


class TestWarnings:
    def test_they_are_shown_after_saving_with_their_file(self, editor):
        edits = {"files-1-key": "b.yaml", "files-1-body": "receivers: {nop: }", "file_count": "2"}
        body = editor.publish(None, name="new", raw_config="a: 1", **edits).content.decode()
        assert "Line 1, column 1 of b.yaml: Nothing of this would run" in body
        assert "No agent that is known now matches" in body

    def test_an_untouched_form_is_not_judged(self, editor, client):
        assert "data-now" not in client.get(f"{LIST}add/").content.decode()
        assert "data-now" in client.get(f"{LIST}{stored(MANY).pk}/change/").content.decode()

    def test_problems_are_marked_in_every_file_while_typing(self, editor, client):
        _url, fields = editor.page(None)
        typed = {
            "raw_config": "receivers: {nop: }",
            "files-1-key": "b",
            "files-1-body": "a: 1\na: 2",
            "file_count": "2",
        }
        found = client.post(f"{LIST}problems/", {**fields, **typed}).json()
        assert found["file_lines"] == [{}, {"2": "error"}]
        drawn = re.sub(r"\s+", " ", found["html"])
        assert 'data-file="1" data-line="2"' in drawn
        assert "b, line 2, column 1" in drawn
        blocked = client.post(f"{LIST}problems/", {**fields, "raw_config": ""}).json()
        assert blocked["lines"] == {"1": "error"}
        forced = client.post(f"{LIST}problems/", {**fields, "raw_config": "", "force": "on"}).json()
        assert forced["lines"] == {"1": "warning"}
