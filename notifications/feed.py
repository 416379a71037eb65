"""What of all that happens in this process the hub hears of: subscribed to only while somebody listens, here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from accounts.events import AuditEvent
from agents.events import AgentTimelineEvent
from foundation.events import subscribe, unsubscribe
from foundation.topics import RowChanged

_AGENT, _AUDIT = "agents.agent", "accounts.auditentry"


class Note(Protocol):
    """Takes keys of changed rows of one kind; ``more`` when there were others."""

    def __call__(self, model: str, keys: Iterable[str], *, more: bool = False) -> None: ...


class Feed:
    """Names of changed rows, for ``note``; called in the threads that committed, so it does no more than that."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self.is_open = False

    def open(self) -> None:
        """Hear of everything. Doing it twice is once."""
        self.is_open = True
        subscribe(AgentTimelineEvent, self._timeline)
        subscribe(RowChanged, self._rows)
        subscribe(AuditEvent, self._audit)

    def close(self) -> None:
        """Hear of nothing: events without subscribers are not even made."""
        self.is_open = False
        unsubscribe(AgentTimelineEvent, self._timeline)
        unsubscribe(RowChanged, self._rows)
        unsubscribe(AuditEvent, self._audit)

    def _timeline(self, events: Sequence[AgentTimelineEvent]) -> None:
        self._note(_AGENT, {str(event.agent_id) for event in events})

    def _rows(self, events: Sequence[RowChanged]) -> None:
        found: dict[str, set[str]] = {}
        for event in events:
            found.setdefault(event.model, set()).add(event.key)
        for model, keys in found.items():
            self._note(model, keys)

    def _audit(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            self._note(_AUDIT, [str(event.entry_id)])
            if event.object_id:
                self._note(event.object_type, [event.object_id])
            else:
                # One about many objects lists the first of them.
                listed = [str(item["id"]) for item in event.data.get("objects", ())]
                self._note(event.object_type, listed, more=event.data.get("count") != len(listed))
