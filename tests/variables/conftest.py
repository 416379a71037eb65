"""What the tests of variables share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.redaction.known import know


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    """Secrets of one test are none of the next."""
    yield
    know([])
