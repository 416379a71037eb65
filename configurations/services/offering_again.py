"""When files that were offered already go out once more: pauses that double, so often at most, for silence and for drift."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db.models import F, Q

from agents.models import Agent
from configurations.models import Assignment
from configurations.outcome import AssignmentStatus
from configurations.services.assigning import AssignedAgent
from foundation import wakeups
from foundation.clock import is_ahead
from rollouts.services.freezing import current_freezes

# An agent whose answers never name the hash it was sent is offered it again with doubling pauses, this often at most (S-63).
FIRST_RETRY = timedelta(seconds=30)
MAX_OFFERS = 5
COUNTED_FOR = timedelta(days=1)
"""So long an offer counts against an agent that drifts anew: it has `MAX_OFFERS` in that time, however often it drifts."""

LOOK_SECONDS = 15
_MOST_WOKEN = 1_000


def retry_at(assignment: Assignment) -> datetime | None:
    """When what was offered may go out once more, ``None`` for never."""
    if assignment.offered_at is None or assignment.offer_count >= MAX_OFFERS:
        return None
    return assignment.offered_at + _pause(assignment.offer_count)


def retry_due(assignment: Assignment, at: datetime) -> bool:
    """Whether it may go out now."""
    moment = retry_at(assignment)
    # An offer of the future went out before the clock was put back: how long ago cannot be known.
    return moment is not None and (at >= moment or is_ahead(assignment.offered_at, at))


def is_offered_on_drift(agent: Agent, assignment: Assignment) -> bool:
    """Whether what it applied is to be offered to this agent again, once the pause after the last offer is over."""
    return bool(
        settings.REOFFER_ON_DRIFT and agent.config_drifted and assignment.status == AssignmentStatus.APPLIED.value
    )


def drift_offer_due(agent: Agent, assignment: Assignment, at: datetime) -> bool:
    """Whether that may be now. What was never offered, for the agent had it already, is without a pause."""
    return is_offered_on_drift(agent, assignment) and (assignment.offered_at is None or retry_due(assignment, at))


def count_anew(assigned: AssignedAgent) -> None:
    """Of an agent that has just drifted only offers of late count, so that it is helped again, and never without end."""
    offered_at = assigned.assignment.offered_at
    if settings.REOFFER_ON_DRIFT and offered_at is not None and offered_at + COUNTED_FOR <= assigned.work.at:
        assigned.work.change(assigned.assignment, "offer_count", min(assigned.assignment.offer_count, 1))


def wake_drifted(at: datetime) -> None:
    """Have connected agents looked at whose pause is over: those that say nothing new nobody else would look at."""
    if not settings.REOFFER_ON_DRIFT:
        return
    due = Q(offered_at=None)
    for count in range(MAX_OFFERS):
        due |= Q(offer_count=count, offered_at__lte=at - _pause(count))
    rows = Assignment.objects.filter(
        due, agent__config_drifted=True, agent__connected=True, status=AssignmentStatus.APPLIED.value
    )
    freezes = current_freezes()
    ordered = rows.select_related("agent").order_by(F("offered_at").asc(nulls_first=True), "pk")
    free = (row.agent.instance_uid for row in ordered.iterator() if freezes.holding(row.agent, at) is None)
    wakeups.wake(islice(free, _MOST_WOKEN))


def _pause(offers: int) -> timedelta:
    pause: timedelta = FIRST_RETRY * 2 ** max(offers - 1, 0)
    return pause
