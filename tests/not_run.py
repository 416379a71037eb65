"""What a run left out for want of a tool: noted by tests, told in the last lines of the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

_PROPERTY = "not run"


def note(item: pytest.Item, area: str, reason: str, what: str) -> None:
    """``what`` of ``area`` is not run here, because of ``reason``: a few words such as ``no go``."""
    item.user_properties.append((_PROPERTY, (area, reason, what)))


def lines(reports: Iterable[pytest.TestReport]) -> list[str]:
    """One line for each area and reason, with everything left out by name and once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                area, reason, what = cast("tuple[str, str, str]", value)
                found.setdefault((area, reason), {})[what] = None
    return [f"{area}: NOT RUN ({reason}): {', '.join(sorted(what))}" for (area, reason), what in sorted(found.items())]
