"""Making a revision what agents should run: the agents concerned are matched anew, their processes woken after commit."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.reports import AgentCapabilities
from configurations.models import RELEASE_SUBJECT, Assignment, Revision, pinned_keys, runs
from configurations.outcome import AssignmentStatus
from configurations.services.assigning import NEVER_OFFERED
from configurations.services.composing import forget_unused
from configurations.services.edit_errors import AlreadyReleased
from configurations.services.targeting import (
    bump_generation,
    fresh_targeting,
    hold_targeting,
    lock_agents_of,
    rematch,
)
from foundation import wakeups
from foundation.messages import Message
from rollouts.audiences import EVERYONE, Audience
from rollouts.models import Release, add_release

_CHUNK = 2_000
# What a revision says of whom it is for.
TARGETING_COLUMNS = ("selector", "match_all", "priority", "enabled")


@transaction.atomic
def release(revision: Revision, *, to: Audience, by: User | None, at: datetime, keep_former: bool = False) -> Release:
    """Make ``revision`` what the agents of ``to`` should run, and re-match exactly the agents concerned.

    Agents outside the audience keep what the former release gives them; ``keep_former`` as in `add_release`. Raises
    `AlreadyReleased`.
    """
    if revision.release_id is not None:
        raise AlreadyReleased(
            Message("already-released", "Revision {number} is released already.", number=revision.number)
        )
    hold_targeting(exclusive=True)
    former = list(Revision.objects.released().filter(configuration=revision.configuration_id))
    subject_id = revision.configuration_id
    made = add_release(RELEASE_SUBJECT, subject_id, revision.pk, to=to, by=by, at=at, keep_former=keep_former)
    revision.release = made
    revision.save(update_fields=["release"])
    bump_generation()
    same_agents = len(former) == 1 and all(
        getattr(former[0], key) == getattr(revision, key) for key in TARGETING_COLUMNS
    )
    # Of templates each agent gets a result of its own.
    if to == EVERYONE and same_agents and not revision.templated and not revision.configuration.is_fragment:
        _renew(revision, at)
    else:
        retarget(revision, at, to=to)
    forget_unused()
    return made


def retarget(revision: Revision, at: datetime, *, to: Audience = EVERYONE, former: Audience | None = None) -> None:
    """Re-match the agents that ``revision`` concerns, of these only who is in ``to`` and was not in ``former``.

    For the others nothing was released. In the caller's transaction, which holds targeting.
    """
    concerned: set[int] = set()
    for agents in concerned_by(revision):
        if to == EVERYONE and former is None:
            concerned.update(agents.values_list("pk", flat=True))
            continue
        rows = agents.values_list("pk", "instance_uid", "labels")
        concerned.update(
            key
            for key, uid, labels in rows.iterator(chunk_size=_CHUNK)
            if to.includes(uid, labels) and (former is None or not former.includes(uid, labels))
        )
    wakeups.wake(rematch(concerned, fresh_targeting(), at))


def concerned_by(revision: Revision) -> list[QuerySet[Agent]]:
    """Sets of agents, which may overlap: those that run the configuration or are pinned to it, and those that it may win now or
    could before.

    Before is what its other releases in force say: nobody else can be concerned.
    """
    found: list[QuerySet[Agent]] = [Agent.objects.filter(runs(revision.configuration, "assignment__")).order_by()]
    others = Revision.objects.released().filter(configuration=revision.configuration_id).exclude(pk=revision.pk)
    selectors = {each.parsed_selector() for each in (revision, *others) if each.enabled}
    found.append(Agent.objects.filter(pin__configuration=revision.configuration_id).order_by())
    return found + [Agent.objects.filter(selector_condition(selector)).order_by() for selector in selectors]


def _renew(revision: Revision, at: datetime) -> None:
    """New files for the agents that run this configuration already: set statements, whatever the size of the fleet.

    Those for whom the general rule says something else than "pending" (they report this hash already, cannot be configured,
    get fragments beside it, or are pinned, perhaps to another revision) are placed one by one.
    """
    everybody = lock_agents_of(revision.configuration)
    assigned = Agent.objects.filter(assignment__configuration=revision.configuration_id)
    special = Q(remote_config_hash=revision.hash) | Q(configuration_hash=revision.hash) | Q(pk__in=pinned_keys())
    special |= Q(assignment__composition__isnull=False)
    capable = list(
        assigned.exclude(special)
        .annotate(accepts=_bit(AgentCapabilities.ACCEPTS_REMOTE_CONFIG))
        .filter(accepts=int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG))
        .order_by()
        .values_list("pk", "instance_uid")
    )
    keys = [key for key, _uid in capable]
    for start in range(0, len(keys), 5_000):
        part = keys[start : start + 5_000]
        Assignment.objects.filter(agent_id__in=part).update(
            revision=revision,
            assigned_at=at,
            status=AssignmentStatus.PENDING,
            status_at=at,
            error_message="",
            rendering_error="",
            **NEVER_OFFERED,
            retry_requested=False,
        )
        Agent.objects.filter(pk__in=part).update(
            configuration_revision=revision.number,
            configuration_hash=revision.hash,
            in_sync=False,
            config_failed=False,
            config_applying=False,
            config_drifted=False,
        )
    others = set(everybody) - set(keys)
    moved: list[UUID] = rematch(others, fresh_targeting(), at)
    wakeups.wake([uid for _key, uid in capable] + moved)


def _bit(capability: AgentCapabilities) -> Any:
    """``capabilities & bit`` as an expression."""
    return F("capabilities").bitand(int(capability))
