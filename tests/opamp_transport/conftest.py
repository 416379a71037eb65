"""Settings that several tests of agents' connections share."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from opamp_transport import runtime
from opamp_transport.consumers import websocket
from tests.opamp_transport.agent_credentials import SECRET


@pytest.fixture
def agent_credentials_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents get credentials of their own; nobody waits for those who are rejected."""
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_AGENT_CREDENTIALS = settings.OPAMP_OFFER_HEARTBEAT = True
    monkeypatch.setattr(websocket, "_DENIED_SECONDS", 0.0)
    # What a wake-up brings about shall not come from looking for lost ones.
    monkeypatch.setattr(runtime, "MISSED_CHANGE_SECONDS", 3_600.0)
