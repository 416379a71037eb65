"""Columns to tick and put in order: what a form offers, and what it was sent back with.

Each column is a ``column`` with a ``place.<column>`` beside it; without JavaScript the numbers say the order, with it the rows
are moved and numbered. ``other_labels`` are keys of labels that few agents have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict

from agents import extensions
from agents.agent_columns import LABEL, LISTED, MOST_COLUMNS, OWN
from agents.extensions import Column
from agents.models import Agent
from agents.services.saved_views import column_names

CHOSEN, PLACE, OTHERS = "column", "place.", "other_labels"
NAMES = (CHOSEN, OTHERS)
MOST_LABELS = 20
SAMPLED = 2_000
"""The newest agents, whose labels are offered."""

_LAST = 10_000


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """One column to tick. ``place`` counts the ticked ones from 1, ``number`` the agents that have the label.

    ``is_unknown``: somebody asked for it, and there is none of that name.
    """

    name: str
    title: Any
    place: int | None = None
    number: int | None = None
    is_unknown: bool = False

    @property
    def label(self) -> str | None:
        """The key of the label that it shows, ``None`` for any other column."""
        return self.name.removeprefix(LABEL) if self.name.startswith(LABEL) else None


@dataclass(frozen=True, slots=True)
class ColumnChoices:
    """Ticked columns in their order, then what else there is: ``own``, ``further`` of other apps, ``labels``.

    ``partial``: labels were counted among the newest agents alone. ``are_listed``: nothing was ticked, so that it is what the
    list shows by itself.
    """

    chosen: Sequence[ColumnChoice]
    own: Sequence[ColumnChoice]
    further: Sequence[ColumnChoice]
    labels: Sequence[ColumnChoice]
    partial: bool
    are_listed: bool

    @property
    def rest(self) -> Sequence[tuple[str, Sequence[ColumnChoice]]]:
        """What is not ticked, by the part of the form that it stands in; empty parts are left out."""
        parts = (("labels", self.labels), ("further", self.further), ("own", self.own))
        return [(name, choices) for name, choices in parts if choices]


class ColumnsInput(forms.HiddenInput):
    """Names of columns as a text with commas, from what `choices_of` offers; a text of the field's name is taken as it is."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> str | None:
        """What was ticked, in its order."""
        return ",".join(sent_columns(data)) if was_sent(data) else data.get(name)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Not when nothing is ticked any more."""
        return name not in data and not was_sent(data)


def was_sent(data: Mapping[str, Any]) -> bool:
    """Whether somebody ticked and ordered columns, be it that nothing is ticked any more."""
    return OTHERS in data or CHOSEN in data


def sent_columns(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that are ticked by their places, those without one in the order of the form behind them; then other labels.

    None for what the list shows by itself, so that it goes on following that.
    """
    ticked = data.getlist(CHOSEN) if isinstance(data, QueryDict) else list(data.get(CHOSEN, ()))
    # One more than a list may have, so that the error is told.
    names = list(dict.fromkeys(ticked))[: MOST_COLUMNS + 1]
    names.sort(key=lambda name: _place(data.get(f"{PLACE}{name}", "")))
    others = [key if key.startswith(LABEL) else f"{LABEL}{key}" for key in column_names(str(data.get(OTHERS, "")))]
    found = tuple(dict.fromkeys([*names, *others]))[: MOST_COLUMNS + 1]
    return () if found == _listed() else found


def choices_of(names: Sequence[str]) -> ColumnChoices:
    """With these ticked, whatever they are, or what the list shows by itself; one query, of the newest agents."""
    further = _further()
    titles = {column.name: column.title for column in OWN} | {column.name: column.title for column in further}
    ticked = list(dict.fromkeys(names))[: MOST_COLUMNS + 1] or list(_listed())
    counts, partial = _label_counts()
    chosen = [
        ColumnChoice(
            name,
            titles.get(name, name),
            place,
            counts.get(name.removeprefix(LABEL)) if name.startswith(LABEL) else None,
            is_unknown=name not in titles and not name.startswith(LABEL),
        )
        for place, name in enumerate(ticked, start=1)
    ]
    taken = set(ticked)
    labels = [
        ColumnChoice(f"{LABEL}{key}", key, number=number)
        for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if f"{LABEL}{key}" not in taken
    ]
    return ColumnChoices(
        chosen,
        [ColumnChoice(column.name, column.title) for column in OWN if column.name not in taken],
        [ColumnChoice(column.name, column.title) for column in further if column.name not in taken],
        labels[:MOST_LABELS],
        partial=partial,
        are_listed=not names,
    )


def _further() -> list[Column]:
    return [column for columns in extensions.further_columns() for column in columns.columns]


def _listed() -> tuple[str, ...]:
    """What the list shows by itself."""
    return (*LISTED[:-1], *(column.name for column in _further()), LISTED[-1])


def _label_counts() -> tuple[dict[str, int], bool]:
    """How many of the newest agents have each label, and whether there are older ones."""
    counts: Counter[str] = Counter()
    agents = 0
    for labels in Agent.objects.order_by("-id").values_list("labels", flat=True)[: SAMPLED + 1]:
        agents += 1
        # A comma is between names, so that no name has one.
        counts.update(key for key in labels if agents <= SAMPLED and "," not in key and "\n" not in key)
    return dict(counts), agents > SAMPLED


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else _LAST
