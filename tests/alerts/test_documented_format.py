"""The page about alerts: its example verifies real notices, its document has the members of real ones, its tables are whole."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.models import Agent
from alerts.models import AlertDelivery, AlertRule
from alerts.rule_kinds import KINDS
from alerts.services.delivering import carry_out
from alerts.services.evaluating import evaluate_all
from alerts.signing_notices import notice_signature
from tests.alerts.conftest import NOW, Listener
from tests.live_server import ROOT

PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def is_genuine() -> Callable[..., bool]:
    """The function that the page shows."""
    names: dict[str, Any] = {}
    exec(block("python"), names)
    function: Callable[..., bool] = names["is_genuine"]
    return function


def test_the_example_verifies_what_is_sent(is_genuine: Callable[..., bool]) -> None:
    body, now = b'{"a": 1}', int(time.time())
    header = notice_signature("secret", now, body)
    assert is_genuine("secret", header, body)
    assert not is_genuine("other", header, body)
    assert not is_genuine("secret", header, b'{"a": 2}')
    assert not is_genuine("secret", header.replace(f"t={now}", f"t={now + 1}"), body)
    assert not is_genuine("secret", notice_signature("secret", now - 301, body), body)


@pytest.mark.parametrize("header", ["", "t=", "v1=x", "t=x,v1=y", "nonsense", "t=1,v1=", ",,,", "t=٣,v1=x"])
def test_the_example_refuses_strange_headers(is_genuine: Callable[..., bool], header: str) -> None:
    assert not is_genuine("secret", header, b"")


@pytest.mark.django_db
def test_the_document_has_the_members_of_a_real_one(
    is_genuine: Callable[..., bool], listener: Listener, receiver: Any, rule: Any
) -> None:
    receiver(address=listener.url, secret="secret")
    Agent.objects.create(instance_uid=uuid.uuid4(), name="edge-1", disconnected_at=NOW)
    rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    carry_out(AlertDelivery.objects.get().pk, datetime.now(tz=UTC).replace(year=2031))
    _path, headers, sent = listener.received[0]
    real, shown = json.loads(sent), json.loads(block("json"))
    assert shown.keys() == real.keys()
    assert shown["alert"].keys() == real["alert"].keys()
    assert shown["alert"]["sample"][0].keys() == real["alert"]["sample"][0].keys()
    assert is_genuine("secret", headers["X-OpAMP-Signature"], sent, tolerance=10 * 366 * 24 * 3600)


def test_every_kind_and_number_is_told_with_its_default() -> None:
    for name, kind in KINDS.items():
        row = re.search(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
        assert row, name
        for parameter in kind.parameters:
            assert f"`{parameter.name}` ({parameter.default})" in row[0]


def test_defaults_of_rules_are_those_that_are_told() -> None:
    for name in ("dwell_seconds", "clear_seconds", "repeat_seconds", "severity"):
        default = AlertRule._meta.get_field(name).default
        assert re.search(rf"^\| `{name}` \| `?{getattr(default, 'value', default)}`? \|", PAGE, re.MULTILINE), name
