"""What happens in the fleet has rules looked at soon, and not only every few seconds.

Only that something happened is passed on, once for all that a transaction told: a storm of ten thousand disconnects is one look.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts.events import AuditEvent
from agents.events import AgentTimelineEvent
from agents.models import AgentEvent
from foundation.events import subscribe
from foundation.hastening import hasten, let_hasten
from rollouts.events import RolloutEvent

CHORE = "alerts"
SOONEST = 1.0
"""Seconds between two looks at least; more when looking takes long."""

_Kind = AgentEvent.Kind
# Lines after which a condition may hold for an agent, or no more; or it may be among those that a rule watches.
_CONCERNING = frozenset(
    map(
        str,
        (
            _Kind.REGISTERED, _Kind.CONNECTED, _Kind.DISCONNECTED, _Kind.HEALTH, _Kind.ASSIGNED, _Kind.UNASSIGNED, _Kind.APPLIED,
            _Kind.FAILED, _Kind.ROLLED_BACK, _Kind.DRIFTED, _Kind.DRIFT_ENDED, _Kind.LABELS, _Kind.DESCRIBED,
        ),
    )
)  # fmt: skip
# What people do that rules are about, and what they do to rules. By the beginning of the verb.
_VERBS = ("alert_rule.", "silence.", "configuration.", "agent.approve", "agent.reject", "enrolment_token.", "token.")


def note_lines(lines: Sequence[AgentTimelineEvent]) -> None:
    """Something happened to agents."""
    if any(line.kind in _CONCERNING for line in lines):
        hasten(CHORE)


def note_entries(entries: Sequence[AuditEvent]) -> None:
    """Somebody did something."""
    if any(entry.verb.startswith(_VERBS) for entry in entries):
        hasten(CHORE)


def note_steps(_steps: Sequence[RolloutEvent]) -> None:
    """A rollout went on, or stopped."""
    hasten(CHORE)


def register() -> None:
    """Listen."""
    let_hasten(CHORE, soonest=SOONEST)
    subscribe(AgentTimelineEvent, note_lines)
    subscribe(AuditEvent, note_entries)
    subscribe(RolloutEvent, note_steps)
