"""No page has a serious or critical violation that axe-core knows, in either language and scheme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser import axe
from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.test_every_page import Places, pages
from tests.live_server import LiveServer

__all__ = ["pages"]


@pytest.mark.parametrize(
    ("language", "scheme", "viewport"),
    [("en", "light", DESKTOP), ("zh-hans", "dark", DESKTOP), ("zh-hans", "light", PHONE), ("en", "dark", PHONE)],
)
def test_no_page_keeps_people_out(
    visit: Visitor,
    pages: Places,
    shared_portal: LiveServer,
    fleet: Callable[..., Any],
    language: str,
    scheme: str,
    viewport: dict[str, int],
) -> None:
    with visit(viewport=viewport, color_scheme=scheme, locale="zh-CN" if language != "en" else "en-US") as person:
        page = person.sign_in()
        found = {}
        for path in pages.every:
            person.go(path)
            grave = axe.violations(page)
            if grave:
                found[path] = grave
        assert not found, "\n".join(f"{path}: {grave}" for path, grave in found.items())
