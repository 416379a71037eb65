"""`SelectorIndex`: the winning selector of many, without trying them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from agents.selectors.selector import Operator, Requirement, Selector


@dataclass(frozen=True, slots=True)
class Entry:
    """One selector that competes: the highest ``priority`` wins, then the first ``name`` in code-point order."""

    key: Hashable
    name: str
    priority: int
    selector: Selector


@dataclass(frozen=True, slots=True)
class _Ranked:
    """``rank`` 0 is the strongest entry; ``rest`` are the requirements its bucket does not answer."""

    rank: int
    entry: Entry
    rest: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.rest)


class SelectorIndex:
    """Immutable after `build`, so threads may share it.

    Each selector stands in the buckets of one equality or ``In`` requirement: the one whose values the fewest selectors
    ask for, because short buckets mean few tries. Selectors without such a requirement are tried for every agent.
    """

    def __init__(self, buckets: dict[str, dict[str, list[_Ranked]]], unindexed: list[_Ranked]) -> None:
        self._buckets = buckets
        self._unindexed = unindexed

    @classmethod
    def build(cls, entries: Iterable[Entry]) -> SelectorIndex:
        """Entries of equal priority and name keep their order; empty selectors without ``match_all`` are dropped."""
        ordered = sorted(
            (entry for entry in entries if entry.selector.requirements or entry.selector.match_all),
            key=lambda entry: (-entry.priority, entry.name),
        )
        askers = Counter(
            (requirement.key, value)
            for entry in ordered
            for requirement in entry.selector.requirements
            if requirement.operator is Operator.IN
            for value in requirement.values
        )
        buckets: dict[str, dict[str, list[_Ranked]]] = {}
        unindexed: list[_Ranked] = []
        for rank, entry in enumerate(ordered):
            indexed = _most_selective(entry.selector, askers)
            if indexed is None:
                unindexed.append(_Ranked(rank, entry, entry.selector.requirements))
                continue
            rest = tuple(requirement for requirement in entry.selector.requirements if requirement is not indexed)
            by_value = buckets.setdefault(indexed.key, {})
            for value in indexed.values:
                by_value.setdefault(value, []).append(_Ranked(rank, entry, rest))
        return cls(buckets, unindexed)

    def winner(self, labels: Mapping[str, str]) -> Entry | None:
        """The strongest entry that matches. Each bucket is left at its first match, or once it can only lose."""
        best: _Ranked | None = None
        for bucket in self._reachable(labels):
            for ranked in bucket:
                if best is not None and ranked.rank > best.rank:
                    break
                if ranked.matches(labels):
                    best = ranked
                    break
        return None if best is None else best.entry

    def candidates(self, labels: Mapping[str, str]) -> list[Entry]:
        """Every entry that matches, the winner first."""
        found = [ranked for bucket in self._reachable(labels) for ranked in bucket if ranked.matches(labels)]
        found.sort(key=lambda ranked: ranked.rank)
        return [ranked.entry for ranked in found]

    def _reachable(self, labels: Mapping[str, str]) -> Iterator[list[_Ranked]]:
        """Buckets, each in rank order, that together hold every entry these labels can satisfy, each entry once."""
        for key, by_value in self._buckets.items():
            value = labels.get(key)
            if value is not None and (bucket := by_value.get(value)) is not None:
                yield bucket
        if self._unindexed:
            yield self._unindexed


def _most_selective(selector: Selector, askers: Counter[tuple[str, str]]) -> Requirement | None:
    choices = [requirement for requirement in selector.requirements if requirement.operator is Operator.IN]
    if not choices:
        return None
    return min(
        choices,
        key=lambda requirement: (sum(askers[requirement.key, value] for value in requirement.values), requirement),
    )
