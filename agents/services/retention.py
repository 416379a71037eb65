"""What is kept no longer: old history, agents that are gone, finished commands, documents nobody refers to.

Deletes in small transactions, so that agents never wait long for the one writer of SQLite. Any process may run it at any
time: what is deleted is selected under lock in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from agents.models import (
    Agent,
    AgentCommand,
    AgentEvent,
    AgentQuerySet,
    ConnectionRecord,
    ReportedDocument,
    ReportedState,
)
from agents.services.documents import DOCUMENT_GRACE
from agents.services.editing import forget_agents
from foundation.clock import is_ahead

logger = logging.getLogger(__name__)

# Rows of one transaction: some milliseconds on SQLite, during which nobody else writes.
BATCH = 500
_AGENTS_AT_ONCE = 50
# Between two transactions, so that whoever waits for the database comes first.
PAUSE_SECONDS = 0.05
# Timelines are counted only of agents that wrote this share of the cap within a day.
_BUSY_DAY = timedelta(days=1)
_BUSY_SHARE = 10
# A clock that jumped may be put right soon: so long nothing is deleted by it.
DOUBT_SECONDS = 3_600.0


class PrunedKind(StrEnum):
    """What can be pruned, by the words of the command."""

    EVENTS = "events"
    CONNECTIONS = "connections"
    COMMANDS = "commands"
    AGENTS = "agents"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class RegisteredKind:
    """What another app has pruned, by its word; ``overdue`` says which rows are.

    Nothing else may refer to them, unless they are ``referred`` to: then what refers to them is deleted or emptied with them.
    """

    value: str
    overdue: Callable[[datetime], QuerySet[Any]]
    referred: bool = False


_registered: dict[str, RegisteredKind] = {}


def register_pruned_kind(kind: RegisteredKind) -> None:
    """Have it pruned with the rest; a second registration of the same word replaces the first. In ``AppConfig.ready``."""
    _registered[kind.value] = kind


def pruned_kinds() -> tuple[PrunedKind | RegisteredKind, ...]:
    """All that is pruned, in this order."""
    return (*PrunedKind, *_registered.values())


def is_clock_behind(at: datetime) -> bool:
    """True when the event that was written last is ahead of ``at``: either clock is wrong, that of then or that of now."""
    written_last: datetime | None = AgentEvent.objects.order_by("-pk").values_list("at", flat=True).first()
    return is_ahead(written_last, at)


def prune(kind: PrunedKind | RegisteredKind, *, at: datetime) -> Iterator[int]:
    """Delete all that is overdue at ``at``, one small transaction a step; each step yields how many rows it deleted.

    Whoever steps pauses for `PAUSE_SECONDS` between two steps.
    """
    for rows in _parts(kind, at):
        while deleted := _delete_batch(kind, rows):
            logger.info("pruned", extra={"kind": kind.value, "count": deleted})
            yield deleted


def count_overdue(kind: PrunedKind | RegisteredKind, *, at: datetime) -> int:
    """How many rows `prune` would delete now."""
    return sum(rows.count() for rows in _parts(kind, at))


# --- What is overdue -------------------------------------------------------------------------------------------------


def _parts(kind: PrunedKind | RegisteredKind, at: datetime) -> Iterator[QuerySet[Any]]:
    """What is overdue, each row once."""
    match kind:
        case RegisteredKind():
            yield kind.overdue(at)
        case PrunedKind.EVENTS:
            limit = before_days(at, settings.OPAMP_KEEP_EVENTS_DAYS)
            # A line is as old as what was folded into it last.
            yield AgentEvent.objects.filter(Q(last_at=None) | Q(last_at__lt=limit), at__lt=limit)
            recent = AgentEvent.objects.filter(Q(at__gte=limit) | Q(last_at__gte=limit))
            yield from _surplus(recent, AgentEvent.objects.filter(at__gte=max(limit, at - _BUSY_DAY)))
        case PrunedKind.CONNECTIONS:
            limit = before_days(at, settings.OPAMP_KEEP_CONNECTIONS_DAYS)
            yield ConnectionRecord.objects.filter(disconnected_at__lt=limit)
            ended = ConnectionRecord.objects.filter(disconnected_at__gte=limit)
            yield from _surplus(ended, ended.filter(disconnected_at__gte=at - _BUSY_DAY))
        case PrunedKind.COMMANDS:
            finished = AgentCommand.objects.exclude(outcome=AgentCommand.Outcome.PENDING)
            yield finished.filter(requested_at__lt=before_days(at, settings.OPAMP_KEEP_EVENTS_DAYS))
        case PrunedKind.AGENTS:
            limit = before_days(at, settings.OPAMP_FORGET_AGENTS_DAYS)
            # A silent WebSocket agent was last heard long before it left.
            gone = Q(disconnected_at__lt=limit) | Q(disconnected_at=None)
            # Those that are shut out stay known, or they would come back as new ones.
            yield Agent.objects.filter(
                gone, connected=False, presence__last_seen_at__lt=limit, credential_revoked_at=None
            )
        case PrunedKind.DOCUMENTS:
            used = ReportedState.objects.filter(Q(effective_config_id=OuterRef("pk")) | Q(components_id=OuterRef("pk")))
            yield ReportedDocument.objects.filter(~Exists(used), stored_at__lt=at - DOCUMENT_GRACE)


def before_days(at: datetime, days: int) -> datetime:
    """The moment before which things are too old; for 0 days, which means for ever, one before all of them."""
    return at - timedelta(days=days or 36_500)


def _surplus(rows: QuerySet[Any], lately: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """For each agent with many rows ``lately``: what is older than its newest ones, which are kept."""
    keep = settings.OPAMP_KEEP_PER_AGENT
    busy = lately.order_by().values("agent_id").annotate(number=Count("pk")).filter(number__gte=keep // _BUSY_SHARE)
    for agent_id in list(busy.values_list("agent_id", flat=True)):
        own = rows.filter(agent_id=agent_id)
        newest_surplus = own.order_by("-pk").values_list("pk", flat=True)[keep : keep + 1].first()
        if newest_surplus is not None:
            yield own.filter(pk__lte=newest_surplus)


# --- Deleting ----------------------------------------------------------------------------------------------------------


def _delete_batch(kind: PrunedKind | RegisteredKind, rows: QuerySet[Any]) -> int:
    """Delete some of ``rows`` in one transaction; the condition is asked again under the locks."""
    try:
        with transaction.atomic(durable=True):
            if kind is PrunedKind.AGENTS:
                return _forget(cast("AgentQuerySet", rows))
            keys = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
            if keys and isinstance(kind, RegisteredKind) and kind.referred:
                rows.filter(pk__in=keys).delete()
                return len(keys)
            # Django's own deletion would first load every document to see that nothing protects it.
            return int(rows.filter(pk__in=keys)._raw_delete(using=rows.db)) if keys else 0  # noqa: SLF001
    except IntegrityError:
        # A report referred to one of the documents between our look and our commit: it wins, they wait for the next run.
        logger.info("documents are wanted again and stay")
        return 0


def _forget(rows: AgentQuerySet) -> int:
    """One that comes back at this moment keeps its row, or registers itself anew."""
    return forget_agents([agent.pk for agent in rows.locked()[:_AGENTS_AT_ONCE]], by=None)
