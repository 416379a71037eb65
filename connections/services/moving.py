"""How far the agents of connection settings are with going where these lead: moved, here, away, failed, incapable."""

from __future__ import annotations

import enum
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When

from connections.content import OPAMP
from connections.models import AgentConnection, ConnectionSettings

Status = AgentConnection.Status


class MoveState(enum.Enum):
    """How one agent stands to the place that its settings lead to.

    ``MOVED``: heard there since, whoever led it. ``HERE``: connected at another place. ``AWAY``: told, and not heard since, as
    agents are that went to a server with rows of its own. ``OFFLINE``: not told yet, for it is not connected. ``FAILED`` stayed
    where it was, ``INCAPABLE`` cannot be told.
    """

    MOVED = "moved"
    HERE = "here"
    AWAY = "away"
    OFFLINE = "offline"
    FAILED = "failed"
    INCAPABLE = "incapable"


def with_move(rows: QuerySet[AgentConnection]) -> QuerySet[Any]:
    """Annotated with ``move``, a value of `MoveState`; rows whose version leads nowhere have an empty one."""
    told = Q(told__has_key=OPAMP)
    arrived = Q(reached=F("version__origin"), status__in=[Status.APPLIED, Status.TOLD])
    return rows.annotate(
        move=Case(
            When(Q(version__origin="") | Q(version=None), then=Value("")),
            When(Q(by_certificate=True, reached=F("version__origin")), then=Value(MoveState.MOVED.value)),
            When(status=Status.FAILED, then=Value(MoveState.FAILED.value)),
            When(Q(status=Status.INCAPABLE) | Q(by_certificate=True), then=Value(MoveState.INCAPABLE.value)),
            When(~Q(wanted__has_key=OPAMP), then=Value(MoveState.INCAPABLE.value)),
            When(arrived, then=Value(MoveState.MOVED.value)),
            When(told & Q(agent__connected=False), then=Value(MoveState.AWAY.value)),
            When(agent__connected=False, then=Value(MoveState.OFFLINE.value)),
            default=Value(MoveState.HERE.value),
            output_field=CharField(),
        )
    )


def agents_of(settings: ConnectionSettings) -> QuerySet[AgentConnection]:
    """All that should have any version of them."""
    return AgentConnection.objects.filter(version__settings=settings)


def counted_moves(settings: ConnectionSettings) -> dict[str, int]:
    """Numbers of agents by `MoveState`, every state named."""
    rows = with_move(agents_of(settings)).order_by().values("move").annotate(number=Count("*"))
    found = {row["move"]: row["number"] for row in rows}
    return {state.value: found.get(state.value, 0) for state in MoveState}
