"""The columns that other apps add to the list of agents, as Django's list takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, OrderBy

from agents import extensions
from agents.extensions import Column
from agents.models import Agent

Draw = Callable[[Agent], Any]

_NOTHING = "–"


class _WithoutLast(F):
    """A field by which agents that have none come last, whichever way the order goes."""

    def asc(self, **_kwargs: Any) -> OrderBy:
        return OrderBy(self, nulls_last=True)

    def desc(self, **_kwargs: Any) -> OrderBy:
        return OrderBy(self, descending=True, nulls_last=True)


def order_by(field: str, *, down: bool) -> OrderBy:
    """An order in which agents that have none come last."""
    return _WithoutLast(field).desc() if down else _WithoutLast(field).asc()


def shown() -> list[Draw]:
    """One function for each column, and the same each time: Django looks for them by identity."""
    return [_function_of(column) for columns in extensions.further_columns() for column in columns.columns]


def cells_of(agent_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the columns show of these agents, by name."""
    found: dict[int, dict[str, Any]] = {}
    for columns in extensions.further_columns():
        for key, cells in columns.cells(agent_ids).items():
            found.setdefault(key, {}).update(cells)
    return found


_functions: dict[str, tuple[Column, Draw]] = {}


def _function_of(column: Column) -> Draw:
    known = _functions.get(column.name)
    if known is not None and known[0] is column:
        return known[1]

    @admin.display(description=column.title, ordering=_WithoutLast(column.field) if column.field else None)
    def draw(agent: Agent) -> Any:
        return getattr(agent, "further_cells", {}).get(column.name, _NOTHING)

    draw.__name__ = column.name
    _functions[column.name] = (column, draw)
    return draw
