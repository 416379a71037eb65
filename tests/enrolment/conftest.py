"""What tests of enrolment share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from enrolment.models import EnrolmentToken
from enrolment.services import known_tokens, refusals
from enrolment.services.tokens import TokenWish, issue_enrolment_token
from opamp_transport import runtime
from opamp_transport.consumers import websocket
from tests.opamp_transport.agent_credentials import SECRET

Issue = Callable[..., tuple[EnrolmentToken, str]]


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    """What a process remembers of tokens is of one test alone."""
    known_tokens.forget_tokens()
    refusals.forget_refusals()
    yield
    known_tokens.forget_tokens()
    refusals.forget_refusals()


@pytest.fixture
def issue() -> Issue:
    """Make a token: its row and its text."""

    def make(name: str = "edge", **wish: Any) -> tuple[EnrolmentToken, str]:
        wish.setdefault("labels", {})
        return issue_enrolment_token(TokenWish(name=name, **wish), by=None, at=timezone.now())

    return make


@pytest.fixture
def by_token(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents need a secret or a token; nobody waits for those who are denied, and lost wake-ups are not looked for."""
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_AGENT_CREDENTIALS = settings.OPAMP_OFFER_HEARTBEAT = True
    monkeypatch.setattr(websocket, "_DENIED_SECONDS", 0.0)
    monkeypatch.setattr(runtime, "MISSED_CHANGE_SECONDS", 3_600.0)
