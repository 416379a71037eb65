"""What several tests of agents share."""

from __future__ import annotations

import pytest


@pytest.fixture
def counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not make one test's counts those of the next."""
    monkeypatch.setattr("agents.admin.facets._KEEP_FACTOR", 0)
    monkeypatch.setattr("agents.admin.facets._kept", (0.0, []))
