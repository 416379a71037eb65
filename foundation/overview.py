"""What stands on the portal's first page: panels that apps register in ``AppConfig.ready``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest


class OverviewPanel(NamedTuple):
    """A part of the overview: ``template`` is drawn with what ``context`` returns, nothing where that is ``None``.

    ``context`` asks as much whatever there is: the page is read again every few seconds. ``wide``: it takes the whole width.
    """

    name: str
    template: str
    context: Callable[[HttpRequest], Mapping[str, Any] | None]
    rank: int = 50
    wide: bool = False


_panels: dict[str, OverviewPanel] = {}


def register_overview_panel(panel: OverviewPanel) -> None:
    """Show it, the lowest rank first; a second registration of the same name replaces the first."""
    _panels[panel.name] = panel


def overview_panels() -> list[OverviewPanel]:
    """All of them, in order."""
    return sorted(_panels.values(), key=lambda panel: panel.rank)
