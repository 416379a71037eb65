"""Choosing what the list of agents shows, without keeping it as a view: columns in an order, and groups by a label."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.views.main import SEARCH_VAR
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from agents.admin.column_choices import NAMES, PLACE, choices_of, sent_columns, was_sent
from agents.admin.list_columns import COLUMNS, GROUP, ORDER
from agents.admin.view_bar import LIST
from agents.agent_columns import LISTED, InvalidColumns, columns_named
from agents.labels import label_key_problem
from agents.services.saved_views import column_names
from foundation.languages import in_readers_language

# Of the list's address: what this page says anew, and where in the list somebody was.
_NOT_CARRIED = frozenset({COLUMNS, GROUP, "p", "o", "e", *NAMES})


def address_or_context(request: HttpRequest) -> str | dict[str, Any]:
    """The address of the list as it was asked for, else the context of the page, with what is wrong."""
    asked = was_sent(request.GET)
    names = sent_columns(request.GET) if asked else column_names(request.GET.get(COLUMNS, ""))
    group = request.GET.get(GROUP, "").strip()
    problems = _problems(names, group) if asked else {}
    carried = [
        (name, value)
        for name, values in request.GET.lists()
        for value in values
        if name not in _NOT_CARRIED and not name.startswith(PLACE)
    ]
    if asked and not problems:
        return _address(names, group, carried)
    return {
        "title": _("Columns and groups"),
        "choices": choices_of(names),
        "group": group,
        "problems": problems,
        "carried": carried,
        "back": f"{reverse(LIST)}?{urlencode([*carried, *_said(names, group)]) or f'{SEARCH_VAR}='}",
    }


def _problems(names: tuple[str, ...], group: str) -> dict[str, str]:
    found = {}
    try:
        columns_named(names)
    except InvalidColumns as error:
        found[COLUMNS] = in_readers_language(error)
    if group and (problem := label_key_problem(group)):
        found[GROUP] = in_readers_language(problem)
    return found


def _address(names: tuple[str, ...], group: str, carried: list[tuple[str, str]]) -> str:
    """An order by a column that is not shown any more is left out."""
    fields = {column.name for column in columns_named(names or LISTED) if column.field}
    kept = [(name, value) for name, value in carried if name != ORDER or value.removeprefix("-") in fields]
    return f"{reverse(LIST)}?{urlencode([*kept, *_said(names, group)]) or f'{SEARCH_VAR}='}"


def _said(names: tuple[str, ...], group: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in ((COLUMNS, ",".join(names)), (GROUP, group)) if value]
