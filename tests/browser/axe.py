"""What axe-core finds of a page that people cannot use. It is evaluated in the page, so no page needs to allow it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_SOURCE = Path(__file__).parent / "vendor" / "axe.min.js"
_GRAVE = {"serious", "critical"}
_RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']"
_RUN = f"() => axe.run(document, {{resultTypes: ['violations'], preload: false, runOnly: {_RULES}}})"


@cache
def _source() -> str:
    return _SOURCE.read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """The serious and critical ones, each with the first elements that have it."""
    page.evaluate(_source())
    found: dict[str, Any] = page.evaluate(_RUN)
    return [
        f"{item['id']} ({item['impact']}): " + " | ".join(str(node["html"])[:160] for node in item["nodes"][:3])
        for item in found["violations"]
        if item["impact"] in _GRAVE
    ]
