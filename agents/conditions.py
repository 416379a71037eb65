"""Conditions and orders of agents as the database takes them. No model is known here: `agents.models` stands on it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from agents.reports import Status

_OF_PRESENCE = "presence__"


def status_condition(status: Status) -> Q:
    """`agents.reports.derived_status` turned into a condition; a test holds the two together over all combinations."""
    if status is Status.DISCONNECTED:
        return Q(connected=False)
    if status is Status.ERROR:
        return Q(connected=True) & (Q(config_failed=True) | Q(config_applying=False, healthy=False))
    # `healthy` and `in_sync` may be NULL, and NOT (NULL = x) is NULL in SQL: name the accepted values.
    not_ill = Q(healthy=True) | Q(healthy__isnull=True)
    if status is Status.CONFIGURING:
        waits = Q(config_applying=True) | (not_ill & Q(in_sync=False))
        return Q(connected=True, config_failed=False) & waits
    in_sync = Q(in_sync=True) | Q(in_sync__isnull=True)
    return Q(connected=True, config_failed=False, config_applying=False) & not_ill & in_sync


def presence_order(names: Sequence[str]) -> list[str]:
    """Fields that order agents, as `AgentPresence` names them; none, unless the first is the presence's."""
    if not names or not names[0].removeprefix("-").startswith(_OF_PRESENCE):
        return []
    return [f"{'-' if name.startswith('-') else ''}{_seen_from_presence(name.removeprefix('-'))}" for name in names]


def _seen_from_presence(field: str) -> str:
    if field in {"pk", "id"}:
        return "agent_id"
    return field.removeprefix(_OF_PRESENCE) if field.startswith(_OF_PRESENCE) else f"agent__{field}"
