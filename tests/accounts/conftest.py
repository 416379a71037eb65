"""What several tests about people share."""

from __future__ import annotations

from datetime import timedelta

import pytest

from foundation.clock import clock


@pytest.fixture
def later(monkeypatch):
    """Let time pass; by itself it stands still."""
    passed = timedelta()
    began = clock.now()

    def wait(seconds: float) -> None:
        nonlocal passed
        passed += timedelta(seconds=seconds)

    monkeypatch.setattr(type(clock), "now", lambda _self: began + passed)
    return wait
