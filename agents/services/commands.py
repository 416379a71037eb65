"""What is sent to agents once, at an operator's request: restart (S-96, S-97) and custom messages (S-94, S-95)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentCommand, AgentEvent, ReportedState
from agents.reports import AgentCapabilities, CustomMessage
from agents.services.batch import Batch
from agents.services.bulk_requests import BulkOutcome, chunks
from agents.services.offers import MOST_PENDING
from agents.services.timeline import write_line, write_lines
from foundation import wakeups
from foundation.bulk_sql import bulk_read
from foundation.clock import JUMP
from foundation.errors import Category, DomainError
from foundation.messages import Message

# A restart whose effect was not seen by then is shown as "nothing observed".
OBSERVATION_TIME = timedelta(minutes=5)
MAX_MESSAGE_BYTES = 1024 * 1024
_BATCH = 1_000


class CannotBeSent(DomainError):
    """The agent does not accept this, or what should be sent is not valid; the text says which."""

    category = Category.CONFLICT


@transaction.atomic(durable=True)
def request_restart(agent: Agent, *, by: User | None, at: datetime) -> AgentCommand:
    """Ask one agent to restart; a second request while the first waits is the same request.

    Raises `CannotBeSent` when the agent lacks AcceptsRestartCommand (S-96).
    """
    if not accepts_restart(agent):
        raise CannotBeSent(
            Message(
                "agent-accepts-no-restart",
                "{agent} does not accept the restart command (capability AcceptsRestartCommand is not set).",
                agent=str(agent),
            )
        )
    waiting = _waiting_restarts([agent.pk])
    command = waiting.first()
    if command is not None:
        return command
    try:
        with transaction.atomic():
            command = AgentCommand.objects.create(
                agent=agent, kind=AgentCommand.Kind.RESTART, requested_by=by, requested_at=at
            )
    except IntegrityError:
        # Two presses at the same time: the constraint let one through, and it stands for both.
        return waiting.get()
    _announce([(command, agent)], by=by, at=at, verb="agent.restart")
    return command


def request_restarts(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> BulkOutcome:
    """Ask many agents to restart, a batch in each transaction; those that do not accept it are skipped (S-96).

    An agent whose restart waits already counts as asked, and is not asked twice.
    """
    outcome = BulkOutcome()
    with accounts.one_entry():
        for keys in chunks(agent_ids):
            _request_restarts_of_batch(keys, outcome, by=by, at=at)
    return outcome


def _request_restarts_of_batch(keys: Sequence[int], outcome: BulkOutcome, *, by: User | None, at: datetime) -> None:
    with transaction.atomic():
        agents = {agent.pk: agent for agent in Agent.objects.filter(pk__in=keys).order_by("id")}
        for agent in agents.values():
            if not accepts_restart(agent):
                outcome.skip(
                    agent.instance_uid,
                    Message(
                        "accepts-no-restart",
                        "The agent does not accept the restart command (capability AcceptsRestartCommand is not set).",
                    ),
                )
        capable = [key for key, agent in agents.items() if accepts_restart(agent)]
        before = set(_waiting_restarts(capable).values_list("agent_id", flat=True))
        AgentCommand.objects.bulk_create(
            [
                AgentCommand(agent_id=key, kind=AgentCommand.Kind.RESTART, requested_by=by, requested_at=at)
                for key in capable
                if key not in before
            ],
            ignore_conflicts=True,  # somebody else asked a moment ago: his request stands for both
        )
        made = [row for row in _waiting_restarts(capable) if row.agent_id not in before]
        _announce([(row, agents[row.agent_id]) for row in made], by=by, at=at, verb="agent.restart")
        outcome.asked += len(capable)


def accepts_restart(agent: Agent) -> bool:
    """Whether the agent has the capability AcceptsRestartCommand."""
    return bool(agent.capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND)


def _waiting_restarts(agent_ids: Sequence[int]) -> QuerySet[AgentCommand]:
    return AgentCommand.objects.filter(
        agent_id__in=agent_ids, kind=AgentCommand.Kind.RESTART, outcome=AgentCommand.Outcome.PENDING
    )


@transaction.atomic
def send_custom_message(
    agent: Agent, *, capability: str, message_type: str, data: bytes, by: User | None, at: datetime
) -> AgentCommand:
    """Queue one custom message; messages of one agent travel in the order they were asked for (S-95).

    Raises `CannotBeSent` when the capability is not in the agent's present list (S-94) or the data exceeds 1 MiB.
    """
    command = _queue_message(agent, CustomMessage(capability, message_type, data), by=by, at=at)
    _announce([(command, agent)], by=by, at=at, verb="agent.custom_message")
    return command


@transaction.atomic
def answer_custom_message(agent: Agent, message: CustomMessage, *, at: datetime) -> AgentCommand:
    """Queue what a receiver answers; told in the timeline alone, for nobody asked for it. Raises `CannotBeSent`."""
    command = _queue_message(agent, message, by=None, at=at)
    _tell([(command, agent)], by=None, at=at)
    return command


def _queue_message(agent: Agent, message: CustomMessage, *, by: User | None, at: datetime) -> AgentCommand:
    if message.capability not in agent.reported.custom_capabilities:
        raise CannotBeSent(
            Message(
                "custom-capability-not-listed",
                "{agent} does not list the custom capability {capability}; it lists: {known}.",
                agent=str(agent),
                capability=repr(message.capability),
                known=", ".join(agent.reported.custom_capabilities) or Message("none", "none"),
            )
        )
    if len(message.data) > MAX_MESSAGE_BYTES:
        raise CannotBeSent(too_large(message.data))
    return AgentCommand.objects.create(
        agent=agent,
        kind=AgentCommand.Kind.CUSTOM_MESSAGE,
        payload={
            "capability": message.capability,
            "type": message.type,
            "data": base64.b64encode(message.data).decode(),
        },
        requested_by=by,
        requested_at=at,
    )


def too_large(data: bytes) -> Message:
    """Why data beyond `MAX_MESSAGE_BYTES` is not sent."""
    return Message(
        "custom-message-too-large",
        "The message has {count} bytes; at most {most} are sent.",
        count=len(data),
        most=MAX_MESSAGE_BYTES,
    )


def _announce(asked: Sequence[tuple[AgentCommand, Agent]], *, by: User | None, at: datetime, verb: str) -> None:
    """Timeline, audit trail, and a wake-up after commit, for commands just made."""
    _tell(asked, by=by, at=at)
    accounts.record_all([(agent, agent.name_and_host(), _said(command)) for command, agent in asked], by=by, verb=verb)


def _tell(asked: Sequence[tuple[AgentCommand, Agent]], *, by: User | None, at: datetime) -> None:
    """Timeline and wake-up alone."""
    person = by.get_username() if by else ""
    write_lines(
        AgentEvent(agent=agent, at=at, kind=AgentEvent.Kind.COMMAND, data={**_said(command), "by": person})
        for command, agent in asked
    )
    wakeups.wake([agent.instance_uid for _command, agent in asked])


def _said(command: AgentCommand) -> dict[str, Any]:
    said: dict[str, Any] = {"command": command.kind, "id": command.pk, "outcome": command.outcome}
    if command.kind == AgentCommand.Kind.CUSTOM_MESSAGE:
        said |= {"capability": command.payload["capability"], "type": command.payload["type"]}
    return said


def custom_message_of(command: AgentCommand) -> CustomMessage:
    """The message as it travels."""
    payload = command.payload
    return CustomMessage(payload["capability"], payload["type"], base64.b64decode(payload["data"]))


def pending_commands(agent_ids: Sequence[int]) -> dict[int, list[AgentCommand]]:
    """Commands not sent yet, by agent, oldest first."""
    waiting: dict[int, list[AgentCommand]] = {}
    for command in bulk_read(AgentCommand, {"agent": agent_ids}, outcome=AgentCommand.Outcome.PENDING.value):
        waiting.setdefault(command.agent_id, []).append(command)
    return waiting


def pending_in(batch: Batch[Any]) -> dict[int, list[AgentCommand]]:
    """`pending_commands` of the agents of a batch."""
    return pending_commands([agent.agent.pk for agent in batch.agents])


def listed_capabilities(agent_ids: Sequence[int]) -> dict[int, list[str]]:
    """The custom capabilities these agents list now, for agents whose wide row is not at hand."""
    rows = ReportedState.objects.filter(agent_id__in=agent_ids).values_list("agent_id", "custom_capabilities")
    return dict(rows)


def sendable(messages: Sequence[AgentCommand], listed: Sequence[str], *, at: datetime) -> list[AgentCommand]:
    """``messages`` of capabilities that the agent lists; the others are cancelled (S-94)."""
    fit = []
    for message in messages:
        if message.payload["capability"] in listed:
            fit.append(message)
        else:
            _cancel(message, at=at)
    return fit


def _cancel(command: AgentCommand, *, at: datetime) -> None:
    if AgentCommand.objects.filter(pk=command.pk, outcome=AgentCommand.Outcome.PENDING).update(
        outcome=AgentCommand.Outcome.CANCELLED, outcome_at=at
    ):
        _tell_outcomes([command], AgentCommand.Outcome.CANCELLED, at)


def take(command: AgentCommand, *, at: datetime) -> bool:
    """Mark a command sent, exactly once among all processes; false when another one took it."""
    taken = AgentCommand.objects.filter(pk=command.pk, outcome=AgentCommand.Outcome.PENDING).update(
        outcome=AgentCommand.Outcome.SENT, sent_at=at
    )
    if not taken:
        return False
    write_line(
        AgentEvent(
            agent_id=command.agent_id,
            at=at,
            kind=AgentEvent.Kind.COMMAND,
            data={"command": command.kind, "id": command.pk, "outcome": AgentCommand.Outcome.SENT},
        )
    )
    return True


def observe_restarts(agent_ids: Sequence[int], *, at: datetime) -> int:
    """These agents were seen to have restarted: the restarts sent to them did it. Returns how many commands that closes."""
    sent = AgentCommand.objects.filter(
        agent_id__in=agent_ids, kind=AgentCommand.Kind.RESTART, outcome=AgentCommand.Outcome.SENT
    )
    return _close(sent, AgentCommand.Outcome.DONE, at)


@transaction.atomic
def expire_commands(*, at: datetime) -> int:
    """Close restarts that were sent but never showed an effect; 1,000 in one go.

    Those of the future were sent before the clock was put back; their time begins now.
    """
    sent = AgentCommand.objects.filter(kind=AgentCommand.Kind.RESTART, outcome=AgentCommand.Outcome.SENT)
    overdue, ahead = sent.filter(sent_at__lt=at - OBSERVATION_TIME), sent.filter(sent_at__gt=at + JUMP)
    keys = list((overdue | ahead).order_by("id").values_list("agent_id", flat=True)[:_BATCH])
    if not keys:
        return 0
    # Agents first, as batches of reports lock them: one of those may be about to close the same commands.
    len(Agent.objects.filter(pk__in=keys).locked())
    ahead.filter(agent_id__in=keys).update(sent_at=at)
    return _close(overdue.filter(agent_id__in=keys), AgentCommand.Outcome.EXPIRED, at)


def _close(sent: QuerySet[AgentCommand], outcome: AgentCommand.Outcome, at: datetime) -> int:
    """Compare-and-set; several processes may look at the same time, and one of them tells."""
    commands = list(sent.select_for_update(of=("self",)).order_by("id")[:_BATCH])
    if commands:
        AgentCommand.objects.filter(pk__in=[command.pk for command in commands]).update(outcome=outcome, outcome_at=at)
        _tell_outcomes(commands, outcome, at)
    return len(commands)


def _tell_outcomes(commands: Sequence[AgentCommand], outcome: AgentCommand.Outcome, at: datetime) -> None:
    write_lines(
        AgentEvent(
            agent_id=command.agent_id,
            at=at,
            kind=AgentEvent.Kind.COMMAND,
            data={"command": command.kind, "id": command.pk, "outcome": outcome},
        )
        for command in commands
    )


def pending_uids(limit: int = MOST_PENDING) -> list[UUID]:
    """Connected agents with commands not sent yet: what a process looks at again in case the wake-up was lost."""
    return list(
        AgentCommand.objects.filter(outcome=AgentCommand.Outcome.PENDING, agent__connected=True)
        .order_by("id")
        .values_list("agent__instance_uid", flat=True)[:limit]
    )
