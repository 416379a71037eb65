"""What the portal's menu leads to: tasks, and the lists and pages that stand under each. Filled in ``AppConfig.ready``.

A list of an app that declares nothing stands under the task that has the name of its app, else under a heading of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class Task(StrEnum):
    """What people come for, in the menu's order."""

    OVERVIEW = "overview"
    AGENTS = "agents"
    CONFIGURATIONS = "configurations"
    ROLLOUTS = "rollouts"
    PACKAGES = "packages"
    ALERTS = "alerts"
    ACCESS = "accounts"
    AUDIT = "audit"


TITLES: dict[str, Any] = {
    Task.OVERVIEW: _("Overview"),
    Task.AGENTS: _("Agents"),
    Task.CONFIGURATIONS: _("Configurations"),
    Task.ROLLOUTS: _("Rollouts"),
    Task.PACKAGES: _("Packages"),
    Task.ALERTS: _("Alerts"),
    Task.ACCESS: _("Access"),
    Task.AUDIT: _("Audit trail"),
}
_LAST = 10_000


class Page(NamedTuple):
    """An entry that is no list of rows: ``url`` is the name of its address, ``rights`` those that see it (all of them)."""

    name: str
    title: Any
    url: str
    rights: tuple[str, ...] = ()


class MenuPlace(NamedTuple):
    """Where an entry stands: under a task, the lowest ``rank`` first."""

    task: str
    rank: int


_lists: dict[str, MenuPlace] = {}
_pages: dict[str, tuple[MenuPlace, Page]] = {}


def place_lists(task: Task, *models: str, last: bool = False) -> None:
    """Have the lists of these models (``app.model``) stand under ``task`` in this order, those of the app it is named for first.

    ``last``: behind those of all other apps.
    """
    for model in models:
        _lists[model] = MenuPlace(task, _next() + (_LAST if last else -_LAST if model.startswith(f"{task}.") else 0))


def place_page(task: Task, page: Page) -> None:
    """Have ``page`` stand under ``task``; a second one of the same name replaces the first."""
    _pages[page.name] = (MenuPlace(task, _next()), page)


def _next() -> int:
    return len(_lists) + len(_pages)


def place_of(model: str) -> MenuPlace:
    """Of the list of ``app.model``: as declared, else under the name of its app behind all others."""
    return _lists.get(model) or MenuPlace(model.partition(".")[0], _LAST)


def pages() -> Sequence[tuple[MenuPlace, Page]]:
    """Those that were placed."""
    return tuple(_pages.values())
