"""Files that could meet under one config key at one agent: a fragment's with a whole configuration's, or with another fragment's.

Whoever publishes is refused that. Reads rows, writes none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from agents.selectors import Selector, can_both_match, parse_selector
from configurations.models import Configuration, Revision
from configurations.services.drafts import Draft, InvalidConfiguration, columns_of
from foundation.errors import Category
from foundation.messages import Message

_FRAGMENT = Configuration.Kind.FRAGMENT.value
_MOST_TOLD = 10
_LONGEST_KEY = 100


class FilesCollide(InvalidConfiguration):
    """An agent could get two files with the same config key; the errors name both configurations."""

    category = Category.CONFLICT

    @staticmethod
    def said(*, can_be_forced: bool) -> Message:
        """What was refused."""
        return Message("files-collide", "An agent could get two files with the same config key.")


@dataclass(frozen=True, slots=True)
class FileClaim:
    """What a configuration takes: the ``keys`` of its files, at every agent that its selector can match."""

    name: str
    is_fragment: bool
    selector: Selector
    keys: frozenset[str]


def claim_of(name: str, columns: Mapping[str, Any], keys: Iterable[str]) -> FileClaim | None:
    """Of what is to be published; ``None`` for what reaches nobody."""
    if not columns["enabled"]:
        return None
    selector = parse_selector(columns["selector"], match_all=columns["match_all"])
    return FileClaim(name, columns["kind"] == _FRAGMENT, selector, frozenset(keys))


def refuse_collisions(name: str, draft: Draft) -> None:
    """Raises `FilesCollide` if ``draft``, which can be saved, could not be published as ``name``."""
    claim = claim_of(name, columns_of(draft), draft.files)
    refuse_colliding(() if claim is None else (claim,))


def refuse_colliding(claims: Sequence[FileClaim]) -> None:
    """Raises `FilesCollide` if one of these collides with what is in force or published."""
    for texts in collisions(claims).values():
        raise FilesCollide({"files": texts})


def collisions(claims: Sequence[FileClaim], *, replaced: Collection[str] | None = None) -> dict[str, list[Message]]:
    """What collides, by the names of the claims: with what counts of all other configurations.

    That are the revisions in force for anybody and the newest ones, which a rollout may be about to bring. ``replaced``: the
    claims are of configurations that are all published together; what these have now does not count, and they are compared
    with each other.
    """
    if not claims:
        return {}
    others = _present(only_fragments=not any(claim.is_fragment for claim in claims))
    if replaced is not None:
        others = [other for other in others if other.name not in replaced] + [_Other(each) for each in claims]
    found: dict[str, list[Message]] = {}
    for claim in claims:
        for other in others:
            if other.name == claim.name or not (claim.is_fragment or other.is_fragment):
                continue
            if can_both_match(claim.selector, other.selector):
                texts = found.setdefault(claim.name, [])
                texts += [_said(claim.name, other.name, key) for key in sorted(claim.keys & other.keys)]
    return {name: list(dict.fromkeys(texts))[:_MOST_TOLD] for name, texts in found.items() if texts}


class _Other:
    """A claim whose keys are read when they are needed: files are large."""

    def __init__(self, of: FileClaim | Revision) -> None:
        self._of = of
        self._keys: frozenset[str] | None = None
        if isinstance(of, FileClaim):
            self.name, self.is_fragment, self.selector = of.name, of.is_fragment, of.selector
        else:
            self.name, self.is_fragment = of.configuration.name, of.configuration.is_fragment
            self.selector = of.parsed_selector()

    @property
    def keys(self) -> frozenset[str]:
        if isinstance(self._of, FileClaim):
            return self._of.keys
        if self._keys is None:
            self._keys = frozenset(self._of.files)
        return self._keys


def _present(*, only_fragments: bool) -> list[_Other]:
    counting = Q(release__isnull=False, release__ended_at=None) | Q(pk=F("configuration__current_id"))
    rows = Revision.objects.filter(counting, enabled=True).select_related("configuration").defer("files")
    if only_fragments:
        rows = rows.filter(configuration__kind=_FRAGMENT)
    return [_Other(row) for row in rows.order_by("configuration__name", "-pk")]


def _said(name: str, other: str, key: str) -> Message:
    return Message(
        "file-in-two",
        "{name} and {other} both have a file with the config key {key}, and an agent can match both: give one of them another "
        "config key, or selectors that no agent matches both of.",
        name=name or "-",
        other=other,
        key=repr(key[:_LONGEST_KEY]),
    )
