"""What a simulated fleet has seen, as numbers and as one line of text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

from agents.reports import RemoteConfigStatuses


@dataclass(slots=True)
class Tally:
    """Counts over all agents. ``connected`` and ``statuses`` are the state now, the rest grows.

    ``repeated_offers``: offers of what the agent had been offered on the same connection, and had answered, just before.
    """

    count: int
    connected: int = 0
    offers: int = 0
    repeated_offers: int = 0
    messages: int = 0
    replies: int = 0
    reconnects: int = 0
    restarts: int = 0
    refused: int = 0
    errors: int = 0
    statuses: Counter[RemoteConfigStatuses] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _last_messages: int = 0
    _last_at: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.statuses[RemoteConfigStatuses.UNSET] = self.count

    @property
    def applied(self) -> int:
        """Agents whose last word is APPLIED."""
        return self.statuses[RemoteConfigStatuses.APPLIED]

    @property
    def failed(self) -> int:
        """Agents whose last word is FAILED."""
        return self.statuses[RemoteConfigStatuses.FAILED]

    def note_status(self, former: RemoteConfigStatuses, now: RemoteConfigStatuses) -> None:
        """One agent's answer changed."""
        self.statuses[former] -= 1
        self.statuses[now] += 1

    def note_refusal(self, reason: str) -> None:
        """The server let an agent wait outside, or was not there."""
        self.refused += 1
        self.reasons[reason] += 1

    def note_error(self, reason: str) -> None:
        """Something that should not happen."""
        self.errors += 1
        self.reasons[reason] += 1

    def line(self) -> str:
        """The summary; its rate is of the time since the line before."""
        now = monotonic()
        rate = (self.messages - self._last_messages) / max(now - self._last_at, 1e-6)
        self._last_messages, self._last_at = self.messages, now
        text = (
            f"connected {self.connected}/{self.count}  offers {self.offers}  applied {self.applied}  "
            f"failed {self.failed}  messages/s {rate:.0f}  reconnects {self.reconnects}"
        )
        if self.repeated_offers:
            text += f"  repeated offers {self.repeated_offers}"
        if self.restarts:
            text += f"  restarts {self.restarts}"
        if self.refused or self.errors:
            reason, _times = self.reasons.most_common(1)[0]
            text += f"  refused {self.refused}  errors {self.errors} (mostly: {reason})"
        return text
