"""What open pages about agents listen to: the list, one agent, and the overview of the fleet."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agents.models import Agent
from foundation.topics import Topic, register_topic, unnamed

AGENT = "agents.agent"
_SEE = "agents.view_agent"


def uids_of(rows: Collection[str], _wanted: Collection[str]) -> Iterable[str]:
    """The instance UIDs of these agents; of those that were forgotten none."""
    return map(str, Agent.objects.filter(pk__in=rows).values_list("instance_uid", flat=True))


def wanted_uids(rows: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Those of them that somebody looks at."""
    return set(wanted).intersection(uids_of(rows, wanted))


def register() -> None:
    """Called when Django is ready."""
    register_topic(Topic("agents", _SEE, {AGENT: uids_of}))
    register_topic(Topic("agent", _SEE, {AGENT: wanted_uids}, keyed=True))
    register_topic(Topic("overview", _SEE, {AGENT: unnamed, "accounts.auditentry": unnamed}))
