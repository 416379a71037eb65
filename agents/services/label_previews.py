"""What changed operator labels would do to agents: who would get or lose which configuration. Writes nothing."""

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


@dataclass(frozen=True, slots=True)
class LabelPreview:
    """``changed`` agents would have other operator labels, ``skipped`` have them already or could not have so many.

    ``moves`` are those of them whose configuration changes, the largest group first.
    """

    changed: int
    skipped: int
    moves: list[Move]

    @property
    def moving(self) -> int:
        """How many agents would get another configuration, or none."""
        return sum(move.agents for move in self.moves)


def set_and_remove(assign: Mapping[str, str], remove: Collection[str]) -> Change:
    """Single labels set and removed, the others kept."""
    return lambda present: {key: value for key, value in present.items() if key not in remove} | {**assign}


def preview_labels(agents: AgentQuerySet, change: Change) -> LabelPreview:
    """What ``change`` would do to ``agents``, by the same rules as `agents.services.editing`."""
    columns = ("instance_uid", "operator_labels", "configuration_name")
    attributes = ("reported__identifying_attributes", "reported__non_identifying_attributes")
    changed = skipped = 0
    moves: Counter[tuple[str, str]] = Counter()
    rows = agents.order_by().select_related(None).values_list(*columns, *attributes).iterator(chunk_size=_CHUNK)
    while some := list(islice(rows, _CHUNK)):
        formers: list[str] = []
        labels: list[tuple[UUID, Mapping[str, str]]] = []
        for uid, present, former, identifying, others in some:
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
            labels.append((uid, labels_of(AgentDescription(identifying or {}, others or {}), wanted)))
        moves.update(pair for pair in zip(formers, extensions.placed(labels), strict=True) if pair[0] != pair[1])
    ordered = sorted(moves.items(), key=lambda item: (-item[1], item[0]))
    return LabelPreview(changed, skipped, [Move(former, then, number) for (former, then), number in ordered])
