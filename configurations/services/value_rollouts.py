"""Changes of values in stages: a revision with the same files and the new values, while those before hold the former ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts import services as accounts
from agents.models import HEADLINE
from configurations.models import RELEASE_SUBJECT, Configuration, Pin, Revision, pinned_elsewhere
from configurations.services.edit_errors import ReleaseUnfinished
from configurations.services.former_values import carry_held, hold_former
from configurations.services.publishing import add_revision
from configurations.services.releasing import concerned_by
from configurations.services.rendering import Renderer
from foundation.errors import DomainError
from foundation.messages import Message
from rollouts.errors import RolloutRunning
from rollouts.models import Rollout
from rollouts.policies import Policy
from rollouts.progress import planned_stages
from rollouts.services.rolling_out import salt_of, start_rollout
from variables.services.known_values import Values, bump_values
from variables.services.value_versions import with_former
from variables.templating import RenderingFailure
from variables.value_users import PlannedRollout, ValueChange

_NAMED = 5


def obstacle_of(row: Configuration, active: Rollout | None, *, staged: bool, at: datetime) -> DomainError | None:
    """Why a change of values cannot go out to a configuration unless that is to be replaced."""
    if active is not None:
        return RolloutRunning(rollout_id=active.pk, name=str(active), state=active.state_at(at))
    if not staged:
        return None
    numbers = sorted(Revision.objects.released().filter(configuration=row).values_list("number", flat=True))
    if len(numbers) < 2:
        return None
    return ReleaseUnfinished(
        Message(
            "release-unfinished",
            "Revisions {numbers} of {name} are in force side by side, since a rollout was ended on its way: publish one of them "
            "first, or have all agents brought to the newest one.",
            name=row.name,
            numbers=", ".join(map(str, numbers)),
        )
    )


def planned_rollout(row: Configuration, policy: Policy, renderer: Renderer) -> PlannedRollout:
    """The rollout that would start now of the newest revision with what ``renderer`` has."""
    newest = row.current
    assert newest is not None  # noqa: S101  it uses something
    agents = list(_agents_of(newest, row.name))

    def error_of(labels: Mapping[str, str]) -> bool:
        try:
            renderer.render(newest.pk, labels)
        except RenderingFailure:
            return True
        return False

    stages = planned_stages(policy, salt_of(RELEASE_SUBJECT, row.name), agents, fails=error_of)
    return PlannedRollout(policy, len(agents), stages)


def start(row: Configuration, policy: Policy, change: ValueChange) -> Rollout:
    """Hold what the revisions in force have, and roll out their newest one with the present values.

    In the caller's transaction, which holds targeting; no rollout of the configuration is active.
    """
    configuration = Configuration.objects.select_for_update(of=("self",)).select_related("current").get(pk=row.pk)
    assert configuration.current is not None  # noqa: S101  it uses something
    uses = sorted(change.former)
    in_force = Q(release__isnull=False, release__ended_at=None) | Q(pk=configuration.current_id)
    in_force |= Q(pk__in=Pin.objects.filter(revision__isnull=False).values("revision"))
    held = Revision.objects.filter(in_force, configuration=configuration, templated=True).defer("files").order_by("pk")
    hold_former(held, {use: change.former[use] for use in change.changed}, change.at)
    configuration.edition += 1
    configuration.updated_at = change.at
    configuration.save(update_fields=["edition", "updated_at"])
    note = f"New values: {', '.join(uses[:_NAMED])}"
    newest = configuration.current
    revision = add_revision(configuration, newest.remote_config(), by=change.by, at=change.at, note=note)
    carry_held(newest, revision, but=uses)
    bump_values()
    data: dict[str, Any] = {"revision": revision.number, "files_changed": False, "changed": {}, "note": note}
    accounts.record(by=change.by, verb="configuration.update", target=configuration, name=configuration.name, data=data)
    return start_rollout(
        RELEASE_SUBJECT,
        configuration.pk,
        revision.pk,
        name=configuration.name,
        version_number=revision.number,
        policy=policy,
        by=change.by,
        at=change.at,
    )


def is_touched(rollout: Rollout, values: Values, change: ValueChange) -> bool:
    """Whether the change gives other files to any agent whom an active rollout is to bring its version."""
    revision = Revision.objects.select_related("configuration").filter(pk=rollout.version_id).first()
    if revision is None or not revision.templated or not change.changed:
        return False
    before = Renderer(with_former(values, change.former))
    after = Renderer(values)
    return any(
        _made_of(before, revision, labels) != _made_of(after, revision, labels)
        for _uid, labels, _name in _agents_of(revision, rollout.name)
    )


def _made_of(renderer: Renderer, revision: Revision, labels: Mapping[str, str]) -> str:
    try:
        return renderer.render(revision.pk, labels).hash
    except RenderingFailure as failure:
        return str(failure.message)


def _agents_of(revision: Revision, name: str) -> Iterator[tuple[UUID, Mapping[str, str], str]]:
    """Whom a rollout of ``revision`` concerns: uid, labels and what it is called."""
    seen: set[UUID] = set()
    for agents in concerned_by(revision):
        rows = agents.exclude(pinned_elsewhere(name)).order_by("name", "pk")
        for uid, labels, called in rows.values_list("instance_uid", "labels", HEADLINE).iterator(chunk_size=2_000):
            if uid not in seen:
                seen.add(uid)
                yield uid, labels, called
