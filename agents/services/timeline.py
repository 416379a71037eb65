"""Writes timelines: the only place where lines of agents come from, and where their events are published.

What an agent repeats is folded into the line that told it first: a crash loop must not push out the line that tells why. Of what
agents bring about alone; what people and configurations do has a line each time, and ends the folding: the same error after
another configuration is news. It must not know who subscribed to the events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

from agents.events import AgentTimelineEvent
from agents.models import AgentEvent
from agents.services.batch import ReportingAgent
from foundation.bulk_sql import bulk_copy, bulk_insert, bulk_newest, bulk_update, is_new
from foundation.events import publish

Kind = AgentEvent.Kind
# A line that was not repeated for so long is history: the next one like it is a line of its own.
_PAUSE = timedelta(minutes=15)
# Of an agent's timeline so many lines are looked through, and so many kinds of repeats remembered.
_LOOKED_THROUGH = 24
_REMEMBERED = 8
# What makes two lines the same; the other values pass by.
_MEMBERS: Mapping[str, tuple[str, ...]] = {
    Kind.HEALTH: ("healthy", "error"),
    Kind.RESTARTED: (),
    Kind.DESCRIBED: (),
    Kind.EFFECTIVE_CONFIG: ("hash",),
    Kind.CAPABILITIES: ("added", "removed"),
    Kind.FULL_STATE: (),
    Kind.IDENTITY: ("duplicate", "kept", "moved"),
}
# Connections have a history of their own, and messages differ: neither ends the folding of other lines.
_BESIDE = frozenset({*_MEMBERS, Kind.CONNECTED, Kind.DISCONNECTED, Kind.CUSTOM_MESSAGE})
_WORD = re.compile(r"[^\s=:,;/()\[\]{}<>'\"]+")
_COMPARED = 500


def write_line(line: AgentEvent) -> None:
    """`write_lines` for one."""
    write_lines([line])


def write_lines(lines: Iterable[AgentEvent]) -> None:
    """Add lines to timelines, in this order and in the caller's transaction; subscribers hear of them after its commit."""
    added = list(lines)
    bulk_insert(added)
    publish(AgentTimelineEvent, (_event_of(line, _known_uid(line)) for line in added))


def write_line_of_each(line: AgentEvent, agents: Sequence[tuple[int, UUID]]) -> None:
    """`write_lines` with a line like ``line``, which itself is not written, for each of these agents (key and uid)."""
    bulk_copy(line, "agent", [key for key, _uid in agents])
    kind = str(line.kind)
    publish(AgentTimelineEvent, (AgentTimelineEvent(key, uid, kind, line.at, line.data) for key, uid in agents))


def write_reported_lines(recorded: Sequence[ReportingAgent]) -> None:
    """The same for the lines that a batch of reports brought, which may be repeats: those are counted in the lines they repeat.

    Their agents are locked. Changes ``state`` of the agents, so it comes before that is saved.
    """
    bulk_insert(_lines_to_add(recorded))
    publish(
        AgentTimelineEvent,
        (
            # What was not inserted was folded.
            _event_of(line, entry.agent.instance_uid, repeated=is_new(line))
            for entry in recorded
            for line in entry.events
        ),
    )


def _event_of(line: AgentEvent, uid: UUID | None, *, repeated: bool = False) -> AgentTimelineEvent:
    return AgentTimelineEvent(line.agent_id, uid, str(line.kind), line.at, line.data, repeated)


def _known_uid(line: AgentEvent) -> UUID | None:
    """That of the agent's row, unless it would have to be read."""
    return line.agent.instance_uid if AgentEvent.agent.is_cached(line) else None


def _lines_to_add(recorded: Sequence[ReportingAgent]) -> list[AgentEvent]:
    """The lines of these reports that are no repeats; the others are counted in the lines they repeat.

    Only agents that may repeat something, by what is remembered in their rows, cost a query; a new
    one repeats nothing.
    """
    found = _timelines(recorded)
    added: list[AgentEvent] = []
    folded: dict[int, AgentEvent] = {}
    for entry in recorded:
        if entry.is_new or not entry.events:
            added += entry.events
            continue
        open_lines = found.get(entry.agent.pk, {})
        remembered = list(entry.state.recent_lines)
        for event in entry.events:
            key = signature(event)
            if event.kind not in _BESIDE:
                open_lines, remembered = {}, []
            line = open_lines.get(key) if key else None
            if line is not None and _is_recent(line, event):
                line.count += event.count
                line.last_at = event.at
                folded[line.pk] = line
            else:
                added.append(event)
            if key:
                remembered = [*(other for other in remembered if other != key), key]
        entry.change_state("recent_lines", remembered[-_REMEMBERED:])
    bulk_update(folded.values(), ["count", "last_at"])
    return added


def signature(event: AgentEvent) -> str:
    """What two lines have in common that tell the same; empty for lines that are never folded.

    Errors are compared without numbers: times, ports, process and trace ids differ each time.
    """
    members = _MEMBERS.get(event.kind)
    if members is None or (event.kind == Kind.IDENTITY and not event.data.get("duplicate")):
        return ""
    said = [str(event.kind), *(str(event.data.get(name)) for name in members)]
    if event.kind == Kind.HEALTH:
        said[-1] = _WORD.sub(_without_number, said[-1][:_COMPARED])
    return blake2b("\n".join(said).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _without_number(word: re.Match[str]) -> str:
    return "#" if any(character.isdigit() for character in word[0]) else word[0]


def _timelines(recorded: Sequence[ReportingAgent]) -> dict[int, dict[str, AgentEvent]]:
    """Of agents that may repeat a line: their open lines, by signature."""
    suspects = [
        entry.agent.pk
        for entry in recorded
        if entry.events
        and entry.state.recent_lines
        and any(signature(event) in entry.state.recent_lines for event in entry.events)
    ]
    if not suspects:
        return {}
    newest = bulk_newest(AgentEvent, "agent", suspects, limit=_LOOKED_THROUGH)
    return {key: _open_lines(lines) for key, lines in newest.items()}


def _open_lines(newest_first: Iterable[AgentEvent]) -> dict[str, AgentEvent]:
    found: dict[str, AgentEvent] = {}
    for line in newest_first:
        if line.kind not in _BESIDE:
            break
        key = signature(line)
        if key:
            found.setdefault(key, line)
    return found


def _is_recent(line: AgentEvent, event: AgentEvent) -> bool:
    """True when ``event`` follows soon enough; a clock that was put back far ends the folding too."""
    return abs(event.at - (line.last_at or line.at)) < _PAUSE
