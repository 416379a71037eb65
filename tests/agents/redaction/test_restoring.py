"""Hidden values go back where they came from, and nowhere else; messages and decoded JSON are hidden too."""

from __future__ import annotations

import json

import pytest

from agents.redaction import HIDDEN, Path, Restored, hidden_values, redacted, redacted_json, redacted_message, restored

COLLECTOR = """\
exporters:
  otlphttp/a:
    endpoint: https://user:pa55@a.example.org/v1
    headers: {Authorization: Bearer abc123def, X-Tenant: prod}
    tls:
      key_pem: |
        -----BEGIN PRIVATE KEY-----
        MIIabc
        -----END PRIVATE KEY-----
  otlphttp/b:
    api: {key: k2}
  # password: old1
service: {extensions: []}
"""


@pytest.mark.rule("S-116")
class TestRestored:
    def test_values_are_told_by_their_paths(self) -> None:
        assert hidden_values(COLLECTOR) == {
            (0, "exporters", "otlphttp/a", "endpoint"): "https://user:pa55@a.example.org/v1",
            (0, "exporters", "otlphttp/a", "headers", "Authorization"): "Bearer abc123def",
            (0, "exporters", "otlphttp/a", "tls", "key_pem"): (
                "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n"
            ),
            (0, "exporters", "otlphttp/b", "api", "key"): "k2",
        }

    def test_what_is_edited_elsewhere_keeps_them(self) -> None:
        edited = redacted(COLLECTOR).replace("X-Tenant: prod", "X-Tenant: dev") + "# the end\n"
        expected = COLLECTOR.replace("X-Tenant: prod", "X-Tenant: dev") + "# the end\n"
        assert restored(edited, COLLECTOR) == Restored(expected, ())

    def test_a_moved_placeholder_gets_nothing(self) -> None:
        edited = redacted(COLLECTOR).replace("otlphttp/b", "otlphttp/c")
        outcome = restored(edited, COLLECTOR)
        assert outcome.missing == ((0, "exporters", "otlphttp/c", "api", "key"),)
        assert "k2" not in outcome.text

    def test_whoever_may_not_gets_nothing(self) -> None:
        def elsewhere(path: Path) -> bool:
            return path[2] != "otlphttp/a"

        outcome = restored(redacted(COLLECTOR), COLLECTOR, may=elsewhere)
        assert len(outcome.missing) == 3
        assert not any(secret in outcome.text for secret in ("pa55", "abc123def", "MIIabc"))
        assert "k2" in outcome.text

    def test_a_part_of_a_value_goes_back_into_what_it_was_a_part_of(self) -> None:
        edited = redacted(COLLECTOR).replace("/v1", "/v2")
        assert "https://user:pa55@a.example.org/v2" in restored(edited, COLLECTOR).text

    def test_a_block_that_is_indented_anew_is_written_in_quotes(self) -> None:
        original = "a:\n  password: |\n    one\n    two\n"
        outcome = restored(f'a:\n      password: "{HIDDEN}"\n', original)
        assert outcome == Restored('a:\n      password: "one\\ntwo\\n"\n', ())

    def test_a_changed_comment_gets_nothing(self) -> None:
        edited = redacted(COLLECTOR).replace("# password:", "# new password:")
        outcome = restored(edited, COLLECTOR)
        assert "old1" not in outcome.text
        line = next(n for n, text in enumerate(edited.splitlines(), start=1) if "# new password:" in text)
        assert outcome.missing == ((line,),)

    def test_lines_of_what_is_no_yaml_go_back(self) -> None:
        original = "{{ if x }}\npassword: one\ntoken: two\n"
        edited = redacted(original).replace("if x", "if y")
        assert restored(edited, original) == Restored(original.replace("if x", "if y"), ())


@pytest.mark.rule("S-116")
class TestMessages:
    @pytest.mark.parametrize(
        "text",
        [
            "cannot log in with password: hunter2",
            "dial https://u:hunter2@h:4318: connection refused",
            "401: Authorization: Bearer hunter2x rejected",
            "invalid api key: hunter2",
            "env DB_PASSWORD=hunter2 is not set",
            'invalid token "hunter2abc"',
            'unmarshal: {"password": "hunter2"} is no list',
            'Post "https://h/v1?api_key=hunter2": EOF',
            "exec: run --token hunter2: exit status 1",
        ],
    )
    def test_secrets_are_hidden(self, text: str) -> None:
        assert "hunter2" not in redacted_message(text)
        assert HIDDEN in redacted_message(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "collector crashed: exit status 1",
            'failed to get token: Post "https://idp.example.org/token": dial tcp 10.0.0.1:443: connection refused',
            "unexpected token '<' at line 3",
            "password authentication failed for user portal",
            "token expired",
            "invalid authentication token: expired",
            "cannot unmarshal the configuration: '' has invalid keys: receivres",
            'service::pipelines::traces: references exporter "otlp" which is not configured',
            "basic authentication is required",
            'Exporting failed. Will retry the request after interval. {"interval": "5.52s"}',
            "bind: address already in use 0.0.0.0:4317",
            "Where BACKEND_TOKEN is not set, nothing stands here; a default is written ${env:BACKEND_TOKEN:-…}.",
        ],
    )
    def test_sentences_stay_readable(self, text: str) -> None:
        assert redacted_message(text) == text


@pytest.mark.rule("S-116")
class TestJson:
    def test_values_under_secret_names_and_texts_are_hidden(self) -> None:
        content = {
            "healthy": True,
            "last_error": "login with password=hunter2 failed",
            "components": {"a": {"attributes": {"api_key": "hunter2", "tokens": ["hunter2", 7], "token_count": 7}}},
            "count": 3,
            "nothing": None,
        }
        assert redacted_json(content) == {
            "healthy": True,
            "last_error": f"login with password={HIDDEN} failed",
            "components": {"a": {"attributes": {"api_key": HIDDEN, "tokens": [HIDDEN, HIDDEN], "token_count": 7}}},
            "count": 3,
            "nothing": None,
        }

    def test_any_depth(self) -> None:
        deep = json.loads('{"a":[' * 400 + '{"password": "hunter2"}' + "]}" * 400)
        assert "hunter2" not in json.dumps(redacted_json(deep))
