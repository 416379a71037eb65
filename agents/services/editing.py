"""What operators say about agents: name, notes, operator labels; and forgetting an agent. Audited, in one transaction each.

Not durable: the admin calls them inside a transaction of its own, and wake-ups wait for that one's commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents import extensions
from agents.labels import InvalidLabels, validate_labels
from agents.models import Agent, AgentEvent, ReportedState
from agents.services.bulk_requests import BulkOutcome, chunks
from agents.services.labelling import LABEL_FIELDS, described, label
from agents.services.merging import agent_name
from agents.services.timeline import write_line, write_lines
from agents.shown import value_shown
from foundation import wakeups
from foundation.errors import Category, DomainError
from foundation.messages import Message


class UnknownAgent(DomainError):
    """The agent is gone, or never was."""

    category = Category.NOT_FOUND

    def __init__(self) -> None:
        super().__init__(Message("no-such-agent", "There is no such agent."))


class CannotBeForgotten(DomainError):
    """The agent is shut out, which forgetting it would undo; the text says what to do first."""

    category = Category.CONFLICT

    def __init__(self) -> None:
        super().__init__(
            Message(
                "agent-is-shut-out",
                "The agent's credential is revoked, and forgetting the agent would let it in again as a new one. "
                "Allow its enrolment first if that is what you want.",
            )
        )


@transaction.atomic
def edit_agent(
    agent_id: int,
    *,
    by: User | None,
    at: datetime,
    custom_name: str | None = None,
    notes: str | None = None,
    operator_labels: Mapping[object, object] | None = None,
) -> Agent:
    """Change what operators say about one agent; ``None`` leaves a part as it is.

    Changed labels re-match the agent at once. Raises `UnknownAgent`, and `agents.labels.InvalidLabels` with one
    message per field.
    """
    if operator_labels is not None:
        extensions.notify_before_relabelling()
    agent = _locked(agent_id)
    changed: dict[str, object] = {}
    if custom_name is not None and custom_name != agent.custom_name:
        changed["custom_name"] = agent.custom_name = custom_name
        agent.name = agent_name(agent)
        changed["name"] = agent.name
    if notes is not None and notes != agent.notes:
        changed["notes"] = agent.notes = notes
    relabelled = False
    if operator_labels is not None:
        wanted = validate_labels(operator_labels)
        if wanted != agent.operator_labels:
            changed["operator_labels"] = agent.operator_labels = wanted
            fields = label(agent, described(ReportedState.objects.get(agent_id=agent.pk)))
            changed |= {name: getattr(agent, name) for name in fields}
            relabelled = "labels" in fields
    if not changed:
        return agent
    agent.save(update_fields=list(changed))
    kind = AgentEvent.Kind.LABELS if "operator_labels" in changed else AgentEvent.Kind.EDITED
    said = {key: value for key, value in changed.items() if key not in LABEL_FIELDS}
    write_line(AgentEvent(agent=agent, at=at, kind=kind, data={**said, "by": by.get_username() if by else ""}))
    accounts.record(by=by, verb="agent.edit", target=agent, name=agent.name_and_host(), data=value_shown(said))
    if relabelled:
        extensions.notify_after_relabelling([agent.pk], at)
        wakeups.wake([agent.instance_uid])
        agent.refresh_from_db()
    return agent


def edit_labels(
    agent_ids: Sequence[int],
    *,
    assign: Mapping[str, str],
    remove: Collection[str],
    by: User | None,
    at: datetime,
) -> BulkOutcome:
    """Set and remove single operator labels of many agents, a batch in each transaction; their other labels stay.

    Agents that have it so already, or would get too many labels, are skipped. Raises `agents.labels.InvalidLabels` for
    labels that no agent could have.
    """
    validate_labels(dict(assign.items()))
    outcome = BulkOutcome()
    with accounts.one_entry():
        for keys in chunks(agent_ids):
            with transaction.atomic():
                _edit_labels_of_batch(keys, assign, remove, outcome, by=by, at=at)
    return outcome


def _edit_labels_of_batch(
    keys: Sequence[int],
    assign: Mapping[str, str],
    remove: Collection[str],
    outcome: BulkOutcome,
    *,
    by: User | None,
    at: datetime,
) -> None:
    extensions.notify_before_relabelling()
    agents = list(Agent.objects.filter(pk__in=keys).locked())
    states = {state.agent_id: state for state in ReportedState.objects.filter(agent_id__in=keys)}
    changed: list[Agent] = []
    moved: list[Agent] = []
    for agent in agents:
        kept: dict[object, object] = {key: value for key, value in agent.operator_labels.items() if key not in remove}
        try:
            wanted = validate_labels(kept | {**assign})
        except InvalidLabels as error:
            outcome.skip(agent.instance_uid, Message.listed(error.problems))
            continue
        if wanted == agent.operator_labels:
            outcome.skip(agent.instance_uid, Message("labels-unchanged", "Its labels are like this already."))
            continue
        agent.operator_labels = wanted
        changed.append(agent)
        if "labels" in label(agent, described(states[agent.pk])):
            moved.append(agent)
    person = by.get_username() if by else ""
    Agent.objects.bulk_update(changed, ["operator_labels", *LABEL_FIELDS], batch_size=200)
    write_lines(
        AgentEvent(
            agent=agent,
            at=at,
            kind=AgentEvent.Kind.LABELS,
            data={"operator_labels": agent.operator_labels, "by": person},
        )
        for agent in changed
    )
    said = {"set": value_shown(dict(assign)), "removed": sorted(remove)}
    accounts.record_all([(agent, agent.name_and_host(), said) for agent in changed], by=by, verb="agent.edit")
    outcome.asked += len(changed)
    if moved:
        extensions.notify_after_relabelling([agent.pk for agent in moved], at)
        wakeups.wake([agent.instance_uid for agent in moved])


def forget_agent(agent_id: int, *, by: User | None) -> None:
    """`forget_agents` for one. Raises `CannotBeForgotten` when it is shut out."""
    if not forget_agents([agent_id], by=by) and Agent.objects.filter(pk=agent_id).exists():
        raise CannotBeForgotten


@transaction.atomic
def forget_agents(agent_ids: Sequence[int], *, by: User | None) -> int:
    """Delete agents with their history; returns how many. One that still talks registers itself anew with its next message,
    for which it needs the shared secret: a credential of its own goes with the row.

    Those that are shut out stay: without their rows the shared secret would let them in again. The wake-up makes the process
    that holds its connection drop what it remembers of an agent. Agents are locked before what belongs to them is
    deleted: a batch of their reports writes in that order too.
    """
    rows = list(Agent.objects.filter(pk__in=agent_ids, credential_revoked_at=None).locked())
    named = [(agent, agent.name_and_host(), {"instance_uid": str(agent.instance_uid)}) for agent in rows]
    accounts.record_all(named, by=by, verb="agent.forget")
    Agent.objects.filter(pk__in=[agent.pk for agent in rows]).delete()
    wakeups.wake([agent.instance_uid for agent in rows])
    return len(rows)


def _locked(agent_id: int) -> Agent:
    try:
        return Agent.objects.select_for_update().get(pk=agent_id)
    except Agent.DoesNotExist:
        raise UnknownAgent from None
