"""Edits of texts in which secrets read `[redacted]`: they stay where they were, or the edit is refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.redaction import HIDDEN
from agents.remote_config import ConfigFile
from agents.shown import text_shown
from configurations.placeholders import HiddenValues, with_secrets_restored

COLLECTOR = """\
# the old one was password: hunter1-former
receivers:
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}}}
extensions:
  basicauth/client: {client_auth: {username: portal, password: hunter2-basic}}
exporters:
  otlphttp/a:
    endpoint: https://user:pa55-in-url@collector.example.org/v1
    timeout: 10s
    headers:
      Authorization: Bearer s3cr3t-token-of-a
      X-Scope: blue
    tls:
      key_pem: |
        -----BEGIN PRIVATE KEY-----
        MIIEvQIBADANBgkqhkiG9w0BAQEFAASC
        -----END PRIVATE KEY-----
  otlphttp/b:
    endpoint: https://b.example.org
    auth: {authenticator: basicauth/client}
  otlphttp/c:
    endpoint: https://c.example.org
    headers: {api-key: 0x5ec7e7cc12, other: 1}
service:
  extensions: [basicauth/client]
  pipelines: {traces: {receivers: [otlp], exporters: [otlphttp/a, otlphttp/b]}}
"""
SEEN = text_shown(COLLECTOR)


def present_of(texts: Mapping[str, str]) -> dict[str, ConfigFile]:
    return {key: ConfigFile(text.encode(), "text/yaml") for key, text in texts.items()}


def edited(text: str, *, known: str = COLLECTOR, trusted: bool = False) -> str:
    """What is saved when somebody sends ``text`` as the only file."""
    files = with_secrets_restored(
        {"": ConfigFile(text.encode(), "text/yaml")}, present_of({"": known}), trusted=trusted
    )
    return files[""].body.decode()


def refusal(text: str, *, known: str = COLLECTOR, trusted: bool = False) -> list[tuple[int, str]]:
    with pytest.raises(HiddenValues) as caught:
        edited(text, known=known, trusted=trusted)
    return [(item.line, str(item.message)) for item in caught.value.findings[""]]


def test_the_example_hides_what_the_tests_mean():
    assert SEEN.count(HIDDEN) == 6
    for secret in ("hunter1", "hunter2", "pa55", "s3cr3t", "MIIE", "5ec7e7"):
        assert secret not in SEEN


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_was_shown_saves_back_to_the_byte(ends):
    assert edited(SEEN.replace("\n", ends)) == COLLECTOR


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timeout: 10s", "timeout: 20s"),
        ("    timeout: 10s\n", ""),
        ("receivers:\n", "# new line above\nprocessors: {batch: {}}\nreceivers:\n"),
        ("0.0.0.0:4317", "127.0.0.1:4317"),
        ("[otlphttp/a, otlphttp/b]", "[otlphttp/a]"),
        ("https://c.example.org\n    headers: {api-key: ", "https://c.example.org\n    headers:   {api-key: "),
        ("service:\n", "  otlphttp/new: {endpoint: https://new.example.org}\nservice:\n"),
    ],
)
def test_edits_beside_hidden_values_keep_them(old, new):
    assert old in SEEN
    assert edited(SEEN.replace(old, new)) == COLLECTOR.replace(old, new)


def test_a_hidden_value_may_be_typed_anew_and_others_stay():
    shown = SEEN.replace('password: "[redacted]"', "password: new-one")
    assert edited(shown) == COLLECTOR.replace("hunter2-basic", "new-one")


def test_a_hidden_value_may_be_taken_out():
    line = next(line for line in SEEN.splitlines(keepends=True) if "Authorization" in line)
    assert "s3cr3t" not in edited(SEEN.replace(line, ""))


ELSEWHERE = [
    # the host of the same component, in every place that can say it
    ("endpoint: https://user:[redacted]@collector.example.org/v1", "endpoint: https://evil.example.net"),
    ("@collector.example.org", "@evil.example.net"),
    ("    timeout: 10s", "    timeout: 10s\n    proxy_url: http://evil.example.net"),
    ("    timeout: 10s", "    traces_endpoint: https://evil.example.net"),
    ("    tls:\n", "    tls:\n      insecure_skip_verify: true\n"),
    ("X-Scope: blue", "X-Scope: red"),
    # the component of whoever uses it
    ("https://b.example.org", "https://evil.example.net"),
    ("https://c.example.org", "https://evil.example.net"),
    (
        "service:\n",
        "  otlphttp/evil: {endpoint: https://evil.example.net, auth: {authenticator: basicauth/client}}\nservice:\n",
    ),
    (
        "service:\n",
        '  otlphttp/evil: {endpoint: https://evil.example.net, auth: {authenticator: "${yaml:basicauth/client}"}}\nservice:\n',
    ),
    ("service:\n", "exporters::otlphttp/c::endpoint: https://evil.example.net\nservice:\n"),
    (
        "    timeout: 10s",
        "    timeout: 10s\n    connection_string: Endpoint=sb://evil.example.net;SharedAccessKey=abc12345",
    ),
    ("exporters:\n", "exporters:\n  <<: {otlphttp/c: {endpoint: https://evil.example.net}}\n"),
]


@pytest.mark.parametrize(("old", "new"), ELSEWHERE)
def test_a_hidden_value_is_not_sent_elsewhere(old, new):
    text = SEEN.replace(old, new)
    assert text != SEEN
    (line, message), *_more = refusal(text)
    assert line >= 1
    assert "somebody with the right to see secrets" in message


@pytest.mark.parametrize(("old", "new"), ELSEWHERE[2:])
def test_whoever_may_see_secrets_may_send_them_elsewhere(old, new):
    text = SEEN.replace(old, new)
    assert edited(text, trusted=True) == COLLECTOR.replace(old, new)


def test_whoever_may_see_secrets_may_change_what_stands_around_one():
    text = SEEN.replace("@collector.example.org", "@other.example.org")
    assert "https://user:pa55-in-url@other.example.org/v1" in edited(text, trusted=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("otlphttp/a:\n", "otlphttp/renamed:\n"),
        ("  otlphttp/a:\n", "  otlp/a:\n"),
        ("      Authorization:", "      X-Other:"),
        ("      X-Scope: blue\n", "      X-Scope: blue\n      X-More: '[redacted]'\n"),
        ("timeout: 10s", "timeout: '[redacted]'"),
        ("https://b.example.org", "https://u:[redacted]@b.example.org"),
        ("https://user:[redacted]@", "https://[redacted]:[redacted]@"),
        ("# the old one was", "# copied: [redacted], the old one was"),
        ("X-Scope: blue", "'[redacted]': blue"),
        ("X-Scope: blue", "X-Scope: blue # password: [redacted]"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_placeholder_elsewhere_is_an_error_with_its_line(old, new, trusted):
    text = SEEN.replace(old, new)
    assert text != SEEN
    assert all(1 <= line <= text.count("\n") for line, _message in refusal(text, trusted=trusted))


@pytest.mark.parametrize("trusted", [False, True])
def test_a_placeholder_in_a_new_configuration_is_an_error(trusted):
    with pytest.raises(HiddenValues) as caught:
        with_secrets_restored({"": ConfigFile(SEEN.encode(), "text/yaml")}, {}, trusted=trusted)
    assert all("type the value" in str(item.message) for item in caught.value.findings[""])


def test_lists_put_in_another_order_are_refused():
    known = "outputs:\n- {host: a.example.org, password: hunter2-a}\n- {host: b.example.org, password: hunter2-b}\n"
    first, second = text_shown(known).splitlines(keepends=True)[1:]
    assert refusal(f"outputs:\n{second}{first}", known=known)
    assert refusal(f"outputs:\n{second}", known=known)


def test_an_alias_takes_no_hidden_value_elsewhere():
    known = "exporters:\n  a: {endpoint: https://a, token: &t hunter2-alias}\n  b: {endpoint: https://b}\n"
    shown = text_shown(known)
    assert "hunter2" not in shown
    text = shown.replace("b: {endpoint: https://b}", "b: {endpoint: https://b, token: *t}")
    if "&t" not in text:
        text = text.replace("token: ", "token: &t ")
    assert refusal(text, known=known)


def test_json_stays_json():
    known = '{"output": {"hosts": ["https://a"], "api_key": "hunter2-json", "flush": "1s"}}\n'
    assert edited(text_shown(known).replace("1s", "2s"), known=known) == known.replace("1s", "2s")
    assert refusal(text_shown(known).replace("https://a", "https://e"), known=known)


def test_a_file_that_is_neither_is_kept_as_a_whole_or_not_at_all():
    known = "[output]\npassword = hunter2-ini\nhost = a.example.org\n"
    shown = text_shown(known)
    assert "hunter2" not in shown
    assert edited(shown, known=known) == known
    assert refusal(shown.replace("a.example.org", "e.example.net"), known=known)


class TestSeveralFiles:
    """Agents merge them: what is said in one leads what is hidden in another."""

    AUTH = "exporters:\n  otlp: {headers: {authorization: Bearer s3cr3t-of-otlp}}\n"
    MAIN = (
        "exporters:\n  otlp: {endpoint: 'a.example.org:4317'}\n  debug: {verbosity: basic}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n"
    )

    def edit(self, changes: Mapping[str, str | None], *, trusted: bool = False) -> dict[str, ConfigFile]:
        """``None`` leaves a file alone, as an edit of another one does."""
        present = present_of({"": self.MAIN, "auth.yaml": self.AUTH})
        files = {key: present[key] if text is None else ConfigFile(text.encode()) for key, text in changes.items()}
        return with_secrets_restored(files, present, trusted=trusted)

    @pytest.mark.parametrize("auth", [None, text_shown(AUTH)])
    def test_the_endpoint_in_another_file_is_guarded(self, auth):
        evil = self.MAIN.replace("a.example.org", "evil.example.net")
        with pytest.raises(HiddenValues) as caught:
            self.edit({"": evil, "auth.yaml": auth})
        assert [item.line for item in caught.value.findings[""]] == [2]
        assert self.edit({"": evil, "auth.yaml": auth}, trusted=True)["auth.yaml"].body == self.AUTH.encode()

    @pytest.mark.parametrize("auth", [None, text_shown(AUTH)])
    def test_other_components_are_free(self, auth):
        other = self.MAIN.replace("verbosity: basic", "verbosity: detailed")
        files = self.edit({"": other, "auth.yaml": auth})
        assert files["auth.yaml"].body == self.AUTH.encode()

    def test_a_new_file_cannot_lead_it_elsewhere(self):
        more = "exporters: {otlp: {endpoint: 'evil.example.net:4317'}}\n"
        with pytest.raises(HiddenValues):
            self.edit({"": None, "auth.yaml": None, "z.yaml": more})
        with pytest.raises(HiddenValues):
            self.edit({"": None, "auth.yaml": None, "z.yaml": "exporters: ${yaml:evil}\n"})

    def test_whoever_types_all_values_may_send_them_anywhere(self):
        evil = self.MAIN.replace("a.example.org", "mine.example.org")
        assert self.edit({"": evil, "auth.yaml": self.AUTH})[""].body == evil.encode()

    def test_a_file_may_get_another_name(self):
        files = self.edit({"": None, "renamed.yaml": text_shown(self.AUTH)})
        assert files["renamed.yaml"].body == self.AUTH.encode()

    def test_a_placeholder_of_one_file_means_nothing_in_another(self):
        with pytest.raises(HiddenValues):
            self.edit({"": self.MAIN + text_shown(self.AUTH).replace("exporters", "others"), "auth.yaml": None})

    def test_bytes_that_are_no_text_are_kept_as_a_whole(self):
        present = {"": ConfigFile(b"a: 1\n"), "key.der": ConfigFile(b"\x00\xff\x01")}
        files = with_secrets_restored(
            {"": ConfigFile(b"a: 2\n"), "key.der": ConfigFile(HIDDEN.encode())}, present, trusted=True
        )
        assert files["key.der"].body == b"\x00\xff\x01"
        assert files[""].body == b"a: 2\n"
