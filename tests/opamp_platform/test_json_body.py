"""Request bodies: what is no plain JSON is refused, in words, and never with a 500."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.django_db
AGENTS, CONFIGURATIONS = "/api/v1/agents", "/api/v1/configurations"
VALID = {"name": "c", "raw_config": "a: 1\n", "selector": {"env": "prod"}}


def with_value(member: str, text: str) -> str:
    """The valid body with one member replaced by JSON as it is written."""
    rest = json.dumps({key: value for key, value in VALID.items() if key != member})
    return f"{rest[:-1]}, {json.dumps(member)}: {text}}}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "name"),
        ("{", "not JSON"),
        ("nonsense", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"name": "\xff"}', "not JSON"),
        ("[]", "dictionary"),
        ('"text"', "dictionary"),
        ("null", ""),
        ("7", "dictionary"),
        ('{"name": "a", "name": "b"}', "'name' is given twice"),
        (with_value("selector", '{"env": "a", "env": "b"}'), "'env' is given twice"),
        (with_value("priority", "NaN"), "NaN"),
        (with_value("priority", "Infinity"), "Infinity"),
        (with_value("priority", "1e999"), "priority"),
        (with_value("priority", "1.5"), "priority"),
        (with_value("priority", "9" * 5000), "not JSON"),
        (with_value("priority", "9" * 400), "priority"),
        (with_value("priority", '"7"'), "priority"),
        (with_value("priority", "true"), "priority"),
        (with_value("priority", "null"), "priority"),
        (with_value("enabled", '"yes"'), "enabled"),
        (with_value("enabled", "1"), "enabled"),
        (with_value("name", "7"), "name"),
        (with_value("name", "[]"), "name"),
        (with_value("raw_config", "{}"), "raw_config"),
        (with_value("description", r'"a\u0000b"'), "description"),
        (with_value("display_name", r'"a\ud800b"'), "display_name"),
        (with_value("selector", r'{"env": "\udc00"}'), "selector"),
        (with_value("selector", r'{"\udfff": "x"}'), "selector"),
        (with_value("selector", r'{"env": "a\u0000"}'), "selector"),
        (with_value("selector", '{"env": 1e400}'), "selector"),
        (with_value("selector", "[" * 70 + "]" * 70), "deeper than 64"),
        (with_value("selector", '{"a":' * 5000 + "1" + "}" * 5000), "deeper than 64"),
        (with_value("files", '"x"'), "files"),
        (with_value("files", '{"a": 1}'), "files"),
        (with_value("files", '{"a": {"body": "x", "mode": 7}}'), "mode"),
        (with_value("files", '{"a": {"body_base64": "§"}}'), "base64"),
        (with_value("selctor", "{}"), "selctor"),
        (with_value(r"\ud800", "{}"), ""),
        (with_value("revision", "-1"), "revision"),
    ],
)
def test_a_body_that_means_nothing_gets_a_400_that_says_why(api_of, alice, body, words):
    answer = api_of(alice).post(CONFIGURATIONS, body, content_type="application/json")
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json"), answer.content
    problem = answer.json()
    assert words in json.dumps(problem, ensure_ascii=False)
    assert problem["errors"] or problem["detail"]
    assert api_of(alice).get(CONFIGURATIONS).json()["count"] == 0


def test_an_unknown_member_is_named(api_of, alice, report):
    agent = report()
    client = api_of(alice)
    for method, url, name in (
        ("post", CONFIGURATIONS, "slector"),
        ("put", f"{CONFIGURATIONS}/c", "prio"),
        ("patch", f"{CONFIGURATIONS}/c", "raw-config"),
        ("post", f"{CONFIGURATIONS}/c/preview", "selectors"),
        ("post", f"{CONFIGURATIONS}/preview", "matchLabels"),
        ("post", f"{CONFIGURATIONS}/c/rollback", "to"),
        ("patch", f"{AGENTS}/{agent.instance_uid}", "labels"),
        ("patch", f"{AGENTS}/{agent.instance_uid}", "status"),
        ("post", f"{AGENTS}/{agent.instance_uid}/custom-message", "body"),
        ("post", f"{AGENTS}/restart", "uids"),
        ("post", f"{AGENTS}/labels", "labels"),
    ):
        if url.endswith("/c"):
            client.post(CONFIGURATIONS, VALID)
        answer = getattr(client, method)(url, {name: "x"})
        assert answer.status_code == 400, url
        assert "There is no such field" in answer.json()["errors"][name][0]


def test_what_a_get_said_can_be_put_back(api_of, alice):
    client = api_of(alice)
    client.post(CONFIGURATIONS, VALID)
    body = client.get(f"{CONFIGURATIONS}/c").json()
    answer = client.put(f"{CONFIGURATIONS}/c", body)
    assert (answer.status_code, answer.json()["revision"]) == (200, 1)


def test_a_body_above_the_limit_gets_a_413(api_of, alice, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    answer = api_of(alice).post(CONFIGURATIONS, {**VALID, "description": "x" * 10_000})
    assert (answer.status_code, answer["content-type"]) == (413, "application/problem+json")


def test_64_levels_are_read(api_of, alice):
    nested = "[" * 63 + "]" * 63
    answer = api_of(alice).post(CONFIGURATIONS, with_value("selector", nested), content_type="application/json")
    assert list(answer.json()["errors"]) == ["selector"]


@pytest.mark.parametrize("pair", [r"\ud83d\ude00", "😀"])
def test_whole_characters_are_kept_however_they_are_written(api_of, alice, pair):
    body = with_value("description", f'"{pair}"')
    answer = api_of(alice).post(CONFIGURATIONS, body, content_type="application/json")
    assert (answer.status_code, answer.json()["description"]) == (201, "😀")
