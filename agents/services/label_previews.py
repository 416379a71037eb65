"""What changed operator labels would do to agents: who would get or lose which configuration or fragment. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from agents import extensions
from agents.labels import InvalidLabels, labels_of, validate_labels
from agents.models import AgentQuerySet
from agents.reports import AgentDescription

_CHUNK = 2_000
Change = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From an agent's present operator labels to those it would have."""


class Move(NamedTuple):
    """So many agents that should run ``former`` and would then run ``then``; ``""`` is no configuration."""

    former: str
    then: str
    agents: int


class FragmentChange(NamedTuple):
    """So many agents would get the fragment ``name``, so many would lose it."""

    name: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class LabelPreview:
    """``changed`` agents would have other operator labels, ``skipped`` have them already or could not have so many.

    ``moves`` are those of them whose configuration changes, the largest group first; ``fragments`` by name.
    """

    changed: int
    skipped: int
    moves: list[Move]
    fragments: list[FragmentChange]

    @property
    def changes_files(self) -> bool:
        """Whether any agent would get something else."""
        return bool(self.moves or self.fragments)

    @property
    def moving(self) -> int:
        """How many agents would get another configuration, or none."""
        return sum(move.agents for move in self.moves)


def set_and_remove(assign: Mapping[str, str], remove: Collection[str]) -> Change:
    """Single labels set and removed, the others kept."""
    return lambda present: {key: value for key, value in present.items() if key not in remove} | {**assign}


def preview_labels(agents: AgentQuerySet, change: Change) -> LabelPreview:
    """What ``change`` would do to ``agents``, by the same rules as `agents.services.editing`."""
    columns = ("instance_uid", "labels", "operator_labels", "configuration_name")
    attributes = ("reported__identifying_attributes", "reported__non_identifying_attributes")
    changed = skipped = 0
    moves: Counter[tuple[str, str]] = Counter()
    added: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    rows = agents.order_by().select_related(None).values_list(*columns, *attributes).iterator(chunk_size=_CHUNK)
    while some := list(islice(rows, _CHUNK)):
        formers: list[str] = []
        before: list[tuple[UUID, Mapping[str, str]]] = []
        labels: list[tuple[UUID, Mapping[str, str]]] = []
        for uid, now, present, former, identifying, others in some:
            try:
                wanted = validate_labels(dict(change(present).items()))
            except InvalidLabels:
                skipped += 1
                continue
            if wanted == present:
                skipped += 1
                continue
            changed += 1
            formers.append(former)
            before.append((uid, now))
            labels.append((uid, labels_of(AgentDescription(identifying or {}, others or {}), wanted)))
        for former, was, then in zip(formers, extensions.placed(before), extensions.placed(labels), strict=True):
            if former != then.configuration:
                moves[former, then.configuration] += 1
            added.update(then.fragments - was.fragments)
            removed.update(was.fragments - then.fragments)
    ordered = sorted(moves.items(), key=lambda item: (-item[1], item[0]))
    fragments = [FragmentChange(name, added[name], removed[name]) for name in sorted({*added, *removed})]
    return LabelPreview(changed, skipped, [Move(former, then, number) for (former, then), number in ordered], fragments)
