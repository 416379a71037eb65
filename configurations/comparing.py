"""Two sides to compare, by their names: any revision of a configuration, or what an agent says it runs; for who may see both.

What differs find `line_differences` and `meaning`, which this file feeds and bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from agents.models import Agent
from agents.reports import JsonObject
from agents.shown import MOST_SHOWN
from configurations import line_differences
from configurations.line_differences import DiffLine
from configurations.meaning import MeaningDifference, compare
from configurations.models import Configuration
from foundation.errors import Category, DomainError
from foundation.messages import Message

_LONGEST_NAME = 200


class UnreadableSide(DomainError):
    """What was named is no name of a side."""


class UnknownSide(DomainError):
    """There is no such side, or the caller may not see it, or an agent has not said yet what it runs."""

    category = Category.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Side:
    """``name`` as `side_of` takes it, with the number of the revision; ``files`` hold the true values."""

    name: str
    title: str
    files: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True)
class ComparedSides:
    """``lines`` is ``None`` when a side is too large for a page, ``meaning`` when one is no Collector's YAML of bounded size."""

    left: Side
    right: Side
    lines: list[DiffLine] | None
    meaning: MeaningDifference | None


def side_of(name: str, user: User) -> Side:
    """``configuration:NAME`` (its newest revision), ``configuration:NAME@NUMBER`` or ``agent:UID``.

    Raises `UnreadableSide`, and `UnknownSide` also for what ``user`` may not see.
    """
    kind, _colon, rest = name.partition(":")
    if kind == "configuration" and rest:
        return _revision(name, rest, user)
    if kind == "agent":
        try:
            return _agent(name, UUID(rest), user)
        except ValueError:
            pass
    raise UnreadableSide(
        Message(
            "compare-unreadable-side",
            "Name what to compare as configuration:NAME, configuration:NAME@REVISION or agent:UID; {name} is none of them.",
            name=repr(name[:_LONGEST_NAME]),
        )
    )


def _revision(side: str, rest: str, user: User) -> Side:
    name, at, number = rest.partition("@")
    row = Configuration.objects.visible_to(user).filter(name=name).first() if "\x00" not in name else None
    if row is not None:
        revisions = row.revisions.order_by("-number")
        # More digits than any number has name none.
        found = revisions.filter(number=int(number)) if number.isdecimal() and len(number) < 10 else revisions.none()
        revision = found.first() if at else row.current
        if revision is not None:
            exact = f"configuration:{row.name}@{revision.number}"
            return Side(exact, f"{row.name} r{revision.number}", revision.files)
    raise _unknown(side)


def _agent(side: str, uid: UUID, user: User) -> Side:
    agents = Agent.objects.visible_to(user).select_related("reported__effective_config")
    agent = agents.filter(instance_uid=uid).first()
    if agent is None:
        raise _unknown(side)
    document = agent.reported.effective_config
    if document is None:
        raise UnknownSide(
            Message("compare-nothing-reported", "{agent} has not reported what it runs.", agent=agent.name_and_host())
        )
    return Side(f"agent:{uid}", agent.name_and_host(), document.content)


def _unknown(side: str) -> UnknownSide:
    return UnknownSide(
        Message("compare-unknown-side", "There is no {name}, or you may not see it.", name=repr(side[:_LONGEST_NAME]))
    )


def compare_sides(left: str, right: str, user: User) -> ComparedSides:
    """Both sides by name, and what differs, as it is shown. Raises as `side_of` does."""
    former, latter = side_of(left, user), side_of(right, user)
    after = latter.files
    if len(former.files) == len(after) == 1:
        # An agent names its only file as it likes.
        after = dict(zip(former.files, after.values(), strict=True))
    small = all(_characters(files) <= MOST_SHOWN for files in (former.files, after))
    lines = line_differences.difference(former.files, after) if small else None
    return ComparedSides(former, latter, lines, compare(former.files, after) if small else None)


def _characters(files: Mapping[str, JsonObject]) -> int:
    return sum(len(str(file.get("body", ""))) + len(str(file.get("body_base64", ""))) for file in files.values())
