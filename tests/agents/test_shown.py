"""What people see of what agents report: secrets hidden, bounded, and worked out once."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from agents import shown
from agents.admin.whole import MOST_NODES
from agents.models import Agent, AgentEvent
from agents.redaction import HIDDEN, redacted
from agents.reports import (
    AvailableComponents,
    ComponentHealth,
    EffectiveConfig,
    RemoteConfigStatus,
    RemoteConfigStatuses,
)
from agents.shown import MOST_OF_A_MESSAGE, MOST_SHOWN, MOST_VALUES, event_shown, files_shown, tree_shown, value_shown
from configurations import differences
from configurations.differences import compared
from configurations.line_differences import MOST_COMPARED, MOST_LINES, difference, values_behind

URL = "/api/v1/agents"
SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    shown._texts.clear()
    differences._comparisons.clear()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the texts that were searched for secrets."""
    lengths: list[int] = []

    def counting(text: str) -> str:
        lengths.append(len(text))
        return redacted(text)

    monkeypatch.setattr(shown, "redacted", counting)
    return lengths


class TestValues:
    def test_attributes_arguments_and_texts(self):
        attributes = {
            "process.command_args": ["otelcol", "--token", SECRET, f"--set=a.password={SECRET}"],
            "api.key": SECRET,
            "note": f"password={SECRET}",
            "host.name": "secret-host",
            "nested": {"credentials": {"client": SECRET, "other": 17}},
        }
        seen = value_shown(attributes)
        assert SECRET not in json.dumps(seen)
        assert seen["host.name"] == "secret-host"
        assert seen["process.command_args"][:2] == ["otelcol", "--token"]

    def test_names_of_components_are_no_names_of_secrets(self):
        tree = {
            "healthy": False,
            "components": {
                "exporter:otlp/token": {"healthy": True, "status": "StatusOK", "last_error": f"token={SECRET}"}
            },
        }
        seen = tree_shown(tree)["components"]["exporter:otlp/token"]
        assert (seen["healthy"], seen["status"]) == (True, "StatusOK")
        assert SECRET not in seen["last_error"]

    def test_what_is_behind_the_bound_is_hidden(self):
        seen = value_shown({"many": [{"text": f"word {number}"} for number in range(MOST_VALUES + 1)]})
        assert seen["many"][0]["text"] == "word 0"
        assert seen["many"][-1]["text"] == HIDDEN
        deep: Any = "x"
        for _level in range(500):
            deep = {"a": deep}
        assert HIDDEN in json.dumps(value_shown(deep))

    def test_of_an_endless_message_the_beginning_is_seen(self):
        seen = shown.message_shown("word " * MOST_OF_A_MESSAGE)
        assert len(seen) <= MOST_OF_A_MESSAGE + 1
        assert seen.endswith("…")

    @pytest.mark.parametrize(
        ("data", "seen"),
        [
            (b"hello world", b"hello world"),
            (f"password={SECRET}".encode(), f"password={HIDDEN}".encode()),
            ("café and more".encode()[:4], b"caf"),
        ],
    )
    def test_data_of_messages_is_seen_as_text(self, data, seen):
        event = {"size": 9, "data_base64": base64.b64encode(data).decode(), "type": "x"}
        assert base64.b64decode(event_shown(event)["data_base64"]) == seen
        assert list(event_shown(event)) == list(event)

    @pytest.mark.parametrize("data", [base64.b64encode(b"\xff\xfe\x00\x01\x02").decode(), "no base64!"])
    def test_data_that_is_no_text_is_hidden(self, data):
        assert event_shown({"data_base64": data})["data_base64"] == HIDDEN


class TestFiles:
    def test_what_was_shown_once_is_remembered_by_its_hash_and_no_secret_is_kept(self, parsed):
        files = {"": {"body": f"password: {SECRET}\n"}}
        assert files_shown(files) == files_shown(json.loads(json.dumps(files)))
        assert len(parsed) == 1
        assert SECRET not in repr(vars(shown._texts))

    def test_no_more_than_the_bound_is_parsed(self, parsed):
        body = "key: value\n" * 5_000
        seen = files_shown({"a": {"body": body}, "b": {"body": body}, "c": {"body": "x: 1"}}, most=40_000)
        assert sum(parsed) <= 40_000
        assert (seen["a"]["cut"], seen["a"]["size"]) == (True, len(body))
        assert str(seen["a"]["body"]).endswith("value\n")
        assert [seen[key]["body"] for key in "bc"] == ["", ""]

    def test_a_cut_within_a_value_hides_it(self):
        body = json.dumps({"filler": "x" * 100, "password": SECRET * 100})
        assert SECRET[:7] not in str(files_shown({"": {"body": body}}, most=160)[""]["body"])

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(shown._texts, "_most_bytes", 64 * 1024)
        for number in range(40):
            files_shown({"": {"body": f"# {number}\n" + "a: b\n" * 500}})
        assert 0 < shown._texts._bytes <= 64 * 1024


class TestDifferences:
    def test_true_values_are_compared_and_hidden_ones_not_shown(self):
        def found(desired: str, effective: str) -> Any:
            return compared({"": {"body": desired}}, {"": {"body": effective}})

        text = "exporters: {otlp: {token: %s, endpoint: a}}\n"
        other = found(text % SECRET, text % "hunter2-other")
        assert [(item.path, item.desired, item.effective, item.is_hidden) for item in other.differing] == [
            ("exporters.otlp.token", HIDDEN, HIDDEN, True)
        ]
        same = found(text % SECRET, text % SECRET)
        assert (same.differing, same.same) == ((), 2)
        masked = found(text % SECRET, text % "'[REDACTED]'")
        assert (masked.differing, masked.masked, masked.same) == ((), 1, 1)
        extra = found("exporters: {}\n", text % SECRET)
        assert SECRET not in repr(extra)

    def test_lines_tell_that_a_hidden_value_changed_and_neither(self):
        before, after = (
            f"a: 1\nurl: https://u:{word}@host/\npassword: same-hunter2\n" for word in ("one-w0rd", "two-w0rd")
        )
        lines = difference({"": {"body": before}}, {"": {"body": after}})
        assert "w0rd" not in repr(lines)
        assert "hunter2" not in repr(lines)
        changed = [line for line in lines if line.hidden_change]
        assert [line.text for line in changed] == [f"+url: https://u:{HIDDEN}@host/"]
        assert difference({"": {"body": before}}, {"": {"body": before}}) == []

    @pytest.mark.parametrize(
        "text",
        [
            "password: hunter2-a\nother: 1\n",
            'a: {password: "hunter2-a", token: hunter2-b}\n',
            "k:\n  private_key: |\n    -----BEGIN PRIVATE KEY-----\n    MIIEvQIBADANBg\n    -----END PRIVATE KEY-----\n  b: 1\n",
        ],
    )
    def test_hidden_values_are_found_in_order(self, text):
        seen = redacted(text)
        values = values_behind(text, seen)
        assert len(values) == seen.count(HIDDEN) > 0
        assert all(("hunter2" in value) or ("MIIE" in value) for value in values)

    def test_what_cannot_be_compared_line_by_line_costs_its_length(self, monkeypatch):
        compared_lines: list[int] = []
        from configurations import line_differences

        plain = line_differences.difflib.unified_diff

        def counting(former: list[str], present: list[str], **options: Any) -> Any:
            compared_lines.append(max(len(former), len(present)))
            return plain(former, present, **options)

        monkeypatch.setattr(line_differences.difflib, "unified_diff", counting)
        large = "".join(f"k{number}: {number}\n" for number in range(3 * MOST_COMPARED))
        lines = difference({"": {"body": large}}, {"": {"body": large.replace(": ", ": x")}})
        assert len(lines) <= MOST_LINES + 1
        assert compared_lines == []
        one = difference({"": {"body": large}}, {"": {"body": large.replace("k4000: ", "k4000: x")}})
        assert [line.text for line in one if line.kind in ("ins", "del")] == ["-k4000: 4000", "+k4000: x4000"]
        assert next(line.text for line in one if line.kind == "hunk") == "@@ -3998,7 +3998,7 @@"
        assert compared_lines == [7]


@pytest.mark.django_db
class TestDoors:
    @pytest.fixture
    def agent(self, report) -> Agent:
        agent: Agent = report(
            healthy=False,
            **{"api.key": SECRET},
            health=ComponentHealth(
                False,
                f"password={SECRET}",
                f"token={SECRET}",
                0,
                0,
                {"healthy": False, "last_error": f"token={SECRET}"},
            ),
            effective_config=EffectiveConfig({"": {"body": f"password: {SECRET}\n"}}),
            remote_config_status=RemoteConfigStatus(b"\x01", RemoteConfigStatuses.FAILED, f"bad token: {SECRET}"),
            package_statuses={
                "packages": {"a": {"error_message": f"password={SECRET}"}},
                "error_message": f"token={SECRET}",
            },
            available_components=AvailableComponents(b"\x02", {"otlp": {"metadata": {"token": SECRET}}}),
        )
        AgentEvent.objects.create(
            agent=agent,
            at=timezone.now(),
            kind=AgentEvent.Kind.CUSTOM_MESSAGE,
            data={"type": "t", "data_base64": base64.b64encode(f"password={SECRET}".encode()).decode()},
        )
        return agent

    PATHS = ("", "/timeline", "/effective-config", "/components", "/packages")

    @pytest.mark.parametrize("who", ["alice", "bob"])
    def test_no_answer_shows_them_unasked(self, api_of, request, agent, who):
        client = api_of(request.getfixturevalue(who))
        for path in (
            *(f"/{agent.instance_uid}{path}" for path in self.PATHS),
            "",
            f"/{agent.instance_uid}/configuration",
        ):
            answer = client.get(URL + path)
            assert answer.status_code == 200, path
            body = answer.content.decode()
            assert SECRET not in body, path
            assert base64.b64encode(SECRET.encode()).decode()[:8] not in body

    @pytest.mark.parametrize("path", PATHS)
    def test_with_the_right_each_is_shown_and_audited(self, api_of, alice, bob, agent, path):
        url = f"{URL}/{agent.instance_uid}{path}?secrets=shown"
        assert api_of(bob).get(url).status_code == 403
        assert not AuditEntry.objects.exists()
        body = api_of(alice).get(url).content.decode()
        assert SECRET in body or base64.b64encode(f"password={SECRET}".encode()).decode() in body
        assert AuditEntry.objects.get().verb == "agent.reveal_secrets"

    def test_the_list_refuses_clearly(self, api_of, alice, agent):
        answer = api_of(alice).get(f"{URL}?secrets=shown")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["secrets"])

    def test_errors_are_grouped_and_found_by_what_is_shown_of_them(self, client, alice, report):
        for name, secret in (("one", f"{SECRET}-1"), ("two", f"{SECRET}-2"), ("three", "")):
            error = f"password={secret}" if secret else "disk full"
            tree = {"healthy": False, "last_error": error}
            report(name, healthy=False, health=ComponentHealth(False, error, "", 0, 0, tree))
        client.force_login(alice)
        body = client.get("/admin/agents/agent/?status=error").content.decode()
        assert SECRET not in body
        (link,) = {html.unescape(url) for url in re.findall(r'href="(\?[^"]*reason=[^"]*redacted[^"]*)"', body)}
        found = client.get(f"/admin/agents/agent/{link}")
        assert SECRET not in found.content.decode()
        assert {row.hostname for row in found.context["cl"].result_list} == {"one", "two"}

    @pytest.mark.parametrize("language", ["en", "zh-hans"])
    def test_no_page_shows_them(self, client, alice, agent, language):
        client.force_login(alice)
        client.cookies["django_language"] = language
        for page in (
            f"/admin/agents/agent/{agent.pk}/change/",
            f"/admin/agents/agent/{agent.pk}/timeline/",
            "/admin/",
            "/admin/agents/agent/",
        ):
            assert SECRET not in client.get(page).content.decode(), page

    def test_a_page_that_reads_itself_again_parses_nothing(self, client, alice, agent, parsed):
        client.force_login(alice)
        answer = client.get(
            f"/admin/agents/agent/{agent.pk}/change/", headers={"X-Portal-Refresh": "live"}
        ).content.decode()
        assert parsed == []
        assert 'id="cards"' in answer
        assert 'id="timeline-lines"' in answer
        assert 'id="raw"' not in answer
        assert SECRET not in answer

    def test_a_huge_configuration_is_parsed_once_up_to_the_bound(self, client, api_of, alice, report, parsed):
        body = "".join(f"key{number}: value{number}\n" for number in range(40_000))
        agent = report(effective_config=EffectiveConfig({"": {"body": body}}), capabilities=0x7FFF)
        client.force_login(alice)
        page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "Only the beginning is shown" in page
        assert "value39999" not in page
        client.get(f"/admin/agents/agent/{agent.pk}/change/")
        shown_files = api_of(alice).get(f"{URL}/{agent.instance_uid}/effective-config").json()
        assert (shown_files[""]["cut"], shown_files[""]["size"]) == (True, len(body))
        assert [length for length in parsed if length > 10_000] == [len(shown_files[""]["body"])]
        whole = api_of(alice).get(f"{URL}/{agent.instance_uid}/effective-config?secrets=shown").json()
        assert whole[""]["body"] == body
        entry_point = f"/admin/agents/agent/{agent.pk}/secrets/file/"
        assert "Your password" in client.post(entry_point, {"key": ""}).content.decode()
        file = client.post(entry_point, {"key": "", "confirm_password": "alice-password"})
        assert file.content.decode() == body
        assert "attachment" in file["content-disposition"]
        page = client.post(f"/admin/agents/agent/{agent.pk}/secrets/").content.decode()
        assert "Only the beginning is shown" in page
        assert len(page) < 2 * MOST_SHOWN < 2 * len(body)

    def test_thousands_of_components_are_cut(self, client, alice, report):
        tree = {"healthy": True, "components": {f"c{number}": {"healthy": True} for number in range(5_000)}}
        components = {f"m{number}": {"metadata": {"type": "x"}} for number in range(5_000)}
        agent = report(
            health=ComponentHealth(True, "", "", 0, 0, tree),
            available_components=AvailableComponents(b"\x02", components),
            capabilities=0x7FFF,
        )
        client.force_login(alice)
        page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert page.count("There is more than a page can show") >= 2
        assert page.count("<strong>m") == MOST_NODES
