"""The points where apps above this one hang on, so that agents need not know them. Filled in ``AppConfig.ready``.

An explicit list instead of signals: who is called, and in which order, is one look at `registered`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest

Relabelled = Callable[[Sequence[int], datetime], None]
"""Called inside the transaction that changed the labels, with the primary keys of the agents concerned."""


Relabelling = Callable[[], None]
"""Called at the beginning of a transaction that is going to change labels, before any agent's row is locked."""


class Panel(NamedTuple):
    """A section of the agent's page that another app fills: ``template`` is rendered with what ``context`` returns."""

    name: str
    template: str
    context: Callable[[HttpRequest, Any], dict[str, Any]]
    title: Any


_relabelling: list[Relabelling] = []
_relabelled: list[Relabelled] = []
_panels: list[Panel] = []


def register_relabelling(callback: Relabelling) -> None:
    """Have ``callback`` take its locks before agents are locked: whoever locks both does it in this order."""
    if callback not in _relabelling:
        _relabelling.append(callback)


def relabelling() -> None:
    """Tell everybody that labels are about to change."""
    for callback in _relabelling:
        callback()


def register_relabelled(callback: Relabelled) -> None:
    """Have ``callback`` decide anew what agents should run whenever an operator changed their labels."""
    if callback not in _relabelled:
        _relabelled.append(callback)


def relabelled(agent_ids: Sequence[int], at: datetime) -> None:
    """Tell everybody that the labels of these agents changed."""
    for callback in _relabelled:
        callback(agent_ids, at)


def register_panel(panel: Panel) -> None:
    """Show ``panel`` on every agent's page; a second registration of the same name replaces the first."""
    _panels[:] = [known for known in _panels if known.name != panel.name]
    _panels.append(panel)


def panels() -> tuple[Panel, ...]:
    """The registered panels, in order of registration."""
    return tuple(_panels)
