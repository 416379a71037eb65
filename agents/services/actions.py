"""What can be done to many agents: the registry that apps fill with `acting.register_agent_action`.

The admin's menu, REST and jobs take it from here.

Each action gets some agents at a time (`CHUNK`) and is harmless for those it has nothing to do for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q

from accounts.models import User
from agents.models import AgentQuerySet
from agents.reports import AgentCapabilities
from agents.services.bulk_requests import BulkOutcome
from foundation.errors import DomainError
from foundation.messages import Message

# A `BulkOutcome` names so many agents that were skipped: of so many at once none is without its reason.
CHUNK = 100
_RESTART = int(AgentCapabilities.ACCEPTS_RESTART_COMMAND)

Parameters = Mapping[str, Any]
"""JSON: it is kept with the job."""

Run = Callable[[Sequence[int], User, datetime, Parameters], BulkOutcome]
"""Gets primary keys and checked parameters."""

Read = Callable[[Mapping[str, object], datetime], dict[str, Any]]
"""Checks what REST was sent; raises DomainError, or `InvalidParameter` with its name."""


class InvalidParameter(DomainError):
    """What an action needs is missing or wrong."""


def no_parameters(given: Mapping[str, object], _at: datetime) -> dict[str, Any]:
    """For actions that need none. Raises `InvalidParameter`."""
    must_know(given, ())
    return {}


def must_know(given: Mapping[str, object], known: Sequence[str]) -> None:
    """Raises `InvalidParameter` for names that mean nothing."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidParameter(
            Message("no-such-action-parameter", "The action has no parameter {name}.", name=unknown[0][:60])
        )


@dataclass(frozen=True, slots=True)
class AgentAction:
    """``eligible`` says who is reached; of the others ``skipped`` says why not. ``right`` is what a person needs.

    ``together``: what is done to the agents of one chunk is one transaction with what the job notes of it. ``available`` is
    asked each time.
    """

    name: str
    title: Message
    right: str
    run: Run
    eligible: Q | None = None
    skipped: Message | None = None
    read: Read = no_parameters
    together: bool = True
    available: Callable[[], bool] = lambda: True

    @property
    def job_kind(self) -> str:
        """The name of its kind of job."""
        return f"agents.{self.name}"

    def reached(self, agents: AgentQuerySet) -> AgentQuerySet:
        """Those of ``agents`` that it has something to do for."""
        rows = agents.alias(accepts_restart=F("capabilities").bitand(_RESTART))
        return rows.filter(self.eligible) if self.eligible is not None else rows


ACCEPT_RESTART = Q(accepts_restart=_RESTART)
"""For ``eligible``."""

_actions: dict[str, AgentAction] = {}


def add_action(action: AgentAction) -> None:
    """For `acting.register_agent_action` alone."""
    _actions[action.name] = action


def action_named(name: str) -> AgentAction | None:
    """``None`` for one that there is not, or not here."""
    action = _actions.get(name)
    return action if action is not None and action.available() else None


def available_actions() -> tuple[AgentAction, ...]:
    """All of them, in the order of their registration."""
    return tuple(action for action in _actions.values() if action.available())


def outcome_of_count(count: int, agent_ids: Sequence[int]) -> BulkOutcome:
    """The outcome of a service that says only how many it did something for."""
    return BulkOutcome(asked=count, skipped=len(agent_ids) - count)
