"""Secrets at rest, keys that change, and values that are hidden wherever they turn up."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from agents.models import Agent, AgentEvent, ReportedState
from agents.redaction import known, redacted, redacted_json, redacted_message
from agents.reports import (
    ComponentHealth,
    EffectiveConfig,
    RemoteConfigStatus,
    RemoteConfigStatuses,
)
from agents.services.timeline import write_line
from agents.shown import event_shown, files_shown, message_shown, pair_shown, text_shown, tree_shown, value_shown
from variables.encryption import Unreadable, decrypted, encrypted
from variables.models import Secret
from variables.services import known_values, value_edits

pytestmark = pytest.mark.django_db
VALUE = "unsuspicious words"
OLD, NEW = "o" * 40, "n" * 40


def make(value=VALUE, name="token"):
    row = Secret.objects.filter(name=name).first()
    value_edits.save_secret(row, {"name": name, "value": value}, by=None, at=timezone.now())
    known_values.know_stored_secrets()


def test_a_secret_is_encrypted_each_time_anew():
    first, second = encrypted(VALUE), encrypted(VALUE)
    assert first != second
    assert VALUE not in first
    assert (decrypted(first), decrypted(second)) == (VALUE, VALUE)
    with pytest.raises(Unreadable):
        decrypted(first[:-4] + "AAAA")
    with pytest.raises(Unreadable):
        decrypted("")


def test_keys_are_rotated():
    make()
    with override_settings(SECRETS_KEYS=[OLD]):
        # What was stored under the key that is derived by default is read, and stored under the new one.
        call_command("rotate_secrets", stdout=StringIO())
        first = Secret.objects.get().encrypted
    with override_settings(SECRETS_KEYS=[NEW, OLD]):
        assert decrypted(first) == VALUE
        said = StringIO()
        call_command("rotate_secrets", stdout=said)
        assert "1" in said.getvalue()
    with override_settings(SECRETS_KEYS=[NEW]):
        assert decrypted(Secret.objects.get().encrypted) == VALUE
        with pytest.raises(Unreadable):
            decrypted(first)


def test_a_lost_key_is_told_and_breaks_nothing(api_of, alice):
    with override_settings(SECRETS_KEYS=[OLD]):
        make()
    make("another value", name="other")
    assert known_values.fresh_values().secrets == {"token": None, "other": "another value"}
    with pytest.raises(CommandError, match="token"):
        call_command("rotate_secrets", stdout=StringIO())
    (error,) = [item for item in checks.run_checks(databases=["default"]) if item.id == "opamp.W010"]
    assert "token" in error.msg
    assert "other" not in error.msg
    assert api_of(alice).get("/api/v1/secrets").status_code == 200
    make("entered anew")
    assert [item for item in checks.run_checks(databases=["default"]) if item.id == "opamp.W010"] == []


def test_former_values_stay_hidden():
    make("first of the words")
    make("second of the words")
    shown = message_shown("first of the words, second of the words, third of the words")
    assert shown == "[redacted], [redacted], third of the words"


def test_what_was_only_tried_is_not_hidden():
    value_edits.save_secret(None, {"name": "t", "value": VALUE}, by=None, at=timezone.now(), dry_run=True)
    assert message_shown(VALUE) == VALUE


@pytest.mark.parametrize("value", ["short", "     a", ""])
def test_a_value_of_few_characters_hides_nothing(value):
    known.know([value])
    assert message_shown(f"a {value} b") == f"a {value} b"


@pytest.mark.parametrize(
    "hidden",
    [
        lambda text: text_shown(f"receivers:\n  otlp:\n    x: {text}\n"),
        lambda text: text_shown(json.dumps({"a": [text, f"b {text}"]}, ensure_ascii=False)),
        lambda text: text_shown(f"# {text}\na: 1\n"),
        lambda text: text_shown(f"{{ no yaml\n{text}"),
        lambda text: text_shown(f"a: |\n  line\n  {text}\n"),
        lambda text: redacted(f"a: '{text}'"),
        lambda text: redacted_message(f"exporter said: {text} is wrong"),
        message_shown,
        lambda text: files_shown({"": {"body": f"a: {text}\n"}}),
        lambda text: value_shown({"a": [text, {"b": text}]}),
        lambda text: redacted_json([text]),
        lambda text: pair_shown("host.name", text),
        lambda text: tree_shown({"last_error": text, "components": {"a": {"last_error": f"x {text}"}}}),
        lambda text: event_shown({"error": f"cannot use {text}"}),
    ],
)
@pytest.mark.parametrize("value", [VALUE, "hunter22", "a'b\"c\\d e", "zoë zoë"])
def test_a_known_value_is_hidden_in_every_text(hidden, value):
    known.know([])
    ends = value.split()[-1][-5:]
    assert ends in json.dumps(hidden(value), ensure_ascii=False).replace("\\\\", "\\").replace('\\"', '"')
    make(value)
    assert value not in str(hidden(value))
    assert "[redacted]" in str(hidden(value))


@pytest.mark.parametrize(
    "written",
    ["unsuspicious%20words", "dW5zdXNwaWNpb3VzIHdvcmRz", "unsuspicious words"],
)
def test_a_value_is_known_as_others_write_it(written):
    make()
    assert message_shown(f"x {written} y") == "x [redacted] y"


def test_the_lines_of_a_long_secret_are_known_each():
    make("-----BEGIN KEY-----\nabcdefghij klmnopqr\nstuvwxyz abcdefgh\n-----END KEY-----\n")
    shown = known.known_hidden("key: |\n    -----BEGIN KEY-----\n    abcdefghij klmnopqr\n    stuvwxyz abcdefgh\n")
    assert shown == "key: |\n    -----BEGIN KEY-----\n    [redacted]\n    [redacted]\n"


@pytest.fixture
def leaking(report):
    """An agent that says the secret wherever it can, and a timeline that repeats it."""
    make()
    agent = report(
        "web-1",
        health=ComponentHealth(False, f"cannot use {VALUE}", VALUE, 0, 0, {"healthy": False, "last_error": VALUE}),
        effective_config=EffectiveConfig({"": {"body": f"exporters:\n  a: {VALUE}\n"}}),
        remote_config_status=RemoteConfigStatus(b"x" * 32, RemoteConfigStatuses.FAILED, f"no: {VALUE}"),
        note=VALUE,
    )
    write_line(AgentEvent(agent=agent, at=timezone.now(), kind=AgentEvent.Kind.FAILED, data={"error": VALUE}))
    return agent


_OUTLETS = [
    "/api/v1/agents", "/api/v1/agents/{uid}", "/api/v1/agents/{uid}/effective-config",
    "/api/v1/agents/{uid}/configuration", "/api/v1/audit", "/api/v1/secrets", "/api/v1/variables", "/api/v1/configurations",
    "/api/v1/configurations/t", "/api/v1/configurations/t/revisions", "/api/v1/configurations/t/revisions/1",
    "/api/v1/configurations/t/revisions/2", "/api/v1/configurations/t/rendered?agent={uid}",
    "/admin/", "/admin/agents/agent/", "/admin/agents/agent/{pk}/change/", "/admin/agents/agent/{pk}/timeline/",
    "/admin/configurations/configuration/",
    "/admin/configurations/configuration/{configuration}/change/",
    "/admin/configurations/configuration/{configuration}/rendered/?agent={uid}", "/admin/variables/secret/",
    "/admin/variables/secret/{secret}/change/", "/admin/variables/secret/{secret}/history/", "/admin/accounts/auditentry/",
]  # fmt: skip


@pytest.mark.parametrize("url", _OUTLETS)
def test_no_outlet_has_it(url, leaking, api_of, alice, client):
    # Somebody typed it into a file before it was a secret, and the next revision uses the secret.
    api = api_of(alice)
    body = {"name": "t", "raw_config": f"a: {VALUE}\n", "match_all": True}
    assert api.post("/api/v1/configurations", body).status_code == 201
    more = {"raw_config": "a: {{ secrets.token }}\n", "template": True, "description": "x"}
    assert api.patch("/api/v1/configurations/t", more).status_code == 200
    from configurations.models import Configuration

    client.force_login(alice)
    places = {
        "uid": leaking.instance_uid,
        "pk": leaking.pk,
        "configuration": Configuration.objects.get().pk,
        "secret": Secret.objects.get().pk,
    }
    answer = (api if url.startswith("/api") else client).get(url.format(**places), HTTP_ACCEPT="*/*")
    assert answer.status_code == 200, answer.content[:500]
    content = answer.content.decode()
    assert VALUE not in content
    assert "unsuspicious%20words" not in content


def test_the_effective_configuration_is_stored_without_it(leaking):
    stored = ReportedState.objects.select_related("effective_config").get(agent=leaking).effective_config
    assert stored.content[""]["body"] == "exporters:\n  a: [redacted]\n"
    assert Agent.objects.count() == 1


def test_logs_do_not_have_it(caplog, leaking, api_of, alice):
    api = api_of(alice)
    api.patch("/api/v1/secrets/token", {"value": "x" * 70_000})
    api.patch("/api/v1/secrets/token", {"value": VALUE + "!"})
    assert VALUE not in caplog.text
