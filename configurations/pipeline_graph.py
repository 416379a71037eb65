"""Pipelines as a graph: who hands data to whom, of one configuration or of two with what changed between them. Pure.

What stands in a configuration is somebody's typing or an agent's report, so sizes are bounded: what is beyond them is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configurations.meaning import ROLES, Value, pipelines_of, same

MOST_LANES = 40
"""Pipelines of one graph."""

MOST_MEMBERS = 30
"""Components of one role in one pipeline."""

MOST_NODES = 200
"""Components in all pipelines together, each as often as it stands in one: a page draws them all."""

MOST_JOINS = 200
"""Lines of connectors: one that is in every pipeline on both sides would have the square of them."""

_NOTHING: Mapping[str, tuple[str, ...]] = dict.fromkeys(ROLES, ())


@dataclass(frozen=True, slots=True)
class PipelineMember:
    """A component in a pipeline. ``section`` is where it is defined: its role, or ``connectors``.

    ``change`` is empty or one of ``added``, ``removed``, ``changed``: the last also where only its settings differ.
    """

    name: str
    role: str
    section: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """A pipeline. ``change`` as of a member, or ``reordered`` for the same processors in another order."""

    name: str
    receivers: tuple[PipelineMember, ...]
    processors: tuple[PipelineMember, ...]
    exporters: tuple[PipelineMember, ...]
    change: str = ""

    @property
    def signal(self) -> str:
        """What its name begins with: ``traces``, ``metrics``, ``logs`` and whatever comes."""
        return self.name.partition("/")[0]

    def members(self) -> Iterator[PipelineMember]:
        """All of them, in the order in which data meets them."""
        yield from self.receivers
        yield from self.processors
        yield from self.exporters


@dataclass(frozen=True, slots=True)
class Join:
    """A connector takes what the lane ``source`` exports into the lane ``target``, both by their places in the graph."""

    name: str
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class PipelineGraph:
    """``left_out`` counts pipelines, members and joins beyond the bounds."""

    lanes: tuple[Lane, ...]
    joins: tuple[Join, ...]
    left_out: int = 0

    def __bool__(self) -> bool:
        """Whether there is any pipeline."""
        return bool(self.lanes)


def graph_of(whole: Mapping[str, Value]) -> PipelineGraph:
    """The pipelines of one configuration, as `configurations.meaning.meaning_of` reads it."""
    return graph_between(whole, whole)


def graph_between(left: Mapping[str, Value], right: Mapping[str, Value]) -> PipelineGraph:
    """What either has, with what is new, gone or other on the ``right``."""
    former, latter = pipelines_of(left), pipelines_of(right)
    fed = {name for whole, side in ((left, former), (right, latter)) for name in side if _is_fed(whole, side[name])}
    names = sorted({*former, *latter}, key=lambda name: (name in fed, name.partition("/")[0], name))
    left_out, room = 0, MOST_NODES
    lanes: list[Lane] = []
    for name in names:
        if len(lanes) == MOST_LANES or not room:
            left_out += 1
            continue
        before, after = former.get(name, _NOTHING), latter.get(name, _NOTHING)
        roles = {}
        for role in ROLES:
            members = _members(role, before[role], after[role], left, right)
            roles[role] = tuple(members[: min(MOST_MEMBERS, room)])
            room -= len(roles[role])
            left_out += len(members) - len(roles[role])
        lanes.append(Lane(name, **roles, change=_change(name, former, latter, roles)))
    joins = tuple(_joins(lanes))
    return PipelineGraph(tuple(lanes), joins[:MOST_JOINS], left_out + len(joins[MOST_JOINS:]))


def _members(
    role: str, before: Sequence[str], after: Sequence[str], left: Mapping[str, Value], right: Mapping[str, Value]
) -> list[PipelineMember]:
    members = []
    for name in _united(before, after):
        if name not in after:
            section, change = _section(left, role, name), "removed"
        else:
            section = _section(right, role, name)
            alike = same(_settings(left, section, name), _settings(right, section, name))
            change = "added" if name not in before else "" if alike else "changed"
        members.append(PipelineMember(name, role, section, change))
    return members


def _united(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Each name once, as ``after`` orders them; one that is gone stands behind the one it stood behind."""
    united = list(dict.fromkeys(after))
    place = 0
    for name in dict.fromkeys(before):
        if name not in united:
            united.insert(place, name)
        place = united.index(name) + 1
    return united


def _section(whole: Mapping[str, Value], role: str, name: str) -> str:
    connectors = whole.get("connectors")
    return "connectors" if role != "processors" and isinstance(connectors, dict) and name in connectors else role


def _is_fed(whole: Mapping[str, Value], members: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a connector gives it data: then it stands below those that give."""
    return any(_section(whole, "receivers", name) == "connectors" for name in members["receivers"])


def _settings(whole: Mapping[str, Value], section: str, name: str) -> Value:
    defined = whole.get(section)
    return defined.get(name) if isinstance(defined, dict) else None


def _change(
    name: str, former: Mapping[str, Any], latter: Mapping[str, Any], roles: Mapping[str, tuple[PipelineMember, ...]]
) -> str:
    if name not in former or name not in latter:
        return "added" if name in latter else "removed"
    if any(member.change for members in roles.values() for member in members):
        return "changed"
    return "reordered" if former[name]["processors"] != latter[name]["processors"] else ""


def _joins(lanes: Sequence[Lane]) -> Iterator[Join]:
    for source, lane in enumerate(lanes):
        given = {member.name for member in lane.exporters if member.section == "connectors"}
        for target, other in enumerate(lanes):
            for member in other.receivers:
                if member.section == "connectors" and member.name in given:
                    yield Join(member.name, source, target)
