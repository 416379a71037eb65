"""Writes what agents send of themselves: a batch of requests in one transaction, each agent's row under its lock.

Two processes may have points of one agent at once: the lock puts them in turn, and points that came before count once. Nothing
here locks agents, so no report waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction

from agents.credentials import Denial, EnrolmentPass, Pass
from agents.models import Agent
from agents.services.credentials import IssuedCertificates, denial_for, issued_certificates
from foundation.bulk_sql import bulk_update
from telemetry.increases import advance, advance_flows
from telemetry.measures import MEASURES
from telemetry.models import LatestTelemetry, TelemetryDay
from telemetry.otlp import AgentMetrics
from telemetry.slots import SLOT_SECONDS, Day, OpenSlot, Values, slot_start

_JUDGED_BY = (
    "instance_uid", "credential_number", "credential_former_number", "credential_used_at", "credential_revoked_at", "approval",
    "enrolled_by",
)  # fmt: skip
_WRITTEN = [*(measure.value for measure in MEASURES), "received_at", "counters", "flows", "slot_at", "slot"]
_ONE_SLOT = timedelta(seconds=SLOT_SECONDS)
_UNKNOWN = "no agent is known under its service.instance.id; it must be the agent's instance UID"
_NO_UID = "service.instance.id is missing or no UUID; it must be the agent's instance UID"
_NO_ROOM = "values must be finite and not negative, counters cumulative and not too many"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that was let in by this ``credential`` (``None``: the shared secret, or where none is asked for)."""

    metrics: Sequence[AgentMetrics]
    credential: Pass | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Reception:
    """What became of a request: how many points were not taken and why; ``denial``: it may not speak for this agent at all."""

    rejected: int = 0
    text: str = ""
    denial: tuple[Denial, UUID] | None = None


def store(deliveries: Sequence[Delivery]) -> list[Reception]:
    """What became of each of them, in one transaction; rows are made for agents that are known, and for nobody else."""
    with transaction.atomic():
        agents = _agents(deliveries)
        issued = issued_certificates(delivery.credential for delivery in deliveries)
        accepted: dict[int, list[tuple[AgentMetrics, datetime]]] = defaultdict(list)
        taken = [_judge(delivery, agents, issued, accepted) for delivery in deliveries]
        _write(accepted)
    # Only now it is known how many series there was no room for.
    return [
        _with_rejected(delivery, outcome) if outcome.denial is None else outcome
        for delivery, outcome in zip(deliveries, taken, strict=True)
    ]


def _agents(deliveries: Iterable[Delivery]) -> dict[UUID, Agent]:
    uids = {each.uid for delivery in deliveries for each in delivery.metrics if each.uid is not None}
    rows = Agent.objects.filter(instance_uid__in=uids).only(*_JUDGED_BY)
    return {row.instance_uid: row for row in rows}


def _denial(row: Agent | None, uid: UUID, shown: Pass | None, issued: IssuedCertificates) -> Denial | None:
    """As of reports; an enrolment token speaks here for those alone whom it brought."""
    if isinstance(shown, EnrolmentPass) and row is not None and row.enrolled_by != shown.name:
        return Denial.ENROLMENT_FOREIGN
    return denial_for(row, uid, shown, issued)


def _judge(
    delivery: Delivery,
    agents: dict[UUID, Agent],
    issued: IssuedCertificates,
    accepted: dict[int, list[tuple[AgentMetrics, datetime]]],
) -> Reception:
    """Which resources of the request may be written; of a request that may write none because of who sent it, why."""
    rejected, texts = 0, []
    denied: tuple[Denial, UUID] | None = None
    any_accepted = False
    for each in delivery.metrics:
        row = None if each.uid is None else agents.get(each.uid)
        denial = None if each.uid is None else _denial(row, each.uid, delivery.credential, issued)
        if each.uid is not None and denial is not None:
            denied = denied or (denial, each.uid)
            rejected += each.points
            texts.append(f"{each.uid}: {denial.text}")
        elif row is None:
            rejected += each.points
            texts.append(_NO_UID if each.uid is None else f"{each.uid}: {_UNKNOWN}")
        else:
            any_accepted = True
            accepted[row.pk].append((each, delivery.received_at))
    if denied is not None and not any_accepted:
        return Reception(rejected, texts[0], denied)
    return Reception(rejected, texts[0] if texts else "")


def _with_rejected(delivery: Delivery, outcome: Reception) -> Reception:
    more = sum(each.rejected for each in delivery.metrics)
    return Reception(outcome.rejected + more, outcome.text or _NO_ROOM) if more else outcome


def _write(accepted: dict[int, list[tuple[AgentMetrics, datetime]]]) -> None:
    """Rows of new agents first: that asks for the agents, and nothing that others wait for may be locked by then."""
    if not accepted:
        return
    there = set(LatestTelemetry.objects.filter(pk__in=accepted).values_list("pk", flat=True))
    LatestTelemetry.objects.bulk_create(
        [LatestTelemetry(agent_id=key) for key in sorted(accepted.keys() - there)], ignore_conflicts=True
    )
    rows = list(LatestTelemetry.objects.select_for_update().filter(pk__in=accepted).order_by("pk"))
    ended: dict[tuple[int, date], list[tuple[datetime, Values]]] = defaultdict(list)
    for row in rows:
        for metrics, at in accepted[row.pk]:
            closed = _apply(row, metrics, at)
            if closed is not None:
                ended[row.pk, closed[0].date()].append(closed)
    bulk_update(rows, _WRITTEN)
    _write_days(ended)


def _apply(row: LatestTelemetry, metrics: AgentMetrics, at: datetime) -> tuple[datetime, Values] | None:
    """Change ``row`` by one resource; returns the slot that ended with it, if one did.

    Slots go by our time, so that no agent's clock can put its values into another week.
    """
    closed = None
    start = slot_start(at)
    slot = OpenSlot(row.slot)
    # Of two processes one may be a moment ahead; a clock that was set back by more begins anew.
    if row.slot_at is None or not timedelta(0) <= row.slot_at - start <= _ONE_SLOT:
        if row.slot_at is not None and slot.sums:
            closed = (row.slot_at, slot.means())
        row.slot_at, slot = start, OpenSlot()
    step = advance(row.counters, metrics.counters)
    metrics.rejected += step.dropped
    for measure, rate in step.rates.items():
        setattr(row, measure.value, rate.value if rate else None)
        if rate is not None:
            slot.add(measure, rate.value, rate.seconds)
    for measure, value in metrics.gauges.items():
        setattr(row, measure.value, value)
        slot.add(measure, value)
    row.counters, row.slot = step.known, slot.sums
    row.flows = advance_flows(row.flows, metrics.flows)
    row.received_at = max(row.received_at or at, at)
    return closed


def _write_days(ended: dict[tuple[int, date], list[tuple[datetime, Values]]]) -> None:
    keys = {key for key, _ in ended}
    found = TelemetryDay.objects.filter(latest__in=keys, day__in={day for _, day in ended}) if ended else []
    rows = {(row.latest_id, row.day): row for row in found}
    changed, new = [], []
    for (key, day), slots in ended.items():
        row = rows.get((key, day))
        whole = Day(row.slots if row is not None else b"")
        for at, values in slots:
            whole.put(at, values)
        if row is None:
            new.append(TelemetryDay(latest_id=key, day=day, slots=whole.stored()))
        else:
            row.slots = whole.stored()
            changed.append(row)
    TelemetryDay.objects.bulk_create(new)
    TelemetryDay.objects.bulk_update(changed, ["slots"], batch_size=50)
