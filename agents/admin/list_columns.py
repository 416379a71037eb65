"""What the list of agents shows when its address says so: columns, an order, and groups by a label."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zlib import crc32

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.base_admin import StrangeUrl
from agents.admin import further_columns
from agents.agent_columns import LISTED, AgentColumn, InvalidColumns, column_text, columns_named
from agents.labels import label_key_problem
from agents.models import Agent
from agents.services.saved_views import column_names
from agents.templatetags.ago import time_element
from foundation.languages import in_readers_language

COLUMNS, GROUP, ORDER, VIEW = "columns", "group", "order", "view"
PARAMETERS = (COLUMNS, GROUP, ORDER, VIEW)

# Drawn with more than their value; see `agents.admin.fleet`.
_METHODS = {
    "name": "title",
    "status": "pill",
    "service_name": "service",
    "os_type": "os_type",
    "configuration": "running",
    "last_seen_at": "seen",
    "labels": "chips",
}
_NOTHING = "–"
_LONGEST = 120


def asked_columns(request: HttpRequest) -> list[AgentColumn]:
    """Those that are asked for, none without a word of them. Raises `StrangeUrl`."""
    found: list[AgentColumn] | None = getattr(request, "_agent_columns", None)
    if found is None:
        try:
            found = columns_named(column_names(request.GET.get(COLUMNS, "")))
        except InvalidColumns as error:
            raise StrangeUrl(in_readers_language(error)) from error
        request._agent_columns = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def drawn_columns(columns: list[AgentColumn]) -> list[Any]:
    """As Django's list takes them."""
    others = {draw.__name__: draw for draw in further_columns.shown()}
    return [_METHODS.get(column.name) or others.get(column.name) or _function_of(column.name) for column in columns]


def ordering_of(request: HttpRequest) -> list[Any]:
    """The order that is asked for, none without a word of it. Raises `StrangeUrl`."""
    asked = request.GET.get(ORDER, "")
    if not asked:
        return []
    name = asked.removeprefix("-")
    fields = {column.name: column.field for column in asked_columns(request) or columns_named(LISTED) if column.field}
    if name not in fields:
        raise StrangeUrl(_("The list is ordered by one of the columns that it shows."))
    own = name in _METHODS or not any(draw.__name__ == name for draw in further_columns.shown())
    return (
        [f"-{fields[name]}" if asked != name else fields[name]]
        if own
        else [further_columns.order_by(fields[name], down=asked != name)]
    )


def asked_label(request: HttpRequest) -> str:
    """The key of the label that the list is grouped by, empty for none. Raises `StrangeUrl`."""
    key = request.GET.get(GROUP, "").strip()
    if key and (problem := label_key_problem(key)):
        raise StrangeUrl(in_readers_language(problem))
    return key


@lru_cache(maxsize=512)
def _function_of(name: str) -> Any:
    """One and the same each time: Django looks for a column by identity."""
    (column,) = columns_named([name])

    @admin.display(description=column.title, ordering=column.field or None)
    def draw(agent: Agent) -> Any:
        value = column.value(agent, {})
        if hasattr(value, "isoformat"):
            return time_element(value)
        text = ", ".join(value) if isinstance(value, list) else column_text(value)
        return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…") or _NOTHING

    draw.__name__ = f"label_{crc32(name.encode()):08x}" if column.label is not None else name
    return draw
