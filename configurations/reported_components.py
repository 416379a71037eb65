"""Which types of components the agents of a selector say they have: what an editor offers to whoever writes for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from django.db.models import Count, QuerySet

from agents.models import Agent, ReportedDocument, ReportedState

# Distributions that are looked at, those of most agents first, and types of one section that are named.
_MOST_REPORTS = 20
_MOST_TYPES = 1_000
_LONGEST_TYPE = 100

Types = Mapping[str, frozenset[str]]


def types_by_section(content: Any) -> dict[str, frozenset[str]]:
    """Types per section, of a Collector's report: its sections are components whose parts are the types."""
    found: dict[str, frozenset[str]] = {}
    if not isinstance(content, dict):
        return found
    for section, entry in content.items():
        parts = entry.get("components") if isinstance(entry, dict) else None
        if isinstance(parts, dict):
            found[section] = frozenset(parts)
    return found


class _KeptTypes:
    """The types in reports by the hash of the report, which never changes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Types] = OrderedDict()
        self._lock = Lock()

    def of(self, hashes: Iterable[str]) -> list[Types]:
        """Those of ``hashes``, read where they are not kept."""
        wanted = list(hashes)
        with self._lock:
            missing = [key for key in wanted if key not in self._kept]
        rows = ReportedDocument.objects.filter(hash__in=missing).values_list("hash", "content") if missing else []
        read = {key: types_by_section(content) for key, content in rows}
        with self._lock:
            self._kept.update(read)
            found = [self._kept[key] for key in wanted if key in self._kept]
            while len(self._kept) > 4 * _MOST_REPORTS:
                self._kept.popitem(last=False)
        return found


_kept = _KeptTypes()


def reported_components(agents: QuerySet[Agent]) -> dict[str, list[str]]:
    """Section to types that some of ``agents`` report, in order; empty when none of them reports any."""
    states = ReportedState.objects.filter(agent__in=agents.order_by(), components__isnull=False)
    counted = (
        states.order_by().values("components_id").annotate(number=Count("pk")).order_by("-number", "components_id")
    )
    found: dict[str, set[str]] = {}
    for types in _kept.of(row["components_id"] for row in counted[:_MOST_REPORTS]):
        for section, names in types.items():
            found.setdefault(section, set()).update(name for name in names if len(name) <= _LONGEST_TYPE)
    return {section: sorted(names)[:_MOST_TYPES] for section, names in found.items() if names}
