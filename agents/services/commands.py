"""What is sent to agents once, at an operator's request: restart (S-96, S-97) and custom messages (S-94, S-95)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from agents import doorbell
from agents.models import Agent, AgentCommand, AgentEvent, ReportedState
from agents.reports import AgentCapabilities, CustomMessage

# A restart whose effect was not seen by then is shown as "nothing observed".
OBSERVATION_TIME = timedelta(minutes=5)
_MAX_MESSAGE_BYTES = 1024 * 1024
_BATCH = 1_000
Kind = AgentCommand.Kind
Outcome = AgentCommand.Outcome


class CannotBeSent(ValueError):
    """The agent does not accept this, or what should be sent is not valid; the text says which."""


class Requested(NamedTuple):
    """How many agents are asked, and who was left out because it does not accept the restart command."""

    asked: int
    skipped: list[Agent]


@transaction.atomic(durable=True)
def request_restart(agent: Agent, *, by: User | None, at: datetime) -> AgentCommand:
    """Ask one agent to restart; a second request while the first waits is the same request.

    Raises `CannotBeSent` when the agent lacks AcceptsRestartCommand (S-96).
    """
    if not agent.capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND:
        raise CannotBeSent(
            f"{agent} does not accept the restart command (capability AcceptsRestartCommand is not set)."
        )
    waiting = AgentCommand.objects.filter(agent=agent, kind=Kind.RESTART, outcome=Outcome.PENDING)
    command = waiting.first()
    if command is not None:
        return command
    try:
        with transaction.atomic():
            command = AgentCommand.objects.create(agent=agent, kind=Kind.RESTART, requested_by=by, requested_at=at)
    except IntegrityError:
        # Two presses at the same time: the constraint let one through, and it stands for both.
        return waiting.get()
    _announce(command, agent, by=by, at=at, verb="agent.restart")
    return command


@transaction.atomic
def send_custom_message(
    agent: Agent, *, capability: str, message_type: str, data: bytes, by: User | None, at: datetime
) -> AgentCommand:
    """Queue one custom message; messages of one agent travel in the order they were asked for (S-95).

    Raises `CannotBeSent` when the capability is not in the agent's present list (S-94) or the data exceeds 1 MiB.
    """
    command = _queue_message(agent, CustomMessage(capability, message_type, data), by=by, at=at)
    _announce(command, agent, by=by, at=at, verb="agent.custom_message")
    return command


@transaction.atomic
def answer_custom_message(agent: Agent, message: CustomMessage, *, at: datetime) -> AgentCommand:
    """Queue what a receiver answers; told in the timeline alone, for nobody asked for it. Raises `CannotBeSent`."""
    command = _queue_message(agent, message, by=None, at=at)
    _tell(command, agent, by=None, at=at)
    return command


def _queue_message(agent: Agent, message: CustomMessage, *, by: User | None, at: datetime) -> AgentCommand:
    if message.capability not in agent.reported.custom_capabilities:
        known = ", ".join(agent.reported.custom_capabilities) or "none"
        raise CannotBeSent(f"{agent} does not list the custom capability {message.capability!r}; it lists: {known}.")
    if len(message.data) > _MAX_MESSAGE_BYTES:
        raise CannotBeSent(f"The message has {len(message.data)} bytes; at most {_MAX_MESSAGE_BYTES} are sent.")
    return AgentCommand.objects.create(
        agent=agent,
        kind=Kind.CUSTOM_MESSAGE,
        payload={
            "capability": message.capability,
            "type": message.type,
            "data": base64.b64encode(message.data).decode(),
        },
        requested_by=by,
        requested_at=at,
    )


@transaction.atomic
def request_restarts(agents: Iterable[Agent], *, by: User | None, at: datetime) -> Requested:
    """Ask many agents to restart; those that wait for one already count as asked, and are not asked twice.

    Each has its line in the timeline and in the audit trail. Costs a handful of queries per 1,000 agents.
    """
    skipped: list[Agent] = []
    rung: list[UUID] = []
    capable: list[Agent] = []
    for agent in agents:
        fit = agent.capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND
        (capable if fit else skipped).append(agent)
    for start in range(0, len(capable), _BATCH):
        part = capable[start : start + _BATCH]
        waiting = set(_pending_restarts([agent.pk for agent in part]).values_list("agent_id", flat=True))
        fresh = [agent for agent in part if agent.pk not in waiting]
        # A press at the same time elsewhere stands for both: the constraint lets one through.
        AgentCommand.objects.bulk_create(
            [AgentCommand(agent=agent, kind=Kind.RESTART, requested_by=by, requested_at=at) for agent in fresh],
            ignore_conflicts=True,
        )
        name = by.get_username() if by else ""
        AgentEvent.objects.bulk_create(
            AgentEvent(
                agent_id=command.agent_id,
                at=at,
                kind=AgentEvent.Kind.COMMAND,
                data={"command": Kind.RESTART, "id": command.pk, "outcome": command.outcome, "by": name},
            )
            for command in _pending_restarts([agent.pk for agent in fresh])
        )
        accounts.record_many(by=by, verb="agent.restart", targets=fresh, data={"command": Kind.RESTART})
        rung += [agent.instance_uid for agent in fresh]
    doorbell.ring(rung)
    return Requested(len(capable), skipped)


def _pending_restarts(agent_ids: Sequence[int]) -> QuerySet[AgentCommand]:
    return AgentCommand.objects.filter(agent_id__in=agent_ids, kind=Kind.RESTART, outcome=Outcome.PENDING)


def _announce(command: AgentCommand, agent: Agent, *, by: User | None, at: datetime, verb: str) -> None:
    said = _tell(command, agent, by=by, at=at)
    accounts.record(by=by, verb=verb, target=agent, name=str(agent), data=said)


def _tell(command: AgentCommand, agent: Agent, *, by: User | None, at: datetime) -> dict[str, object]:
    """The line in the timeline, and the ring."""
    said: dict[str, object] = {"command": command.kind, "id": command.pk, "outcome": command.outcome}
    if command.kind == Kind.CUSTOM_MESSAGE:
        said |= {"capability": command.payload["capability"], "type": command.payload["type"]}
    AgentEvent.objects.create(
        agent=agent,
        at=at,
        kind=AgentEvent.Kind.COMMAND,
        data={**said, "by": by.get_username() if by else ""},
    )
    doorbell.ring([agent.instance_uid])
    return said


def custom_message_of(command: AgentCommand) -> CustomMessage:
    """The message as it travels."""
    payload = command.payload
    return CustomMessage(payload["capability"], payload["type"], base64.b64decode(payload["data"]))


def pending_commands(agent_ids: Sequence[int]) -> dict[int, list[AgentCommand]]:
    """Commands not sent yet, by agent, oldest first."""
    waiting: dict[int, list[AgentCommand]] = {}
    for command in AgentCommand.objects.filter(agent_id__in=agent_ids, outcome=Outcome.PENDING).order_by("id"):
        waiting.setdefault(command.agent_id, []).append(command)
    return waiting


def listed_capabilities(agent_ids: Sequence[int]) -> dict[int, list[str]]:
    """The custom capabilities these agents list now, for agents whose wide row is not at hand."""
    rows = ReportedState.objects.filter(agent_id__in=agent_ids).values_list("agent_id", "custom_capabilities")
    return dict(rows)


def cancel(command: AgentCommand, *, at: datetime) -> None:
    """The agent no longer lists the capability of a waiting message, so it is not sent (S-94)."""
    if AgentCommand.objects.filter(pk=command.pk, outcome=Outcome.PENDING).update(
        outcome=Outcome.CANCELLED, outcome_at=at
    ):
        _tell_outcomes([command], Outcome.CANCELLED, at)


def take(command: AgentCommand, *, at: datetime) -> bool:
    """Mark a command sent, exactly once among all processes; false when another one took it."""
    taken = AgentCommand.objects.filter(pk=command.pk, outcome=Outcome.PENDING).update(outcome=Outcome.SENT, sent_at=at)
    if not taken:
        return False
    AgentEvent.objects.create(
        agent_id=command.agent_id,
        at=at,
        kind=AgentEvent.Kind.COMMAND,
        data={"command": command.kind, "id": command.pk, "outcome": Outcome.SENT},
    )
    return True


def observe_restarts(agent_ids: Sequence[int], *, at: datetime) -> int:
    """These agents were seen to have restarted: the restarts sent to them did it. Returns how many commands that closes."""
    sent = AgentCommand.objects.filter(agent_id__in=agent_ids, kind=Kind.RESTART, outcome=Outcome.SENT)
    return _close(sent, Outcome.DONE, at)


@transaction.atomic
def expire_commands(*, at: datetime) -> int:
    """Close restarts that were sent but never showed an effect."""
    overdue = AgentCommand.objects.filter(kind=Kind.RESTART, outcome=Outcome.SENT, sent_at__lt=at - OBSERVATION_TIME)
    return _close(overdue, Outcome.EXPIRED, at)


def _close(sent: QuerySet[AgentCommand], outcome: AgentCommand.Outcome, at: datetime) -> int:
    """Compare-and-set; several processes may look at the same time, and one of them tells."""
    rows = sent.order_by("id")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(of=("self",))
    commands = list(rows[:_BATCH])
    if commands:
        AgentCommand.objects.filter(pk__in=[command.pk for command in commands]).update(outcome=outcome, outcome_at=at)
        _tell_outcomes(commands, outcome, at)
    return len(commands)


def _tell_outcomes(commands: Sequence[AgentCommand], outcome: AgentCommand.Outcome, at: datetime) -> None:
    AgentEvent.objects.bulk_create(
        AgentEvent(
            agent_id=command.agent_id,
            at=at,
            kind=AgentEvent.Kind.COMMAND,
            data={"command": command.kind, "id": command.pk, "outcome": outcome},
        )
        for command in commands
    )


def pending_uids(limit: int = 5_000) -> list[UUID]:
    """Connected agents with commands not sent yet: what a process rings again in case the first ring was lost."""
    return list(
        AgentCommand.objects.filter(outcome=Outcome.PENDING, agent__connected=True)
        .order_by("id")
        .values_list("agent__instance_uid", flat=True)[:limit]
    )
