"""What the fleet may take: agents in all, bytes of what one agent and all agents report.

One `Quotas` for each process, used inside the transactions of its batches and by several database threads at once. What all
processes have taken together is measured now and then, and exactly, one process at a time, once room becomes short: so a
batch costs no count, and the limit holds.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Sum

from agents.excess import Excess
from agents.models import Agent, AgentEvent, Fleet, ReportedDocument, ReportedState
from agents.services.batch import ReportingAgent
from agents.services.documents import changes

logger = logging.getLogger(__name__)

# A measured figure is used for so long; a fleet that was found full is not measured again for so long (seconds).
_KEPT_SECONDS, _FULL_SECONDS = 5.0, 1.0
# Room is short when so much of it is left, or a tenth: more than all processes together take while a figure is kept.
_FEW_AGENTS, _FEW_BYTES = 10_000, 1024**3
# The parts of smaller messages are not weighed: what they can add to a row is bounded by this (bytes).
_LARGE_MESSAGE = 16 * 1024
# What lies in the agent's own row, by the member of the report: the fields it is kept in.
_PARTS = {
    "agent_description": ("identifying_attributes", "non_identifying_attributes"),
    "health": ("health",),
    "package_statuses": ("package_statuses",),
    "custom_capabilities": ("custom_capabilities",),
    "connection_settings_status": ("connection_settings_status",),
}


class Room:
    """What may still be taken of something that all processes share. ``measure`` asks the database how much is taken."""

    def __init__(self, measure: Callable[[], int], few: int) -> None:
        self._measure = measure
        self._few = few
        self._lock = threading.Lock()
        self._taken = 0
        self._measured_at = self._full_since = float("-inf")

    def take(self, wanted: int, limit: int) -> int:
        """How much of ``wanted`` there is room for below ``limit`` (0: no limit), taken with it. Inside a transaction.

        What a transaction took that then failed is given back by the next measurement.
        """
        if limit <= 0 or wanted <= 0:
            return wanted
        with self._lock:
            now = time.monotonic()
            if now - self._full_since < _FULL_SECONDS:
                return 0
            if now - self._measured_at > _KEPT_SECONDS:
                self._taken, self._measured_at = self._measure(), now
            if self._taken + wanted + max(self._few, limit // 10) <= limit:
                self._taken += wanted
                return wanted
        # Whoever waits here has locked its agents before, and nothing that others wait for with this lock held.
        Fleet.objects.get_or_create(pk=1)
        Fleet.objects.select_for_update().get(pk=1)
        taken = self._measure()
        granted = min(wanted, max(limit - taken, 0))
        with self._lock:
            self._taken, self._measured_at = taken + granted, time.monotonic()
            if taken >= limit:
                self._full_since = self._measured_at
        return granted


class Demand(NamedTuple):
    """One part of a report that needs ``size`` bytes more than there are; ``key`` is the hash of a shared document."""

    entry: ReportingAgent
    part: str
    size: int
    key: str = ""


def stored_bytes() -> int:
    """What all reports occupy: documents, and the rows' own parts where they came in large messages."""
    documents = ReportedDocument.objects.aggregate(total=Sum("size"))["total"] or 0
    parts = ReportedState.objects.filter(parts_size__gt=0).aggregate(total=Sum("parts_size"))["total"] or 0
    return int(documents) + int(parts)


class Quotas:
    """The limits of the fleet as one process keeps them. ``admits``: whether an address may bring one more new agent."""

    def __init__(self, admits: Callable[[str], bool] | None = None) -> None:
        self._admits = admits
        self._agents = Room(Agent.objects.count, _FEW_AGENTS)
        self._bytes = Room(stored_bytes, _FEW_BYTES)

    def judge_newcomers(self, entries: Sequence[ReportingAgent]) -> None:
        """Deny agents never seen that are too many, of their address or in all."""
        newcomers = [entry for entry in entries if entry.is_new and entry.denial is None]
        if self._admits is not None:
            for entry in newcomers:
                if not self._admits(entry.arrival.lease.remote_address):
                    entry.denial = Excess.TOO_MANY_NEW
        admitted = [entry for entry in newcomers if entry.denial is None]
        for entry in admitted[self._agents.take(len(admitted), settings.OPAMP_MAX_AGENTS) :]:
            entry.denial = Excess.FLEET_FULL

    def weigh(self, entries: Sequence[ReportingAgent], stored: Collection[str], at: datetime) -> None:
        """Leave out of each report what there is no room for (`ReportingAgent.left_out`): its former state is kept.

        Before reports are merged; ``stored`` are hashes of documents that are there already. Noted in the timeline once,
        until the part was stored again.
        """
        demands = self._within_agents(entries, stored)
        granted = self._bytes.take(sum(demand.size for demand in demands), settings.OPAMP_STORED_IN_ALL)
        missing: set[str] = set()
        for demand in demands:
            if demand.size <= granted:
                granted -= demand.size
            elif demand.key:
                missing.add(demand.key)
            else:
                demand.entry.left_out[demand.part] = "fleet"
        for entry in entries:
            for part, document in entry.documents.items():
                if document.hash in missing:
                    entry.left_out[part] = "fleet"
            _note(entry, at)

    def _within_agents(self, entries: Sequence[ReportingAgent], stored: Collection[str]) -> list[Demand]:
        """What the reports bring that is not stored yet, but for what their agents have no room for."""
        brought = {
            document.hash
            for entry in entries
            for part, document in entry.documents.items()
            if changes(entry, part, document)
        }
        large = [entry for entry in entries if entry.arrival.size > _LARGE_MESSAGE or entry.state.parts_size]
        if not brought and not large:
            return []
        fresh = brought.difference(stored)
        paying = [
            entry
            for entry in entries
            if entry in large or any(document.hash in fresh for document in entry.documents.values())
        ]
        used = (
            _used_by([entry.agent.pk for entry in paying if not entry.is_new])
            if settings.OPAMP_STORED_PER_AGENT
            else {}
        )
        demands: list[Demand] = []
        for entry in paying:
            limit = settings.OPAMP_STORED_PER_AGENT or float("inf")
            occupied = used.get(entry.agent.pk, 0) + entry.state.parts_size
            for demand in _demands_of(entry, fresh, weighed=entry in large):
                if occupied + demand.size > limit:
                    entry.left_out[demand.part] = "agent"
                    continue
                occupied += demand.size
                fresh.discard(demand.key)
                demands.append(demand)
        # What nobody of the batch could pay for is stored for nobody.
        for entry in entries:
            for part, document in entry.documents.items():
                if document.hash in fresh:
                    entry.left_out[part] = "agent"
                elif entry.left_out.get(part) and document.hash in brought:
                    del entry.left_out[part]  # another agent brought it
        return demands


def _used_by(agents: Sequence[int]) -> dict[int, int]:
    if not agents:
        return {}
    sums = ReportedDocument.objects.filter(reported_by__in=agents).order_by().values_list("reported_by")
    return {agent: total for agent, total in sums.annotate(total=Sum("size")) if agent is not None}


def _demands_of(entry: ReportingAgent, fresh: set[str], *, weighed: bool) -> list[Demand]:
    """The parts of one report, the smallest first, so that a large one does not keep the others out."""
    demands = [
        Demand(entry, part, document.size, document.hash)
        for part, document in entry.documents.items()
        if document.hash in fresh
    ]
    if weighed:
        for part in _PARTS:
            value = getattr(entry.arrival.report, part)
            if value is not None:
                grown = _size(_values(part, value)) - _size(_kept(entry.state, part))
                demands.append(Demand(entry, part, max(grown, 0)))
    return sorted(demands, key=lambda demand: demand.size)


def _note(entry: ReportingAgent, at: datetime) -> None:
    """Keep what was left out, for people; and how large the row's own parts will be."""
    report, state = entry.arrival.report, entry.state
    if entry.arrival.size > _LARGE_MESSAGE or state.parts_size:
        sizes = 0
        for part in _PARTS:
            value = None if part in entry.left_out else getattr(report, part)
            sizes += _size(_kept(state, part) if value is None else _values(part, value))
        entry.change_state("parts_size", sizes if sizes > _LARGE_MESSAGE else 0)
    if not entry.left_out and not state.unstored:
        return
    unstored = {part: size for part, size in state.unstored.items() if getattr(report, part, None) is None}
    for part, whose in entry.left_out.items():
        document = entry.documents.get(part)
        unstored[part] = document.size if document is not None else _size(_values(part, getattr(report, part)))
        if part not in state.unstored:
            entry.tell(AgentEvent.Kind.NOT_STORED, part=part, size=unstored[part], limit=whose)
            logger.warning(
                "a part of a report is not stored",
                extra={"instance_uid": str(report.instance_uid), "part": part, "size": unstored[part], "limit": whose},
            )
    entry.change_state("unstored", unstored)


def _values(part: str, value: Any) -> list[Any]:
    if part == "agent_description":
        return [value.identifying_attributes, value.non_identifying_attributes]
    if part == "health":
        return [value.tree]
    if part == "connection_settings_status":
        return [value.error_message]
    return [value]


def _kept(state: ReportedState, part: str) -> list[Any]:
    return [getattr(state, name) for name in _PARTS[part]]


def _size(values: Sequence[Any]) -> int:
    """Bytes of JSON; nothing for what was never reported."""
    return sum(len(json.dumps(value, ensure_ascii=False).encode(errors="replace")) for value in values if value)
