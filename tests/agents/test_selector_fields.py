"""Selectors that somebody types in a form: as JSON or YAML, and what the rows over the text ask for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from agents.admin.selector_fields import read_selector, selector_of
from agents.selectors import InvalidSelector

ASK = "/admin/agents/agent/selector/"


def asked(client: Client, **sent: str) -> dict[str, Any]:
    answer = client.post(ASK, sent)
    assert answer.status_code == 200
    return answer.json()


class TestTexts:
    @pytest.mark.parametrize(
        "text", ['{"env": "prod", "version": "0.100"}', "env: prod\nversion: 0.100", "{env: prod, version: 0.100}"]
    )
    def test_json_and_yaml_say_the_same_and_versions_stay_as_written(self, text: str) -> None:
        assert read_selector(text) == {"env": "prod", "version": "0.100"}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"env": "prod", "env": "test"}', "“env” is there twice."),
            ("env: prod\nenv: test", "“env” is there twice."),
            ("matchLabels: {a: b, a: c}", "“a” is there twice."),
            ("env: [", "look at line 1"),
            ("a: b\n  c: d", "look at line 2"),
            ("? [a]\n: b", "look at line 1"),
            ("&a [*a]", "Neither JSON nor YAML"),
            ('{"env": "\\ud800"}', "Neither JSON nor YAML"),
            ("[" * 500, "nests deeper than"),
            ("- " * 500 + "a", "nests deeper than"),
            ("a: b\n" * 20_000, "too long"),
            ("a\x00b: c", "Neither JSON nor YAML"),
        ],
    )
    def test_what_is_none_is_said_with_its_place(self, text: str, said: str) -> None:
        with pytest.raises(InvalidSelector) as error:
            selector_of(text, match_all=False)
        assert said in " ".join(str(problem) for problem in error.value.problems)


@pytest.mark.django_db
class TestRows:
    def test_clauses_keys_and_how_many_agents_it_means(self, signed_in: Client, report: Any) -> None:
        report("web-1", env="prod")
        report("web-2", env="prod")
        report("db-1", env="test")
        found = asked(signed_in, selector='{"env": "prod"}')
        assert found["rows"] == [{"key": "env", "operator": "In", "values": ["prod"]}]
        assert {"env", "host.name"} <= set(found["keys"])
        words = " ".join(found["html"].split())
        assert "<strong>2</strong> agents match" in words
        assert "web-1" in words
        assert "db-1" not in words
        everybody = asked(signed_in, selector="", match_all="on")
        assert everybody["rows"] == []
        assert "<strong>3</strong>" in everybody["html"]
        assert "<strong>0</strong>" in asked(signed_in, selector="")["html"]

    def test_half_a_selector_has_no_rows_and_says_why(self, signed_in: Client) -> None:
        found = asked(signed_in, selector='{"env": ')
        assert found["rows"] is None
        assert "This is not a selector yet" in found["html"]

    def test_who_may_not_see_agents_learns_nothing_of_them(self, client: Client, charlie: Any, report: Any) -> None:
        report("web-1", env="prod")
        client.force_login(charlie)
        found = asked(client, selector='{"env": "prod"}')
        assert found["rows"] == [{"key": "env", "operator": "In", "values": ["prod"]}]
        assert found["keys"] == []
        assert found["html"].strip() == ""

    def test_it_is_asked_by_post_and_by_people_who_are_signed_in(self, signed_in: Client) -> None:
        assert signed_in.get(ASK).status_code == 405
        assert Client().post(ASK, {"selector": "{}"}).status_code == 302

    @pytest.mark.parametrize("page", ["packages/package", "connections/connectionsettings", "variables/variable"])
    def test_every_form_with_a_selector_has_rows(self, signed_in: Client, page: str) -> None:
        body = signed_in.get(f"/admin/{page}/add/").content.decode()
        assert "data-selector-rows" in body
        assert f'data-url="{ASK}"' in body
        typed = signed_in.post(f"/admin/{page}/add/", {"name": "x", "selector": "env: [prod"}).content.decode()
        # What is no selector stays as it was typed.
        assert 'data-rows="null"' in typed
        assert "env: [prod" in typed
