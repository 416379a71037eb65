"""Secrets in reported configurations are not shown."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.redaction import HIDDEN, redacted, redacted_files

COLLECTOR = """\
# 收集器
extensions:
  basicauth/client: {client_auth: {username: portal, password: hunter2}}
  bearertokenauth: {scheme: Bearer, token: "s3cr3t-token"}   # kept comment
exporters:
  otlphttp:
    endpoint: https://user:pa55@collector.example.org/v1
    headers:
      Authorization: Basic dXNlcjpwYXNz
      X-Api-Key: ${env:API_KEY}
    tls:
      key_file: /etc/ssl/key.pem
      key_pem: |
        -----BEGIN PRIVATE KEY-----
        MIIabc
        -----END PRIVATE KEY-----
  kafka: {brokers: [a:9092], auth: {sasl: {password: '密码'}}}
service: {pipelines: {traces: {exporters: [otlphttp]}}}
"""


@pytest.mark.rule("S-116")
class TestYaml:
    """A Collector's configuration."""

    @pytest.mark.parametrize("secret", ["hunter2", "s3cr3t-token", "pa55", "dXNlcjpwYXNz", "MIIabc", "密码"])
    def test_no_secret_is_left(self, secret: str) -> None:
        assert secret in COLLECTOR
        assert secret not in redacted(COLLECTOR)

    @pytest.mark.parametrize(
        "kept",
        [
            "# 收集器",
            "username: portal",
            "# kept comment",
            "${env:API_KEY}",
            "/etc/ssl/key.pem",
            "collector.example.org",
            "a:9092",
        ],
    )
    def test_the_rest_stays_as_written(self, kept: str) -> None:
        assert kept in redacted(COLLECTOR)

    def test_what_is_shown_still_reads_as_the_same_tree(self) -> None:
        shown = yaml.safe_load(redacted(COLLECTOR))
        assert shown["extensions"]["bearertokenauth"] == {"scheme": "Bearer", "token": HIDDEN}
        assert shown["exporters"]["otlphttp"]["tls"] == {"key_file": "/etc/ssl/key.pem", "key_pem": HIDDEN}
        assert shown["service"] == yaml.safe_load(COLLECTOR)["service"]

    def test_lists_of_secrets_and_anchors_are_hidden_too(self) -> None:
        text = "tokens: [one, &t two]\nother: {api_key: *t}\n"
        assert "one" not in redacted(text)
        assert "two" not in redacted(text)


@pytest.mark.rule("S-116")
class TestOtherTexts:
    """JSON, and what no parser reads."""

    def test_json_stays_json(self) -> None:
        text = json.dumps({"logging": "info", "auth": {"secret_token": "abc", "token_url": "https://x"}}, indent=1)
        assert json.loads(redacted(text)) == {
            "logging": "info",
            "auth": {"secret_token": HIDDEN, "token_url": "https://x"},
        }

    @pytest.mark.parametrize(
        "text",
        [
            "a: [\npassword: hunter2\n",
            "password = hunter2",
            "{{ template }}\n  - api_key: 'hunter2',",
            "x: 1\n---\npassword: hunter2\n",
        ],
    )
    def test_lines_are_searched_where_no_tree_can_be_read(self, text: str) -> None:
        assert "hunter2" not in redacted(text)

    def test_a_private_key_is_hidden_wherever_it_stands(self) -> None:
        key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----"
        assert "MIIabc" not in redacted(f"note: [\n{key}\nrest")
        assert "MIIabc" not in redacted(f"note: |\n  {key.replace(chr(10), chr(10) + '  ')}\n")

    @pytest.mark.parametrize("text", ["", "\n", "just words", "a: b\n", "secret_name: db\ntoken_url: https://x\n"])
    def test_texts_without_secrets_stay_to_the_letter(self, text: str) -> None:
        assert redacted(text) == text

    def test_bodies_that_are_no_text_are_not_shown(self) -> None:
        files = {"": {"body": "password: x", "content_type": "text/yaml"}, "key": {"body_base64": "aGk="}}
        assert redacted_files(files) == {
            "": {"body": f'password: "{HIDDEN}"', "content_type": "text/yaml"},
            "key": {"body_base64": HIDDEN},
        }

    @given(st.text(max_size=300))
    def test_any_text_is_accepted(self, text: str) -> None:
        redacted(text)

    @given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=8, max_size=40))
    def test_any_quoted_password_is_hidden(self, secret: str) -> None:
        document = json.dumps({"name": "x", "password": secret + "#end"})
        assert json.loads(redacted(document)) == {"name": "x", "password": HIDDEN}
