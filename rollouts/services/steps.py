"""One step of a rollout: the one outlet for its row of steps, its audit entry and its event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F

from accounts import services as accounts
from accounts.models import User
from foundation.events import publish
from foundation.messages import Message
from rollouts.events import RolloutEvent
from rollouts.models import Rollout, RolloutStep


class Overtaken(Exception):
    """Another process or person changed the rollout since it was read; nothing was changed here."""


def change(rollout: Rollout, **values: Any) -> None:
    """Write ``values`` if the rollout is as it was read, in the caller's transaction. Raises `Overtaken`."""
    written = Rollout.objects.filter(pk=rollout.pk, turn=rollout.turn).update(turn=F("turn") + 1, **values)
    if not written:
        raise Overtaken
    rollout.turn += 1
    for name, value in values.items():
        setattr(rollout, name, value)


def take_step(
    rollout: Rollout,
    kind: RolloutStep.Kind,
    *,
    by: User | None,
    at: datetime,
    reasons: Sequence[Message] = (),
    data: Mapping[str, Any] | None = None,
    **values: Any,
) -> None:
    """Change the rollout and tell everybody: `change`, one row, one audit entry, one event. Raises `Overtaken`."""
    said = [reason.as_json() for reason in reasons]
    change(rollout, reasons=said, **values)
    name = by.get_username() if by else accounts.SYSTEM
    told = dict(data or {})
    RolloutStep.objects.create(
        rollout=rollout, at=at, kind=kind, stage=rollout.stage, by_name=name, reasons=said, data=told
    )
    accounts.record(
        by=by,
        verb=f"rollout.{kind.value}",
        target=rollout,
        name=str(rollout),
        data={
            "stage": rollout.stage + 1,
            **({"stage_name": rollout.stage_name} if rollout.stage_name else {}),
            **({"reasons": [str(reason) for reason in reasons]} if reasons else {}),
            **told,
        },
    )
    event = RolloutEvent(
        rollout_id=rollout.pk,
        subject=rollout.subject,
        subject_id=rollout.subject_id,
        name=rollout.name,
        version_number=rollout.version_number,
        kind=kind.value,
        state=rollout.state_at(at).value,
        stage=rollout.stage,
        at=at,
        by=name,
        reasons=tuple(reasons),
        data=told,
    )
    publish(RolloutEvent, [event])
